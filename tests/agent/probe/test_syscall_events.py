"""Every system call that rules can ask for, from the call in a small process to the event's fields."""

from __future__ import annotations

import errno
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.probe.syscalls import CALLS, NONE, RESULT, Outcomes, on_machine
from rules.sources.parameters import PARAMETERS
from watchkeeper.events import Descriptor, Exec, Syscall

pytestmark = pytest.mark.kernel

NUMBERS = {call.name: number for number, call in on_machine().items()}
PRELUDE = f"""
import ctypes, os, socket, sys
N = {NUMBERS}
D = os.fsencode(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    return libc.syscall(N[name], *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
def words(*numbers): return (ctypes.c_uint64 * len(numbers))(*numbers)
os.chdir(D)
"""


@pytest.fixture
def told(watch, tmp_path) -> Iterator:
    """Runs code with only these event types watched; the calls it made, in order."""

    def run(code: str, *types: str, **outcomes: bool) -> list[Syscall]:
        assert watch.source.watch(dict.fromkeys(types, Outcomes(**outcomes))) == {}
        found = watch.run(f"{PRELUDE}{code}\nos._exit(0)", str(tmp_path))
        return [event for event in found if isinstance(event, Syscall)]

    yield run
    watch.source.watch({})


def syscall(event: Syscall, name: str, result: int, **fields: object) -> Syscall:
    """What is expected of the event, whose time, task and ancestors are tested elsewhere."""
    assert bool(event.ancestors) == (name in ("execve", "execveat"))
    return Syscall(at=event.at, task=event.task, name=name, result=result, ancestors=event.ancestors, **fields)


HERE = -100
DIRECTORY = 'os.mkdir("d"); d = os.open("d", 0)\n'
MODULES = Path("/proc/modules").exists()
FCHMODAT2 = tuple(map(int, platform.release().split(".")[:2])) >= (6, 6)

