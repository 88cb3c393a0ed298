"""A hit in Falco's JSON form, as Falco's own outputs and Falcosidekick have it."""

from __future__ import annotations

from typing import Any, TypedDict

from rules.compiled_rule import CompiledRule
from rules.fields import Source
from rules.sources import timestamps
from rules.template import Told


class FalcoJson(TypedDict):
    """``time``: ISO 8601 with nanoseconds, UTC; ``output_fields``: typed, None where missing."""

    hostname: str
    output: str
    output_fields: dict[str, Told]
    priority: str
    rule: str
    source: str
    tags: list[str]
    time: str


def falco_json(rule: CompiledRule, event: Any, source: Source, hostname: str) -> FalcoJson:
    """The rule's hit by this event. Can be encoded as JSON whatever the event holds."""
    at = source.time(event)
    fields = rule.template.values(event, source)
    fields["evt.time"] = at
    return {
        "hostname": hostname,
        "output": f"{timestamps.clock(at)}: {rule.priority.label} {rule.template.message(event)}",
        "output_fields": dict(sorted(fields.items())),
        "priority": rule.priority.label,
        "rule": rule.name,
        "source": rule.source,
        "tags": sorted(set(rule.rule.tags)),
        "time": iso8601(at),
    }


def iso8601(nanoseconds: int) -> str:
    """``2018-10-25T13:53:31.726060287Z``."""
    return timestamps.iso8601(nanoseconds).replace("+0000", "Z")
