"""The two ends of a socket, and how Falco names what a descriptor stands for.

Falco speaks of a client and a server: the client is who connected, or sent first. A socket that listens or is
bound has a server's end only; one that is neither has none.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from watchkeeper.events import Descriptor

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

INTERNET = frozenset({"ipv4", "ipv6"})
CHARACTERS = {
    "file": "f", "directory": "d", "ipv4": "4", "ipv6": "6", "unix": "u", "pipe": "p", "event": "e", "signalfd": "s",
    "eventpoll": "l", "inotify": "i", "timerfd": "t", "netlink": "n", "bpf": "b", "userfaultfd": "u", "io_uring": "r",
    "memfd": "m", "pidfd": "P",
}  # fmt: skip
DATA_CALLS = frozenset({"sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"})
_MAPPED = "::ffff:"


@lru_cache(8192)
def address(text: str) -> Address | None:
    """The address; an IPv4 one that an IPv6 socket wraps unwrapped. None for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def kind(descriptor: Descriptor) -> str:
    """Falco's fd.type, "<NA>" for what it does not know. An IPv6 socket that speaks IPv4 is ipv4."""
    found = descriptor.kind
    if found == "ipv6" and (descriptor.remote_address or descriptor.local_address).lower().startswith(_MAPPED):
        return "ipv4"
    return found if found in CHARACTERS else "<NA>"


def character(descriptor: Descriptor) -> str:
    return CHARACTERS.get(kind(descriptor), "o")


def is_server(descriptor: Descriptor) -> bool:
    """Whether the local end is the server's: there is no other end, or it began."""
    return descriptor.server or not descriptor.remote_address


def has_server(descriptor: Descriptor) -> bool:
    """Whether there is a server's end at all."""
    return bool(descriptor.remote_address or descriptor.local_port or descriptor.server)


def name(descriptor: Descriptor | None) -> str | None:
    """fd.name: a path, or the ends of a connection, the client's first."""
    if descriptor is None:
        return None
    if descriptor.kind not in INTERNET:
        return descriptor.path
    if not descriptor.remote_address:
        return local(descriptor) if has_server(descriptor) else ""
    ends = (remote(descriptor), local(descriptor)) if descriptor.server else (local(descriptor), remote(descriptor))
    return "->".join(ends)


def local(descriptor: Descriptor) -> str:
    return _end(descriptor.local_address, descriptor.local_port, descriptor.path)


def remote(descriptor: Descriptor) -> str:
    return _end(descriptor.remote_address, descriptor.remote_port, descriptor.path)


def marked(descriptor: Descriptor) -> str:
    """As Falco prints a descriptor among arguments: ``<f>/etc/passwd``, ``<4t>10.0.0.1:40000->10.0.0.2:80``."""
    protocol = descriptor.protocol[:1] if descriptor.kind in INTERNET else ""
    return f"<{character(descriptor)}{protocol}>{name(descriptor)}"


def _end(text: str, port: int, path: str) -> str:
    if not text:
        return path
    found = address(text)
    return f"{found or text}:{port}"