# event type, code whose last call it is, result, arguments, resolved paths below the test's directory ({D} in texts)
CALLED = [
    ("link", 'open("a", "w"); call("link", b"a", b"b")', 0, {"oldpath": "a", "newpath": "b"},
     {"oldpath": "a", "newpath": "b"}),
    ("linkat", DIRECTORY + 'open("a", "w"); call("linkat", -100, D + b"/a", d, b"b", 0x400)', 0,
     {"olddir": HERE, "newdir": 3, "flags": 0x400, "oldpath": "{D}/a", "newpath": "b"},
     {"oldpath": "a", "newpath": "d/b"}),
    ("symlink", 'call("symlink", b"/etc/shadow", b"./x")', 0, {"linkpath": "./x", "target": "/etc/shadow"},
     {"linkpath": "x"}),
    ("symlinkat", DIRECTORY + 'call("symlinkat", b"../t", d, b"x")', 0,
     {"linkdirfd": 3, "linkpath": "x", "target": "../t"}, {"linkpath": "d/x"}),
    ("rename", 'open("a", "w"); call("rename", b"a", b"b")', 0, {"oldpath": "a", "newpath": "b"},
     {"oldpath": "a", "newpath": "b"}),
    ("renameat", DIRECTORY + 'open("a", "w"); call("renameat", -100, b"a", d, b"b")', 0,
     {"olddirfd": HERE, "newdirfd": 3, "oldpath": "a", "newpath": "b"}, {"oldpath": "a", "newpath": "d/b"}),
    ("renameat2", DIRECTORY + 'open("a", "w"); call("renameat2", -100, b"a", d, b"../b", 1)', 0,
     {"olddirfd": HERE, "newdirfd": 3, "flags": 1, "oldpath": "a", "newpath": "../b"},
     {"oldpath": "a", "newpath": "b"}),
    ("unlink", 'open("a", "w"); call("unlink", b"a")', 0, {"path": "a"}, {"path": "a"}),
    ("unlink", 'call("unlink", b"none")', -errno.ENOENT, {"path": "none"}, {"path": "none"}),
    ("unlinkat", DIRECTORY + 'call("unlinkat", -100, b"d", 0x200)', 0, {"dirfd": HERE, "flags": 0x200, "name": "d"},
     {"name": "d"}),
    ("rmdir", DIRECTORY + 'call("rmdir", b"d")', 0, {"path": "d"}, {"path": "d"}),
    ("mkdir", 'call("mkdir", b"d", 0o750)', 0, {"mode": 0o750, "path": "d"}, {"path": "d"}),
    ("mkdirat", DIRECTORY + 'call("mkdirat", d, b"e", 0o700)', 0, {"dirfd": 3, "mode": 0o700, "path": "e"},
     {"path": "d/e"}),
    ("chmod", DIRECTORY + 'call("chmod", b"d", 0o4755)', 0, {"mode": 0o4755, "filename": "d"}, {"filename": "d"}),
    ("fchmodat", DIRECTORY + 'call("fchmodat", -100, b"d", 0o700)', 0,
     {"dirfd": HERE, "mode": 0o700, "filename": "d"}, {"filename": "d"}),
    ("chown", DIRECTORY + 'call("chown", b"d", 12, -1)', 0, {"uid": 12, "gid": -1, "path": "d"}, {"path": "d"}),
    ("lchown", DIRECTORY + 'call("lchown", b"d", 0, 34)', 0, {"uid": 0, "gid": 34, "path": "d"}, {"path": "d"}),
    ("fchownat", DIRECTORY + 'call("fchownat", -100, b"d", 1, 2, 0x100)', 0,
     {"dirfd": HERE, "uid": 1, "gid": 2, "flags": 0x100, "pathname": "d"}, {"pathname": "d"}),
    ("setuid", 'call("setuid", 33)', 0, {"uid": 33}, {}),
    ("setgid", 'call("setgid", 33)', 0, {"gid": 33}, {}),
    ("setreuid", 'call("setreuid", -1, 33)', 0, {"ruid": -1, "euid": 33}, {}),
    ("setresuid", 'call("setresuid", 1, 2, 3)', 0, {"ruid": 1, "euid": 2, "suid": 3}, {}),
    ("setregid", 'call("setregid", 5, -1)', 0, {"rgid": 5, "egid": -1}, {}),
    ("setresgid", 'call("setresgid", 1, 2, 3)', 0, {"rgid": 1, "egid": 2, "sgid": 3}, {}),
    ("setuid", 'os.setuid(33); call("setuid", 0)', -errno.EPERM, {"uid": 0}, {}),
    ("unshare", 'call("unshare", 0x10000000)', 0, {"flags": 0x10000000}, {}),
    ("ptrace", 'call("ptrace", 16, 2**22 + 5, 7, 9)', -errno.ESRCH,
     {"request": 16, "pid": 2**22 + 5, "addr": 7, "data": 9}, {}),
    ("kill", 'call("kill", -(2**22) - 5, 15)', -errno.ESRCH, {"pid": -(2**22) - 5, "sig": 15}, {}),
    ("bpf", 'call("bpf", 12345, None, 0)', -errno.EINVAL, {"fd": -errno.EINVAL, "cmd": 12345}, {}),
    ("mount", 'os.mkdir("m"); libc.unshare(0x20000); call("mount", b"none", b"m", b"tmpfs", 6, None)', 0,
     {"flags": 6, "dir": "m", "dev": "none", "type": "tmpfs"}, {"dir": "m"}),
    ("umount2", 'call("umount2", b"none", 2)', -errno.ENOENT, {"flags": 2, "name": "none"}, {"name": "none"}),
    ("pivot_root", 'os.mkdir("n"); call("pivot_root", b"n", b"n/old")', -errno.ENOENT,
     {"newroot": "n", "putold": "n/old"}, {"newroot": "n", "putold": "n/old"}),
    ("chroot", DIRECTORY + 'call("chroot", D + b"/d")', 0, {"path": "{D}/d"}, {"path": "d"}),
    ("io_uring_setup", 'call("io_uring_setup", 4, None)', -errno.EFAULT, {"entries": 4, "flags": 0}, {}),
    ("execve", 'call("execve", b"none", None, None)', -errno.ENOENT, {"filename": "none"}, {"filename": "none"}),
    ("execveat", DIRECTORY + 'call("execveat", d, b"none", None, None, 0)', -errno.ENOENT, {"filename": "none"},
     {"filename": "d/none"}),
]  # fmt: skip
# A kernel built without modules does not have these calls.
OF_MODULES = [
    ("init_module", 'call("init_module", b"", 7, b"a=1")', None, {"length": 7, "uargs": "a=1"}, {}),
    ("finit_module", 'call("finit_module", -1, b"a=1", 2)', None, {"fd": -1, "flags": 2, "uargs": "a=1"}, {}),
    ("delete_module", 'call("delete_module", b"none", 0o4000)', None, {"flags": 0o4000, "name": "none"}, {}),
]  # fmt: skip
CALLED += OF_MODULES if MODULES else []

