"""A finding in Falco's JSON form. Pure.

A rule's finding is told as Falco tells the rule; drift and health are told under a rule name of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from rules.rule import Priority
from rules.sources import timestamps
from watchkeeper.findings import Finding, Severity

_PRIORITIES = {
    Severity.CRITICAL: Priority.CRITICAL,
    Severity.HIGH: Priority.ERROR,
    Severity.MEDIUM: Priority.WARNING,
    Severity.LOW: Priority.NOTICE,
    Severity.INFO: Priority.INFORMATIONAL,
}
_BY_LABEL = {priority.label: priority for priority in Priority}


def priority(finding: Finding) -> Priority:
    """The rule's own, or the one that stands for the finding's severity."""
    return _BY_LABEL.get(dict(finding.fields).get("priority", ""), _PRIORITIES[finding.severity])


def is_wanted(finding: Finding) -> bool:
    """Whether a policy of the rule asks for an alert; what is no rule's finding has no policy and is told."""
    actions = dict(finding.fields).get("actions")
    return finding.source != "rule" or actions is None or "alert" in actions.split(",")


def alert(finding: Finding) -> bytes:
    """A JSON object without a line break: hostname, output, output_fields, priority, rule, source, tags, time, uuid."""
    told = _of_rule(finding) if finding.source == "rule" else _of_other(finding)
    return json.dumps(
        {"uuid": finding.id, "hostname": finding.node, "priority": priority(finding).label, **told},
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    ).encode("utf-8", "replace")


def _of_rule(finding: Finding) -> dict[str, Any]:
    fields = dict(finding.fields)
    return {
        "rule": fields.get("rule", finding.title),
        "output": fields.get("output", finding.title),
        "output_fields": _object(fields.get("output_fields", "")),
        "source": fields.get("rule_source", "syscall"),
        "tags": sorted({tag.strip() for tag in fields.get("tags", "").split(",")} - {""}),
        "time": fields.get("time") or _time(finding),
    }


def _of_other(finding: Finding) -> dict[str, Any]:
    kind = finding.behaviour.behaviour_class.value if finding.behaviour else ""
    fields = _output_fields(finding)
    shown = " ".join(f"{name}={value}" for name, value in fields.items() if name != "evt.time")
    label = priority(finding).label
    return {
        "rule": f"Watchkeeper {finding.source}: {kind or finding.title}",
        "output": f"{timestamps.clock(_nanoseconds(finding))}: {label} {finding.title} ({shown})",
        "output_fields": fields,
        "source": "watchkeeper",
        "tags": sorted({"watchkeeper", finding.source, kind} - {""}),
        "time": _time(finding),
    }


def _output_fields(finding: Finding) -> dict[str, Any]:
    """Under Falco's names where it has them; what the finding does not tell is left out."""
    found: dict[str, Any] = {"evt.time": _nanoseconds(finding), "watchkeeper.severity": finding.severity.value}
    if finding.profile:
        found |= {"k8s.ns.name": finding.profile.namespace, "watchkeeper.workload": finding.profile.workload}
    if finding.container:
        found |= {
            "container.id": finding.container.id[:12],
            "container.name": finding.container.name,
            "container.image": finding.container.image,
            "k8s.pod.name": finding.container.pod_name,
        }
    if finding.process:
        found |= {
            "proc.exepath": finding.process.executable,
            "proc.cmdline": " ".join(finding.process.arguments),
            "proc.pid": finding.process.pid,
            "user.uid": finding.process.uid,
        }
    if finding.behaviour:
        found["watchkeeper.object"] = finding.behaviour.object
    found |= {f"watchkeeper.{name}": value for name, value in finding.fields}
    return {name: value for name, value in found.items() if value != ""}


def _object(text: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):  # a node's text, so anything may stand there
        return {}


def _time(finding: Finding) -> str:
    return timestamps.iso8601(_nanoseconds(finding)).removesuffix("+0000") + "Z"


def _nanoseconds(finding: Finding) -> int:
    return round(finding.occurred_at * 1e6) * 1000  # a float of seconds holds microseconds, no more
