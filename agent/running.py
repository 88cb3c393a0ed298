"""What runs and listens when the agent starts: as events, so that it is treated like what comes later.

``Task.start`` here is /proc's: clock ticks since boot, as nanoseconds. The kernel's hooks tell the same moment in full
nanoseconds; same_start() compares the two. /proc/PID/net shows the network namespace of that process, so that one
process of each namespace is enough and no namespace has to be entered.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.cgroups import Hierarchy
from watchkeeper.events import Bind, Listen, Running, Task

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # nanoseconds
LISTENING = "0A"
ANY_PORT = "0000"
NO_LOGIN = 0xFFFFFFFF
KERNEL_THREAD = 0x00200000  # PF_KTHREAD
MOST_ARGUMENTS = 64
ENVIRONMENT = 4096  # bytes
TABLES = ("tcp", "tcp6", "udp", "udp6")


def same_start(a: int, b: int) -> bool:
    """Whether two starts of a process with one pid are the same process, if either comes from /proc."""
    return a // TICK == b // TICK


@dataclass(frozen=True, slots=True)
class _Socket:
    protocol: str
    address: str
    port: int
    inode: int


def processes(hierarchy: Hierarchy, environment: bool = True) -> Iterator[Running | Listen | Bind]:
    """Every process, and after it what it listens on (TCP) or has bound without a peer (UDP).

    ``environment``: tell the first 4096 bytes of each process's, as it was at its exec.

    A socket that several processes share belongs to the one that started first, its server's master. Kernel threads
    are left out; what ends meanwhile is passed over.
    """
    tables: dict[int, dict[int, _Socket]] = {}
    taken: set[tuple[int, int]] = set()
    running = (found for pid in psutil.pids() if (found := _running(pid, hierarchy, environment)) is not None)
    for event in sorted(running, key=lambda event: (event.task.start, event.task.pid)):
        yield event
        namespace = event.task.network_namespace
        if namespace not in tables:
            read = _sockets(event.task.pid)
            if _namespace(event.task.pid) != namespace:
                continue  # it ended while we read; another process of the namespace will do
            tables[namespace] = read
        for inode in _inodes(event.task.pid):
            socket = tables[namespace].get(inode)
            if socket is not None and (namespace, inode) not in taken:
                taken.add((namespace, inode))
                kind = Listen if socket.protocol == "tcp" else Bind
                yield kind(at=event.at, task=event.task, address=socket.address, port=socket.port)


def _running(pid: int, hierarchy: Hierarchy, environment: bool) -> Running | None:
    """The process, None if it is gone, a zombie or a kernel thread."""
    directory = Path("/proc", str(pid))
    try:
        stat = _stat(directory)
        if stat.flags & KERNEL_THREAD or stat.state in "ZX":
            return None
        task = _task(pid, directory, stat, hierarchy)
        arguments = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        executable = _target(directory / "exe").removesuffix(" (deleted)")
        working_directory = _target(directory / "cwd")
        if _start(pid) != stat.start:
            return None  # the pid went to another process while we read
    except (OSError, KeyError, ValueError):
        return None
    return Running(
        at=time.time(),
        task=task,
        executable=executable,
        arguments=tuple(arguments[:MOST_ARGUMENTS]),
        working_directory=working_directory,
        tty=_tty_name(stat.tty),
        tty_number=stat.tty,
        environment=_environment(directory) if environment else (),
    )


def _target(link: Path) -> str:
    """Empty where it may not be read: with fewer capabilities than the process has, that takes CAP_SYS_PTRACE."""
    try:
        return str(link.readlink())
    except PermissionError:
        return ""


def _task(pid: int, directory: Path, stat: _Stat, hierarchy: Hierarchy) -> Task:
    status = _status(directory)
    path = hierarchy.parse((directory / "cgroup").read_text(encoding="utf-8", errors="replace"))
    uid, effective_uid, *_ = map(int, status["Uid"].split())
    gid, effective_gid, *_ = map(int, status["Gid"].split())
    return Task(
        pid=pid,
        start=stat.start,
        parent_pid=stat.parent,
        parent_start=_start(stat.parent),
        uid=uid,
        gid=gid,
        login_uid=_login_uid(directory),
        cgroup=hierarchy.id_of(path),
        comm=stat.comm,
        network_namespace=_namespace(pid),
        thread=pid,
        effective_uid=effective_uid,
        effective_gid=effective_gid,
        cap_effective=int(status["CapEff"], 16),
        cap_permitted=int(status["CapPrm"], 16),
        cap_inheritable=int(status["CapInh"], 16),
        virtual_pid=_innermost(status["NSpid"]),
        virtual_thread=_innermost(status["NSpid"]),
        group=stat.group,
        virtual_group=_innermost(status["NSpgid"]),
        session=stat.session,
        virtual_session=_innermost(status["NSsid"]),
    )


@dataclass(frozen=True, slots=True)
class _Stat:
    comm: str
    state: str
    parent: int
    group: int
    session: int
    tty: int
    flags: int
    start: int


def _stat(directory: Path) -> _Stat:
    """See proc(5); the name may hold blanks and brackets, so the last bracket ends it."""
    text = (directory / "stat").read_text(encoding="utf-8", errors="replace")
    before, _, after = text.rpartition(")")
    fields = after.split()
    comm = before.partition("(")[2]
    parent, group, session, tty, _, flags = map(int, fields[1:7])
    return _Stat(comm, fields[0], parent, group, session, tty, flags, int(fields[19]) * TICK)


def _start(pid: int) -> int:
    """0 when there is no such process."""
    try:
        return _stat(Path("/proc", str(pid))).start
    except OSError:
        return 0


def _status(directory: Path) -> dict[str, str]:
    text = (directory / "status").read_text(encoding="utf-8", errors="replace")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _innermost(numbers: str) -> int:
    """The number in the process's own pid namespace; 0 when it is outside of that."""
    return int(numbers.split()[-1])


