"""The output of a rule: text with ``%field``, ``%field[argument]`` and ``%transformer(field)`` in it; ``%%`` is a
percent sign, and ``%10field`` cuts or fills to ten characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rules.expression import Exists, Field, Transformed
from rules.fields import Source
from rules.grammar import FIELD_NAME, TRANSFORMER
from rules.parser import ParseError, parse
from rules.patterns import sanitised
from rules.values import ConditionError, Taken

MISSING = "<NA>"
Take = Callable[[Field | Transformed], Taken]
Told = str | int | bool | None | list["Told"]
"""A value in an output's JSON."""

TIMES = frozenset({"evt.time", "evt.time.s", "evt.time.iso8601", "evt.datetime", "evt.datetime.s"})
"""Fields that are text in a message and nanoseconds since 1970 in JSON."""

_WIDTH = re.compile("[0-9]+")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``width`` 0: as long as it is."""

    taken: Taken
    width: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """``takes``: the fields of all placeholders, those inside of transformers too, by name."""

    pieces: tuple[str | Placeholder, ...]
    takes: tuple[tuple[str, Taken], ...]

    @property
    def fields(self) -> frozenset[Field]:
        return frozenset(field for _, taken in self.takes for field in taken.fields)

    def message(self, event: Any) -> str:
        """The text for one event."""
        return "".join(piece if isinstance(piece, str) else _shown(piece, event) for piece in self.pieces)

    def values(self, event: Any, source: Source) -> dict[str, Told]:
        """All fields for one event, by name, sorted; None: missing."""
        return {
            name: source.time(event) if name in TIMES else json_value(taken.value(event)) for name, taken in self.takes
        }


def template(text: str, source: Source, take: Take) -> Template:
    """``take``: of a field or transformer what it takes out of an event. A leading star, which asks for what is always
    done (say <NA> for a missing value), is gone. ConditionError: not a template, or of unknown fields."""
    pieces = tuple(_pieces(text.removeprefix("*"), source, take))
    fields = {field for piece in pieces if isinstance(piece, Placeholder) for field in piece.taken.fields}
    return Template(pieces, tuple((str(field), take(field)) for field in sorted(fields, key=str)))


def printed(value: Any) -> str:
    """A value as Falco prints it. Bytes: what is no printable ASCII as a dot. None: missing."""
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case str():
            return sanitised(value)
        case bytes():
            return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in value)
        case tuple():
            return f"({','.join(map(printed, value))})"
        case _:
            return str(value)


def json_value(value: Any) -> Told:
    """A value as Falco's JSON has it: numbers and truth values as such, lists as lists, all else as printed."""
    if value is None or isinstance(value, int):
        return value
    return [json_value(one) for one in value] if isinstance(value, tuple) else printed(value)


def _shown(piece: Placeholder, event: Any) -> str:
    text = printed(piece.taken.value(event))
    return text[: piece.width].ljust(piece.width) if piece.width else text


def _pieces(text: str, source: Source, take: Take) -> Iterator[str | Placeholder]:
    at = 0
    while at < len(text):
        sign = text.find("%", at)
        if sign < 0:
            yield text[at:]
            return
        if sign > at:
            yield text[at:sign]
        if text.startswith("%%", sign):
            yield "%"
            at = sign + 2
            continue
        width = _WIDTH.match(text, sign + 1)
        start = width.end() if width else sign + 1
        if start == len(text):
            raise ConditionError("invalid formatting syntax: formatting cannot end with a % or a number")
        taken, at = _placeholder(text, start, source, take)
        yield Placeholder(taken, int(width[0]) if width else 0)


def _placeholder(text: str, start: int, source: Source, take: Take) -> tuple[Taken, int]:
    """What the placeholder at ``start`` takes, and where it ends."""
    if TRANSFORMER.match(text, start):
        return _ended(text, start, start, ")", take) or _no_field(text, start)
    named = FIELD_NAME.match(text, start)
    end = named.end() if named else start
    while end > start and text[start:end] not in source.fields:
        end -= 1  # a name may be followed by anything: the longest that is a field is meant
    if end == start:
        raise _unknown(text, start)
    indexed = _ended(text, start, end, "]", take) if text.startswith("[", end) else None
    return indexed or (take(Field(text[start:end])), end)


def _ended(text: str, start: int, after: int, mark: str, take: Take) -> tuple[Taken, int] | None:
    """What the shortest text from ``start`` takes that ends with ``mark`` (and an index) and has a meaning."""
    failure: ConditionError | None = None
    ends = (found.end() for found in re.finditer(re.escape(mark) + r"(?:\[[^\]]*\])?", text[after:]))
    for end in ends:
        try:
            tree = parse(f"{text[start : after + end]} exists")
            if isinstance(tree, Exists):
                return take(tree.left), after + end
        except ParseError:
            continue
        except ConditionError as error:
            failure = failure or error
    if failure is not None and mark == ")":
        raise failure
    return None


def _no_field(text: str, start: int) -> tuple[Taken, int]:
    raise _unknown(text, start)


def _unknown(text: str, start: int) -> ConditionError:
    return ConditionError(f"invalid formatting token {text[start:].split(' ')[0]}", unknown=True)
