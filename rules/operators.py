"""Operators: which of them a type allows, and what each says about a value. A missing value never comes here."""

from __future__ import annotations

import functools
import operator as python
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from rules import patterns
from rules.fields import Quantifier, Type
from rules.literals import READERS, Address, Network, hexadecimal

Predicate = Callable[[Any], object]
"""Its result counts for its truth only."""

TEXT = frozenset({Type.STRING, Type.PATH})
NUMERIC = frozenset({Type.INTEGER, Type.PORT, Type.TIME, Type.DURATION})
_EQUALITY = frozenset({"=", "!=", "in", "intersects"})
_ORDER = frozenset({"<", "<=", ">", ">="})
_TEXTUAL = frozenset(
    {"contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex", "pmatch"},
)
_OCTETS = frozenset({"contains", "startswith", "endswith", "bcontains", "bstartswith"})
_LISTS = frozenset({"in", "intersects"})
LIST_OPERATORS = frozenset({"in", "intersects", "pmatch"})
OPERATORS = _EQUALITY | _ORDER | _TEXTUAL | _OCTETS


class Kind(Enum):
    """How a value is compared with the constant of a Comparison; CALL: the constant is a predicate."""

    EXISTS = auto()
    EQUAL = auto()
    UNEQUAL = auto()
    MEMBER = auto()
    STARTS = auto()
    ENDS = auto()
    CONTAINS = auto()
    LESS = auto()
    LESS_EQUAL = auto()
    GREATER = auto()
    GREATER_EQUAL = auto()
    CALL = auto()


