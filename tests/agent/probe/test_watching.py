"""Which system calls are told can change at any time, costs nothing where nothing is wanted, and loses nothing."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.probe import syscalls
from agent.probe.loader import KernelSource
from agent.probe.sizes import Sizes
from agent.probe.source import ClassCounters
from agent.probe.syscalls import CALLS, Call, Outcomes, unserved
from agent.probe.watched import Watched
from watchkeeper.events import Syscall

kernel = pytest.mark.kernel

ALL = {call.type: Outcomes() for call in CALLS}
UNLINK = """
import os, select, sys
def unlink(number):
    try: os.unlink(f"/none/{number}")
    except OSError: pass
"""
STEADY = (
    UNLINK
    + """
number = 0
while not select.select([0], [], [], 0.001)[0]:
    unlink(number)
    number += 1
print(number)
"""
)


def counted(source: KernelSource) -> ClassCounters:
    return next(count for count in source.counters() if count.event_class == "syscall")


def perf_events() -> int:
    """How many tracepoints this process holds programs on."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found += "perf_event" in str(descriptor.readlink())
    return found


@kernel
def test_nothing_is_attached_when_nothing_is_wanted(fresh):
    """At the start, and again after the last event type was given up, no tracepoint is taken for rules; openings share
    the one that profiles need anyway."""
    watch = fresh()
    before = perf_events()
    watch.run("import os; os.kill(os.getpid(), 0)")
    assert counted(watch.source) == ClassCounters("syscall")
    watch.source.watch({"kill": Outcomes(), "openat": Outcomes(), "execve": Outcomes(failed=False)})
    assert perf_events() == before + 1
    watch.source.watch({})
    seen = counted(watch.source).seen
    watch.run("import os; os.kill(os.getpid(), 0)")
    assert counted(watch.source).seen == seen
    deadline = time.monotonic() + 20
    while perf_events() > before and time.monotonic() < deadline:
        time.sleep(0.05)  # the kernel takes its time to let go of a tracepoint
    assert perf_events() == before


@kernel
def test_stream_of_calls_survives_changes_of_what_is_wanted(fresh):
    """Calls wanted before and after a change are told without a gap, whatever else comes and goes."""
    watch = fresh()
    changes = [
        {"unlink": Outcomes()},
        {"unlink": Outcomes(succeeded=False), "mkdir": Outcomes(), "kill": Outcomes()},
        ALL,
        {"unlink": Outcomes(reads=False), "rmdir": Outcomes()},
    ]
    watch.source.watch(changes[0])
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-IS", "-c", STEADY], stdin=pipe, stdout=pipe, text=True) as process:
        pid = process.pid
        watch.until(lambda e: isinstance(e, Syscall) and e.task.pid == pid and e.name == "unlink")
        for turn in range(20):
            watch.source.watch(changes[turn % len(changes)])
            watch.seen += [told.event for told in watch.source.read()]
            time.sleep(0.02)
        made = int(process.communicate()[0])
    watch.run("pass")
    calls = [e for e in watch.seen if isinstance(e, Syscall) and e.task.pid == pid and e.name == "unlink"]
    assert [e.arguments["path"] for e in calls] == [f"/none/{number}" for number in range(made)]
    assert made > 20


@kernel
def test_wanted_again_at_once(fresh):
    """What was given up a moment ago can be wanted again, although the kernel is still letting go of it."""
    watch = fresh()
    for _ in range(3):
        assert watch.source.watch({"kill": Outcomes(), "mkdir": Outcomes()}) == {}
        assert watch.source.watch({}) == {}
    assert watch.source.watch({"kill": Outcomes()}) == {}
    found = watch.run("import os; os.kill(os.getpid(), 0)")
    assert [e.arguments["sig"] for e in found if isinstance(e, Syscall)] == [0]


def all_read(watch) -> ClassCounters:
    """The counts at a moment when nothing waits in the rings: all the machine's calls go through them."""
    deadline = time.monotonic() + 20
    while True:
        watch.read()
        count = counted(watch.source)
        if count.submitted == count.decoded or time.monotonic() > deadline:
            return count


@kernel
def test_every_call_is_accounted_for(fresh, cgroup, tmp_path):
    """Seen is suppressed, submitted and dropped; all submitted is decoded; ignored cgroups are told all the same."""
    watch = fresh()
    _, directory = cgroup
    assert watch.source.watch(ALL | {"openat": Outcomes(reads=False)}) == {}
    watch.source.ignore_cgroup(directory.stat().st_ino)
    (tmp_path / "own").write_text("the probe's own process is not told")
    code = f"""
import os, sys
open({str(directory / "cgroup.procs")!r}, "w").write(str(os.getpid()))
for number in range(300): os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)); open(sys.argv[1]).close()
"""
    found = watch.run(code, str(tmp_path / "file"))
    count = all_read(watch)
    told = [e for e in found if isinstance(e, Syscall) and e.resolved.get("name") == str(tmp_path / "file")]
    assert len(told) == 300
    assert {e.task.cgroup for e in told} == {directory.stat().st_ino}
    assert [e for e in watch.seen if e.task.pid == os.getpid() and isinstance(e, Syscall)] == []
    assert count.seen == count.suppressed + count.submitted + count.dropped
    assert (count.submitted, count.dropped, count.lost_in_user_space) == (count.decoded, 0, 0)
    assert count.suppressed >= 300


@kernel
def test_flood_is_counted_as_dropped(fresh, tmp_path):
    """When system calls fill the ring their loss is counted."""
    watch = fresh(sizes=Sizes(1 << 16, 1 << 16))
    watch.source.watch({"unlink": Outcomes()})
    watch.run(UNLINK + "for number in range(3000): unlink(number)")
    count = all_read(watch)
    assert count.seen == count.suppressed + count.submitted + count.dropped
    assert count.dropped > 0
    assert count.submitted == count.decoded


@kernel
def test_refused_program_is_a_reason(fresh):
    """Where the kernel took no program, every event type is refused with the kernel's words."""
    source = fresh().source
    watched = Watched(None, source._watched._specs, source._watched._tracepoints, "no room")
    assert watched.set({"kill": Outcomes(), "execve": Outcomes(failed=False)}) == {"kill": "no room"}
    assert len(watched) == 0


def test_what_can_not_be_told_has_a_reason():
    """Types the probe does not know are named; those of the table, and calls nobody can make, are not."""
    if not syscalls.on_machine():
        assert set(unserved(["kill"])) == {"kill"}
        pytest.skip(f"the probe does not know {platform.machine()}")
    wanted = [*ALL, "umount", "clone", "read"]
    reason = "the probe does not tell this type of event"
    assert unserved(wanted) == {"clone": reason, "read": reason}


def test_calls_the_kernel_is_too_old_for_are_absent():
    """A call that came later can not be made on an older kernel."""
    assert syscalls.is_absent(Call("new", 1, 1, since=(999, 0)))
    assert syscalls.is_absent(Call("umount", None, None))
    assert not syscalls.is_absent(Call("kill", 62, 129))