# Nor has one older than 6.6 this.
OF_6_6 = [
    ("fchmodat", DIRECTORY + 'call("fchmodat2", -100, b"d", 0o700, 0)', 0,
     {"dirfd": HERE, "mode": 0o700, "filename": "d"}, {"filename": "d"}),
]  # fmt: skip
CALLED += OF_6_6 if FCHMODAT2 else []


@pytest.mark.parametrize(
    ("event_type", "code", "result", "arguments", "resolved"),
    CALLED,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(CALLED)],
)
def test_call_without_a_descriptor(told, tmp_path, event_type, code, result, arguments, resolved):
    """Name, result, arguments by their names and resolved paths of the call are told, failed or not."""
    if any(f'call("{call.name}"' in code for call in CALLS if call.name not in NUMBERS):
        pytest.skip("this architecture has no such call")
    event = told(code, event_type)[-1]
    assert event == syscall(
        event,
        event_type,
        event.result if result is None else result,
        arguments={key: text.format(D=tmp_path) if isinstance(text, str) else text for key, text in arguments.items()},
        resolved={key: f"{tmp_path}/{path}" for key, path in resolved.items()},
    )


OPENED = [
    ("open", 'call("open", b"f", 0o102, 0o640)', {"flags": 0o102, "mode": 0o640, "created": 1}),
    ("open", 'open("f", "w"); call("open", b"f", 0o101, 0o640)', {"flags": 0o101, "mode": 0o640, "created": 0}),
    ("openat", 'open("f", "w"); call("openat", -100, b"f", 0, 0o600)',
     {"dirfd": HERE, "flags": 0, "mode": 0, "created": 0}),
    ("openat2", 'call("openat2", -100, b"f", words(0o101, 0o600, 8), 24)',
     {"dirfd": HERE, "flags": 0o101, "mode": 0o600, "resolve": 8, "created": 1}),
    ("creat", 'call("creat", b"f", 0o604)', {"mode": 0o604, "created": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("event_type", "code", "arguments"), OPENED)
def test_opening_tells_the_file(told, tmp_path, event_type, code, arguments):
    """An opening tells the file the kernel found, and a mode only where it creates."""
    if event_type not in NUMBERS:
        pytest.skip("this architecture has no such call")
    event = told(code, event_type)[-1]
    found = (tmp_path / "f").stat()
    assert event.result >= 3
    assert event == syscall(
        event,
        event_type,
        event.result,
        arguments={"fd": event.result, "name": "f", "dev": found.st_dev, "ino": found.st_ino, **arguments},
        resolved={"name": f"{tmp_path}/f"},
        descriptor=Descriptor(event.result, "file", path=f"{tmp_path}/f", inode=found.st_ino, device=found.st_dev),
    )


def test_failed_opening_has_no_descriptor(told, tmp_path):
    """What was not opened has a path as the caller wrote it, and no file."""
    event = told('call("openat", -100, b"../none/x", 0)', "openat")[-1]
    arguments = {"fd": -2, "dirfd": HERE, "flags": 0, "mode": 0, "name": "../none/x", "dev": 0, "ino": 0, "created": 0}
    assert event == syscall(
        event, "openat", -2, arguments=arguments, resolved={"name": str(tmp_path.parent / "none/x")}
    )


def test_symbolic_links_are_followed_in_the_descriptor_only(told, tmp_path):
    """The descriptor tells what was opened, the resolved argument what was asked for."""
    event = told('open("real", "w"); os.symlink("real", "alias"); call("openat", -100, b"alias", 0)', "openat")[-1]
    assert event.descriptor is not None
    assert (event.resolved["name"], event.descriptor.path) == (f"{tmp_path}/alias", f"{tmp_path}/real")


KINDS = [
    ("openat", 'call("openat", -100, b".", 0)', "directory", "{D}"),
    ("openat", 'call("openat", -100, b"/dev/null", 0)', "file", "/dev/null"),
    ("dup", 'a, b = os.pipe(); call("dup", b)', "pipe", ""),
    ("dup", 'call("dup", os.eventfd(0))', "event", "[eventfd]"),
    ("dup", 'import select; p = select.epoll(); call("dup", p.fileno())', "eventpoll", "[eventpoll]"),
    ("dup", 'call("dup", libc.timerfd_create(1, 0))', "timerfd", "[timerfd]"),
    ("dup", 'call("dup", libc.signalfd(-1, words(1), 0))', "signalfd", "[signalfd]"),
    ("dup", 'call("dup", libc.inotify_init1(0))', "inotify", "inotify"),
    ("dup", 'call("dup", os.pidfd_open(os.getpid()))', "pidfd", None),
    ("dup", 's = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); call("dup", s.fileno())', "netlink", ""),
    ("dup", 's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); call("dup", s.fileno())', "packet", ""),
    ("dup", 's = socket.socketpair(); call("dup", s[0].fileno())', "unix", ""),
    ("memfd_create", 'call("memfd_create", b"x y", 1)', "memfd", "memfd:x y"),
    ("userfaultfd", 'call("userfaultfd", 1)', "userfaultfd", "[userfaultfd]"),
    ("io_uring_setup", 'call("io_uring_setup", 1, words(*[0] * 15))', "io_uring", "[io_uring]"),
    ("bpf", 'call("bpf", 0, (ctypes.c_uint32 * 16)(2, 4, 4, 1), 64)', "bpf", "bpf-map"),
    ("setns", 'call("setns", os.open("/proc/self/ns/uts", 0), 0)', "file", None),
    ("fchmod", 'f = open("f", "w"); call("fchmod", f.fileno(), 0o600)', "file", "{D}/f"),
    ("fchown", 'f = open("f", "w"); call("fchown", f.fileno(), 1, 2)', "file", "{D}/f"),
]  # fmt: skip


@pytest.mark.parametrize(("event_type", "code", "kind", "path"), KINDS)
def test_kinds_of_descriptors(told, tmp_path, event_type, code, kind, path):
    """A descriptor is told by what the kernel has behind it."""
    event = told(code, event_type)[-1]
    if event.result in (-errno.ENOSYS, -errno.EPERM):
        pytest.skip("not on this kernel")
    assert event.descriptor is not None
    number = event.result if event_type not in ("setns", "fchmod", "fchown") else event.arguments["fd"]
    assert (event.descriptor.number, event.descriptor.kind) == (number, kind)
    if path is not None:
        assert event.descriptor.path == path.format(D=tmp_path)


def test_memory_file_and_duplicates(told):
    """Names of memory files are told, and a duplicate is the new descriptor."""
    code = 'fd = call("memfd_create", b"name", 3); call("dup3", fd, 77, 0o2000000)'
    made, copied = told(code, "memfd_create", "dup3")
    assert made.arguments == {"fd": made.result, "flags": 3, "name": "name"}
    assert copied.arguments == {"res": 77, "oldfd": made.result, "newfd": 77, "flags": 0o2000000}
    assert copied.descriptor == Descriptor(
        77, "memfd", path="memfd:name", inode=made.descriptor.inode, device=made.descriptor.device
    )


TCP = """
server = socket.socket(socket.AF_INET); server.bind(("127.0.0.1", 0)); server.listen(7)
client = socket.socket(socket.AF_INET); client.connect(server.getsockname())
accepted, _ = server.accept()
client.send(b"request"); accepted.recv(99); call("dup2", client.fileno(), 60); call("dup2", accepted.fileno(), 61)
"""


def test_tcp_from_socket_to_duplicate(told):
    """Each call on a TCP socket tells both ends as they were then, and which of them serves."""
    found = told(TCP, "socket", "bind", "listen", "connect", "accept4", "sendto", "recvfrom", "dup2")
    made, bound, listening, _, connected, accepted, sent, received, client_copy, server_copy = found
    server, client = bound.descriptor.local_port, connected.descriptor.local_port

    def end(number: int, inode: int, local: int, remote: int, **fields: bool) -> Descriptor:
        return Descriptor(
            number, "ipv4", inode=inode, device=made.descriptor.device, protocol="tcp",
            local_address="127.0.0.1" if local else "", local_port=local,
            remote_address="127.0.0.1" if remote else "", remote_port=remote, **fields,
        )  # fmt: skip

    listener = end(bound.arguments["fd"], made.descriptor.inode, server, 0, server=True)
    near = end(connected.arguments["fd"], connected.descriptor.inode, client, server, connected=True)
    far = end(accepted.result, accepted.descriptor.inode, server, client, connected=True, server=True)
    assert made == syscall(
        made, "socket", listener.number,
        arguments={"fd": listener.number, "domain": 2, "type": 1 | 0o2000000, "proto": 0},
        descriptor=end(listener.number, listener.inode, 0, 0),
    )  # fmt: skip
    assert bound == syscall(
        bound, "bind", 0, arguments={"fd": listener.number, "addr": "127.0.0.1:0"}, descriptor=listener
    )
    assert listening == syscall(
        listening, "listen", 0, arguments={"fd": listener.number, "backlog": 7}, descriptor=listener
    )
    assert connected == syscall(
        connected, "connect", 0, arguments={"fd": near.number, "addr": f"127.0.0.1:{server}"}, descriptor=near
    )
    assert accepted == syscall(
        accepted, "accept4", far.number,
        arguments={"fd": far.number, "flags": 0o2000000, "queuepct": 0, "queuelen": 0, "queuemax": 7}, descriptor=far,
    )  # fmt: skip
    assert sent == syscall(
        sent, "sendto", 7, arguments={"fd": near.number, "size": 7}, descriptor=near, buffer=b"request"
    )
    assert received == syscall(
        received, "recvfrom", 7, arguments={"fd": far.number, "size": 99}, descriptor=far, buffer=b"request"
    )
    copies = [end(60, near.inode, client, server, connected=True), end(61, far.inode, server, client, connected=True,
                                                                        server=True)]  # fmt: skip
    assert [client_copy.descriptor, server_copy.descriptor] == copies


def test_refused_and_unfinished_connections(told):
    """A connection that failed or is still being made tells the address that was asked for."""
    code = """
closed = socket.socket(); closed.bind(("127.0.0.1", 0)); where = closed.getsockname(); closed.close()
s = socket.socket()
s.connect_ex(where)
s = socket.socket(); s.setblocking(False)
s.connect_ex(("198.51.100.7", 443))
"""
    refused, unfinished = told(code, "connect")
    assert refused.result == -errno.ECONNREFUSED
    assert refused.arguments["addr"] == f"127.0.0.1:{refused.descriptor.remote_port}"
    assert (refused.descriptor.remote_address, refused.descriptor.connected) == ("127.0.0.1", False)
    assert unfinished.result in (-errno.EINPROGRESS, -errno.ENETUNREACH)
    assert (
        unfinished.descriptor.remote_address,
        unfinished.descriptor.remote_port,
        unfinished.descriptor.connected,
    ) == ("198.51.100.7", 443, False)


def test_tcp_over_ipv6(told):
    """IPv6 ends are told as such, IPv4 over an IPv6 socket as IPv4."""
    code = """
for host in ("::1", "::ffff:127.0.0.1"):
    server = socket.socket(socket.AF_INET6); server.bind((host, 0)); server.listen()
    client = socket.socket(socket.AF_INET6); client.connect(server.getsockname())
"""
    found = told(code, "connect")
    assert [(e.descriptor.kind, e.descriptor.local_address, e.descriptor.remote_address) for e in found] == [
        ("ipv6", "::1", "::1"),
        ("ipv4", "127.0.0.1", "127.0.0.1"),
    ]
    assert [e.arguments["addr"] for e in found] == [
        f"{address}:{e.descriptor.remote_port}" for address, e in zip(("::1", "127.0.0.1"), found, strict=True)
    ]


UDP = """
where = ("127.0.0.1", 45996)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); server.bind(where)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.sendto(b"one", where)
client.sendmsg([b"t", b"wo"], [], 0, where)
server.recvfrom(50)
server.recvmsg(50)
client.connect(where)
client.send(b"x" * 300)
"""


def test_udp_tells_the_peer_of_each_message(told):
    """Without a connection the peer is the address in the call; the first 128 bytes of the first part are told."""
    one, two, first, second, third = told(UDP, "sendto", "sendmsg", "recvfrom", "recvmsg")
    client, server = one.descriptor.local_port, one.descriptor.remote_port
    ends = [
        (e.name, e.result, e.buffer, e.descriptor.local_port, e.descriptor.remote_port, e.descriptor.remote_address,
         e.descriptor.protocol, e.descriptor.connected, e.descriptor.server, e.arguments["size"])
        for e in (one, two, first, second, third)
    ]  # fmt: skip
    here = "127.0.0.1"
    assert ends == [
        ("sendto", 3, b"one", client, server, here, "udp", False, False, 3),
        ("sendmsg", 3, b"t", client, server, here, "udp", False, False, 3),
        ("recvfrom", 3, b"one", server, client, here, "udp", False, True, 50),
        ("recvmsg", 3, b"two", server, client, here, "udp", False, True, 3),
        ("sendto", 300, b"x" * 128, client, server, here, "udp", True, False, 300),
    ]


def test_unix_sockets(told, tmp_path):
    """Unix sockets are told by the path they are bound or connected to; abstract ones begin with @."""
    code = """
for name in (os.fsdecode(D) + "/s", "\\0watchkeeper-test"):
    server = socket.socket(socket.AF_UNIX); server.bind(name); server.listen()
    client = socket.socket(socket.AF_UNIX); client.connect(name)
    server.accept()
socket.socket(socket.AF_UNIX).connect_ex(os.fsdecode(D) + "/none")
"""
    found = told(code, "bind", "connect", "accept4")
    path, abstract, none = f"{tmp_path}/s", "@watchkeeper-test", f"{tmp_path}/none"
    ends = [(e.name, e.descriptor.kind, e.descriptor.path, e.descriptor.connected, e.descriptor.server) for e in found]
    assert ends == [
        ("bind", "unix", path, False, False),
        ("connect", "unix", path, True, False),
        ("accept4", "unix", path, True, True),
        ("bind", "unix", abstract, False, False),
        ("connect", "unix", abstract, True, False),
        ("accept4", "unix", abstract, True, True),
        ("connect", "unix", none, False, False),
    ]
    assert [e.arguments["addr"] for e in found if e.name == "connect"] == [path, abstract, none]


def test_raw_and_ping_sockets(told):
    """Raw sockets have no ports; the port number the kernel keeps there is their protocol's."""
    code = """
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); raw.sendto(b"\\10" * 8, ("127.0.0.1", 0))
"""
    (sent,) = told(code, "sendto")
    assert (sent.descriptor.protocol, sent.descriptor.local_port, sent.descriptor.remote_address) == (
        "raw",
        0,
        "127.0.0.1",
    )


def test_task_tells_ids_and_capabilities(told):
    """Effective ids, capabilities, thread, group and session are those of the calling thread at that moment."""
    code = """
import threading
os.setsid()
def act():
    print(threading.get_native_id(), file=open("thread", "w")); call("setreuid", -1, 33); call("kill", os.getpid(), 0)
thread = threading.Thread(target=act); thread.start(); thread.join()
"""
    event = told(code, "kill")[-1]
    task = event.task
    assert (task.uid, task.effective_uid, task.effective_gid) == (0, 33, 0)
    assert (task.cap_effective, task.cap_permitted != 0) == (0, True)
    assert (task.group, task.session, task.virtual_group, task.virtual_session) == (task.pid,) * 4
    assert task.virtual_pid == task.pid
    assert task.thread == task.virtual_thread != task.pid


def test_ids_of_a_pid_namespace(watch):
    """In a pid namespace of its own a process has two numbers, and its parent's group is not to be seen."""
    watch.source.watch({"kill": Outcomes()})
    code = """
import ctypes, os
ctypes.CDLL(None).unshare(0x20000000)
child = os.fork()
if not child:
    os.kill(1, 0); os.setsid(); os.kill(1, 0); os._exit(0)
os.wait()
"""
    parent = next(e.task for e in watch.run(code) if isinstance(e, Exec))
    fork = watch.until(lambda e: type(e).__name__ == "Fork" and e.task.pid == parent.pid)
    child = fork.child_pid
    assert (fork.child_virtual_pid, fork.group, fork.virtual_group, fork.session, fork.virtual_session) == (
        1, parent.group, 0, parent.session, 0,
    )  # fmt: skip
    before, after = (e.task for e in watch.seen if isinstance(e, Syscall) and e.task.pid == child)
    assert (before.virtual_pid, before.virtual_thread, before.group, before.virtual_group) == (1, 1, parent.group, 0)
    assert (after.virtual_pid, after.group, after.session, after.virtual_group, after.virtual_session) == (
        1, child, child, 1, 1,
    )  # fmt: skip
    watch.source.watch({})


def test_executions_are_told_once(told, watch, tmp_path):
    """An exec that went well is an Exec by its name, one that failed a Syscall."""
    code = """
if not os.fork():
    call("execve", b"/none", None, None)
    call("execveat", os.open("/bin/true", 0), b"", (ctypes.c_char_p * 2)(b"by-descriptor", None), None, 0x1000)
os.wait()
"""
    told(code, "execve", "execveat")
    (executed,) = [e for e in watch.seen if isinstance(e, Exec) and e.arguments == ("by-descriptor",)]
    failed = [e for e in watch.seen if isinstance(e, Syscall) and e.task.pid == executed.task.pid]
    assert (executed.name, executed.executable) == ("execveat", str(Path("/bin/true").resolve()))
    assert [(e.name, e.result) for e in failed] == [("execve", -errno.ENOENT)]


def test_environment_only_when_it_is_wanted(told, watch):
    """Exec tells the environment, cut at 4096 bytes, only as long as someone wants it."""
    code = """
for value in ("short", "x" * 9000):
    if not os.fork(): os.execve("/bin/true", ["true"], {"WORD": value})
    os.wait()
"""
    told(code, "execve", environment=False)
    assert [e.environment for e in watch.seen if isinstance(e, Exec)][-2:] == [(), ()]
    told(code, "execve", succeeded=False, failed=False)
    short, long = [e.environment for e in watch.seen if isinstance(e, Exec)][-2:]
    assert (short, long) == (("WORD=short",), ("WORD=" + "x" * 4091,))


def test_executable_is_described(told, watch):
    """Who could write to the executable, and its terminal, are told."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        code = f"""
import pty, shutil
os.chdir({name!r})
shutil.copy("/bin/true", "mine"); os.chmod("mine", 0o755); os.chown("mine", 33, 33)
for uid in (0, 33, 34):
    pid, _ = pty.fork()
    if not pid:
        open("terminal", "w").write(str(os.stat(0).st_rdev))
        os.setuid(uid)
        os.execv("mine", ["mine"])
    os.waitpid(pid, 0)
"""
        told(code, "openat2")
        status = (place / "mine").stat()
        terminal = int((place / "terminal").read_text())
    found = [e for e in watch.seen if isinstance(e, Exec) and e.executable == f"{name}/mine"]
    assert [(e.task.uid, e.writable) for e in found] == [(0, True), (33, True), (34, False)]
    assert {(e.inode, e.changed_at, e.modified_at) for e in found} == {
        (status.st_ino, status.st_ctime_ns, status.st_mtime_ns)
    }
    assert found[-1].tty_number == terminal
    assert found[-1].tty.startswith("/dev/pts/")


def test_outcomes_nobody_wants_end_in_the_kernel(told, tmp_path):
    """Failures, successes, mere reads, TCP, connected sockets and what is no internet socket can each be left out."""
    code = 'open("f", "w"); open("f"); call("openat", -100, b"none", 0)'

    def results(**outcomes: bool) -> list[tuple[int, int]]:
        found = told(code, "openat", **outcomes)
        mine = [e for e in found if e.resolved["name"].startswith(str(tmp_path))]
        return [(e.arguments["flags"] & 3, min(e.result, 0)) for e in mine]

    assert results() == [(1, 0), (0, 0), (0, -2)]
    assert results(failed=False) == [(1, 0), (0, 0)]
    assert results(succeeded=False) == [(0, -2)]
    assert results(reads=False) == [(1, 0), (0, -2)]
    sends = "pair = socket.socketpair(); pair[0].send(b'local')\n" + TCP + UDP
    everything = [e.buffer[:7] for e in told(sends, "sendto")]
    assert everything == [b"local", b"request", b"one", b"xxxxxxx"]
    assert [e.buffer[:3] for e in told(sends, "sendto", tcp=False)] == [b"loc", b"one", b"xxx"]
    assert [e.buffer[:3] for e in told(sends, "sendto", connected=False)] == [b"loc", b"one"]
    assert [e.buffer[:3] for e in told(sends, "sendto", local=False)] == [b"req", b"one", b"xxx"]
    assert [e.buffer[:3] for e in told(sends, "sendto", internet=False)] == [b"loc"]


def test_layers_of_an_overlay(told, tmp_path):
    """A file of an overlay lies in its writable layer or below."""
    code = """
libc.unshare(0x20000); libc.mount(b"none", b"/", None, 0x44000, None)
for name in ("lower", "tmp", "merged"): os.mkdir(name)
open("lower/shipped", "w").close()
libc.mount(b"none", b"tmp", b"tmpfs", 0, None); os.mkdir("tmp/upper"); os.mkdir("tmp/work")
assert libc.mount(b"none", b"merged", b"overlay", 0, b"lowerdir=lower,upperdir=tmp/upper,workdir=tmp/work") == 0
open("merged/shipped").close(); open("merged/brought", "w").close()
"""
    found = {Path(e.arguments["name"]).name: e.descriptor for e in told(code, "openat") if e.result >= 0}
    layers = [(found[name].upper_layer, found[name].lower_layer) for name in ("shipped", "brought")]
    assert layers == [(False, True), (True, False)]


def test_every_event_type_has_a_row_and_names_its_parameters():
    """The table tells every event type of the rules, and no argument that the rules do not know."""
    outside = {"res", "tuple", "addr", "data", "dev", "ino", "queuepct", "queuelen", "queuemax", "size"}
    for event_type, parameters in PARAMETERS.items():
        rows = [call for call in CALLS if call.type == event_type]
        names = {name for name, kind in parameters if kind != "absent"}
        told = [{name for name, _, _ in call.numbers} | {text.name for text in call.texts} for call in rows]
        assert told, event_type
        assert all(each <= names for each in told), event_type
        if event_type not in ("execve", "execveat"):
            assert all(each | outside >= names for each in told), event_type


def test_numbers_are_unique_and_within_the_map():
    """No two calls share a number, and all are below the kernel map's size."""
    for machine in ("x86_64", "aarch64"):
        numbers = [getattr(call, machine) for call in CALLS if getattr(call, machine) is not None]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) < 512


def test_descriptors_are_the_first_argument_or_the_result():
    """The kernel looks at the descriptor before it reads the other arguments."""
    assert {call.descriptor for call in CALLS} == {0, RESULT, NONE}
