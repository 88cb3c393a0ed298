"""json.* and jevt.*: any value of an event by a JSON pointer; both JSON sources have them."""

from __future__ import annotations

import msgspec

from rules.fields import Argument, Extractor, FieldInfo, Type, always, simple
from rules.sources import timestamps
from rules.sources.json_document import MISSING, find, pointer, text
from rules.sources.json_event import JsonEvent


def json_fields() -> tuple[FieldInfo, ...]:
    return (*_fields("json"), *_fields("jevt"))


def _fields(prefix: str) -> tuple[FieldInfo, ...]:
    return (
        FieldInfo(
            f"{prefix}.value",
            Type.STRING,
            "The value at a JSON pointer; what is no string is told as JSON.",
            _value,
            Argument.KEY,
            varies=always,
        ),
        _plain(f"{prefix}.obj", "The whole event as indented JSON.", _indented),
        _plain(f"{prefix}.rawtime", "Nanoseconds since 1970, as text.", lambda event: str(event.time_ns)),
        _plain(f"{prefix}.time", "Time of day in UTC.", lambda event: timestamps.clock(event.time_ns)),
        _plain(f"{prefix}.time.iso8601", "Time in ISO 8601.", lambda event: timestamps.iso8601(event.time_ns)),
    )


def _plain(name: str, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, Type.STRING, description, simple(get), varies=always)


def _value(argument: str | None) -> Extractor:
    keys = pointer(argument or "")

    def get(event: JsonEvent) -> str | None:
        value = find(event.document, keys)
        return None if value is MISSING else text(event.raw, keys, value)

    return get


def _indented(event: JsonEvent) -> str:
    return bytes(msgspec.json.format(event.raw, indent=2)).decode()
