"""What a field is: its type, its argument, how it is compared, and how it is taken out of an event."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Protocol

Value = (
    str
    | int
    | bool
    | bytes
    | tuple["str | int | bytes | ipaddress.IPv4Address | ipaddress.IPv6Address", ...]
    | (ipaddress.IPv4Address | ipaddress.IPv6Address)
)
Extractor = Callable[[Any], Value | None]
"""Takes the field out of one event; None: the event does not have it. Never raises."""


class Type(StrEnum):
    """Decides which operators a field allows and what literals mean. Values extracted: str, int, bool, bytes,
    address."""

    STRING = "string"
    PATH = "path"  # a string that is a file's path
    INTEGER = "integer"  # literals are numbers, decimal or 0x…
    BOOLEAN = "boolean"
    PORT = "port"  # an integer; literals may also be a service's name (http)
    ADDRESS = "address"  # an IP address; literals are addresses
    NETWORK = "network"  # an IP address; literals are CIDR networks
    BYTES = "bytes"  # bcontains, bstartswith take hexadecimal; other operators as for text
    TIME = "time"  # nanoseconds since 1970 (integer); printed as Falco prints times
    DURATION = "duration"  # nanoseconds (integer)


class Argument(Enum):
    """What may stand in brackets."""

    NONE = "none"
    INDEX = "index"  # required non-negative number
    KEY = "key"  # required text
    OPTIONAL_INDEX = "optional index"
    OPTIONAL_KEY = "optional key"


class Quantifier(Enum):
    """How a field that stands for several values at once (a tuple is extracted) is compared. List fields
    (``is_list``) are something else: they allow only exists, in, intersects."""

    ONE = "one"
    ANY = "any"  # true when the comparison holds for any of them, whatever the operator: proc.aname
    EITHER = "either"  # fd.ip, fd.port, fd.net: positive operators need one that holds, != all


def _any_type(_event_type: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Where:
    """Two events of the same behaviour may differ in a comparison, but not everywhere: ``differ`` is False of an event
    if all events of its behaviour compare as it does. It is asked of events whose type is ``of_type``; ``elsewhere``
    says it of all those of other types. Neither function raises. ``otherwise``: the field's value where they do not
    differ, if it has but one."""

    differ: Callable[[Any], bool]
    of_type: Callable[[str], bool] = _any_type
    otherwise: Value | None = None
    elsewhere: bool = False


Variation = bool | Where
"""Whether two events of the same behaviour may differ in a comparison."""

Varies = Callable[[str, Sequence[str]], Variation]
"""Of operator and literals; operator "" stands for the mere use, in a transformer or beside another field."""


def never(_operator: str, _literals: Sequence[str]) -> bool:
    """For FieldInfo.varies: two events of the same behaviour never differ in this comparison."""
    return False


def always(_operator: str, _literals: Sequence[str]) -> bool:
    """For FieldInfo.varies: they may."""
    return True


def where(
    differ: Callable[[Any], bool],
    of_type: Callable[[str], bool] = _any_type,
    otherwise: Value | None = None,
    elsewhere: bool = False,
) -> Varies:
    """For FieldInfo.varies: they may where ``Where`` says so, whatever the comparison."""
    variation = Where(differ, of_type, otherwise, elsewhere)
    return lambda _operator, _literals: variation


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a source. ``extractor(argument)`` gives the function that takes it out of an event; it raises
    ValueError, with the reason, for an argument that is not allowed. ``varies(operator, literals)``: whether a
    comparison like this can come out differently for two events of the same behaviour (of the syscall source: see
    ``rules.sources.declarations``). ``right_side``: may stand in val(…) on the right. ``match``: given, it replaces the
    generic comparison for some operators: it gets operator and literals and returns a predicate over the extracted
    value, or None where the generic comparison is right."""

    name: str
    type: Type
    description: str
    extractor: Callable[[str | None], Extractor]
    argument: Argument = Argument.NONE
    is_list: bool = False
    quantifier: Quantifier = Quantifier.ONE
    right_side: bool = True
    varies: Varies = never
    deprecated: str = ""  # the reason, told as a warning
    absent: str = ""  # why no event has it
    match: Callable[[str, Sequence[str]], Callable[[Any], bool] | None] = field(
        default=lambda _operator, _literals: None
    )


class Source(Protocol):
    """A source of events: syscall, k8s_audit, aws_cloudtrail.

    ``event_types``: every name that ``evt.type`` may be compared with. A source with one type (the JSON ones:
    "pluginevent") needs no index. ``event_type(event)`` gives that of one event.
    """

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, FieldInfo]: ...

    @property
    def event_types(self) -> frozenset[str]: ...

    def event_type(self, event: Any) -> str: ...

    def time(self, event: Any) -> int:
        """When it happened: nanoseconds since 1970."""
        ...

    def is_worded(self, event_type: str, name: str, argument: str | None) -> bool:
        """Whether the field depends on how the caller worded the name of the object, and not on the object alone."""
        ...


def simple(get: Extractor) -> Callable[[str | None], Extractor]:
    """For fields without an argument."""
    return lambda _argument: get
