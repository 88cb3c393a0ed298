"""A judged behaviour is judged anew where its meaning changed: another file, another path, another user or program."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.probe.source import Told
from agent.probe.syscalls import Outcomes
from watchkeeper.events import AnyEvent, Open, Syscall

pytestmark = pytest.mark.kernel

ACT = "os.close(os.open('file', os.O_WRONLY))"
READ = "os.close(os.open('file', os.O_RDONLY))"
OFTEN = f"for _ in range(1000): {ACT}"  # what the quick memory holds must not outlive its meaning either
PRIVATE = 'call("unshare", 0x20000); call("mount", None, b"/", None, 0x44000, None)'
BIND = 'call("mount", b"{}", b"{}", None, 0x1000, None)'

# what changes -> the code that changes it; the file is opened as "file" in the working directory D/d before and after
CHANGES = {
    "another file renamed over it": "os.rename('{D}/o/file', 'file')",
    "its directory renamed": "os.rename('{D}/d', '{D}/e')",
    "the directory above renamed": "os.rename('{D}', '{D}-2')",
    "its directory swapped with another": 'call("renameat2", -100, b"{D}/d", -100, b"{D}/o", 2)',
    "bound to another path": BIND.format("{D}/d", "{D}/m") + "; os.chdir('{D}/m')",
    "another file bound over it": BIND.format("{D}/o/file", "{D}/d/file"),
    "another directory bound over its own": BIND.format("{D}/o", "{D}/d") + "; os.chdir('{D}/d')",
    "another root directory": "os.chroot('{D}')",
    "linked to another path": "os.link('file', '{D}/m/file'); os.chdir('{D}/m')",
}
OWN_CHANGES = {
    "user": "os.setuid(1000)",
    "real user": "os.setreuid(1000, -1)",
    "real group": "os.setregid(1000, -1)",
    "effective user": "os.seteuid(1000)",
    "group": "os.setgid(1000)",
    "effective group": "os.setegid(1000)",
    "name": "libc.prctl(15, b'another')",
}
BOTH = ["Open", "Syscall"]


@pytest.fixture
def place(watch, tmp_path) -> Iterator[Path]:
    """A directory with d/file, another o/file, and m without one; openings are told as system calls, too."""
    watch.source.watch({"openat": Outcomes()})
    made = tmp_path / "place"
    for name in ("", "d", "o", "m"):
        (made / name).mkdir()
        (made / name).chmod(0o777)
    for name in ("d", "o"):
        (made / name / "file").touch()
        (made / name / "file").chmod(0o666)
    yield made
    watch.source.watch({})


@pytest.fixture
def actor(watch, stage, place):
    """Works in d, and sees mounts of its own."""
    made = stage.actor(watch)
    made.do(f"{PRIVATE}; os.chdir('{place}/d')")
    return made


def is_file(event: AnyEvent) -> bool:
    if isinstance(event, Syscall):
        return event.descriptor is not None and event.descriptor.path.endswith("/file")
    return isinstance(event, Open) and event.path.endswith("/file")


def kinds(told: list[Told]) -> list[str]:
    return sorted(type(each.event).__name__ for each in told)


@pytest.mark.parametrize("change", CHANGES)
def test_file_that_is_another_or_elsewhere_is_judged_anew(actor, place, change):
    """The same call of the same process is told again when it reaches another file, or the same by another path."""
    assert kinds(actor.judge(ACT, is_file)) == BOTH
    assert actor.told(OFTEN, is_file) == []
    actor.do(CHANGES[change].replace("{D}", str(place)))
    assert kinds(actor.told(ACT, is_file)) == BOTH


def test_other_wording_is_judged_anew_unless_it_does_not_matter(actor):
    """What the caller typed is part of a system call, until the judgement says that it is about the file alone."""
    plain, other = (f"os.close(os.open('{name}', os.O_RDONLY))" for name in ("file", "../d/./file"))
    (first,) = actor.told(plain, is_file)
    actor.watch.source.settle(first.ticket)
    actor.watch.source.remember()
    assert [kinds(actor.told(code, is_file)) for code in (plain, other)] == [[], ["Syscall"]]
    actor.watch.settle([first])
    assert [kinds(actor.told(code, is_file)) for code in (plain, other, other)] == [[], [], []]
    appending = "os.close(os.open('file', os.O_RDONLY | os.O_APPEND))"
    assert kinds(actor.told(appending, is_file)) == ["Syscall"]


def test_open_file_that_was_renamed_is_judged_anew(actor, watch):
    """A call that names no file, only a descriptor: the path that leads to it is part of what rules see."""
    watch.source.watch({"fchown": Outcomes()})
    actor.do("f = os.open('file', os.O_RDONLY)")
    (told,) = actor.judge("os.fchown(f, -1, -1)", is_file)
    actor.do("os.rename('file', '../o/file')")
    (again,) = actor.told("os.fchown(f, -1, -1)", is_file)
    assert (again.event.name, again.event.descriptor.inode) == ("fchown", told.event.descriptor.inode)


def test_file_renamed_by_another_process_is_judged_anew(actor, place):
    """Whoever renames, and be it the agent: what one process holds of a path ends."""
    actor.judge(ACT, is_file)
    actor.do(OFTEN)
    (place / "d").rename(place / "e")
    assert kinds(actor.told(ACT, is_file)) == BOTH


def test_same_inode_number_of_another_file_system_is_judged_anew(actor, place):
    """Two file systems number their files alike; which of them is mounted at a path is part of a file's identity."""
    mount = (
        f'call("mount", b"tmpfs", b"{place}/m", b"tmpfs", 0, None); os.chdir("{place}/m"); open("file", "w").close()'
    )
    actor.do(mount)
    first = actor.judge(ACT, is_file)
    actor.do(OFTEN)
    actor.do(mount)
    again = actor.told(ACT, is_file)
    assert kinds(again) == BOTH
    inodes = {told.event.inode for told in (*first, *again) if isinstance(told.event, Open)}
    assert len(inodes) == 1, "the file systems do not number alike, and the test shows nothing"


