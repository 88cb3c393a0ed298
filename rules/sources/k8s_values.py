"""How ka.* fields take values out of an API server's audit event: one value, every element of an array, or one of them.

An event without auditID has no ka.* field at all, and an empty list counts as missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rules.fields import Argument, Extractor, FieldInfo, Type, always, simple
from rules.sources.json_document import MISSING, Path, find, text, texts
from rules.sources.json_event import JsonEvent

Found = tuple[Path, Any]
Spread = list[Found | None]
"""What stands at the end of a path that leads through arrays; None for elements in which it ends early."""

IndexedExtractor = Callable[[JsonEvent, int | None], tuple[str, ...] | None]


def is_audit(event: JsonEvent) -> bool:
    return "auditID" in event.document


def spread(value: Any, keys: tuple[str, ...], index: int | None, path: Path = ()) -> Spread | None:
    """Follow ``keys``; an array on the way stands for all its elements, or for the one of ``index``. The key "" only
    steps into arrays. None: the path ends early."""
    for position, key in enumerate(keys):
        if type(value) is list:
            if index is None:
                return _every(value, keys[position:], path)
            if index >= len(value):
                return None
            path, value = (*path, index), value[index]
        if key:
            path, value = (*path, key), find(value, (key,))
        if value is MISSING:
            return None
    return [(path, value)]


def _every(values: list[Any], keys: tuple[str, ...], path: Path) -> Spread:
    found: Spread = []
    for number, value in enumerate(values):
        found += spread(value, keys, None, (*path, number)) or [None]
    return found


def told(event: JsonEvent, found: Spread) -> tuple[str, ...] | None:
    """Their texts without the missing ones."""
    return tuple(text(event.raw, *one) for one in found if one is not None) or None


def present(*keys: str) -> IndexedExtractor:
    """The values at ``keys``, without those that are missing."""

    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        found = spread(event.document, keys, index)
        return None if found is None else told(event, found)

    return get


def complete(*keys: str) -> IndexedExtractor:
    """The values at ``keys``; None if one is missing."""

    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        found = spread(event.document, keys, index)
        return None if found is None or None in found else told(event, found)

    return get


def scalar(*keys: str) -> Extractor:
    """The value at ``keys``."""

    def get(event: JsonEvent) -> str | None:
        if "auditID" not in event.document:
            return None
        value = find(event.document, keys)
        if type(value) is str:
            return value
        return None if value is MISSING else text(event.raw, keys, value)

    return get


def elements(*keys: str) -> Extractor:
    """The elements of the array at ``keys``; None for anything else there."""

    def get(event: JsonEvent) -> tuple[str, ...] | None:
        if "auditID" not in event.document:
            return None
        values = find(event.document, keys)
        return (texts(event.raw, keys, values) or None) if type(values) is list else None

    return get


def indexed(get: IndexedExtractor) -> Callable[[str | None], Extractor]:
    """For fields whose argument picks one element of the array that they go through."""

    def extractor(argument: str | None) -> Extractor:
        if argument is not None and not (argument.isascii() and argument.isdigit() and len(argument) <= 9):
            raise ValueError(f'"{argument}" is not an index')
        index = None if argument is None else int(argument)
        return lambda event: get(event, index) if is_audit(event) else None

    return extractor


def one(name: str, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, Type.STRING, description, simple(get), varies=always)


def many(name: str, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, Type.STRING, description, simple(get), is_list=True, varies=always)


def picked(name: str, description: str, get: IndexedExtractor) -> FieldInfo:
    return FieldInfo(name, Type.STRING, description, indexed(get), Argument.OPTIONAL_INDEX, is_list=True, varies=always)
