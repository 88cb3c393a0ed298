"""fd.*: the ends of a socket, by role (client and server) and by side (local and remote), and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rules.fields import Extractor, FieldInfo, Quantifier, Type, Value, always, never
from rules.sources import sockets
from rules.sources.activity import Activity, Domains
from rules.sources.arguments import UNKNOWN
from rules.sources.declarations import Varies, field, text
from watchkeeper.events import Descriptor, Syscall

End = tuple[str, int]
"""Address and port."""

FindEnd = Callable[[Descriptor], End | None]


class Named(str):
    """A domain name found for an address, "<NA>" where none is known. It carries whom a comparison has to ask: which
    addresses does a name in a rule stand for?"""

    address: str
    domains: Domains

    __slots__ = ("address", "domains")


def socket_fields() -> tuple[FieldInfo, ...]:
    ends: tuple[tuple[str, str, FindEnd, Varies], ...] = (
        ("c", "client", _client, always),
        ("s", "server", _server, never),
        ("l", "local", _local, always),
        ("r", "remote", _remote, always),
    )
    return tuple(found for end in ends for found in _of_end(*end)) + _of_either()


def _of_end(letter: str, what: str, find: FindEnd, port_varies: Varies) -> tuple[FieldInfo, ...]:
    return (
        field(f"fd.{letter}ip", Type.ADDRESS, f"Address of the {what} end.", _address(find)),
        field(f"fd.{letter}net", Type.NETWORK, f"The {what} end's address, as part of networks.", _address(find)),
        field(f"fd.{letter}port", Type.PORT, f"Port of the {what} end.", _port(find), port_varies),
        text(f"fd.{letter}proto", "The same as text.", _port_text(find), port_varies),
        FieldInfo(
            f"fd.{letter}ip.name",
            Type.STRING,
            f"Domain name of the {what} end; comparing asks which addresses the name stands for.",
            lambda _argument: _domain_name(find),
            varies=always,
            match=_match_name,
        ),
    )


def _of_either() -> tuple[FieldInfo, ...]:
    return (
        _either("fd.ip", Type.ADDRESS, "Address of either end.", _addresses, never),
        _either("fd.net", Type.NETWORK, "The address of either end, as part of networks.", _addresses, never),
        _either("fd.port", Type.PORT, "Port of either end.", _ports, always),
        _either("fd.proto", Type.PORT, "The same.", _ports, always),
    )


def _either(name: str, kind: Type, description: str, get: Extractor, varies: Varies) -> FieldInfo:
    return FieldInfo(
        name,
        kind,
        description,
        lambda _argument: get,
        quantifier=Quantifier.EITHER,
        right_side=False,
        varies=varies,
    )


def _socket(activity: Activity) -> Descriptor | None:
    event = activity.event
    if type(event) is not Syscall or event.descriptor is None or event.descriptor.kind not in sockets.INTERNET:
        return None
    return event.descriptor


def _client(found: Descriptor) -> End | None:
    if not found.remote_address:
        return None
    return _remote(found) if found.server else _local(found)


def _server(found: Descriptor) -> End | None:
    if found.remote_address:
        return _local(found) if found.server else _remote(found)
    return (found.local_address, found.local_port) if sockets.has_server(found) else None


def _local(found: Descriptor) -> End | None:
    """As for Falco, a socket has sides only when it has two ends."""
    return (found.local_address, found.local_port) if found.remote_address else None


def _remote(found: Descriptor) -> End | None:
    return (found.remote_address, found.remote_port) if found.remote_address else None


def _end(activity: Activity, find: FindEnd) -> End | None:
    found = _socket(activity)
    return find(found) if found is not None else None


def _address(find: FindEnd) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        end = _end(activity, find)
        return sockets.address(end[0]) if end is not None else None

    return extract


def _port(find: FindEnd) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        end = _end(activity, find)
        return end[1] if end is not None else None

    return extract


def _port_text(find: FindEnd) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        end = _end(activity, find)
        return str(end[1]) if end is not None else None

    return extract


def _ends(activity: Activity) -> list[End]:
    found = _socket(activity)
    if found is None:
        return []
    return [end for end in (_client(found), _server(found)) if end is not None]


def _addresses(activity: Activity) -> Value | None:
    found = [sockets.address(end[0]) for end in _ends(activity)]
    return tuple(address for address in found if address is not None) or None


def _ports(activity: Activity) -> Value | None:
    return tuple(end[1] for end in _ends(activity)) or None


def _domain_name(find: FindEnd) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        end = _end(activity, find)
        address = sockets.address(end[0]) if end is not None else None
        if address is None:
            return None
        name = Named(activity.domains.name_of(str(address)) or UNKNOWN)
        name.address, name.domains = str(address), activity.domains
        return name

    return extract


def _match_name(operator: str, literals: Sequence[str]) -> Callable[[Any], bool] | None:
    """Equality of names is that the address is one of those the name stands for."""
    names = tuple(literals)

    def is_one(value: Named) -> bool:
        return any(value.address in value.domains.addresses(name) for name in names)

    if operator in ("=", "in"):
        return is_one
    if operator == "!=":
        return lambda value: not is_one(value)
    return (lambda value: value != UNKNOWN) if operator == "exists" else None
