"""What each field gives for hand-made events: Falco's meaning, field by field."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from rules.fields import Value
from rules.sources import flags
from rules.sources.activity import Activity
from rules.sources.syscall import SOURCE
from tests.rules.activities import (
    ID,
    SHOP,
    activity,
    called,
    connected,
    connection,
    executed,
    listening,
    opened,
    process,
    task,
)
from watchkeeper.events import Descriptor, Syscall
from watchkeeper.findings import Container, Mount

NOW = 1_700_000_000_500_000_000


def take(field: str, event: Activity) -> Value | None:
    """The field, an argument in brackets."""
    name, _, argument = field.partition("[")
    return SOURCE.fields[name].extractor(argument.removesuffix("]") or None)(event)


def values(event: Activity, *fields: str) -> dict[str, Any]:
    return {field: take(field, event) for field in fields}


SHELL = executed(
    "/bin/sh -c 'ls /tmp'",
    of={
        "pid": 200,
        "parent_pid": 150,
        "name": "sh",
        "working_directory": "/srv",
        "environment": ("HOME=/root", "A=1"),
        "tty_number": 34816,
        "uid": 1000,
        "login_uid": 1000,
        "session": 150,
        "group": 200,
        "virtual_pid": 12,
        "virtual_group": 12,
        "virtual_session": 5,
        "started_at": NOW - 2_000,
        "inode": 77,
        "changed_at": NOW - 5_000,
        "modified_at": NOW - 6_000,
        "upper_layer": True,
        "writable": True,
    },
    as_task={"thread": 201, "virtual_thread": 13, "gid": 33, "effective_uid": 0, "cap_permitted": 1 | 1 << 21},
    parents=[process("/usr/sbin/sshd -D", pid=150, session=150, virtual_pid=5, started_at=NOW - 9_000), "systemd"],
    leader=process("/usr/sbin/sshd -D", pid=150),
    container=SHOP,
)


def test_process() -> None:
    """The program, its arguments, its executable and its terminal."""
    expected = {
        "proc.name": "sh",
        "proc.exe": "/bin/sh",
        "proc.exepath": "/bin/sh",
        "proc.args": "-c ls /tmp",
        "proc.args[0]": "-c",
        "proc.args[5]": None,
        "proc.cmdline": "sh -c ls /tmp",
        "proc.exeline": "/bin/sh -c ls /tmp",
        "proc.cmdnargs": 2,
        "proc.cmdlenargs": 9,
        "proc.cwd": "/srv/",
        "proc.tty": 34816,
        "proc.env": "HOME=/root A=1",
        "proc.env[A]": "1",
        "proc.env[B]": "",
        "proc.is_exe_writable": True,
        "proc.is_exe_upper_layer": True,
        "proc.is_exe_lower_layer": False,
        "proc.is_exe_from_memfd": False,
        "proc.exe_ino": 77,
        "proc.exe_ino.ctime": NOW - 5_000,
        "proc.exe_ino.mtime": NOW - 6_000,
        "proc.exe_ino.ctime_duration_proc_start": 3_000,
        "proc.nthreads": None,
    }
    assert values(SHELL, *expected) == expected


def test_ids_and_times() -> None:
    """What tells one process from another of the same program."""
    expected = {
        "proc.pid": 200,
        "proc.ppid": 150,
        "proc.vpid": 12,
        "proc.pvpid": 5,
        "proc.sid": 5,
        "proc.pgid": 200,
        "proc.vpgid": 12,
        "proc.is_sid_leader": False,
        "proc.is_pgid_leader": True,
        "proc.is_vpgid_leader": True,
        "proc.loginshellid": 200,
        "proc.duration": 2_000,
        "proc.ppid.duration": 9_000,
        "proc.pid.ts": NOW - 2_000,
        "thread.tid": 201,
        "thread.vtid": 13,
        "thread.ismain": False,
        "thread.nametid": "sh201",
        "thread.cap_permitted": "CAP_CHOWN CAP_SYS_ADMIN",
        "thread.cap_inheritable": "",
    }
    assert values(SHELL, *expected) == expected


@pytest.mark.parametrize(("name", "expected"), [("unshare", "CAP_CHOWN"), ("mount", "CAP_SYS_ADMIN")])
def test_calls_that_change_capabilities_are_judged_by_those_before(name: str, expected: str) -> None:
    """unshare(CLONE_NEWUSER) gives all of them: what it was called with counts. Other calls: those at the event."""
    before = process("sh", capabilities=(1, 1, 0))
    event = Syscall(at=1.0, task=task(before, cap_permitted=1 << 21), name=name, result=0)
    made = replace(SHELL, event=event, process=before)
    assert values(made, "thread.cap_permitted") == {"thread.cap_permitted": expected}


def test_ancestors() -> None:
    """By number, the parent first, or all; the leader of the session."""
    expected = {
        "proc.pname": "sshd",
        "proc.pexe": "/usr/sbin/sshd",
        "proc.pexepath": "/usr/sbin/sshd",
        "proc.pcmdline": "sshd -D",
        "proc.aname": ("sshd", "systemd"),
        "proc.aname[0]": "sh",
        "proc.aname[2]": "systemd",
        "proc.aname[3]": None,
        "proc.aexe": ("/usr/sbin/sshd", "systemd"),
        "proc.aexepath[2]": "/usr/bin/systemd",
        "proc.acmdline[1]": "sshd -D",
        "proc.aargs[1]": "-D",
        "proc.apid": (150, 100),
        "proc.aenv[2]": "",
        "proc.aenv[HOME]": "",
        "proc.sname": "sshd",
        "proc.sid.exe": "/usr/sbin/sshd",
        "proc.sid.exepath": "/usr/sbin/sshd",
        "proc.vpgid.name": "sh",
        "proc.pgid.exe": "/bin/sh",
    }
    assert values(SHELL, *expected) == expected


def test_leaders_that_are_gone() -> None:
    """The eldest ancestor of the same session, or group, stands for a leader that is gone."""
    same = {"session": 7, "group": 7}
    event = executed(
        "ls",
        of=same,
        parents=[process("bash", **same), process("script", session=7, group=8), process("sshd", session=9)],
    )
    assert values(event, "proc.sname", "proc.pgid.name") == {"proc.sname": "script", "proc.pgid.name": "bash"}


def test_unknown_process() -> None:
    """Of a process nobody knows the task of the event is left."""
    event = activity(Syscall(at=1.0, task=task(process("x")), name="open", result=1), None, parents=())
    expected = {"proc.name": "x", "proc.pid": 100, "proc.cmdline": None, "proc.pname": None, "proc.aname": None}
    assert values(event, *expected) == expected


def test_user_and_group() -> None:
    """The effective ids count; whom nobody knows is called <NA>."""
    expected = {
        "user.uid": 0,
        "user.name": "root",
        "user.homedir": "/home/root",
        "user.shell": "/bin/sh",
        "user.loginuid": 1000,
        "user.loginname": "alice",
        "group.gid": 33,
        "group.name": "www-data",
    }
    assert values(SHELL, *expected) == expected
    nobody = executed("x", of={"uid": 7}, as_task={"gid": 8}, users={})
    expected = {
        "user.uid": 7,
        "user.name": "<NA>",
        "user.homedir": "<NA>",
        "user.loginuid": -1,
        "user.loginname": "<NA>",
        "group.name": "<NA>",
    }
    assert values(nobody, *expected) == expected


MOUNTED = replace(
    SHOP,
    mounts=(
        Mount("/proc/sys", "/host/proc", "", False, "private"),
        Mount("/var/run/docker.sock", "/docker.sock", "z", True, "rshared"),
    ),
)


def test_container() -> None:
    """Names, image and mounts of the container, and its pod."""
    expected = {
        "container.id": ID[:12],
        "container.full_id": ID,
        "container.name": "web",
        "container.type": "containerd",
        "container.image": SHOP.image,
        "container.image.repository": "registry.example:5000/shop/web",
        "container.image.tag": "1.2",
        "container.image.digest": SHOP.image_digest,
        "container.privileged": False,
        "container.mounts": "/proc/sys:/host/proc::false:private,/var/run/docker.sock:/docker.sock:z:true:rshared",
        "container.mount[1]": "/var/run/docker.sock:/docker.sock:z:true:rshared",
        "container.mount[2]": None,
        "container.mount.dest[/proc*]": "/host/proc",
        "container.mount.dest[/proc]": None,
        "container.mount.source[/docker*]": "/var/run/docker.sock",
        "container.mount.rdwr[0]": "false",
        "container.mount.mode[1]": "z",
        "container.mount.propagation[1]": "rshared",
        "container.start_ts": NOW - 600_000_000_000,
        "container.duration": 600_000_000_000,
        "container.label[app]": "shop",
        "container.labels": "app:shop, tier",
        "k8s.pod.name": "shop-6d4cf56db6-bcdfg",
        "k8s.ns.name": "demo",
        "k8s.pod.uid": SHOP.pod_uid,
        "k8s.pod.label[app]": "shop",
        "k8s.pod.sandbox_id": None,
        "container.ip": None,
    }
    assert values(executed("x", container=MOUNTED), *expected) == expected


def test_host() -> None:
    """The host has names for the container, and empty texts for what an image would tell."""
    expected = {
        "container.id": "host",
        "container.full_id": "host",
        "container.name": "host",
        "container.image.repository": "",
        "container.image.tag": "",
        "container.privileged": False,
        "container.mounts": "",
        "container.mount.dest[/]": None,
        "container.start_ts": None,
        "k8s.ns.name": None,
    }
    assert values(executed("x"), *expected) == expected


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("nginx", "nginx", ""),
        ("docker.io/library/nginx:1.25", "docker.io/library/nginx", "1.25"),
        ("localhost:5000/nginx", "localhost:5000/nginx", ""),
        ("quay.io/a/b@sha256:00", "quay.io/a/b", ""),
        ("sha256:00", None, None),
    ],
)
def test_image(image: str, repository: str | None, tag: str | None) -> None:
    """A colon may be a registry's port or a tag's; an id has neither repository nor tag."""
    event = executed("x", container=Container(id="1", image=image))
    expected = {"container.image.repository": repository, "container.image.tag": tag}
    assert values(event, *expected) == expected


def test_container_nobody_described() -> None:
    """What was not told is missing, not empty or false."""
    event = executed("x", container=Container(id=ID))
    expected = {
        "container.id": ID[:12],
        "container.name": None,
        "container.image.repository": None,
        "container.image.tag": None,
        "container.privileged": None,
        "container.mounts": None,
    }
    assert values(event, *expected) == expected


def test_opened_file() -> None:
    """Path, directory, name, numbers."""
    event = opened("/etc/ssh/key", 0o2, raw="../ssh//key", container=SHOP)
    expected = {
        "fd.num": 5,
        "fd.name": "/etc/ssh/key",
        "fd.nameraw": "../ssh/key",
        "fd.directory": "/etc/ssh",
        "fd.filename": "key",
        "fd.type": "file",
        "fd.typechar": "f",
        "fd.l4proto": "<NA>",
        "fd.sockfamily": None,
        "fd.containername": f"{ID[:12]}:/etc/ssh/key",
        "fd.containerdirectory": f"{ID[:12]}:/etc/ssh",
        "fd.ino": 11,
        "fd.dev": 0x801,
        "fd.dev.major": 8,
        "fd.dev.minor": 1,
        "fd.connected": False,
        "fd.sip": None,
        "fd.uid": "1005",
        "evt.is_open_read": True,
        "evt.is_open_write": True,
        "evt.is_open_create": False,
        "evt.is_open_exec": False,
        "evt.abspath": "/etc/ssh/key",
        "fs.path.name": "/etc/ssh/key",
        "fs.path.nameraw": "../ssh//key",
    }
    assert values(event, *expected) == expected


def test_failed_open() -> None:
    """A file that could not be opened has the path it was asked for, and -1 as its number."""
    event = opened("/etc/shadow", raw="shadow", result=-13)
    expected = {
        "fd.num": -1,
        "fd.name": "/etc/shadow",
        "fd.nameraw": "shadow",
        "fd.directory": "/etc",
        "fd.filename": None,
        "fd.typechar": "f",
        "fd.type": None,
        "evt.res": "EACCES",
        "evt.rawres": -13,
        "evt.failed": True,
        "evt.count.error": 1,
        "evt.is_open_read": True,
        "fs.path.name": None,
    }
    assert values(event, *expected) == expected


@pytest.mark.parametrize(
    ("path", "kind", "directory"),
    [("/x", "file", "/"), ("/a/b", "file", "/a"), ("/a/b", "directory", "/a/b"), ("x", "file", "/")],
)
def test_directory(path: str, kind: str, directory: str) -> None:
    """The directory of a file, which of a directory is itself."""
    assert take("fd.directory", opened(path, kind=kind)) == directory


def test_client_of_a_connection() -> None:
    """Who connects is the client, and its end is the local one."""
    event = connected("10.96.0.1", 443, domains={"api": frozenset({"10.96.0.1"})})
    client, server = ipaddress.ip_address("10.1.0.5"), ipaddress.ip_address("10.96.0.1")
    expected = {
        "fd.name": "10.1.0.5:40000->10.96.0.1:443",
        "fd.typechar": "4",
        "fd.type": "ipv4",
        "fd.l4proto": "tcp",
        "fd.sockfamily": "ip",
        "fd.cip": client,
        "fd.sip": server,
        "fd.lip": client,
        "fd.rip": server,
        "fd.cport": 40_000,
        "fd.sport": 443,
        "fd.lport": 40_000,
        "fd.rport": 443,
        "fd.snet": server,
        "fd.ip": (client, server),
        "fd.port": (40_000, 443),
        "fd.sproto": "443",
        "fd.is_server": False,
        "fd.connected": True,
        "fd.sip.name": "api",
        "fd.rip.name": "api",
        "fd.cip.name": "<NA>",
        "fd.directory": None,
        "fd.filename": None,
        "evt.arg.tuple": "10.1.0.5:40000->10.96.0.1:443",
        "evt.arg.addr": "10.96.0.1:443",
        "evt.arg.fd": "<4t>10.1.0.5:40000->10.96.0.1:443",
    }
    assert values(event, *expected) == expected


def test_server_of_a_connection() -> None:
    """Who accepted is the server; its end is the local one, and the name begins with the client."""
    accepted = connection("203.0.113.5", 50_000, local="10.1.0.5", from_port=80, number=6, server=True)
    expected = {
        "fd.name": "203.0.113.5:50000->10.1.0.5:80",
        "fd.cip": ipaddress.ip_address("203.0.113.5"),
        "fd.sport": 80,
        "fd.lport": 80,
        "fd.rport": 50_000,
        "fd.is_server": True,
    }
    assert values(called("accept4", result=6, descriptor=accepted), *expected) == expected


def test_listening_socket() -> None:
    """A socket that listens has a server's end only."""
    expected = {
        "fd.name": "10.1.0.5:8080",
        "fd.sip": ipaddress.ip_address("10.1.0.5"),
        "fd.sport": 8080,
        "fd.cip": None,
        "fd.lport": None,
        "fd.ip": (ipaddress.ip_address("10.1.0.5"),),
        "fd.port": (8080,),
        "fd.is_server": True,
        "evt.args": "res=0 fd=3(<4t>10.1.0.5:8080) backlog=128",
    }
    assert values(listening(8080), *expected) == expected


