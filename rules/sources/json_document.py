"""A decoded JSON document beside its own bytes: looking values up, and telling them as text the way Falco's plugins do.

Values come as ``DECODER`` gives them: str, int, bool, None, dict, list, and ``Number`` for numbers that are not whole,
of which the text counts. Objects and arrays are told as they stand in the bytes, without the blanks between tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

MAXIMUM_DEPTH = 300  # what Falco's plugins take


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: "1.10", "1e3"."""

    text: str


class _Missing:
    """Stands for what a document does not have; JSON's null is None."""

    __slots__ = ()


MISSING: Final = _Missing()
DECODER: Final = msgspec.json.Decoder(float_hook=Number)

Step = str | int
Path = tuple[Step, ...]

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_INDEX = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)


def decode(raw: bytes) -> tuple[Any, bytes]:
    """The document and the bytes it was taken from.

    What is no Unicode is replaced (a client must not hide an event by one bad byte in its name), so the bytes may
    differ from those given. ValueError says what is wrong.
    """
    try:
        document = DECODER.decode(raw)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAXIMUM_DEPTH} levels") from None
    except ValueError:
        repaired = _repaired(raw)
        if repaired == raw:
            raise
        return decode(repaired)
    if raw.count(b"{") + raw.count(b"[") > MAXIMUM_DEPTH and _deeper(document):
        raise ValueError(f"nested deeper than {MAXIMUM_DEPTH} levels")
    return document, raw


def find(value: Any, keys: Iterable[str]) -> Any:
    """Follow the keys through objects, and through arrays by decimal index; MISSING where a step leads nowhere."""
    for key in keys:
        if type(value) is dict:
            value = value.get(key, MISSING)
        elif type(value) is list:
            value = _element(value, key)
        else:
            return MISSING
    return value


def pointer(argument: str) -> tuple[str, ...]:
    """The keys of a JSON pointer (RFC 6901); its leading "/" may be left out; "" is the whole document."""
    if not argument:
        return ()
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in argument.removeprefix("/").split("/"))


def text(raw: bytes, path: Iterable[Step], value: Any) -> str:
    """``value``, which stands at ``path`` of ``raw``: a string as it is, anything else as JSON."""
    if type(value) is str:
        return value
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if type(value) is Number:
        return value.text
    return compact(raw, path)


def texts(raw: bytes, path: Path, values: list[Any]) -> tuple[str, ...]:
    """The elements of the array at ``path``, each as ``text`` tells it."""
    return tuple(text(raw, (*path, index), value) for index, value in enumerate(values))


def compact(raw: bytes, path: Iterable[Step]) -> str:
    """The JSON at ``path``, which must exist: its keys in order, its tokens as written, without blanks between them."""
    for step in path:
        raw = bytes(slices(raw)[int(step)] if raw.lstrip()[:1] == b"[" else _OBJECT.decode(raw)[str(step)])
    return bytes(msgspec.json.format(raw, indent=-1)).decode()


def slices(raw: bytes) -> list[msgspec.Raw]:
    """The bytes of each element of an array."""
    return _ARRAY.decode(raw)


def member(raw: bytes, key: str) -> bytes:
    """The bytes of one member of an object, which must exist."""
    return bytes(_OBJECT.decode(raw)[key])


def _element(values: list[Any], key: str) -> Any:
    if _INDEX.fullmatch(key) is None or not 0 <= int(key) < len(values):
        return MISSING
    return values[int(key)]


def _deeper(document: Any) -> bool:
    level = [document]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for node in level for child in _children(node) if type(child) in (dict, list)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterator[Any]:
    if type(node) is dict:
        yield from node.values()
    elif type(node) is list:
        yield from node


def _repaired(raw: bytes) -> bytes:
    unicode = raw.decode("utf-8-sig", "replace").encode()
    return _SURROGATE.sub(lambda match: rb"\ufffd" if match[1] else match[0], unicode)
