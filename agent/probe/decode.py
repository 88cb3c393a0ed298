"""Kernel records into events. The layouts are those of bpf/record.h and the hook families beside it."""

from __future__ import annotations

import posixpath
import socket
import struct

from agent.probe.hooks import CLASSES
from watchkeeper import events
from watchkeeper.events import AnyEvent, Task

Buffer = memoryview | bytes

_HEADER = struct.Struct("@IIQQQQIIIIII16s")
_EXEC = struct.Struct("@QIIII16sII")
_ANCESTOR = struct.Struct("@QII16s")
_ANCESTORS = 8
_FORK = struct.Struct("@QII")
_EXIT = struct.Struct("@iI")
_OPEN = struct.Struct("@QII")
_PATHS = struct.Struct("@IIIIIIIIII")
_FLOW = struct.Struct("@HHI16s")
_CAPABILITY = struct.Struct("@QII")
_CGROUP = struct.Struct("@QII")

_DETACHED, _TRUNCATED = 2, 4
_ARGUMENTS_TRUNCATED, _UPPER_LAYER, _MEMFD = 256, 512, 1024
_CREATED = 256
_TCP = 6
_MAPPED = b"\0" * 10 + b"\xff\xff"
_NO_LOGIN = 0xFFFFFFFF

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


class DecodeError(Exception):
    """A record is not what the hooks write."""


def event_class(record: Buffer) -> str:
    """The class by the record's first field. Raises DecodeError."""
    if len(record) < _HEADER.size:
        raise DecodeError(f"a record of {len(record)} bytes is too short")
    number = int.from_bytes(record[:4], "little" if struct.pack("@H", 1)[0] else "big")
    if number >= len(CLASSES):
        raise DecodeError(f"a record has the unknown class {number}")
    return CLASSES[number]


def decode(record: Buffer, boot: float) -> AnyEvent:
    """One event. ``boot`` is the unix time at which the machine's boot clock was zero. Raises DecodeError."""
    try:
        return _decode(record, boot)
    except (struct.error, IndexError) as error:
        raise DecodeError(f"a record of class {event_class(record)} is malformed: {error}") from error


def _decode(record: Buffer, boot: float) -> AnyEvent:
    (number, flags, at, cgroup, start, parent_start, tgid, parent, uid, gid, login, netns, comm) = _HEADER.unpack_from(
        record
    )
    task = Task(
        pid=tgid,
        start=start,
        parent_pid=parent,
        parent_start=parent_start,
        uid=uid,
        gid=gid,
        login_uid=-1 if login == _NO_LOGIN else login,
        cgroup=cgroup,
        comm=_c_string(comm),
        network_namespace=netns,
    )
    when = boot + at / 1e9
    match CLASSES[number]:
        case "exec":
            return _exec(record, flags, when, task)
        case "fork":
            child_start, child, _ = _FORK.unpack_from(record, _HEADER.size)
            return events.Fork(at=when, task=task, child_pid=child, child_start=child_start)
        case "exit":
            return events.Exit(at=when, task=task, status=_EXIT.unpack_from(record, _HEADER.size)[0])
        case "open":
            return _open(record, flags, when, task)
        case "unlink" | "rename" | "chmod" as name:
            return _path_act(name, record, flags, when, task)
        case "listen" | "bind" | "connect" as name:
            return _flow(name, record, when, task)
        case "capability":
            inode, capability, _ = _CAPABILITY.unpack_from(record, _HEADER.size)
            return events.Capability(at=when, task=task, name=capability_name(capability), inode=inode)
        case name:
            return _cgroup(name, record, when, task)


def capability_name(number: int) -> str:
    return f"CAP_{CAPABILITIES[number]}" if number < len(CAPABILITIES) else f"CAP_{number}"


def _exec(record: Buffer, flags: int, when: float, task: Task) -> events.Exec:
    offset = _HEADER.size
    inode, path_length, directory_length, arguments_length, directory_flags, tty, ancestors, _ = _EXEC.unpack_from(
        record, offset
    )
    offset += _EXEC.size
    found = tuple(
        (pid, start, _c_string(comm))
        for start, pid, _, comm in (
            _ANCESTOR.unpack_from(record, offset + i * _ANCESTOR.size) for i in range(min(ancestors, _ANCESTORS))
        )
    )
    offset += _ANCESTORS * _ANCESTOR.size
    path = _part(record, offset, path_length)
    directory = _part(record, offset + path_length, directory_length)
    arguments = _part(record, offset + path_length + directory_length, arguments_length)
    return events.Exec(
        at=when,
        task=task,
        executable=_walked(path, flags),
        arguments=tuple(_text(argument) for argument in arguments.removesuffix(b"\0").split(b"\0"))
        if arguments
        else (),
        arguments_truncated=bool(flags & _ARGUMENTS_TRUNCATED),
        working_directory=_walked(directory, directory_flags),
        tty=_terminal(_c_string(tty)),
        inode=inode,
        upper_layer=bool(flags & _UPPER_LAYER),
        memfd=bool(flags & _MEMFD),
        ancestors=found,
    )


