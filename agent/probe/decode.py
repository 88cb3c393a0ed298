"""Kernel records into events. The layouts are those of bpf/record.h and the hook families beside it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agent.probe import ancestors, decode_syscall
from agent.probe.record import (
    CREATED,
    HEADER,
    IDENTITY,
    LOWER_LAYER,
    UPPER_LAYER,
    Buffer,
    DecodeError,
    Header,
    address,
    c_string,
    device_number,
    event_class,
    header,
    identifier,
    part,
    place,
    text,
    walked,
)
from agent.probe.source import Ticket
from watchkeeper import events
from watchkeeper.events import AnyEvent, Task

_EXEC = struct.Struct("@QqqIIIIIIIIIIII16s")
_COUNT = struct.Struct("@II")
_ID_SIZE = 16
_FORK = struct.Struct("@QII16s")
_EXIT = struct.Struct("@iI")
_OPEN = struct.Struct("@QII")
_PATHS = struct.Struct("@IIIIIIIIII")
_FLOW = struct.Struct("@HHI16s")
_CAPABILITY = struct.Struct("@QII")
_CGROUP = struct.Struct("@QII")

_ARGUMENTS_TRUNCATED, _MEMFD, _AT = 256, 1024, 4096
_TCP = 6
_DAC_OVERRIDE = 1

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """``at``: nanoseconds since boot; the event has it as a unix time."""

    at: int
    event: AnyEvent
    ticket: Ticket | None


def decode(record: Buffer, boot: float) -> Decoded:
    """``boot`` is the unix time at which the machine's boot clock was zero. Raises DecodeError."""
    name = event_class(record)
    try:
        found = header(record, name in ("exec", "syscall"))
        event = _event(name, record, found.flags, boot + found.at / 1e9, found.task)
    except (struct.error, IndexError, ValueError) as error:
        raise DecodeError(f"a record of class {name} is malformed: {error}") from error
    return Decoded(found.at, event, _ticket(name, record, found) if found.key else None)


def _ticket(name: str, record: Buffer, found: Header) -> Ticket:
    by_object = decode_syscall.by_object(record) if name == "syscall" else b""
    return Ticket(found.key, found.generation, found.task.cgroup, name, by_object)


def _event(name: str, record: Buffer, flags: int, when: float, who: Task) -> AnyEvent:
    match name:
        case "exec":
            return _exec(record, flags, when, who)
        case "fork":
            return _fork(record, when, who)
        case "exit":
            return events.Exit(at=when, task=who, status=_EXIT.unpack_from(record, HEADER.size)[0])
        case "open":
            return _open(record, flags, when, who)
        case "unlink" | "rename" | "chmod":
            return _path_act(name, record, flags, when, who)
        case "listen" | "bind" | "connect":
            return _flow(name, record, when, who)
        case "capability":
            inode, capability, _ = _CAPABILITY.unpack_from(record, HEADER.size)
            return events.Capability(at=when, task=who, name=capability_name(capability), inode=inode)
        case "syscall":
            return decode_syscall.decode(record, when, who)
        case _:
            return _cgroup(name, record, when, who)


def capability_name(number: int) -> str:
    return f"CAP_{CAPABILITIES[number]}" if number < len(CAPABILITIES) else f"CAP_{number}"


def _exec(record: Buffer, flags: int, when: float, who: Task) -> events.Exec:
    offset = HEADER.size + IDENTITY.size
    before = identifier(part(record, offset, _ID_SIZE))
    offset += _ID_SIZE
    count, _ = _COUNT.unpack_from(record, offset)
    offset += _COUNT.size
    above = part(record, offset, min(count, events.MOST_ANCESTORS) * ancestors.SIZE)
    offset += events.MOST_ANCESTORS * ancestors.SIZE
    (inode, changed, modified, changed_rest, modified_rest, owner, group, mode, device, *lengths, directory_flags, _,
     tty) = _EXEC.unpack_from(record, offset)  # fmt: skip
    offset += _EXEC.size
    path, directory, arguments, environment = _parts(record, offset, lengths)
    return events.Exec(
        at=when,
        task=who,
        executable=walked(path, flags),
        arguments=_strings(arguments),
        arguments_truncated=bool(flags & _ARGUMENTS_TRUNCATED),
        working_directory=walked(directory, directory_flags),
        tty=_terminal(c_string(tty)),
        inode=inode,
        upper_layer=bool(flags & UPPER_LAYER),
        memfd=bool(flags & _MEMFD),
        ancestors=ancestors.read(above),
        name="execveat" if flags & _AT else "execve",
        environment=_strings(environment),
        tty_number=device_number(device),
        writable=_may_write(who, mode, owner, group),
        lower_layer=bool(flags & LOWER_LAYER),
        changed_at=changed * 1_000_000_000 + changed_rest,
        modified_at=modified * 1_000_000_000 + modified_rest,
        previous_context=before,
    )


