"""Every class of event, from the act in a small process to the event's fields, on the running kernel."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.cgroups import Hierarchy
from watchkeeper import events

pytestmark = pytest.mark.kernel


def of(kind: type, found: list) -> list:
    return [event for event in found if isinstance(event, kind)]


def test_all_hooks_attach(watch):
    """On this kernel nothing is missing."""
    assert (watch.source.state, watch.source.missing_hooks) == ("attached", ())


def test_exec_tells_program_arguments_and_directory(watch, tmp_path):
    """An exec carries what the kernel resolved, not what the caller called it."""
    link = tmp_path / "another-name"
    link.symlink_to(Path(sys.executable).resolve())
    process = subprocess.Popen(["zero", "-IS", "-c", "pass", "two words", ""], executable=link, cwd=tmp_path)
    process.wait()
    event = watch.until(lambda e: isinstance(e, events.Exec) and e.task.pid == process.pid)
    target = Path(sys.executable).resolve()
    assert event == events.Exec(
        at=event.at,
        task=event.task,
        executable=str(target),
        arguments=("zero", "-IS", "-c", "pass", "two words", ""),
        working_directory=str(tmp_path),
        tty=event.tty,
        inode=target.stat().st_ino,
        ancestors=event.ancestors,
        tty_number=event.tty_number,
        writable=event.writable,
        lower_layer=event.lower_layer,  # the machine's root may be an overlay
        changed_at=target.stat().st_ctime_ns,
        modified_at=target.stat().st_mtime_ns,
        previous_context=event.previous_context,
    )
    assert event.task.context not in (event.previous_context, b"")


def test_task_names_who_acted(watch):
    """The task's identity is the kernel's: ids, start, parent, cgroup, network namespace, wall-clock time."""
    before = time.time()
    found = watch.run("import sys; open('/dev/null')", "x")
    event = of(events.Exec, found)[0]
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    hierarchy = watch_hierarchy()
    assert (
        event.task.parent_pid,
        event.task.parent_start // 10_000_000,
        event.task.uid,
        event.task.gid,
        event.task.cgroup,
        event.task.comm,
        event.task.network_namespace,
    ) == (
        os.getpid(),
        int(stat[19]),
        os.getuid(),
        os.getgid(),
        hierarchy.id_of(hierarchy.path_of(os.getpid())),
        Path(sys.executable).name[:15],
        Path("/proc/self/ns/net").stat().st_ino,
    )
    assert before - 0.1 <= event.at <= time.time() + 0.1
    assert event.ancestors[0] == events.Ancestor(
        os.getpid(), event.task.parent_start, event.ancestors[0].comm, event.task.parent_context
    )


def watch_hierarchy() -> Hierarchy:
    from agent.cgroups import detect

    return detect()


def test_long_arguments_are_cut_and_say_so(watch):
    """Arguments beyond 4095 bytes are cut, and the event tells it."""
    event = of(events.Exec, watch.run("pass", "a" * 9000))[0]
    assert event.arguments_truncated
    assert 4000 < sum(len(argument) + 1 for argument in event.arguments) <= 4096


def test_exec_from_memory_is_told(watch):
    """A program that has no file says so."""
    code = """
import os, shutil
fd = os.memfd_create("hidden", 0)
with open("/bin/true", "rb") as source, open(fd, "wb", closefd=False) as target: shutil.copyfileobj(source, target)
os.execv(f"/proc/self/fd/{fd}", ["innocent"])
"""
    event = of(events.Exec, watch.run(code))[-1]
    assert (event.executable, event.memfd, event.arguments) == ("memfd:hidden", True, ("innocent",))


def test_program_written_into_the_container_is_told(watch, tmp_path):
    """Overlay's upper layer is told apart from the image."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    shutil.copy("/bin/true", tmp_path / "lower" / "shipped")
    script = f"""
        mount -t tmpfs none {tmp_path}/work && mkdir {tmp_path}/work/upper {tmp_path}/work/work &&
        mount -t overlay none -o lowerdir={tmp_path}/lower,upperdir={tmp_path}/work/upper,workdir={tmp_path}/work/work \
            {tmp_path}/merged &&
        {tmp_path}/merged/shipped && cp /bin/true {tmp_path}/merged/brought && {tmp_path}/merged/brought
    """
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)
    brought = watch.until(lambda e: isinstance(e, events.Exec) and e.executable == f"{tmp_path}/merged/brought")
    shipped = watch.until(lambda e: isinstance(e, events.Exec) and e.executable == f"{tmp_path}/merged/shipped")
    assert (shipped.upper_layer, brought.upper_layer) == (False, True)


