"""Records as the API shows them. The dashboard uses the same shapes."""

from __future__ import annotations

from typing import Any

import msgspec

from aggregator.api import models, policy_models
from aggregator.detection import Detection
from aggregator.policies import StatedPolicy, unknown_rules
from aggregator.profiles import profile_id
from aggregator.records import MergedProfile, Node, StoredFinding, Triage
from aggregator.rulebook import KnownRule
from rules.problems import Problem
from watchkeeper.findings import Behaviour, ProfileKey

SILENT_AFTER = 3  # heartbeats


def finding(stored: StoredFinding) -> models.Finding:
    return models.Finding.model_validate(_finding(stored))


def finding_detail(stored: StoredFinding, triages: list[Triage]) -> models.FindingDetail:
    return models.FindingDetail.model_validate(_finding(stored) | {"triages": msgspec.to_builtins(triages)})


def node(record: Node, now: float, detection: Detection) -> models.Node:
    plain = msgspec.to_builtins(record)
    plain["rules_acknowledged"] = detection.is_acknowledged(record.cluster, record.detection_hash)
    plain["state"] = node_state(record, now)
    plain["lost_events"] = sum(c.dropped + c.lost_in_user_space for c in record.counters)
    plain["discarded"] = dict(record.discarded)
    for counters, counted in zip(plain["counters"], record.counters, strict=True):
        counters["unaccounted"] = counted.unaccounted
    plain["novelty"] = None if record.knowledge is None else plain["novelty"]
    if record.last_gap:
        plain["last_gap"]["seconds"] = record.last_gap.seconds
    for profile, enforced in zip(plain["profiles"], record.profiles, strict=True):
        profile["id"] = profile_id(enforced.key)
    return models.Node.model_validate(plain)


def node_state(record: Node, now: float) -> str:
    """Silence first: what a node said before it fell silent tells nothing of now."""
    if record.heartbeat_at == 0:
        return "never"
    if now - record.heartbeat_at > SILENT_AFTER * record.heartbeat_seconds:
        return "silent"
    return "watched" if record.probe_state == "attached" else "degraded"


def profile_summary(profile: MergedProfile, open_findings: int) -> models.ProfileSummary:
    return models.ProfileSummary.model_validate(_profile(profile, open_findings))


def profile_detail(profile: MergedProfile, open_findings: int) -> models.ProfileDetail:
    entries = msgspec.to_builtins(profile.entries)
    return models.ProfileDetail.model_validate(_profile(profile, open_findings) | {"entries": entries})


def policy(stated: StatedPolicy, detection: Detection) -> policy_models.Policy:
    rules = detection.rulebook.rules
    plain: dict[str, Any] = msgspec.to_builtins(stated.policy)
    plain["scope"]["labels"] = dict(stated.policy.scope.labels)
    plain["changed"] = stated.change and {name: getattr(stated.change, name) for name in ("who", "reason", "at")}
    plain["sources"] = sorted({rules[name].source for name in stated.policy.rules if name in rules})
    plain["unknown_rules"] = unknown_rules(stated.policy, detection.rulebook)
    return policy_models.Policy.model_validate(plain)


def rule(known: KnownRule, detection: Detection) -> policy_models.Rule:
    having = [{"name": each.name, "enabled": each.enabled} for each in detection.by_rule.get(known.name, ())]
    return policy_models.Rule.model_validate(msgspec.to_builtins(known) | {"policies": having})


def problem(found: Problem) -> policy_models.Problem:
    return policy_models.Problem(
        severity=found.severity.value,
        code=found.code,
        message=found.message,
        file=found.place.file,
        line=found.place.line,
        item=found.item,
    )


def deviations(findings: list[StoredFinding], key: ProfileKey) -> list[StoredFinding]:
    """Open findings that are drift from this profile."""
    return [f for f in findings if f.finding.profile == key and f.triage is None and behaviours(f)]


def behaviours(stored: StoredFinding) -> tuple[Behaviour, ...]:
    """All that a finding stands for."""
    if stored.behaviours:
        return stored.behaviours
    return (stored.finding.behaviour,) if stored.finding.behaviour else ()


def _finding(stored: StoredFinding) -> dict[str, Any]:
    original = stored.finding
    plain: dict[str, Any] = msgspec.to_builtins(original)
    plain["fields"] = dict(original.fields)
    if original.profile:
        plain["profile"]["id"] = profile_id(original.profile)
    if original.container:
        plain["container"]["labels"] = dict(original.container.labels)
    outer = msgspec.to_builtins(stored)
    for name in ("stored_at", "count", "last_at", "due_at", "triage", "checks"):
        plain[name] = outer[name]
    plain["behaviours"] = msgspec.to_builtins(behaviours(stored))
    return plain


def _profile(profile: MergedProfile, open_findings: int) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(profile)
    del plain["entries"]
    return plain | {
        "id": profile_id(profile.key),
        "behaviours": len(profile.entries),
        "accepted": sum(entry.origin == "accepted" for entry in profile.entries),
        "open_findings": open_findings,
    }