def _parts(record: Buffer, offset: int, lengths: list[int]) -> list[bytes]:
    found = []
    for length in lengths:
        found.append(part(record, offset, length))
        offset += length
    return found


def _strings(raw: bytes) -> tuple[str, ...]:
    return tuple(text(each) for each in raw.removesuffix(b"\0").split(b"\0")) if raw else ()


def _may_write(who: Task, mode: int, owner: int, group: int) -> bool:
    """By the mode's bits and the effective ids, or by CAP_DAC_OVERRIDE; further groups, access lists and whether the
    mount is read-only are not looked at."""
    if who.cap_effective >> _DAC_OVERRIDE & 1:
        return True
    if who.effective_uid == owner:
        return bool(mode & 0o200)
    return bool(mode & (0o020 if who.effective_gid == group else 0o002))


def _fork(record: Buffer, when: float, who: Task) -> events.Fork:
    child_start, child, _, became = _FORK.unpack_from(record, HEADER.size)
    ids = IDENTITY.unpack_from(record, HEADER.size + _FORK.size)
    return events.Fork(
        at=when,
        task=who,
        child_pid=child,
        child_start=child_start,
        child_context=identifier(became),
        child_virtual_pid=ids[4],
        group=ids[6],
        virtual_group=ids[7],
        session=ids[8],
        virtual_session=ids[9],
    )


def _open(record: Buffer, flags: int, when: float, who: Task) -> events.Open:
    inode, open_flags, length = _OPEN.unpack_from(record, HEADER.size)
    path = part(record, HEADER.size + _OPEN.size, length)
    return events.Open(
        at=when, task=who, path=walked(path, flags), flags=open_flags, created=bool(flags & CREATED), inode=inode
    )


def _path_act(name: str, record: Buffer, flags: int, when: float, who: Task) -> AnyEvent:
    fields = _PATHS.unpack_from(record, HEADER.size)
    first, second, mode = fields[0:4], fields[4:8], fields[8]
    offset = HEADER.size + _PATHS.size
    path = place(record, offset, first)
    if name == "unlink":
        return events.Unlink(at=when, task=who, path=path)
    if name == "chmod":
        return events.Chmod(at=when, task=who, path=path, mode=mode & 0o7777)
    new_path = place(record, offset + first[0] + first[1], second)
    return events.Rename(at=when, task=who, path=path, new_path=new_path)


def _flow(name: str, record: Buffer, when: float, who: Task) -> AnyEvent:
    family, port, protocol, raw = _FLOW.unpack_from(record, HEADER.size)
    told = address(family, raw)
    if name == "listen":
        return events.Listen(at=when, task=who, address=told, port=port)
    if name == "bind":
        return events.Bind(at=when, task=who, address=told, port=port)
    return events.Connect(at=when, task=who, protocol="tcp" if protocol == _TCP else "udp", address=told, port=port)


def _cgroup(name: str, record: Buffer, when: float, who: Task) -> AnyEvent:
    cgroup, length, _ = _CGROUP.unpack_from(record, HEADER.size)
    path = text(part(record, HEADER.size + _CGROUP.size, length).rstrip(b"\0"))
    kind = events.CgroupBirth if name == "cgroup_birth" else events.CgroupDeath
    return kind(at=when, task=who, cgroup=cgroup, path=path)


def _terminal(name: str) -> str:
    """pts3 → /dev/pts/3, as /proc and psutil say it."""
    if name.startswith("pts") and name[3:].isdigit():
        return f"/dev/pts/{name[3:]}"
    return f"/dev/{name}" if name else ""
