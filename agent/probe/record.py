"""What the kernel's records consist of: the header, texts, paths and addresses of bpf/record.h."""

from __future__ import annotations

import posixpath
import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

from agent.probe.hooks import CLASSES
from watchkeeper.events import Task

Buffer = memoryview | bytes

HEADER = struct.Struct("@IIQQQIIIIII16sQQQIIII16s16s16s")
IDENTITY = struct.Struct("@QQQIIIIIIII")

DETACHED, TRUNCATED = 2, 4
CREATED, UPPER_LAYER, LOWER_LAYER = 256, 512, 2048
_ESSENCE = struct.Struct("@8xQ56xQ28xI16s")
_MAPPED = b"\0" * 10 + b"\xff\xff"
_NO_LOGIN = 0xFFFFFFFF
_NONE = bytes(16)


class DecodeError(Exception):
    """A record is not what the hooks write."""


def event_class(record: Buffer) -> str:
    """The class by the record's first field. Raises DecodeError."""
    if len(record) < HEADER.size:
        raise DecodeError(f"a record of {len(record)} bytes is too short")
    number = int.from_bytes(record[:4], "little" if struct.pack("@H", 1)[0] else "big")
    if number >= len(CLASSES):
        raise DecodeError(f"a record has the unknown class {number}")
    return CLASSES[number]


@dataclass(frozen=True, slots=True)
class Header:
    """``at``: nanoseconds since boot. ``key`` of the behaviour, empty when it is not to be remembered."""

    flags: int
    at: int
    task: Task
    key: bytes
    generation: int


def header(record: Buffer, identified: bool) -> Header:
    """The header and, if one follows it, the identity."""
    (_, flags, cgroup, _, _, uid, gid, effective_uid, effective_gid, login, _, comm, at, start, parent_start, tgid,
     parent, netns, generation, key, context, parent_context) = HEADER.unpack_from(record)  # fmt: skip
    login = -1 if login == _NO_LOGIN else login
    further: tuple[int, ...] = ()
    if identified:
        effective, permitted, inheritable, thread, *ids, _ = IDENTITY.unpack_from(record, HEADER.size)
        further = (thread, effective_uid, effective_gid, effective, permitted, inheritable, *ids)
    who = Task(tgid, start, parent, parent_start, uid, gid, login, cgroup, c_string(comm), netns,
               identifier(context), identifier(parent_context), *further)  # fmt: skip
    return Header(flags, at, who, identifier(key), generation)


class Essence(NamedTuple):
    """What of a header says whether the rest need be read. ``at``: nanoseconds since boot."""

    cgroup: int
    at: int
    generation: int
    key: bytes


def essence(record: Buffer) -> Essence:
    return Essence._make(_ESSENCE.unpack_from(record))


def identifier(raw: bytes) -> bytes:
    """Empty where the kernel has none."""
    return b"" if raw == _NONE else raw


def part(record: Buffer, offset: int, length: int) -> bytes:
    if offset + length > len(record):
        raise IndexError(f"{length} bytes at {offset} of {len(record)}")
    return bytes(record[offset : offset + length])


def walked(names: bytes, flags: int) -> str:
    """The path from names leaf first. One the kernel could not follow to the root begins with ``[truncated]/``; one
    that no directory leads to (memfd) is its bare name."""
    parts = text(names).split("\0")
    parts.pop()
    if flags & DETACHED and len(parts) == 1:
        return parts[0]
    path = "/" + "/".join(reversed(parts))
    return f"[truncated]{path}" if flags & TRUNCATED else path


def place(record: Buffer, offset: int, where: tuple[int, int, int, int]) -> str:
    """A directory and the name given by the caller, joined; ``.`` and ``..`` are folded by the letter."""
    directory_length, name_length, flags, _ = where
    directory = part(record, offset, directory_length)
    name = text(part(record, offset + directory_length, name_length).rstrip(b"\0"))
    if name.startswith("/"):
        return "/" + posixpath.normpath(name).lstrip("/")
    base = walked(directory, flags)
    return posixpath.normpath(f"{base}/{name}") if name else base


def device_number(device: int) -> int:
    """The kernel's number of a device as stat(2) tells it."""
    major, minor = device >> 20, device & 0xFFFFF
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if raw.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:16])
    return socket.inet_ntop(socket.AF_INET6, raw[:16])


def c_string(raw: bytes) -> str:
    return text(raw.partition(b"\0")[0])


def text(raw: bytes) -> str:
    """Bytes that are not UTF-8 become \\xNN: visible, and fit for JSON."""
    return raw.decode("utf-8", "backslashreplace")
