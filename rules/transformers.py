"""Transformers: functions over values taken out of an event, ``tolower(proc.name)``, their arguments and results."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rules.fields import Quantifier, Type
from rules.operators import TEXT, Shape
from rules.patterns import lowered, raised

Function = Callable[..., Any]
"""Over the arguments' values, none of them missing; None: the result is missing."""

TEXT_SHAPE = Shape(Type.STRING)


@dataclass(frozen=True, slots=True)
class Transformer:
    result: Shape
    function: Function


def transformer(name: str, arguments: Sequence[Shape], argument: str | None = None) -> Transformer:
    """The transformer for values of these shapes; ``argument``: what stands in brackets behind it. ValueError: it takes
    no such values."""
    if any(shape.quantifier is not Quantifier.ONE for shape in arguments):
        raise ValueError(f"'{name}' can't be applied: the field does not support transformers")
    if argument is not None and name != "getopt":
        raise ValueError(f"transformer '{name}' does not support field arguments")
    if name in _SEVERAL:
        return _SEVERAL[name](arguments, argument)
    if name not in _ALONE:
        raise ValueError(f"unknown transformer '{name}'")
    if len(arguments) != 1:
        raise ValueError(f"{name}() requires exactly 1 argument")
    return _ALONE[name](arguments[0])


def _identity(shape: Shape) -> Transformer:
    return Transformer(shape, lambda value: value)


def _of_text(name: str, function: Callable[[Any], Any], types: frozenset[Type]) -> Callable[[Shape], Transformer]:
    """A function of one text, over each element of a list."""

    def made(shape: Shape) -> Transformer:
        _need(shape.type in types, f"type '{shape.type}' is not supported by '{name}' transformer")
        return Transformer(shape, _over_all(function) if shape.is_list else function)

    return made


def _over_all(function: Callable[[Any], Any]) -> Function:
    def mapped(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        results = tuple(map(function, values))
        return None if None in results else results

    return mapped


def _len(shape: Shape) -> Transformer:
    """Of a list the number of its values, of text the number of its bytes."""
    result = Shape(Type.INTEGER)
    if shape.is_list or shape.type is Type.BYTES:
        return Transformer(result, len)
    _need(shape.type in TEXT, f"type '{shape.type}' is not supported by 'len' transformer")
    return Transformer(result, lambda value: len(_octets(value)))


def _join(arguments: Sequence[Shape], _argument: str | None) -> Transformer:
    _need(len(arguments) == 2, "join() requires exactly 2 arguments: separator and list")
    separator, values = arguments
    _need(separator.type in TEXT and not separator.is_list, "join() first argument (separator) must be a single text")
    _need(values.type in TEXT and values.is_list, "join() second argument must be a list of texts")
    return Transformer(TEXT_SHAPE, lambda separator, values: separator.join(values))


def _concat(arguments: Sequence[Shape], _argument: str | None) -> Transformer:
    _need(len(arguments) >= 2, "concat() requires at least 2 arguments")
    _need(all(one.type in TEXT and not one.is_list for one in arguments), "concat() arguments must be strings")
    return Transformer(TEXT_SHAPE, lambda *values: "".join(values))


def _list(arguments: Sequence[Shape], _argument: str | None) -> Transformer:
    _need(all(one.type in TEXT and not one.is_list for one in arguments), "a list's values must be strings")
    return Transformer(Shape(Type.STRING, is_list=True), lambda *values: values)


def _getopt(arguments: Sequence[Shape], argument: str | None) -> Transformer:
    """The options among the arguments of a program, as getopt(3) would find them; of one option its value."""
    _need(len(arguments) == 2, "getopt() requires exactly 2 arguments: args list and optstring")
    given, known = arguments
    _need(given.is_list and given.type in TEXT, "getopt() first argument must be a list of strings")
    _need(known.type in TEXT and not known.is_list, "getopt() second argument (optstring) must be a single value")
    if argument is None:
        return Transformer(Shape(Type.STRING, is_list=True), _all_options)
    _need(len(argument) == 1, "getopt() field argument must be a single option character")
    return Transformer(TEXT_SHAPE, lambda given, known: _option_value(given, known, argument))


def _all_options(given: Sequence[str], known: str) -> tuple[str, ...]:
    """Each option's letter ("?" for one that is not known), then its value if it takes one ("" for the letter if none
    follows)."""
    result: list[str] = []
    for letter, value, missing in _options(given, known):
        result.append("" if missing else letter)
        if value is not None:
            result.append(value)
    return tuple(result)


def _option_value(given: Sequence[str], known: str, option: str) -> str | None:
    """Of the last one; an option that takes no value has its letter for one."""
    found: str | None = None
    for letter, value, missing in _options(given, known):
        if letter == option:
            found = "" if missing else letter if value is None else value
    return found


def _options(given: Sequence[str], known: str) -> Iterator[tuple[str, str | None, bool]]:
    """(letter, value, whether its value is missing). Ends at "--" and at the first that is no option; long options are
    passed over."""
    waiting = iter(given)
    for word in waiting:
        if word == "--" or len(word) < 2 or word[0] != "-":
            return
        if word.startswith("--"):
            continue
        for at, letter in enumerate(word[1:], 1):
            if letter == ":" or letter not in known:
                yield "?", None, False
            elif not _takes_value(letter, known):
                yield letter, None, False
            else:
                value = word[at + 1 :] or next(waiting, None)
                yield letter, value, value is None
                break


def _takes_value(letter: str, known: str) -> bool:
    return f"{letter}:" in known


def _basename(value: str) -> str:
    return value.rpartition("/")[2]


def _decoded(value: str | bytes) -> str | bytes | None:
    """Base64, padded or not; None: it is none. Of text the result is text up to a NUL."""
    octets = _octets(value) if isinstance(value, str) else value.rstrip(b"\0")
    unpadded = octets.removesuffix(b"=").removesuffix(b"=")
    if octets and not unpadded:
        return None
    try:
        result = base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except binascii.Error:
        return None
    if base64.b64encode(result).rstrip(b"=") != unpadded:
        return None  # bits beyond the last byte
    return result.partition(b"\0")[0].decode("utf-8", "surrogateescape") if isinstance(value, str) else result


def _octets(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


_ALONE: dict[str, Callable[[Shape], Transformer]] = {
    "val": _identity,
    "tolower": _of_text("tolower", lowered, TEXT),
    "toupper": _of_text("toupper", raised, TEXT),
    "basename": _of_text("basename", _basename, TEXT),
    "b64": _of_text("b64", _decoded, TEXT | {Type.BYTES}),
    "len": _len,
}
_SEVERAL: dict[str, Callable[[Sequence[Shape], str | None], Transformer]] = {
    "list": _list,
    "join": _join,
    "concat": _concat,
    "getopt": _getopt,
}
