"""The agent's process: what it does without, and what it gives back."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from agent.memory import unwritten

SMAPS = """\
00400000-00450000 r--p 00000000 08:01 17                                 /usr/bin/python3.11
Rss:                 320 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
00450000-00750000 r-xp 00050000 08:01 17                                 /usr/bin/python3.11
Anonymous:             0 kB
00750000-00760000 r--p 00350000 08:01 17                                 /usr/bin/python3.11
Anonymous:            64 kB
00760000-00800000 rw-p 00360000 08:01 17                                 /usr/bin/python3.11
Anonymous:             0 kB
01000000-01200000 rw-p 00000000 00:00 0                                  [heap]
Anonymous:          2048 kB
7f0000000000-7f0000401000 r--s 00001000 00:0e 12                         anon_inode:bpf-map
Anonymous:             0 kB
7f0000500000-7f0000600000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000600000-7f0000700000 r-xp 00000000 08:01 18                         /usr/lib/libc.so.6
Anonymous:             0 kB
"""


def test_only_what_files_still_hold_is_given_back() -> None:
    """Not what was or can be written to, nor what is shared or has no file."""
    assert list(unwritten(SMAPS.splitlines())) == [
        (0x400000, 0x450000),
        (0x450000, 0x750000),
        (0x7F0000600000, 0x7F0000700000),
    ]


def test_the_agent_loads_no_openssl() -> None:
    """Neither that nor the program's own parts, and hashes are still right."""
    said = _run("""
        from agent import memory
        memory.be_frugal()
        import agent.start, agent.containers, agent.domains, agent.running, agent.probe.loader, hashlib, sys
        unwanted = {"cli", "click", "ssl", "_ssl", "_hashlib"}
        print(sorted(name for name in unwanted if sys.modules.get(name)), hashlib.sha256(b"a").hexdigest())
    """)
    assert said == f"[] {hashlib.sha256(b'a').hexdigest()}"


def test_what_is_not_needed_is_given_back() -> None:
    """The process has fewer pages of programs and libraries, and goes on."""
    said = _run("""
        import asyncio, json
        from agent import memory
        def resident():
            fields = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
            return int(fields["RssFile"].split()[0])
        before = resident()
        memory.give_back()
        print(resident() < before, json.dumps(asyncio.run(asyncio.sleep(0, [1]))))
    """)
    assert said == "True [1]"


def _run(program: str) -> str:
    """What the program prints: a process of its own, for what it gives back is everybody's."""
    lines = [line.removeprefix(" " * 8) for line in program.splitlines()]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.strip()