def test_fork_and_exit_tell_child_and_status(watch):
    """A fork names the child, the child's end its status; threads are neither."""
    code = """
import os, threading
thread = threading.Thread(target=print, args=("",), kwargs={"end": ""}); thread.start(); thread.join()
pid = os.fork()
if not pid: os._exit(7)
os.waitpid(pid, 0)
"""
    found = watch.run(code)
    (fork,) = of(events.Fork, found)
    ended = watch.until(lambda e: isinstance(e, events.Exit) and e.task.pid == fork.child_pid)
    assert (os.waitstatus_to_exitcode(ended.status), ended.task.start) == (7, fork.child_start)
    assert len(of(events.Exit, found)) == 1


def test_death_by_signal_is_in_the_status(watch):
    """The status is as for wait(2)."""
    found = watch.run("import os; os.fork() or os.kill(os.getpid(), 9); os.wait()")
    child = of(events.Fork, found)[0].child_pid
    ended = watch.until(lambda e: isinstance(e, events.Exit) and e.task.pid == child)
    assert os.waitstatus_to_exitcode(ended.status) == -9


def test_created_and_rewritten_files_are_told(watch, tmp_path):
    """Creating and writing are told apart; reading an ordinary file is not told."""
    path = tmp_path / "file"
    code = """
import os, sys
os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
os.close(os.open(sys.argv[1], os.O_RDWR))
os.close(os.open(sys.argv[1], os.O_RDONLY))
"""
    found = of(events.Open, watch.run(code, str(path)))
    inode = path.stat().st_ino
    mask = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC
    assert [(e.path, e.flags & mask, e.created, e.inode, e.writes) for e in found] == [
        (str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, True, inode, True),
        (str(path), os.O_RDWR, False, inode, True),
    ]


def test_path_is_the_kernels_and_not_the_callers(watch, tmp_path):
    """Symbolic links, dots and descriptors do not hide which file was written."""
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    code = """
import os, sys
directory = os.open(sys.argv[1] + "/alias/../alias", os.O_RDONLY)
os.open("./file", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
"""
    (found,) = of(events.Open, watch.run(code, str(tmp_path)))
    assert found.path == str(tmp_path / "real/file")


def test_paths_are_as_the_process_sees_them(watch, tmp_path):
    """Below another root, paths begin at that root."""
    code = "import os, sys; os.chroot(sys.argv[1]); os.chdir('/'); open('/inside', 'w')"
    found = [e.path for e in of(events.Open, watch.run(code, str(tmp_path)))]
    assert found == ["/inside"]


def test_odd_names_survive(watch, tmp_path):
    """Names that are not UTF-8 are told visibly."""
    code = r"import os, sys; open(os.fsencode(sys.argv[1]) + b'/caf\xe9', 'w')"
    (found,) = of(events.Open, watch.run(code, str(tmp_path)))
    assert found.path == f"{tmp_path}/caf\\xe9"


def test_deep_paths_are_marked_as_cut(watch, tmp_path):
    """A path deeper than the walk keeps its leaf and says that its beginning is missing."""
    code = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(80): os.mkdir("d"); os.chdir("d")
