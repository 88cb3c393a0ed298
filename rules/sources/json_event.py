"""One event of a source whose events are JSON objects, and what such a source is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.fields import FieldInfo

EVENT_TYPE = "pluginevent"  # Falco's name for whatever is no system call


@dataclass(frozen=True, slots=True)
class JsonEvent:
    """``document``: the decoded object; ``raw``: its bytes; ``number``: evt.num, from 1; ``time_ns``: since 1970."""

    document: dict[str, Any]
    raw: bytes
    number: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class JsonSource:
    """``list_key``: where a document has many events. ``time_keys``: where an event's time is, the first there is."""

    name: str
    fields: Mapping[str, FieldInfo]
    list_key: str
    time_keys: tuple[str, ...]
    event_types: frozenset[str] = frozenset({EVENT_TYPE})

    def event_type(self, event: JsonEvent) -> str:
        return EVENT_TYPE

    def time(self, event: JsonEvent) -> int:
        return event.time_ns

    def is_worded(self, event_type: str, name: str, argument: str | None) -> bool:
        return False
