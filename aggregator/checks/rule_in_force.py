"""Rule in force: an enabled policy names the rule, covers what must be watched, and what must judge by it does.

Each rule is judged for itself. Without a policy the observation is of the resource ``rule``; else of each cluster:
its nodes run one set of rules, so that what they acknowledged is looked at once for all rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aggregator.checks.check import EVENT_SOURCE_TTL, Check, Explanation, source_missing
from aggregator.checks.facts import Facts
from aggregator.controls.catalogue import RULE, rule_key
from aggregator.detection import Detection
from aggregator.records import Observation, Outcome, Status
from watchkeeper.policies import Policy, Scope

NO_POLICY = "rule"  # the resource that fails when no enabled policy names the rule
UNENROLLED = "nodes that never enrolled"  # stands for their clusters, which nobody knows
MOST_NAMED = 10

MISSING = {
    "k8s_audit": "source missing: no Kubernetes audit log reaches this aggregator",
    "aws_cloudtrail": "source missing: no AWS account is connected",
}


def of_rule(source: str, rule: str) -> Check:
    """The check of one rule."""
    named = _Rule(source, rule)
    return Check(
        rule_key(source, rule),
        EVENT_SOURCE_TTL,
        partial(_population, named),
        partial(_judge, named),
        explain=partial(_explain, named),
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class _State:
    """``fault``: why it is in force nowhere; ``policies``: the enabled ones that name it."""

    fault: str = ""
    remedy: str = ""
    policies: tuple[Policy, ...] = ()


def _state(rule: _Rule, detection: Detection) -> _State:
    policies = detection.by_rule.get(rule.name, ())
    enabled = tuple(policy for policy in policies if policy.enabled)
    if not policies:
        return _State("no policy has this rule", f'Create a policy with rule "{rule.name}".')
    if not enabled:
        names = [f'"{policy.name}"' for policy in policies]
        fault = f"policy {names[0]} is disabled" if len(names) == 1 else f"policies {' and '.join(names)} are disabled"
        return _State(fault, f'Enable policy {" or ".join(names)} with rule "{rule.name}".')
    known = detection.rulebook.rules.get(rule.name)
    if known is None or known.source not in (rule.source, ""):
        return _State(f"no rule file holds it for source {rule.source}", f'Load a rule file with rule "{rule.name}".')
    if not known.compiles:
        reason = "; ".join(known.problems) or "unknown"
        return _State(f"the rule does not compile: {reason}", f'Correct rule "{rule.name}" in {known.file}.')
    return _State(policies=enabled)


def _population(rule: _Rule, facts: Facts, _now: float) -> frozenset[str] | None:
    """None while nobody knows any cluster, or any account."""
    if rule.source == "aws_cloudtrail" or facts.node_population is None:
        return None
    state = _state(rule, facts.detection)
    if state.fault:
        return frozenset({NO_POLICY})
    covered = {part for cluster in facts.clusters for part, _, _ in _parts(cluster, state.policies)}
    return frozenset(covered | ({UNENROLLED} if facts.unenrolled else set()))


def _judge(rule: _Rule, facts: Facts, now: float) -> Iterator[Observation]:
    state, key = _state(rule, facts.detection), rule_key(rule.source, rule.name)
    if rule.source == "aws_cloudtrail":
        if not state.fault:
            yield Observation(key, "aws", Outcome.ERROR, MISSING[rule.source], now)
    elif facts.node_population is None:
        return
    elif state.fault:
        yield Observation(key, NO_POLICY, Outcome.FAIL, state.fault, now)
    else:
        for cluster in facts.clusters:
            for part, outcome, reason in _parts(cluster, state.policies):
                judged = _alive(rule, cluster, facts, now) if outcome is Outcome.PASS else (outcome, reason)
                yield Observation(key, part, *judged, now)


def _parts(cluster: str, policies: Sequence[Policy]) -> list[tuple[str, Outcome, str]]:
    """The parts of the cluster that are, and that are not, in the scope of the policies: which, how, and why."""
    covering = [policy for policy in policies if policy.scope.covers_cluster(cluster)]
    if not covering:
        names = ", ".join(f'"{policy.name}"' for policy in policies)
        return [(cluster, Outcome.FAIL, f"outside the scope of policy {names}")]
    if any(policy.scope.is_whole_cluster for policy in covering):
        return [(cluster, Outcome.PASS, "")]
    told = " and ".join(f'policy "{policy.name}" covers only {_limits(policy.scope)}' for policy in covering)
    return [
        (f"{cluster}, in scope", Outcome.PASS, ""),
        (f"{cluster}, out of scope", Outcome.ERROR, f"partial_scope: {told}"),
    ]


def _alive(rule: _Rule, cluster: str, facts: Facts, now: float) -> tuple[Outcome, str]:
    if rule.source in MISSING:
        return Outcome.ERROR, MISSING[rule.source]
    told = facts.rule_sets(now)[cluster]
    if told.silent:
        return Outcome.ERROR, f"agent_missing: {_names(told.silent)}"
    if told.behind:
        return Outcome.ERROR, f"rule_set_not_acknowledged: {_names(told.behind)}"
    unable = sorted({*told.unable.get(rule.name, ()), *_deaf(rule, facts, told.deaf)})
    if unable:
        return Outcome.ERROR, f"rule_not_in_force: {_names(unable)}"
    return Outcome.PASS, ""


def _deaf(rule: _Rule, facts: Facts, deaf: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Nodes whose kernel tells none of the events that the rule is about."""
    types = facts.detection.rulebook.rules[rule.name].event_types
    for node, unserved in deaf.items():
        if types and types <= unserved:
            yield node


def _explain(rule: _Rule, detection: Detection, status: Status) -> Explanation:
    state = _state(rule, detection)
    policies = tuple(policy.name for policy in detection.by_rule.get(rule.name, ()))
    missing = MISSING.get(rule.source, "")
    if state.fault:
        reason = missing if missing and status is Status.NOT_ASSESSED else ""
        return Explanation("; ".join(filter(None, (reason, state.fault))), (state.remedy,), policies)
    if missing:
        return Explanation(missing if status is not Status.FAIL else "", (_CONNECT[rule.source],), policies)
    return Explanation("", _IN_FORCE, policies)


def _names(nodes: Sequence[str]) -> str:
    more = len(nodes) - MOST_NAMED
    return ", ".join(nodes[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _limits(scope: Scope) -> str:
    labels = [f"{name}={value}" for name, value in scope.labels]
    told = [("namespaces", scope.namespaces), ("labels", labels)]
    return ", ".join(f"{kind} {', '.join(values)}" for kind, values in told if values)


_CONNECT = {
    "k8s_audit": "Give each API server an audit policy and send its audit events to the aggregator's webhook.",
    "aws_cloudtrail": "Connect the AWS accounts whose CloudTrail must be judged.",
}
_IN_FORCE = (
    "Where a cluster is outside the policy's scope, or only in part inside, widen the scope.",
    "Where a node has not acknowledged the rule set, check its connection and read its agent's log.",
)

CHECK = source_missing(RULE, EVENT_SOURCE_TTL, MISSING, of_rule)