open("leaf", "w")
"""
    (found,) = of(events.Open, watch.run(code, str(tmp_path)))
    assert found.path.startswith("[truncated]/d/d/")
    assert found.path.endswith("/d/leaf")


@pytest.mark.parametrize(
    "name",
    ["watched-name", ".ssh/id", "a-name-as-long-as-the-map-can-hold-and-more"],
)
def test_reading_a_sensitive_name_is_told(watch, tmp_path, name):
    """A sensitive name counts as the file's own and as its directory's."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("secret")
    (found,) = of(events.Open, watch.run("import sys; open(sys.argv[1]).read()", str(path)))
    assert (found.path, found.writes, found.created) == (str(path), False, False)


def test_kernel_file_systems_are_told_only_where_they_matter(watch, cgroup):
    """Bookkeeping in /proc and cgroups is silent; /proc/sys is not."""
    code = """
import sys
open("/proc/self/comm", "w").write("x")
open(sys.argv[1] + "/cgroup.procs", "w")
with open("/proc/sys/kernel/printk_ratelimit", "r+") as knob: pass
"""
    found = of(events.Open, watch.run(code, str(cgroup[1])))
    assert [e.path for e in found] == ["/proc/sys/kernel/printk_ratelimit"]


def test_removal_renaming_and_mode_are_told(watch, tmp_path):
    """Each of the calls tells the whole path, whichever way the file was named."""
    code = """
import os, sys
os.chdir(sys.argv[1])
fd = os.open("a", os.O_WRONLY | os.O_CREAT)
here = os.open(".", os.O_RDONLY)
os.fchmod(fd, 0o4711)
os.chmod("a", 0o600)
os.chmod("./a", 0o640, dir_fd=here)
os.rename("a", sys.argv[1] + "/b")
os.rename("b", "../c", src_dir_fd=here, dst_dir_fd=here)
os.rename("../c", "d")
os.unlink("d")
open("e", "w").close()
os.unlink("e", dir_fd=here)
os.mkdir("directory"); os.rmdir("directory")
"""
    here = str(tmp_path)
    wanted = (events.Unlink, events.Rename, events.Chmod)
    found = [e for e in watch.run(code, here) if isinstance(e, wanted)]
    above = str(tmp_path.parent / "c")
    assert [(type(e).__name__, e.path, getattr(e, "new_path", getattr(e, "mode", None))) for e in found] == [
        ("Chmod", f"{here}/a", 0o4711),
        ("Chmod", f"{here}/a", 0o600),
        ("Chmod", f"{here}/a", 0o640),
        ("Rename", f"{here}/a", f"{here}/b"),
        ("Rename", f"{here}/b", above),
        ("Rename", above, f"{here}/d"),
        ("Unlink", f"{here}/d", None),
        ("Unlink", f"{here}/e", None),
    ]


def test_failed_acts_are_not_told(watch, tmp_path):
    """What the kernel refused did not happen."""
    code = """
import os, sys
for act in (lambda: os.unlink(sys.argv[1] + "/none"), lambda: os.chmod(sys.argv[1] + "/none", 0o777),
            lambda: os.rename(sys.argv[1] + "/none", "x"), lambda: open(sys.argv[1] + "/none/none", "w")):
    try: act()
    except OSError: pass
"""
    wanted = (events.Unlink, events.Rename, events.Chmod, events.Open)
    assert [e for e in watch.run(code, str(tmp_path)) if isinstance(e, wanted)] == []


LISTENING = """
import socket, sys
server = socket.socket(int(sys.argv[1])); server.bind((sys.argv[2], 0)); server.listen()
port = server.getsockname()[1]
open(sys.argv[3], "w").write(str(port))
client = socket.socket(int(sys.argv[1])); client.connect((sys.argv[2], port))
"""


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")],
)
def test_tcp_listening_and_connecting(watch, tmp_path, family, address):
    """Address and real port are told, for both protocols and mapped addresses."""
    found = watch.run(LISTENING, str(int(family)), address, str(tmp_path / "port"))
    port = int((tmp_path / "port").read_text())
    told = address.removeprefix("::ffff:")
    assert [(e.address, e.port) for e in of(events.Listen, found)] == [(told, port)]
    assert [(e.protocol, e.address, e.port) for e in of(events.Connect, found)] == [("tcp", told, port)]


