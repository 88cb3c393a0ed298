"""Times and other numbers as agents send them, made fit to keep: JSON and SQLite know neither NaN nor infinity."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def finite(record: T) -> T:
    """The dataclass with 0 for each of its own float fields that is no number; nested records stay as they are."""
    kind: Any = type(record)
    wrong = {name: 0.0 for name in _floats(kind) if not math.isfinite(getattr(record, name))}
    changed: Any = record
    return replace(changed, **wrong) if wrong else record


@cache
def _floats(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.type == "float")