def test_ipv6() -> None:
    """IPv6 addresses are shortened; a socket that speaks IPv4 through IPv6 is an IPv4 one."""
    event = connected("2001:db8:0:0::1", 443)
    assert values(event, "fd.typechar", "fd.name") == {
        "fd.typechar": "6",
        "fd.name": "10.1.0.5:40000->2001:db8::1:443",
    }
    event = connected("::ffff:10.0.0.1", 443)
    assert values(event, "fd.typechar", "fd.sip") == {"fd.typechar": "4", "fd.sip": ipaddress.ip_address("10.0.0.1")}


@pytest.mark.parametrize(
    ("kind", "character"),
    [
        ("unix", "u"), ("pipe", "p"), ("event", "e"), ("signalfd", "s"), ("eventpoll", "l"), ("inotify", "i"),
        ("timerfd", "t"), ("netlink", "n"), ("bpf", "b"), ("io_uring", "r"), ("memfd", "m"), ("pidfd", "P"),
        ("packet", "o"), ("other", "o"),
    ],
)  # fmt: skip
def test_kinds_of_descriptors(kind: str, character: str) -> None:
    """Each kind has a character."""
    assert take("fd.typechar", called("read", descriptor=Descriptor(3, kind, "/run/x"))) == character


LINKED = called("symlink", arguments={"target": "x", "linkpath": "y"}, resolved={"linkpath": "/y"})