@pytest.mark.skipif("overlay" not in Path("/proc/filesystems").read_text(), reason="the kernel has no overlayfs")
def test_file_copied_up_in_an_overlay_is_judged_anew(actor, place):
    """What was of a lower layer and is of the upper one now has the same path and inode number, and is told again."""
    actor.do(f"""
os.chdir("{place}/m"); call("mount", b"tmpfs", b".", b"tmpfs", 0, None); os.chdir("{place}/m")
for name in ("lower", "upper", "work", "merged"): os.mkdir(name)
open("lower/file", "w").close()
call("mount", b"overlay", b"merged", b"overlay", 0, b"lowerdir=lower,upperdir=upper,workdir=work")
os.chdir("merged")
""")
    (first,) = actor.judge(READ, is_file)
    actor.do(f"for _ in range(1000): {READ}")
    actor.do("os.utime('file')")
    (again,) = actor.told(READ, is_file)
    assert (first.event.descriptor.path, first.event.descriptor.inode) == (
        again.event.descriptor.path,
        again.event.descriptor.inode,
    )
    actor.watch.settle([again])
    assert actor.told(READ, is_file) == []


@pytest.mark.parametrize("change", OWN_CHANGES)
def test_process_that_changed_what_it_is_is_judged_anew(actor, change):
    """Another user or group, real or effective, and another name make another behaviour of the same act."""
    actor.judge(f"child({ACT!r})", is_file)
    assert actor.told(f"child({OFTEN!r})", is_file) == []
    changing = f"{OFTEN}\n{OWN_CHANGES[change]}\n{ACT}"
    assert kinds(actor.told(f"child({changing!r})", is_file)) == BOTH


def test_program_executed_between_judgement_and_insertion_is_judged_itself(actor, tmp_path):
    """A judgement that comes after the process has executed another program of the same name is about the first one."""
    other = tmp_path / "other" / Path(sys.executable).name
    other.parent.mkdir()
    shutil.copy(sys.executable, other)
    told = actor.told(ACT, is_file)
    actor.become(str(other), "-IS", "-c")
    actor.watch.settle(told)
    again = actor.told(ACT, is_file)
    assert kinds(again) == BOTH
    assert {each.event.task.comm for each in (*told, *again)} == {other.name}
    assert {each.event.task.pid for each in again} == {each.event.task.pid for each in told}
    first = actor.spawn("first")
    assert kinds(first.told(ACT, is_file)) == ["Syscall"]  # profiles go by the program, rules by its ancestors, too
    first.leave()
    actor.do("os.wait()")


def test_cgroups_know_nothing_of_each_other(actor, watch, stage, place):
    """What was judged in one cgroup is told of another, and is judged anew in the one whose container changed."""
    other = stage.actor(watch, "two")
    other.do(f"os.chdir('{place}/d')")
    for each in (actor, other):
        assert kinds(each.judge(ACT, is_file)) == BOTH
        each.do(OFTEN)
    watch.source.forget_behaviours(actor.cgroup)
    assert kinds(actor.judge(ACT, is_file)) == BOTH
    assert other.told(ACT, is_file) == []


def test_process_that_moves_to_another_cgroup_is_judged_anew(actor, watch, stage):
    """A behaviour belongs to the cgroup that the process is in when it acts."""
    other = stage.actor(watch, "two")
    actor.judge(ACT, is_file)
    actor.do(OFTEN)
    before = len(watch.told)
    actor.do(f"open('{other.directory}/cgroup.procs', 'w').write(str(os.getpid()))\n{ACT}")
    moved = [each for each in watch.told[before:] if is_file(each.event) and each.event.task.cgroup == other.cgroup]
    assert kinds(moved) == BOTH


def test_container_that_starts_again_is_judged_anew(watch, stage, place):
    """A cgroup of the same name is another one, and so is everything the same program does in it."""
    first = stage.actor(watch, "container")
    first.do(f"os.chdir('{place}/d')")
    first.judge(ACT, is_file)
    directory = first.directory
    stage.end()
    again = stage.actor(watch, "container")
    assert (again.directory, again.cgroup == first.cgroup) == (directory, False)
    again.do(f"os.chdir('{place}/d')")
    assert kinds(again.told(ACT, is_file)) == BOTH


def test_ancestors_are_part_of_what_rules_see_and_not_of_what_profiles_see(actor):
    """The same program with the same arguments but another grandparent: system calls are told, files are not."""
    read = "exec 3>>file; true"
    near = f"os.spawnv(os.P_WAIT, '/bin/sh', {['sh', '-c', f'/bin/sh -c {chr(34)}{read}{chr(34)}; true']!r})"
    far = near.replace("'-c', '", "'-c', ': far; ")
    assert kinds(actor.judge(near, is_file)) == BOTH
    assert kinds(actor.told(far, is_file)) == ["Syscall"]


def test_children_of_a_parent_that_executes_are_judged_anew(actor):
    """A living process whose parent becomes another program has another parent, and rules may look at that."""
    child = actor.spawn("child")
    child.judge(ACT, is_file)
    child.do(OFTEN)
    actor.become(sys.executable, "-IS", "-c")
    assert "Syscall" in kinds(child.told(ACT, is_file))
    child.leave()
    actor.do("os.wait()")
