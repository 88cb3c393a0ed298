"""fd.*: the ends of a socket, by role (client and server) and by side (local and remote), and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rules.fields import Extractor, FieldInfo, Quantifier, Type, Value, Varies, never, where
from rules.sources import sockets
from rules.sources.activity import Activity, Domains
from rules.sources.arguments import UNKNOWN, result
from rules.sources.declarations import field, text
from rules.sources.syscall_names import EXECUTIONS, OPENS
from watchkeeper.events import Descriptor, Exec, Syscall

End = tuple[str, int]
"""Address and port."""

FindEnd = Callable[[Descriptor], End | None]
_WITHOUT_SOCKETS = OPENS | EXECUTIONS
_NEVER_BOUND = frozenset({"socket", "accept", "accept4"})  # too new, or a server's
_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 nothing is bound here


class Named(str):
    """A domain name found for an address, "<NA>" where none is known. It carries whom a comparison has to ask: which
    addresses does a name in a rule stand for?"""

    address: str
    domains: Domains

    __slots__ = ("address", "domains")


@dataclass(frozen=True, slots=True)
class _End:
    """One of the ends: how it is found, and where its address and its port may vary."""

    letter: str
    what: str
    find: FindEnd
    address_varies: Varies
    port_varies: Varies


def socket_fields() -> tuple[FieldInfo, ...]:
    ends = (
        _End("c", "client", _client, where(_client_address_may_vary, can_be_bound), where(_has_client, has_sockets)),
        _End("s", "server", _server, where(may_be_bound, can_be_bound), where(may_be_bound, can_be_bound)),
        _End("l", "local", _local, where(_client_address_may_vary, can_be_bound), where(_is_local_client, has_sockets)),
        _End("r", "remote", _remote, never, where(_is_remote_client, has_sockets)),
    )
    return tuple(found for end in ends for found in _of_end(end)) + _of_either()


def _of_end(end: _End) -> tuple[FieldInfo, ...]:
    letter, what, find = end.letter, end.what, end.find
    network = f"The {what} end's address, as part of networks."
    return (
        field(f"fd.{letter}ip", Type.ADDRESS, f"Address of the {what} end.", _address(find), end.address_varies),
        field(f"fd.{letter}net", Type.NETWORK, network, _address(find), end.address_varies),
        field(f"fd.{letter}port", Type.PORT, f"Port of the {what} end.", _port(find), end.port_varies),
        text(f"fd.{letter}proto", "The same as text.", _port_text(find), end.port_varies),
        FieldInfo(
            f"fd.{letter}ip.name",
            Type.STRING,
            f"Domain name of the {what} end; comparing asks which addresses the name stands for.",
            lambda _argument: _domain_name(find),
            varies=end.address_varies,
            match=_match_name,
        ),
    )


def _of_either() -> tuple[FieldInfo, ...]:
    addresses, ports = where(_any_address_may_vary, can_be_bound), where(name_may_vary, has_sockets)
    return (
        _either("fd.ip", Type.ADDRESS, "Address of either end.", _addresses, addresses),
        _either("fd.net", Type.NETWORK, "The address of either end, as part of networks.", _addresses, addresses),
        _either("fd.port", Type.PORT, "Port of either end.", _ports, ports),
        _either("fd.proto", Type.PORT, "The same.", _ports, ports),
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


def has_sockets(event_type: str) -> bool:
    """Whether events of this type can be about one."""
    return event_type not in _WITHOUT_SOCKETS


def can_be_bound(event_type: str) -> bool:
    """Whether the sockets of such events need not all have a peer or be a server's."""
    return event_type not in _NEVER_BOUND and has_sockets(event_type)


def name_may_vary(activity: Activity) -> bool:
    """Whether a port that is no server's is part of what the descriptor is called."""
    return _has_client(activity) or may_be_bound(activity)


def may_be_bound(activity: Activity) -> bool:
    """Whether the socket may have a port now, or no more, without being a server's or having a peer."""
    found, event = _socket(activity), activity.event
    if found is None or found.server or found.remote_address:
        return False
    return event.name not in _NEVER_BOUND and not _binds_a_port(event)


def _has_client(activity: Activity) -> bool:
    found = _socket(activity)
    return found is not None and bool(found.remote_address)


def _is_local_client(activity: Activity) -> bool:
    found = _socket(activity)
    return found is not None and bool(found.remote_address) and not found.server


def _is_remote_client(activity: Activity) -> bool:
    found = _socket(activity)
    return found is not None and bool(found.remote_address) and found.server


def _binds_a_port(event: Exec | Syscall) -> bool:
    """One of the caller's choice."""
    if type(event) is not Syscall or event.name != "bind" or event.result < 0:
        return False
    given = event.arguments.get("addr")
    return isinstance(given, str) and not given.endswith(":0")


def _client_address_may_vary(activity: Activity) -> bool:
    """A socket without an address of its own has none, or any, by whether it has a port; after success it has."""
    found = _socket(activity)
    if found is None or found.server or not found.remote_address:
        return False
    return found.local_address in _ANYWHERE and result(activity) < 0


def _any_address_may_vary(activity: Activity) -> bool:
    return may_be_bound(activity) or _client_address_may_vary(activity)


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