def test_udp_binding_and_sending(watch):
    """A bound UDP port is told, and every destination that nobody has judged yet, by connect or by sendto."""
    code = """
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 45999))
for _ in range(3): a.sendto(b"x", ("127.0.0.1", 45998))
b = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); b.bind(("::1", 45999))
b.connect(("::1", 45997))
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); c.sendto(b"x", ("::1", 45997))
"""
    found = watch.run(code)
    assert [(e.address, e.port) for e in of(events.Bind, found)] == [("127.0.0.1", 45999), ("::1", 45999)]
    assert [(e.protocol, e.address, e.port) for e in of(events.Connect, found)] == [
        *[("udp", "127.0.0.1", 45998)] * 3,
        *[("udp", "::1", 45997)] * 2,
    ]


def test_socket_of_another_network_namespace(watch, tmp_path):
    """The namespace told is the socket's."""
    code = """
import ctypes, os, socket, sys
ctypes.CDLL(None).unshare(0x40000000)
open(sys.argv[1], "w").write(str(os.stat("/proc/self/ns/net").st_ino))
server = socket.socket(); server.bind(("0.0.0.0", 8080)); server.listen()
"""
    (found,) = of(events.Listen, watch.run(code, str(tmp_path / "namespace")))
    assert (found.address, found.port, found.task.network_namespace) == (
        "0.0.0.0",
        8080,
        int((tmp_path / "namespace").read_text()),
    )


def test_capability_is_told_once_for_an_executable(watch, tmp_path):
    """A used capability is told once per container and executable, and not when it was refused."""
    program = tmp_path / "python"
    shutil.copy(Path(sys.executable).resolve(), program)
    code = "import os; os.chroot('/')"
    runs = [watch.run(code, program=[str(program), "-IS", "-c"]) for _ in range(2)]
    told = [[e.name for e in of(events.Capability, found)].count("CAP_SYS_CHROOT") for found in runs]
    assert told == [1, 0]
    refused = """
import os
os.setuid(65534)
try: os.chroot("/")
except PermissionError: pass
"""
    other = tmp_path / "other"
    shutil.copy(program, other)
    tmp_path.chmod(0o755)
    found = watch.run(refused, program=[str(other), "-IS", "-c"])
    names = [e.name for e in of(events.Capability, found)]
    assert ("CAP_SETUID" in names, "CAP_SYS_CHROOT" in names) == (True, False)


def test_cgroup_birth_and_death(watch):
    """A cgroup of the chosen hierarchy is told with id and path; those of other hierarchies are not."""
    hierarchy = watch_hierarchy()
    directory = hierarchy.mount / f"watchkeeper-birth-{os.getpid()}"
    directory.mkdir()
    inner = directory / "inner"
    inner.mkdir()
    identity = inner.stat().st_ino
    inner.rmdir()
    directory.rmdir()
    path = f"/{directory.name}/inner"
    watch.until(lambda e: isinstance(e, events.CgroupDeath) and e.path == f"/{directory.name}")
    found = [e for e in watch.seen if isinstance(e, events.CgroupBirth | events.CgroupDeath) and e.path == path]
    assert [(type(e).__name__, e.cgroup, e.path) for e in found] == [
        ("CgroupBirth", identity, path),
        ("CgroupDeath", identity, path),
    ]


def test_cgroup_of_another_hierarchy_is_silent(watch):
    """Only the one hierarchy counts."""
    others = [path for path in Path("/sys/fs/cgroup").glob("*/cgroup.procs") if path.parent != watch_hierarchy().mount]
    if not others:
        pytest.skip("this machine has only one cgroup hierarchy")
    directory = others[0].parent / f"watchkeeper-other-{os.getpid()}"
    directory.mkdir()
    directory.rmdir()
    watch.run("pass")
    assert not [e for e in watch.seen if isinstance(e, events.CgroupBirth) and directory.name in e.path]