@pytest.mark.parametrize(
    ("field", "event", "expected"),
    [
        ("evt.arg.flags", opened("/x", 0o1101), "O_TRUNC|O_CREAT|O_WRONLY"),
        ("evt.rawarg.flags", opened("/x", 0o1101), 1 << 8 | 1 << 2 | 2),
        ("evt.arg.flags", opened("/x", 0o2000002), "O_RDWR|O_CLOEXEC"),
        ("evt.arg.flags", opened("/x", 0), "O_RDONLY"),
        (
            "evt.arg.flags",
            called("open", result=3, arguments={"flags": 0o101, "created": 1}),
            "O_CREAT|O_WRONLY|O_F_CREATED",
        ),
        ("evt.arg.mode", opened("/x", 0o101, mode=0o644), "0644"),
        ("evt.arg.mode", called("chmod", arguments={"mode": 0o4501}), "S_IXOTH|S_IXUSR|S_IRUSR|S_ISUID"),
        ("evt.arg.name", opened("/etc/x", raw="x"), "/etc/x"),
        ("evt.arg.name", opened("/etc/x"), "/etc/x"),
        ("evt.rawarg.name", opened("/etc/x", raw="x"), "x"),
        ("evt.arg.dirfd", opened("/x"), "AT_FDCWD"),
        ("evt.arg.fd", opened("/x"), "<f>/x"),
        ("evt.arg.fd", opened("/x", result=-2), "ENOENT"),
        ("evt.arg[1]", opened("/x"), "AT_FDCWD"),
        ("evt.arg[9]", opened("/x"), None),
        ("evt.arg.path", opened("/x"), None),
        ("evt.arg.res", called("chmod", result=-1), "EPERM"),
        ("evt.arg.res", called("chmod"), "0"),
        ("evt.arg.domain", called("socket", arguments={"domain": 17}), "AF_PACKET"),
        ("evt.arg.domain", called("socket", arguments={"domain": 1}), "AF_LOCAL|AF_UNIX"),
        ("evt.arg.cmd", called("bpf", arguments={"cmd": 5}), "BPF_PROG_LOAD"),
        ("evt.arg.cmd", called("bpf", arguments={"cmd": 500}), "500"),
        ("evt.arg.request", called("ptrace", arguments={"request": 16}), "PTRACE_ATTACH"),
        ("evt.arg.request", called("ptrace", arguments={"request": 0x4206}), "PTRACE_SEIZE"),
        ("evt.rawarg.request", called("ptrace", arguments={"request": 16}), 11),
        ("evt.arg.request", called("ptrace", arguments={"request": 9999}), "PTRACE_UNKNOWN"),
        ("evt.arg.flags", called("unshare", arguments={"flags": 0x10020000}), "CLONE_NEWNS|CLONE_NEWUSER"),
        ("evt.arg.nstype", called("setns", arguments={"nstype": 0x40000000}), "CLONE_NEWNET"),
        ("evt.arg.flags", called("mount", arguments={"flags": 0x1001}), "RDONLY|BIND"),
        ("evt.arg.flags", called("umount2", arguments={"flags": 2}), "DETACH"),
        ("evt.arg.flags", called("memfd_create", arguments={"flags": 1}), "MFD_CLOEXEC"),
        ("evt.arg.uid", called("setuid", arguments={"uid": 33}), "www-data"),
        ("evt.arg.uid", called("setuid", arguments={"uid": 77}), "<NA>"),
        ("evt.arg.uid", called("setuid", arguments={"uid": -1}), "<NONE>"),
        ("evt.rawarg.uid", called("setuid", arguments={"uid": 33}), 33),
        ("evt.arg.gid", called("setgid", arguments={"gid": 0}), "root"),
        ("evt.arg.sig", called("kill", arguments={"sig": 9}), "SIGKILL"),
        ("evt.arg.pid", called("kill", arguments={"pid": 99}, parents=["bash"]), "bash"),
        ("evt.arg.data", called("sendto", buffer=b"a\0b\xff"), "a.b."),
        ("evt.arg.target", LINKED, "x"),
        ("evt.arg.linkpath", LINKED, "/y"),
        ("evt.arg.flags", executed("x", of={"writable": True, "lower_layer": True}), "EXE_WRITABLE|EXE_LOWER_LAYER"),
        ("evt.arg.flags", executed("x", of={"upper_layer": True, "memfd": True}), "EXE_UPPER_LAYER|EXE_FROM_MEMFD"),
        ("evt.arg.filename", executed("/bin/x"), "/bin/x"),
        ("evt.arg.filename", called("execve", result=-2, arguments={"filename": "/bin/x"}), "/bin/x"),
        ("evt.arg.args", executed("ls -l /"), "-l./."),
        ("evt.arg.exe", executed("ls -l /"), "ls"),
        ("evt.arg.tty", executed("x", of={"tty_number": 3}), "3"),
        ("evt.arg.fdlimit", executed("x"), None),
        ("evt.arg.key", executed("x"), None),
    ],
)  # fmt: skip
def test_arguments(field: str, event: Activity, expected: Value | None) -> None:
    """Flags and constants by Falco's names, paths resolved, users by name; raw ones as Falco's numbers."""
    assert take(field, event) == expected