_KINDS = {
    "=": Kind.EQUAL,
    "!=": Kind.UNEQUAL,
    "<": Kind.LESS,
    "<=": Kind.LESS_EQUAL,
    ">": Kind.GREATER,
    ">=": Kind.GREATER_EQUAL,
    "contains": Kind.CONTAINS,
    "startswith": Kind.STARTS,
    "endswith": Kind.ENDS,
    "bcontains": Kind.CONTAINS,
    "bstartswith": Kind.STARTS,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``constant``: text, number, bytes, a frozen set of them (MEMBER), a tuple (STARTS, ENDS) or a predicate."""

    kind: Kind
    constant: Any = None

    @property
    def predicate(self) -> Predicate:
        """The same as a function of the value."""
        return _PREDICATES[self.kind](self.constant)


_PREDICATES: dict[Kind, Callable[[Any], Predicate]] = {
    Kind.EXISTS: lambda _: lambda _value: True,
    Kind.EQUAL: lambda constant: lambda value: value == constant,
    Kind.UNEQUAL: lambda constant: lambda value: value != constant,
    Kind.MEMBER: lambda constant: lambda value: value in constant,
    Kind.STARTS: lambda constant: lambda value: value.startswith(constant),
    Kind.ENDS: lambda constant: lambda value: value.endswith(constant),
    Kind.CONTAINS: lambda constant: lambda value: constant in value,
    Kind.LESS: lambda constant: lambda value: value < constant,
    Kind.LESS_EQUAL: lambda constant: lambda value: value <= constant,
    Kind.GREATER: lambda constant: lambda value: value > constant,
    Kind.GREATER_EQUAL: lambda constant: lambda value: value >= constant,
    Kind.CALL: lambda constant: constant,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of value stands on one side of an operator. A list, and a field that stands for several values, is a
    tuple."""

    type: Type
    is_list: bool = False
    quantifier: Quantifier = Quantifier.ONE


def check_operator(shape: Shape, operator: str) -> None:
    """ValueError unless values of this shape can be compared so."""
    if operator not in OPERATORS:
        raise ValueError(f"unrecognized filter comparison operator '{operator}'")
    if shape.is_list and (shape.type is Type.BYTES or operator not in _LISTS):
        raise ValueError(f"'{operator}' operator not supported for list filters")
    allowed, family = _family(shape.type)
    if operator not in allowed:
        raise ValueError(f"'{operator}' operator not supported for {family} filters")


def comparison(shape: Shape, operator: str, literals: Sequence[str], modifier: str = "") -> Comparison:
    """What ``VALUE operator literals`` says; ``modifier``: oneof, anyof, allof. ValueError: not allowed, or a literal
    is none of the type."""
    check_operator(shape, operator)
    if modifier and operator in LIST_OPERATORS:
        raise ValueError(f"'{operator}' operator does not take '{modifier}'")
    if modifier:
        return _modified([_single(shape.type, operator, literal) for literal in literals], operator, modifier, shape)
    one = _multiple(shape.type, operator, literals) if operator in LIST_OPERATORS else _only(shape, operator, literals)
    return quantified(one, shape, operator)


def quantified(one: Comparison, shape: Shape, operator: str) -> Comparison:
    """The comparison over all values at once, from that of one value."""
    if shape.is_list:
        return Comparison(Kind.CALL, _subset(one) if operator == "in" else _overlap(one))
    if shape.quantifier is Quantifier.ONE:
        return one
    if shape.quantifier is Quantifier.EITHER and operator == "!=":
        return Comparison(Kind.CALL, _each(one.predicate, all))
    if one.kind is Kind.MEMBER:
        return Comparison(Kind.CALL, _any_member(one.constant))
    return Comparison(Kind.CALL, _each(one.predicate, any))


def modified(predicates: Sequence[Predicate], modifier: str) -> Predicate:
    """How many of the alternatives must hold. None do of no alternatives, whatever the modifier."""
    if not predicates:
        return lambda _value: False
    if modifier == "oneof":
        return lambda value: sum(1 for predicate in predicates if predicate(value)) == 1
    if modifier == "anyof":
        return lambda value: any(predicate(value) for predicate in predicates)
    return lambda value: all(predicate(value) for predicate in predicates)


def relation(left: Shape, operator: str, right: Shape) -> Callable[[Any, Any], object]:
    """What ``LEFT operator RIGHT`` says where both are taken out of the event. ValueError: they can not be compared."""
    check_operator(left, operator)
    if operator in ("pmatch", "regex"):
        raise ValueError(f"operator '{operator}' doesn't support right-hand side fields")
    if left.type is Type.NETWORK:
        raise ValueError("field type 'IPNET' doesn't support right-hand side fields")
    if not same_type(left.type, right.type) or left.is_list != right.is_list:
        raise ValueError(
            f"the left-hand side has type '{_told(left)}' while the right-hand side has incompatible type"
            f" '{_told(right)}'"
        )
    if left.is_list:
        return _LIST_RELATIONS[operator]
    return _RELATIONS[operator]


def same_type(one: Type, other: Type) -> bool:
    """Paths are texts."""
    return one is other or (one in TEXT and other in TEXT)


def _told(shape: Shape) -> str:
    return f"{shape.type}{' (list)' if shape.is_list else ''}"


def _family(kind: Type) -> tuple[frozenset[str], str]:
    if kind in TEXT:
        return _EQUALITY | _ORDER | _TEXTUAL, "string"
    if kind in NUMERIC:
        return _EQUALITY | _ORDER, "numeric"
    if kind is Type.BYTES:
        return _EQUALITY | _OCTETS, "buffer"
    if kind is Type.BOOLEAN:
        return _EQUALITY, "boolean"
    return _EQUALITY, "ip address and network"


def _only(shape: Shape, operator: str, literals: Sequence[str]) -> Comparison:
    if len(literals) != 1:
        raise ValueError(f"'{operator}' operator takes one value")
    return _single(shape.type, operator, literals[0])


def _single(kind: Type, operator: str, literal: str) -> Comparison:
    if operator in ("bcontains", "bstartswith"):
        return Comparison(_KINDS[operator], hexadecimal(literal))
    value = READERS[kind](literal)
    if isinstance(value, Network):
        return Comparison(Kind.CALL, _outside(value) if operator == "!=" else _inside(value))
    if isinstance(value, Address):
        return Comparison(Kind.CALL, Comparison(_KINDS[operator], value).predicate)
    if operator in _KINDS:
        return Comparison(_KINDS[operator], value)
    return Comparison(Kind.CALL, _PATTERNS[operator](str(value)))


def _multiple(kind: Type, operator: str, literals: Sequence[str]) -> Comparison:
    values = [READERS[kind](literal) for literal in literals]
    if operator == "pmatch":
        return Comparison(Kind.CALL, patterns.path_prefixes([str(value) for value in values]))
    if kind is Type.NETWORK:
        inside = [_inside(value) for value in values if isinstance(value, Network)]
        return Comparison(Kind.CALL, lambda value: any(predicate(value) for predicate in inside))
    if kind is Type.ADDRESS:
        return Comparison(Kind.CALL, _addresses([value for value in values if isinstance(value, Address)]))
    return Comparison(Kind.MEMBER, frozenset(values))


def _modified(alternatives: Sequence[Comparison], operator: str, modifier: str, shape: Shape) -> Comparison:
    kinds = {alternative.kind for alternative in alternatives}
    if modifier == "anyof" and kinds == {Kind.EQUAL}:
        one = Comparison(Kind.MEMBER, frozenset(alternative.constant for alternative in alternatives))
    elif modifier == "anyof" and len(kinds) == 1 and kinds <= {Kind.STARTS, Kind.ENDS}:
        one = Comparison(alternatives[0].kind, tuple(alternative.constant for alternative in alternatives))
    else:
        one = Comparison(Kind.CALL, modified([alternative.predicate for alternative in alternatives], modifier))
    return quantified(one, shape, operator)


def _inside(network: Network) -> Predicate:
    version, mask, base = network.version, int(network.netmask), int(network.network_address)
    return lambda value: value.version == version and int(value) & mask == base


def _outside(network: Network) -> Predicate:
    inside = _inside(network)
    return lambda value: not inside(value)


def _addresses(addresses: Sequence[Address]) -> Predicate:
    four = frozenset(int(address) for address in addresses if address.version == 4)
    six = frozenset(int(address) for address in addresses if address.version == 6)
    return lambda value: int(value) in (four if value.version == 4 else six)


def _each(predicate: Predicate, together: Callable[[Any], bool]) -> Predicate:
    return lambda value: together(map(predicate, value)) if type(value) is tuple else predicate(value)


def _any_member(members: frozenset[Any]) -> Predicate:
    return lambda value: not members.isdisjoint(value) if type(value) is tuple else value in members


def _subset(one: Comparison) -> Predicate:
    if one.kind is Kind.MEMBER:
        members: frozenset[Any] = one.constant
        return members.issuperset
    predicate = one.predicate
    return lambda values: all(map(predicate, values))


def _overlap(one: Comparison) -> Predicate:
    if one.kind is Kind.MEMBER:
        members: frozenset[Any] = one.constant
        return lambda values: not members.isdisjoint(values)
    predicate = one.predicate
    return lambda values: any(map(predicate, values))


def _icontains(literal: str) -> Predicate:
    needle = patterns.lowered(literal)
    return lambda value: needle in patterns.lowered(value)


def _iglob(literal: str) -> Predicate:
    return patterns.glob(literal, ignore_case=True)


_PATTERNS: dict[str, Callable[[str], Predicate]] = {
    "icontains": _icontains,
    "glob": patterns.glob,
    "iglob": _iglob,
    "regex": patterns.regex,
}
_globs = functools.lru_cache(maxsize=256)(patterns.glob)
_iglobs = functools.lru_cache(maxsize=256)(_iglob)

_RELATIONS: dict[str, Callable[[Any, Any], object]] = {
    "=": python.eq,
    "!=": python.ne,
    "in": python.eq,
    "intersects": python.eq,
    "<": python.lt,
    "<=": python.le,
    ">": python.gt,
    ">=": python.ge,
    "contains": lambda left, right: right in left,
    "bcontains": lambda left, right: right in left,
    "icontains": lambda left, right: patterns.lowered(right) in patterns.lowered(left),
    "startswith": lambda left, right: left.startswith(right),
    "bstartswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
    "glob": lambda left, right: _globs(right)(left),
    "iglob": lambda left, right: _iglobs(right)(left),
}
_LIST_RELATIONS: dict[str, Callable[[Any, Any], object]] = {
    "in": lambda left, right: set(right).issuperset(left),
    "intersects": lambda left, right: not set(right).isdisjoint(left),
}