def _environment(directory: Path) -> tuple[str, ...]:
    """Empty for a process that is gone."""
    try:
        with (directory / "environ").open("rb") as file:
            raw = file.read(ENVIRONMENT)
    except OSError:
        return ()
    text = raw.decode(errors="replace").removesuffix("\0")
    return tuple(text.split("\0")) if text else ()


def _login_uid(directory: Path) -> int:
    try:
        uid = int((directory / "loginuid").read_text(encoding="ascii"))
    except FileNotFoundError:
        return -1  # a kernel without auditing
    return -1 if uid == NO_LOGIN else uid


def _namespace(pid: int) -> int:
    """Number of its network namespace; 0 if it is gone."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return 0


def _tty_name(device: int) -> str:
    """Its controlling terminal by the numbers in stat; "" without one."""
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return f"/dev/pts/{minor + (major - 136) * 256}"
    if major == 4:
        return f"/dev/tty{minor}" if minor < 64 else f"/dev/ttyS{minor - 64}"
    return f"/dev/char/{major}:{minor}" if device else ""


def _inodes(pid: int) -> Iterator[int]:
    """Inode numbers of the sockets it has open."""
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _sockets(pid: int) -> dict[int, _Socket]:
    """Inode -> socket: those that listen (TCP) or are bound without a peer (UDP) in the process's network namespace."""
    found: dict[int, _Socket] = {}
    for table in TABLES:
        protocol = table[:3]
        for fields in _table(pid, table):
            if (protocol == "tcp" and fields[3] != LISTENING) or fields[1].endswith(ANY_PORT):
                continue
            if protocol == "udp" and not fields[2].endswith(ANY_PORT):
                continue
            address, port = _endpoint(fields[1])
            inode = int(fields[9])
            if inode:
                found[inode] = _Socket(protocol, address, port, inode)
    return found


def _table(pid: int, table: str) -> Iterator[list[str]]:
    try:
        lines = Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()
    except OSError:
        return  # no IPv6, or the process is gone
    for line in lines[1:]:
        yield line.split()


def _endpoint(text: str) -> tuple[str, int]:
    """ "0100007F:1F90" -> ("127.0.0.1", 8080): 32-bit words of the address in the machine's byte order."""
    address, port = text.split(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    packed = struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words)
    found = ipaddress.ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found), int(port, 16)
