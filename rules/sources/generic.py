"""The evt.* fields that events of every source have."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Any

from rules.fields import Extractor, FieldInfo, Type, Value, always, simple
from rules.sources import timestamps
from rules.sources.json_event import EVENT_TYPE
from rules.sources.outcome import is_same_for_every_event

_SECOND = 1_000_000_000


def generic_fields(source: str, number: Callable[[Any], int], time_ns: Callable[[Any], int]) -> tuple[FieldInfo, ...]:
    """``number`` and ``time_ns`` take evt.num and the time, nanoseconds since 1970, out of an event."""

    def of_time(form: Callable[[int], str | int]) -> Extractor:
        return lambda event: form(time_ns(event))

    return (
        FieldInfo(
            "evt.num",
            Type.INTEGER,
            "Number of the event since the start, from 1.",
            simple(number),
            varies=lambda operator, literals: not is_same_for_every_event(operator, literals),
        ),
        _field("evt.time", Type.STRING, "Time of day in UTC, with nanoseconds.", of_time(timestamps.clock)),
        _field("evt.time.s", Type.STRING, "Time of day in UTC, in seconds.", of_time(timestamps.clock_seconds)),
        _field("evt.time.iso8601", Type.STRING, "Time in ISO 8601, in UTC.", of_time(timestamps.iso8601)),
        _field("evt.datetime", Type.STRING, "Date and time in UTC.", of_time(timestamps.date_and_clock)),
        _field("evt.datetime.s", Type.STRING, "The same in seconds.", of_time(timestamps.date_and_clock_seconds)),
        _field("evt.rawtime", Type.INTEGER, "Nanoseconds since 1970.", time_ns),
        _field("evt.rawtime.s", Type.INTEGER, "Seconds since 1970.", of_time(lambda at: at // _SECOND)),
        _field("evt.rawtime.ns", Type.INTEGER, "The nanoseconds of evt.rawtime.", of_time(lambda at: at % _SECOND)),
        _constant("evt.source", Type.STRING, "The source of the event.", source),
        _constant("evt.is_async", Type.BOOLEAN, "Whether the event came from beside its source.", False),
        _constant("evt.asynctype", Type.STRING, "Its type if it did.", None),
        _field("evt.hostname", Type.STRING, "Name of the host that evaluates the rules.", lambda _event: _hostname()),
    )


def plugin_fields(plugin: str, info: Extractor) -> tuple[FieldInfo, ...]:
    """What events that are no system calls have besides. ``plugin``: the name of the one that reads them for Falco."""
    return (
        _field("evt.type", Type.STRING, f"Always {EVENT_TYPE}.", lambda _event: EVENT_TYPE),
        _field("evt.category", Type.STRING, "Always other.", lambda _event: "other"),
        _field("evt.pluginname", Type.STRING, "Name of Falco's plugin for this source.", lambda _event: plugin),
        _field("evt.plugininfo", Type.STRING, "The event in one line.", info),
    )


def _field(name: str, kind: Type, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, kind, description, simple(get), varies=always)


def _constant(name: str, kind: Type, description: str, value: Value | None) -> FieldInfo:
    return FieldInfo(name, kind, description, simple(lambda _event: value))


@functools.cache
def _hostname() -> str:
    return socket.gethostname()
