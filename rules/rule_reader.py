"""The items ``- rule: …``: definitions, changes of a rule defined before, and switches that enable or disable one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rules.documents import Malformed
from rules.entries import Entries
from rules.exception_reader import read_exceptions
from rules.items import RuleChange, RuleItem, RuleParts, RuleSwitch, Written
from rules.overrides import APPEND, REPLACE, read_append, read_override
from rules.problems import Code
from rules.report import Report
from rules.rule import Priority

_REQUIRED = ("condition", "output", "desc", "priority")
_APPENDABLE = ("condition", "output", "desc", "tags", "exceptions")
_REPLACEABLE = (
    *_APPENDABLE,
    *("priority", "capture", "capture_duration", "enabled", "warn_evttypes", "skip-if-unknown-filter"),
)
_OPERATIONS = {key: (APPEND, REPLACE) if key in _APPENDABLE else (REPLACE,) for key in _REPLACEABLE}
_KEYS = frozenset({"rule", "source", "append", "override", *_REPLACEABLE})
_PRIORITIES = {priority.name.lower(): priority for priority in Priority} | {"info": Priority.INFORMATIONAL}


def read_rule(entries: Entries, report: Report) -> tuple[RuleItem | RuleChange | RuleSwitch, ...]:
    """One item. Raises Malformed."""
    name = entries.text("rule")
    report.item = f'rule "{name}"'
    report.warn_unknown(entries, _KEYS)
    place = report.place(entries.line)
    override = read_override(entries, _OPERATIONS)
    if read_append(entries, override, "condition", report):
        return (RuleChange(name, _appended(entries, report), None, place),)
    if override:
        append, replace = (
            _parts(entries, keys, report, change=True) if keys else None
            for keys in ([key for key in override if override[key] == way] for way in (APPEND, REPLACE))
        )
        return (RuleChange(name, append, replace, place),)
    if any(key in entries for key in _REQUIRED):
        for key in _REQUIRED:
            entries.scalar(key)
        return (RuleItem(name, _parts(entries, tuple(entries), report, change=False), place),)
    enabled = entries.flag("enabled")
    report.warn(
        Code.DEPRECATED_ITEM, "'enabled' alone is deprecated: write 'override: {enabled: replace}', too", entries.line
    )
    return (RuleSwitch(name, enabled, place),)


def _appended(entries: Entries, report: Report) -> RuleParts:
    """What ``append: true`` adds: Falco takes condition and exceptions, and nothing else."""
    ignored = [key for key in _REPLACEABLE if key in entries and key not in ("condition", "exceptions")]
    if ignored:
        report.warn(Code.UNKNOWN_ITEM, f"'append: true' leaves '{ignored[0]}' as it was", entries.line)
    keys = [key for key in ("condition", "exceptions") if key in entries]
    if not keys:
        raise Malformed("nothing to append: neither condition nor exceptions", entries.line)
    return _parts(entries, keys, report, change=True)


def _parts(entries: Entries, keys: Collection[str], report: Report, *, change: bool) -> RuleParts:
    """The rule's parts among these keys; those of other meaning are passed over. ``change``: not a definition."""
    parts: dict[str, Any] = {}
    for key in keys:
        match key:
            case "condition":
                scalar = entries.scalar(key)
                parts[key] = Written(scalar.text, report.place(scalar.line))
            case "output" | "source":
                parts[key] = entries.text(key).strip()
            case "desc":
                parts["description"] = entries.text(key).strip()
            case "priority":
                parts[key] = _priority(entries)
            case "enabled":
                parts[key] = entries.flag(key)
            case "warn_evttypes":
                parts["warn_event_types"] = entries.flag(key)
            case "skip-if-unknown-filter":
                parts["skip_if_unknown_filter"] = entries.flag(key)
            case "tags":
                parts[key] = entries.texts(key)
            case "exceptions":
                parts[key] = read_exceptions(entries, report, change=change)
    return RuleParts(**parts)


def _priority(entries: Entries) -> Priority:
    scalar = entries.scalar("priority")
    priority = _PRIORITIES.get(scalar.text.lower())
    if priority is None:
        raise Malformed(f"'{scalar.text}' is no priority: {', '.join(_PRIORITIES)}", scalar.line)
    return priority
