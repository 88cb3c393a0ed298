"""What a descriptor stands for (``struct described`` of bpf/syscalls.c), and socket addresses."""

from __future__ import annotations

import socket
import stat
import struct
from dataclasses import astuple, dataclass

from agent.probe.record import (
    CREATED,
    DETACHED,
    LOWER_LAYER,
    UPPER_LAYER,
    Buffer,
    address,
    c_string,
    device_number,
    part,
    text,
    walked,
)
from agent.probe.syscalls import Call
from watchkeeper.events import Descriptor

_DESCRIBED = struct.Struct("@QIIIIHHHHIIII16s16s")
SIZE = _DESCRIBED.size

_CONNECTED = (1, 8)  # TCP_ESTABLISHED, which other sockets use, too; TCP_CLOSE_WAIT
_RAW = 3
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 262: "tcp"}  # 262: multipath TCP
_FAMILIES = {1: "unix", 2: "ipv4", 10: "ipv6", 16: "netlink", 17: "packet"}
_ANY = socket.inet_ntoa(bytes(4))
_PIPES, _ANONYMOUS, _PIDS, _NAMESPACES = 0x50495045, 0x09041934, 0x50494446, 0x6E736673
_KINDS = {
    "[eventpoll]": "eventpoll", "[eventfd]": "event", "[timerfd]": "timerfd", "[signalfd]": "signalfd",
    "[userfaultfd]": "userfaultfd", "[io_uring]": "io_uring", "[pidfd]": "pidfd", "inotify": "inotify", "btf": "bpf",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """A sockaddr; ``path`` of unix sockets, else address and port."""

    address: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.address else self.path


@dataclass(frozen=True, slots=True)
class Passing:
    """What two calls about the same object need not share."""

    number: int
    inode: int
    local_port: int
    remote_port: int
    state: int


@dataclass(frozen=True, slots=True)
class _Described:
    magic: int
    device: int
    mode: int
    flags: int
    path_length: int
    family: int
    type: int
    protocol: int
    server_port: int
    server: int
    local_length: int
    remote_length: int
    _: int
    local: bytes
    remote: bytes
    number: int
    inode: int
    local_port: int
    remote_port: int
    state: int


def sockaddr(raw: bytes) -> Address:
    """Empty for what has no address that could be told."""
    family = int.from_bytes(raw[:2], "little" if struct.pack("@H", 1)[0] else "big")
    port = int.from_bytes(raw[2:4], "big")
    if family == socket.AF_UNIX:
        return Address(path=_unix_name(raw[2:]))
    if family == socket.AF_INET and len(raw) >= 8:
        return Address(address(family, raw[4:8]), port)
    if family == socket.AF_INET6 and len(raw) >= 24:
        return Address(address(family, raw[8:24]), port)
    return Address()


def was_created(record: Buffer, offset: int) -> bool:
    """Whether the call that opened the file described at ``offset`` made it."""
    flags: int = _DESCRIBED.unpack_from(record, offset)[3]
    return bool(flags & CREATED)


def read(
    record: Buffer, offset: int, texts: int, call: Call, told: Address, passing: Passing
) -> tuple[Descriptor | None, int]:
    """The descriptor described at ``offset`` (None: there is none), and how many of the bytes at ``texts`` are its.

    ``told``: the address that the caller gave or got. Raises struct.error or IndexError.
    """
    found = _Described(*_DESCRIBED.unpack_from(record, offset), *astuple(passing))
    if not found.mode:
        return None, 0
    if stat.S_ISSOCK(found.mode):
        names = found.local_length + found.remote_length
        local = _unix_name(part(record, texts, found.local_length))
        remote = _unix_name(part(record, texts + found.local_length, found.remote_length))
        if found.family in (socket.AF_INET, socket.AF_INET6):
            return _internet(found, call, told), names
        return _local(found, call, _path(call, told.path, local, remote)), names
    return _file(found, walked(part(record, texts, found.path_length), found.flags)), found.path_length


def _file(found: _Described, path: str) -> Descriptor:
    return Descriptor(
        number=found.number,
        kind=_kind(found, path),
        path=f"ns:[{found.inode}]" if found.magic == _NAMESPACES else path,
        inode=found.inode,
        device=device_number(found.device),
        upper_layer=bool(found.flags & UPPER_LAYER),
        lower_layer=bool(found.flags & LOWER_LAYER),
    )


def _kind(found: _Described, path: str) -> str:
    if found.magic == _ANONYMOUS:
        return "bpf" if path.startswith("bpf") else _KINDS.get(path, "other")
    if found.magic == _PIPES:
        return "pipe"
    if found.magic == _PIDS:
        return "pidfd"
    if found.flags & DETACHED and path.startswith("memfd:"):
        return "memfd"
    return "directory" if stat.S_ISDIR(found.mode) else "file"


def _local(found: _Described, call: Call, path: str) -> Descriptor:
    """A socket that is not of the internet."""
    return Descriptor(
        number=found.number,
        kind=_FAMILIES.get(found.family, "other"),
        path=path,
        inode=found.inode,
        device=device_number(found.device),
        connected=found.family == socket.AF_UNIX and found.state in _CONNECTED,
        server=bool(found.server) or call.accepts,
    )


def _path(call: Call, told: str, local: str, remote: str) -> str:
    """Of a unix socket: the peer's where the call is about the peer, else its own."""
    if call.names_peer:
        return told or remote or local
    return local or told or remote


def _internet(found: _Described, call: Call, told: Address) -> Descriptor:
    """An IPv4 connection over an IPv6 socket is told as IPv4."""
    raw = found.type == _RAW  # its "port" is the number of its protocol
    local = _endpoint(found.family, found.local, 0 if raw else found.local_port)
    remote = _endpoint(found.family, found.remote, found.remote_port)
    if not found.remote_port and call.names_peer and told.address:
        remote = Address(told.address, told.port)
    mapped = found.family == socket.AF_INET6 and ("." in remote.address or "." in local.address)
    if mapped and local.address == "::":
        local = Address(_ANY, local.port)
    return Descriptor(
        number=found.number,
        kind="ipv4" if mapped else _FAMILIES[found.family],
        inode=found.inode,
        device=device_number(found.device),
        protocol="raw" if raw else _PROTOCOLS.get(found.protocol, ""),
        local_address=local.address,
        local_port=local.port,
        remote_address=remote.address,
        remote_port=remote.port,
        connected=found.state in _CONNECTED,
        server=bool(found.server) or call.accepts,
    )


def _endpoint(family: int, raw: bytes, port: int) -> Address:
    return Address(address(family, raw), port) if port or any(raw) else Address()


def _unix_name(raw: bytes) -> str:
    """An abstract name begins with @, as in /proc/net/unix."""
    return c_string(raw) if raw[:1] != b"\0" else text(raw.replace(b"\0", b"@"))