def _open(record: Buffer, flags: int, when: float, task: Task) -> events.Open:
    inode, open_flags, length = _OPEN.unpack_from(record, _HEADER.size)
    path = _part(record, _HEADER.size + _OPEN.size, length)
    return events.Open(
        at=when, task=task, path=_walked(path, flags), flags=open_flags, created=bool(flags & _CREATED), inode=inode
    )


def _path_act(name: str, record: Buffer, flags: int, when: float, task: Task) -> AnyEvent:
    fields = _PATHS.unpack_from(record, _HEADER.size)
    first, second, mode = fields[0:4], fields[4:8], fields[8]
    offset = _HEADER.size + _PATHS.size
    path = _place(record, offset, first)
    if name == "unlink":
        return events.Unlink(at=when, task=task, path=path)
    if name == "chmod":
        return events.Chmod(at=when, task=task, path=path, mode=mode & 0o7777)
    new_path = _place(record, offset + first[0] + first[1], second)
    return events.Rename(at=when, task=task, path=path, new_path=new_path)


def _flow(name: str, record: Buffer, when: float, task: Task) -> AnyEvent:
    family, port, protocol, raw = _FLOW.unpack_from(record, _HEADER.size)
    address = _address(family, raw)
    if name == "listen":
        return events.Listen(at=when, task=task, address=address, port=port)
    if name == "bind":
        return events.Bind(at=when, task=task, address=address, port=port)
    return events.Connect(at=when, task=task, protocol="tcp" if protocol == _TCP else "udp", address=address, port=port)


def _cgroup(name: str, record: Buffer, when: float, task: Task) -> AnyEvent:
    cgroup, length, _ = _CGROUP.unpack_from(record, _HEADER.size)
    path = _text(_part(record, _HEADER.size + _CGROUP.size, length).rstrip(b"\0"))
    kind = events.CgroupBirth if name == "cgroup_birth" else events.CgroupDeath
    return kind(at=when, task=task, cgroup=cgroup, path=path)


def _part(record: Buffer, offset: int, length: int) -> bytes:
    if offset + length > len(record):
        raise IndexError(f"{length} bytes at {offset} of {len(record)}")
    return bytes(record[offset : offset + length])


def _walked(names: bytes, flags: int) -> str:
    """The path from names leaf first. One the kernel could not follow to the root begins with ``[truncated]/``; one
    that no directory leads to (memfd) is its bare name."""
    parts = _text(names).split("\0")
    parts.pop()
    if flags & _DETACHED and len(parts) == 1:
        return parts[0]
    path = "/" + "/".join(reversed(parts))
    return f"[truncated]{path}" if flags & _TRUNCATED else path


def _place(record: Buffer, offset: int, place: tuple[int, int, int, int]) -> str:
    """A directory and the name given by the caller, joined; ``.`` and ``..`` are folded by the letter."""
    directory_length, name_length, flags, _ = place
    directory = _part(record, offset, directory_length)
    name = _text(_part(record, offset + directory_length, name_length).rstrip(b"\0"))
    if name.startswith("/"):
        return "/" + posixpath.normpath(name).lstrip("/")
    base = _walked(directory, flags)
    return posixpath.normpath(f"{base}/{name}") if name else base


def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if raw.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def _terminal(name: str) -> str:
    """pts3 → /dev/pts/3, as /proc and psutil say it."""
    if name.startswith("pts") and name[3:].isdigit():
        return f"/dev/pts/{name[3:]}"
    return f"/dev/{name}" if name else ""


def _c_string(raw: bytes) -> str:
    return _text(raw.partition(b"\0")[0])


def _text(raw: bytes) -> str:
    """Bytes that are not UTF-8 become \\xNN: visible, and fit for JSON."""
    return raw.decode("utf-8", "backslashreplace")
