"""A source of events for tests: an event is a mapping of names to values, and there is a field of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rules.expression import Compare, Exists, Field, Literal, Transformed
from rules.fields import Argument, Extractor, FieldInfo, Quantifier, Type, Varies, always, never, where

Event = Mapping[str, Any]


class Toy:
    """``time``: of the event, nanoseconds since 1970; its type is ``evt.type``, "open" if there is none."""

    name = "toy"
    event_types = frozenset({"open", "openat", "execve", "connect"})

    def __init__(self) -> None:
        self.fields = {info.name: info for info in _fields()}

    def event_type(self, event: Event) -> str:
        return str(event.get("evt.type", "open"))

    def time(self, event: Event) -> int:
        return int(event.get("time", 0))

    def is_worded(self, event_type: str, name: str, argument: str | None) -> bool:
        return False


def field(text: str) -> Field:
    """``t.names[1]`` as a field."""
    name, bracket, rest = text.partition("[")
    return Field(name, rest.removesuffix("]") if bracket else None)


def exists(left: str | Transformed) -> Exists:
    return Exists(field(left) if isinstance(left, str) else left)


def check(left: str | Transformed, operator: str, *right: str | Transformed, modifier: str = "") -> Compare:
    """``check("t.string", "in", "a", "b")``; the operators of lists take any number of texts, others one value."""
    side = field(left) if isinstance(left, str) else left
    if right and isinstance(right[0], Transformed):
        return Compare(side, operator, right[0], modifier)
    literals = tuple(Literal(one) for one in right if isinstance(one, str))
    if operator in ("in", "intersects", "pmatch") or modifier:
        return Compare(side, operator, literals, modifier)
    return Compare(side, operator, literals[0])


def transformed(function: str, *arguments: str | Transformed | Literal, index: str | None = None) -> Transformed:
    made = tuple(field(one) if isinstance(one, str) else one for one in arguments)
    return Transformed(function, made, index)


def _fields() -> list[FieldInfo]:
    return [
        _info("evt.type", Type.STRING, extractor=lambda _argument: lambda event: event.get("evt.type", "open")),
        *(_info(f"t.{kind.value}", kind) for kind in Type),
        *(_info(f"t.{kind.value}s", kind, is_list=True) for kind in Type),
        _info("t.other", Type.STRING),
        _info(
            "t.names", Type.STRING, Argument.OPTIONAL_INDEX, quantifier=Quantifier.ANY, extractor=_indexed("t.names")
        ),
        _info("t.ends", Type.ADDRESS, quantifier=Quantifier.EITHER),
        _info("t.endports", Type.PORT, quantifier=Quantifier.EITHER),
        _info("t.endnets", Type.NETWORK, quantifier=Quantifier.EITHER),
        _info("t.key", Type.STRING, Argument.KEY, extractor=lambda key: lambda event: event.get(f"t.key[{key}]")),
        _info("t.special", Type.STRING, match=_length),
        _info("t.leftonly", Type.STRING, right_side=False),
        _info("t.varying", Type.STRING, varies=always),
        _info("t.partly", Type.STRING, varies=where(lambda event: bool(event.get("loose")), "open".__ne__)),
        _info(
            "t.mostly",
            Type.STRING,
            varies=where(lambda event: bool(event.get("loose")), otherwise="a"),
            extractor=lambda _argument: lambda event: event.get("t.mostly", "") if event.get("loose") else "a",
        ),
        _info("t.old", Type.STRING, deprecated="nobody needs it"),
    ]


def _info(
    name: str,
    kind: Type,
    argument: Argument = Argument.NONE,
    *,
    extractor: Callable[[str | None], Extractor] | None = None,
    is_list: bool = False,
    quantifier: Quantifier = Quantifier.ONE,
    right_side: bool = True,
    varies: Varies = never,
    deprecated: str = "",
    match: Callable[[str, Sequence[str]], Callable[[Any], bool] | None] = lambda _operator, _literals: None,
) -> FieldInfo:
    get = extractor or (lambda _argument: lambda event: event.get(name))
    return FieldInfo(
        name,
        kind,
        "",
        get,
        argument,
        is_list=is_list,
        quantifier=quantifier,
        right_side=right_side,
        varies=varies,
        deprecated=deprecated,
        match=match,
    )


def _indexed(name: str) -> Callable[[str | None], Extractor]:
    """Without an index all of them, with one that one."""

    def of(argument: str | None) -> Extractor:
        if argument is None:
            return lambda event: event.get(name)
        if not argument.isdigit():
            raise ValueError(f"{argument} is not a number")
        index = int(argument)

        def get(event: Event) -> str | None:
            names = event.get(name) or ()
            return names[index] if index < len(names) else None

        return get

    return of


def _length(operator: str, literals: Sequence[str]) -> Callable[[Any], bool] | None:
    """t.special is compared by its length with ``=``, otherwise as any text."""
    if operator != "=":
        return None
    length = int(literals[0])
    return lambda value: len(value) == length
