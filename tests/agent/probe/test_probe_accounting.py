"""Nothing is lost silently, nothing is left behind: counters, floods, canary, several probes, closing."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from agent.probe import bpfmap
from agent.probe.sizes import Sizes
from agent.probe.source import ClassCounters
from watchkeeper import events

pytestmark = pytest.mark.kernel

OPENS = "import os, sys\nfor _ in range(int(sys.argv[2])): os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))"


def counted(source, event_class: str) -> ClassCounters:
    return next(count for count in source.counters() if count.event_class == event_class)


def assert_closed(source) -> None:
    for count in source.counters():
        assert count.seen == count.suppressed + count.submitted + count.dropped, count


def kernel_mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if " - tracefs " in line or " - cgroup2 " in line]


def kernel_objects() -> list[str]:
    """Descriptors of this process that are BPF maps, programs, links or perf events."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(str(descriptor.readlink()))
    return sorted(target for target in found if "bpf" in target or "perf" in target)


def program_ids_held(source) -> set[int]:
    found = set()
    for name, descriptor in source._held.items():
        if name.startswith("program:"):
            text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
            found |= {int(line.split()[1]) for line in text.splitlines() if line.startswith("prog_id:")}
    return found


def test_counters_close_and_everything_submitted_is_decoded(fresh, tmp_path):
    """Each class's seen is suppressed, submitted and dropped; after reading all, decoded equals submitted."""
    watch = fresh()
    watch.run(OPENS, str(tmp_path / "file"), "500")
    assert_closed(watch.source)
    opened = counted(watch.source, "open")
    assert (opened.submitted >= 500, opened.dropped, opened.lost_in_user_space) == (True, 0, 0)
    assert len([e for e in watch.seen if isinstance(e, events.Open)]) == opened.decoded


def test_flood_is_counted_as_dropped_and_leaves_room_for_processes(fresh, stage, tmp_path):
    """When files fill the ring their loss is counted, and a process started then is still told."""
    watch = fresh(sizes=Sizes(1 << 16))
    actor = stage.actor(watch)
    path = str(tmp_path / "file")
    actor.do(f"for _ in range(3000): os.close(os.open('{path}', os.O_WRONLY | os.O_CREAT))", read=False)
    actor.do("child(\"os.execv('/bin/true', ['after-the-flood'])\")", read=False)
    watch.until(lambda e: isinstance(e, events.Exec) and e.arguments == ("after-the-flood",))
    opened = counted(watch.source, "open")
    assert opened.dropped > 0
    assert_closed(watch.source)
    mine = [e for e in watch.seen if isinstance(e, events.Open) and e.path == path]
    assert len(mine) + opened.dropped >= 3000


def test_reading_resumes_after_a_flood(fresh, stage, tmp_path):
    """A ring that was full works again once it was read, over many turns around its end."""
    watch = fresh(sizes=Sizes(1 << 16, 1 << 16))
    actor = stage.actor(watch)  # in a cgroup of its own, whose share nobody else on the machine uses up
    opens = "for _ in range({}): os.close(os.open('{}', os.O_WRONLY | os.O_CREAT))"
    actor.do(opens.format(3000, tmp_path / "file"), read=False)
    while watch.read():
        pass
    for number in range(30):
        name = str(tmp_path / f"turn-{number}")
        told = actor.told(opens.format(50, name), lambda e, name=name: isinstance(e, events.Open) and e.path == name)
        assert len(told) == 50
    assert_closed(watch.source)


def test_small_reads_lose_nothing(fresh, tmp_path):
    """Reading one event at a time gives the same events."""
    watch = fresh()
    read = watch.source.read
    watch.source.read = lambda: read(1)
    watch.run(OPENS, str(tmp_path / "file"), "40")
    assert len([e for e in watch.seen if isinstance(e, events.Open) and e.path == str(tmp_path / "file")]) == 40


def test_ignored_cgroup_is_silent_until_forgotten(fresh, cgroup, tmp_path):
    """Files, sockets and capabilities of an ignored cgroup end in the kernel, counted; processes do not."""
    watch = fresh()
    _, directory = cgroup
    code = f"""
import os, socket, sys
open({str(directory / "cgroup.procs")!r}, "w").write(str(os.getpid()))
open(sys.argv[1], "w"); os.chmod(sys.argv[1], 0o600); os.rename(sys.argv[1], sys.argv[1] + "2"); os.chroot("/")
os.unlink(sys.argv[1] + "2")
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
socket.socket().connect(server.getsockname())
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0)); udp.sendto(b"x", ("127.0.0.1", 9))
if os.fork() == 0: os.execv("/bin/true", ["true"])
os.wait()
"""
    identity = directory.stat().st_ino
    watch.source.ignore_cgroup(identity)
    before = {count.event_class: count.suppressed for count in watch.source.counters()}
    silent = watch.run(code, str(tmp_path / "file"))
    noisy = (events.Open, events.Unlink, events.Rename, events.Chmod, events.Listen, events.Bind, events.Connect)
    inside = [e for e in watch.seen if e.task.cgroup == identity]
    assert [e for e in silent if isinstance(e, noisy)] == []
    assert [e for e in inside if isinstance(e, (*noisy, events.Capability))] == []
    assert {type(e).__name__ for e in inside} >= {"Fork", "Exec", "Exit"}
    after = {count.event_class: count.suppressed for count in watch.source.counters()}
    grown = {name for name in after if after[name] > before[name]}
    assert grown >= {"open", "unlink", "rename", "chmod", "listen", "bind", "connect", "capability"}
    assert_closed(watch.source)
    watch.source.forget_cgroup(identity)
    told = watch.run(code, str(tmp_path / "file"))
    assert {type(e) for e in told} >= {*noisy}


def test_canary_returns_and_is_not_delivered(fresh):
    """The probe's own act sets canary_at and is nobody's event; other own acts are silent."""
    watch = fresh()
    before = time.time()
    watch.source.play_canary()
    Path("/tmp").joinpath(f"watchkeeper-own-{os.getpid()}").write_text("x")
    Path("/tmp").joinpath(f"watchkeeper-own-{os.getpid()}").unlink()
    watch.run("pass")
    assert before - 0.1 <= watch.source.canary_at <= time.time() + 0.1
    own = (events.Bind, events.Open, events.Unlink)
    assert [e for e in watch.seen if e.task.pid == os.getpid() and isinstance(e, own)] == []


def test_two_probes_at_once_both_see(fresh, tmp_path):
    """Probes do not disturb each other."""
    first, second = fresh(), fresh()
    path = str(tmp_path / "file")
    first.source.read()  # what the whole machine did while the second one started
    found = first.run(OPENS, path, "1")
    assert path in [e.path for e in found if isinstance(e, events.Open)]
    second.until(lambda e: isinstance(e, events.Open) and e.path == path)
    first.source.close()
    again = second.run(OPENS, path + "2", "1")
    assert path + "2" in [e.path for e in again if isinstance(e, events.Open)]


def test_closing_leaves_no_program_and_no_mount(fresh):
    """After close the kernel has none of the probe's programs, and the machine no new mount."""
    mounts, objects = kernel_mounts(), kernel_objects()
    source = fresh().source
    assert kernel_mounts() == mounts
    assert len(kernel_objects()) > len(objects) + len(source._held)
    held = program_ids_held(source)
    assert len(held) >= 15
    assert held <= set(bpfmap.program_ids())
    source.close()
    source.close()
    deadline = time.monotonic() + 20
    while held & set(bpfmap.program_ids()) and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel frees programs after a grace period
    assert held & set(bpfmap.program_ids()) == set()
    assert kernel_objects() == objects
