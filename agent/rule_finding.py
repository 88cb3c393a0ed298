"""A rule's hit as a finding. Pure."""

from __future__ import annotations

import json

from agent.drift import fingerprint
from agent.paths import generalise, printable
from agent.rulebook import Hit
from rules.output import falco_json
from rules.rule import Priority
from rules.sources.syscall import SOURCE
from watchkeeper.events import Exec, Syscall
from watchkeeper.findings import Finding, Process, ProfileKey, Severity

_SEVERITIES = {
    Priority.EMERGENCY: Severity.CRITICAL,
    Priority.ALERT: Severity.CRITICAL,
    Priority.CRITICAL: Severity.CRITICAL,
    Priority.ERROR: Severity.HIGH,
    Priority.WARNING: Severity.MEDIUM,
    Priority.NOTICE: Severity.LOW,
    Priority.INFORMATIONAL: Severity.INFO,
    Priority.DEBUG: Severity.INFO,
}
_GO_OUT = frozenset({"connect", "sendto", "sendmsg"})
_URGENCY = list(Severity)  # most urgent first


def mark(hit: Hit, key: ProfileKey) -> str:
    """The fingerprint by which hits are folded: the same rule, program and object, whatever the process or the time.

    ``key``: of the container's profile, or one that stands for the host.
    """
    process = hit.activity.process
    program = (process.executable, process.name) if process else ("", "")
    return fingerprint(key, "rule", hit.rule.name, *program, _object(hit.activity.event))


def finding(hit: Hit, node: str, key: ProfileKey | None, process: Process | None, now: float, mark: str) -> Finding:
    """``now``: unix seconds. Its ``fields`` are those of Falco's JSON output, ``output_fields`` as JSON text;
    ``policy`` holds a name a line."""
    told = falco_json(hit.rule, hit.activity, SOURCE, node)
    event = hit.activity.event
    fields = {
        "rule": hit.rule.name,
        "rule_source": SOURCE.name,
        "priority": str(told["priority"]),
        "output": str(told["output"]),
        "output_fields": json.dumps(told["output_fields"], separators=(",", ":")),
        "tags": ",".join(told["tags"]),
        "policy": "\n".join(policy.name for policy in hit.policies),
        "actions": ",".join(sorted({action for policy in hit.policies for action in policy.actions})),
        "time": str(told["time"]),
    }
    return Finding(
        id="",
        node=node,
        source="rule",
        title=hit.rule.name,
        severity=severity(hit),
        fingerprint=mark,
        occurred_at=event.at,
        detected_at=now,
        profile=key,
        container=hit.activity.container,
        process=process,
        fields=tuple(sorted(fields.items())),
    )


def severity(hit: Hit) -> Severity:
    """The most urgent one that a policy gives, else the rule's own priority."""
    given = [policy.severity for policy in hit.policies if policy.severity is not None]
    return min(given, key=_URGENCY.index) if given else _SEVERITIES[hit.rule.priority]


def _object(event: Exec | Syscall) -> str:
    """What was acted on, without accidental parts."""
    if isinstance(event, Exec):
        return ""
    descriptor = event.descriptor
    if descriptor is None or not (descriptor.path or descriptor.remote_address):
        return " ".join((event.name, *map(generalise, event.resolved.values())))
    if not descriptor.remote_address:
        return f"{event.name} {generalise(descriptor.path)}"
    # Of a connection that came in the other end's port is accidental, and only these calls are sure to have gone out.
    port = f":{descriptor.remote_port}" if event.name in _GO_OUT else ""
    return f"{event.name} {printable(descriptor.remote_address)}{port}"
