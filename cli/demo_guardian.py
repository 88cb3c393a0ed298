"""Cleans up after the demo, also when the demo itself was killed.

A child process whose standard input is a pipe from the demo: when the pipe ends, the demo is gone. It
then ends the processes named in the stage's directory, takes down the private containerd and deletes
the directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from cli.running_process import start_time

PROCESSES = "processes"


def spawn(directory: Path) -> subprocess.Popen[bytes]:
    """Start the guardian of ``directory``; close its stdin to have it clean up, then wait for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.demo_guardian", str(directory)], stdin=subprocess.PIPE, start_new_session=True
    )


def note_process(directory: Path, pid: int) -> None:
    """Have the guardian end this process; its start time keeps a reused pid from harm."""
    with (directory / PROCESSES).open("a", encoding="ascii") as file:
        file.write(f"{pid} {start_time(pid)}\n")


def clean(directory: Path) -> None:
    """End what is noted, take down the containers, delete the directory."""
    _end_processes(directory)
    if os.geteuid() == 0 and directory.exists():
        from cli.sandbox import Sandbox

        Sandbox.clean(directory / "containerd")
    shutil.rmtree(directory, ignore_errors=True)


def _end_processes(directory: Path) -> None:
    try:
        noted = [line.split() for line in (directory / PROCESSES).read_text(encoding="ascii").splitlines()]
    except OSError:
        return
    alive = [int(parts[0]) for parts in noted if len(parts) == 2 and start_time(int(parts[0])) == parts[1]]
    for signal_number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)):
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        until = time.monotonic() + patience
        while alive and time.monotonic() < until:
            alive = [pid for pid in alive if start_time(pid)]
            time.sleep(0.05)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