def test_all_arguments() -> None:
    """All of them in one line, in Falco's order."""
    event = opened("/etc/passwd", 0o2000000)
    assert take("evt.args", event) == (
        "fd=5(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=/etc/passwd flags=4097(O_RDONLY|O_CLOEXEC) mode=0 dev=801"
        " ino=11"
    )
    assert take("evt.info", event) == take("evt.args", event)
    assert take("evt.args", LINKED) == "res=0 target=x linkpath=y(/y)"


def test_event() -> None:
    """What kind of event it is and how it ended."""
    expected = {
        "evt.type": "execve",
        "syscall.type": "execve",
        "evt.category": "process",
        "evt.num": 1,
        "evt.rawtime": NOW,
        "evt.time.iso8601": "2023-11-14T22:13:20.500000000+0000",
        "evt.datetime": "2023-11-14 22:13:20.500000000",
        "evt.res": "SUCCESS",
        "evt.rawres": 0,
        "evt.failed": False,
        "evt.count": 1,
        "evt.count.error": 0,
        "evt.dir": "<",
        "evt.latency": 0,
        "evt.source": "syscall",
        "evt.hostname": "node-1",
        "evt.is_async": False,
        "evt.cpu": None,
        "evt.buffer": None,
        "fd.num": None,
        "fd.name": None,
    }
    assert values(SHELL, *expected) == expected


