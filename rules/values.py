"""Values that a condition or an output takes out of an event: fields, and transformers over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rules.expression import Field, Literal, Transformed
from rules.fields import Argument, Extractor, FieldInfo, Quantifier, Source, Variation
from rules.literals import text
from rules.operators import Shape
from rules.transformers import TEXT_SHAPE, Function, transformer

DEEPEST_TRANSFORMER = 50


class ConditionError(ValueError):
    """Why a condition or an output can not be compiled. ``unknown``: it names a field or an event type that the source
    does not have."""

    def __init__(self, message: str, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class Taken:
    """A value taken out of an event; it is missing where the extractor or the function gives None. Either ``extract``
    is there, of the event, or ``function``, of the arguments (which are other such values or texts)."""

    key: Field | Transformed
    shape: Shape
    infos: tuple[tuple[Field, FieldInfo], ...]
    extract: Extractor | None = None
    function: Function | None = None
    arguments: tuple[Taken | str, ...] = ()

    @property
    def info(self) -> FieldInfo | None:
        """Of a field as it is."""
        return self.infos[0][1] if self.infos and self.extract is not None else None

    @property
    def is_single(self) -> bool:
        """It is never a tuple."""
        return not self.shape.is_list and self.shape.quantifier is Quantifier.ONE

    @property
    def fields(self) -> frozenset[Field]:
        return frozenset(field for field, _ in self.infos)

    def variations(self, operator: str = "", literals: Sequence[str] = ()) -> frozenset[Variation]:
        """In what a comparison of it varies: see FieldInfo.varies. A transformed value does where any of its fields
        does."""
        if self.info is not None:
            return frozenset((self.info.varies(operator, literals),))
        return frozenset(info.varies("", ()) for _, info in self.infos)

    def value(self, event: Any) -> Any:
        """The value; None: missing."""
        if self.extract is not None:
            return normal(self.extract(event))
        assert self.function is not None
        arguments = [one if isinstance(one, str) else one.value(event) for one in self.arguments]
        return None if any(one is None for one in arguments) else self.function(*arguments)


def normal(value: Any) -> Any:
    """Text ends at the first NUL, as C's does; an empty tuple is a missing value."""
    if isinstance(value, str):
        return text(value) if "\0" in value else value
    if isinstance(value, tuple):
        return tuple(text(one) if isinstance(one, str) else one for one in value) or None
    return value


def take(key: Field | Transformed, source: Source) -> Taken:
    """What ``key`` takes out of events of the source. ConditionError: it can not."""
    if isinstance(key, Field):
        return _field(key, source)
    if depth(key) > DEEPEST_TRANSFORMER:
        raise ConditionError(f"transformers are nested deeper than {DEEPEST_TRANSFORMER}")
    return _transformed(key, source)


def depth(key: Field | Transformed | Literal) -> int:
    """How deep transformers are nested: 0 for a field."""
    level, deepest = [key], 0
    while level := [one for outer in level if isinstance(outer, Transformed) for one in outer.arguments]:
        deepest += 1
    return deepest


def _field(key: Field, source: Source) -> Taken:
    info = source.fields.get(key.name)
    if info is None:
        raise ConditionError(f"filter_check called with nonexistent field {key}", unknown=True)
    if info.argument is Argument.NONE and key.argument is not None:
        raise ConditionError(f"field '{key.name}' does not take an argument")
    if info.argument in (Argument.INDEX, Argument.KEY) and key.argument is None:
        raise ConditionError(f"field '{key.name}' requires an argument")
    try:
        extract = info.extractor(key.argument)
    except ValueError as error:
        raise ConditionError(f"field '{key}': {error}") from error
    quantifier = info.quantifier if key.argument is None else Quantifier.ONE  # proc.aname[2] is one value
    return Taken(key, Shape(info.type, info.is_list, quantifier), ((key, info),), extract)


def _transformed(key: Transformed, source: Source) -> Taken:
    arguments = [
        text(one.text) if isinstance(one, Literal) else _field(one, source) if isinstance(one, Field)
        else _transformed(one, source)
        for one in key.arguments
    ]  # fmt: skip
    shapes = [TEXT_SHAPE if isinstance(one, str) else one.shape for one in arguments]
    try:
        made = transformer(key.function, shapes, key.argument)
    except ValueError as error:
        raise ConditionError(str(error)) from error
    if key.function == "val" and isinstance(arguments[0], Taken):
        return arguments[0]
    infos = tuple(pair for one in arguments if isinstance(one, Taken) for pair in one.infos)
    return Taken(key, made.result, infos, function=made.function, arguments=tuple(arguments))