def test_input_and_output() -> None:
    """Calls that read and write tell what and how much."""
    event = called("sendto", result=12, descriptor=connection("10.0.0.1", 53, protocol="udp"), buffer=b"hello")
    expected = {
        "evt.buffer": b"hello",
        "evt.buflen": 12,
        "evt.buflen.out": 12,
        "evt.buflen.in": None,
        "evt.is_io": True,
        "evt.is_io_read": False,
        "evt.is_io_write": True,
        "evt.io_dir": "write",
        "evt.category": "net",
        "evt.is_syslog": False,
    }
    assert values(event, *expected) == expected
    log = called("sendto", result=12, descriptor=Descriptor(3, "unix", "/dev/log"))
    assert take("evt.is_syslog", log) is True


@pytest.mark.parametrize(
    ("name", "flag_bits", "mode", "created", "executable"),
    [
        ("open", 0o101, 0o755, False, True),
        ("open", 0o001, 0o755, False, False),
        ("open", 0o101, 0o644, False, False),
        ("open", 0o20200002, 0o700, True, True),
        ("creat", 0, 0o755, False, True),
        ("mkdir", 0, 0o755, False, False),
    ],
)
def test_made_files(name: str, flag_bits: int, mode: int, created: bool, executable: bool) -> None:
    """A file that is made with a right to execute it is told, as is a temporary one without a name."""
    event = called(name, result=3, arguments={"flags": flag_bits, "mode": mode})
    expected = {"evt.is_open_create": created, "evt.is_open_exec": executable}
    assert values(event, *expected) == expected


@pytest.mark.parametrize(
    ("name", "arguments", "source", "target"),
    [
        ("rename", {"oldpath": "/a", "newpath": "/b"}, "/a", "/b"),
        ("linkat", {"oldpath": "/a", "newpath": "/b"}, "/b", "/a"),
        ("symlink", {"target": "a", "linkpath": "/b"}, "/b", "a"),
        ("mkdir", {"path": "/b"}, None, None),
    ],
)
def test_two_paths(name: str, arguments: dict[str, int | str], source: str | None, target: str | None) -> None:
    """Source and target of a rename or a link."""
    event = called(name, arguments=arguments)
    assert values(event, "fs.path.source", "fs.path.target") == {"fs.path.source": source, "fs.path.target": target}


def test_capabilities_by_number() -> None:
    """The set's names in the order of their numbers; unknown bits have none."""
    assert flags.capabilities(1 << 40 | 1 << 12 | 1 << 63) == "CAP_NET_ADMIN CAP_CHECKPOINT_RESTORE"
