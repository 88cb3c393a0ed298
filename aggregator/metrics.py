"""Prometheus metrics: a pure rendering of what is known at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from aggregator.alerts.outbox import Counters
from aggregator.controls.catalogue import SOURCES
from aggregator.detection import Detection
from aggregator.records import Node, Status
from rules.problems import Severity

# Every metric and its help text; docs/metrics.md names them all.
NAMES: Mapping[str, str] = {
    "watchkeeper_nodes": "Nodes by state: watched, degraded, silent, never (known but never reported)",
    "watchkeeper_node_heartbeat_timestamp_seconds": "When the node's newest heartbeat came, by the aggregator's clock",
    "watchkeeper_node_containers": "Containers running on the node",
    "watchkeeper_node_resident_bytes": "Resident memory of the node's agent",
    "watchkeeper_node_cpu_seconds_total": "CPU time of the node's agent since its start",
    "watchkeeper_node_spool_records": "Records in the node's spool that are not yet acknowledged",
    "watchkeeper_node_spool_bytes": "Size of the node's spool",
    "watchkeeper_node_events_total": "Kernel events by class and stage: seen, suppressed, known (of the suppressed: "
    "repeated a behaviour judged before; missing where the agent does not tell), submitted, dropped, decoded, "
    "lost_in_user_space",
    "watchkeeper_node_events_unaccounted": "By how much seen = suppressed + submitted + dropped does not hold, by "
    "class",
    "watchkeeper_node_novelty_total": "New behaviours by class and fate: withheld (dropped, as one container held too "
    "much of the ring), unlisted (not remembered, as a share was used up), expired (never judged), evicted (forgotten)",
    "watchkeeper_node_knowledge_entries": "Behaviours that the node's kernel remembers as judged",
    "watchkeeper_node_knowledge_capacity": "How many it can remember",
    "watchkeeper_node_knowledge_generation": "Generation of the rules and profiles that judged them",
    "watchkeeper_node_unwatched_seconds": "How long nobody watched the node before its agent began to, where that "
    "is known",
    "watchkeeper_node_discarded_records_total": "Records the node's spool could not take, by kind",
    "watchkeeper_findings": "Findings without triage by severity and state: open (in time) or overdue",
    "watchkeeper_control_status": "1 for the status each control has now, 0 for the others",
    "watchkeeper_control_checks": "Checks of a control: passed and total",
    "watchkeeper_profiles": "Profiles of workloads by state: learning, learned",
    "watchkeeper_rules": "Rules by source and state: in_force (an enabled policy has them), idle (none has), broken "
    "(they do not compile)",
    "watchkeeper_policies": "Policies by state: enabled, disabled",
    "watchkeeper_rule_problems": "What is wrong with rule and policy files by kind: error, warning, and refused: "
    "errors for which newer files were not taken",
    "watchkeeper_node_rules_in_force": "Rules that the node's agent judges by",
    "watchkeeper_node_rules_acknowledged": "1 when the node runs the rules and policies that it must, else 0",
    "watchkeeper_alerts_total": "Findings told outside by sink (stdout, file, http) and outcome: delivered, failed, "
    "dropped",
    "watchkeeper_alerts_waiting": "Alerts that wait for a sink",
    "watchkeeper_messages_total": "Live messages by topic since the aggregator's start; topic finding counts arrivals "
    "and decisions",
    "watchkeeper_event_streams": "Open server-sent event streams",
    "watchkeeper_evaluation_timestamp_seconds": "When all checks were last judged",
}

_STAGES = ("seen", "suppressed", "known", "submitted", "dropped", "decoded", "lost_in_user_space")
_FATES = ("withheld", "unlisted", "expired", "evicted")


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """A control's row for one catalogue profile."""

    profile: str
    control: str
    scope: str
    status: str
    passed: int
    total: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a scrape tells. ``findings``: (severity, state) -> how many; ``node_states``: state -> how many."""

    nodes: Sequence[Node]
    node_states: Mapping[str, int]
    findings: Mapping[tuple[str, str], int]
    controls: Sequence[ControlStatus]
    profiles: Mapping[str, int]
    detection: Detection
    alerts: Mapping[str, Counters]
    messages: Mapping[str, int]
    streams: int
    evaluated_at: float


class _Collected:
    """Adapter to the client library, which wants a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(snapshot: Snapshot) -> bytes:
    """The exposition text."""
    registry = CollectorRegistry(auto_describe=False)
    families = [
        *_nodes(snapshot),
        *_novelty(snapshot.nodes),
        *_states(snapshot),
        *_detection(snapshot),
        *_alerts(snapshot),
        *_controls(snapshot),
    ]
    registry.register(_Collected(families))
    return generate_latest(registry)


def _gauge(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, NAMES[name], labels=labels)


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name.removesuffix("_total"), NAMES[name], labels=labels)


def _nodes(snapshot: Snapshot) -> list[Metric]:
    heartbeat = _gauge("watchkeeper_node_heartbeat_timestamp_seconds", "node")
    containers = _gauge("watchkeeper_node_containers", "node")
    resident = _gauge("watchkeeper_node_resident_bytes", "node")
    cpu = _counter("watchkeeper_node_cpu_seconds_total", "node")
    records = _gauge("watchkeeper_node_spool_records", "node")
    spool = _gauge("watchkeeper_node_spool_bytes", "node")
    events = _counter("watchkeeper_node_events_total", "node", "class", "stage")
    unaccounted = _gauge("watchkeeper_node_events_unaccounted", "node", "class")
    discarded = _counter("watchkeeper_node_discarded_records_total", "node", "kind")
    for node in snapshot.nodes:
        heartbeat.add_metric([node.name], node.heartbeat_at)
        containers.add_metric([node.name], node.containers)
        resident.add_metric([node.name], node.resident_bytes)
        cpu.add_metric([node.name], node.cpu_seconds)
        records.add_metric([node.name], node.spool_records)
        spool.add_metric([node.name], node.spool_bytes)
        for counters in node.counters:
            for stage in _STAGES:
                if (count := getattr(counters, stage)) is not None:
                    events.add_metric([node.name, counters.event_class, stage], count)
            unaccounted.add_metric([node.name, counters.event_class], counters.unaccounted)
        for kind, count in node.discarded:
            discarded.add_metric([node.name, kind], count)
    return [heartbeat, containers, resident, cpu, records, spool, events, unaccounted, discarded]


def _novelty(nodes: Sequence[Node]) -> list[Metric]:
    """Only of nodes whose agents tell it: nothing told is not zero."""
    novelty = _counter("watchkeeper_node_novelty_total", "node", "class", "fate")
    entries = _gauge("watchkeeper_node_knowledge_entries", "node")
    capacity = _gauge("watchkeeper_node_knowledge_capacity", "node")
    generation = _gauge("watchkeeper_node_knowledge_generation", "node")
    unwatched = _gauge("watchkeeper_node_unwatched_seconds", "node")
    for node in nodes:
        if node.knowledge is None:
            continue
        entries.add_metric([node.name], node.knowledge.entries)
        capacity.add_metric([node.name], node.knowledge.capacity)
        generation.add_metric([node.name], node.knowledge.generation)
        if node.last_gap:
            unwatched.add_metric([node.name], node.last_gap.seconds)
        sums: Counter[tuple[str, str]] = Counter()
        for each in node.novelty:
            sums.update({(each.event_class, fate): getattr(each, fate) for fate in _FATES})
        for (event_class, fate), count in sorted(sums.items()):
            novelty.add_metric([node.name, event_class, fate], count)
    return [novelty, entries, capacity, generation, unwatched]


def _detection(snapshot: Snapshot) -> list[Metric]:
    detection = snapshot.detection
    rules = _gauge("watchkeeper_rules", "source", "state")
    in_force = {rule.name for rule in detection.in_force}
    states = Counter(
        (rule.source, "in_force" if rule.name in in_force else "idle" if rule.compiles else "broken")
        for rule in detection.rulebook.rules.values()
    )
    for source in SOURCES:
        for state in ("in_force", "idle", "broken"):
            rules.add_metric([source, state], states[source, state])
    policies = _gauge("watchkeeper_policies", "state")
    enabled = sum(stated.policy.enabled for stated in detection.policies.values())
    policies.add_metric(["enabled"], enabled)
    policies.add_metric(["disabled"], len(detection.policies) - enabled)
    problems = _gauge("watchkeeper_rule_problems", "kind")
    for severity in Severity:
        problems.add_metric([severity], sum(problem.severity is severity for problem in detection.problems))
    problems.add_metric(["refused"], len(detection.refused))
    running = _gauge("watchkeeper_node_rules_in_force", "node")
    acknowledged = _gauge("watchkeeper_node_rules_acknowledged", "node")
    for node in snapshot.nodes:
        running.add_metric([node.name], node.rules_in_force)
        acknowledged.add_metric([node.name], detection.is_acknowledged(node.cluster, node.detection_hash))
    return [rules, policies, problems, running, acknowledged]


def _alerts(snapshot: Snapshot) -> list[Metric]:
    total = _counter("watchkeeper_alerts_total", "sink", "outcome")
    waiting = _gauge("watchkeeper_alerts_waiting", "sink")
    for sink, counters in sorted(snapshot.alerts.items()):
        for outcome in ("delivered", "failed", "dropped"):
            total.add_metric([sink, outcome], getattr(counters, outcome))
        waiting.add_metric([sink], counters.waiting)
    return [total, waiting]


def _states(snapshot: Snapshot) -> list[Metric]:
    nodes = _gauge("watchkeeper_nodes", "state")
    for state in ("watched", "degraded", "silent", "never"):
        nodes.add_metric([state], snapshot.node_states.get(state, 0))
    findings = _gauge("watchkeeper_findings", "severity", "state")
    for (severity, state), count in sorted(snapshot.findings.items()):
        findings.add_metric([severity, state], count)
    profiles = _gauge("watchkeeper_profiles", "state")
    for state in ("learning", "learned"):
        profiles.add_metric([state], snapshot.profiles.get(state, 0))
    messages = _counter("watchkeeper_messages_total", "topic")
    for topic in ("finding", "node", "profile", "policy", "status"):
        messages.add_metric([topic], snapshot.messages.get(topic, 0))
    streams = _gauge("watchkeeper_event_streams")
    streams.add_metric([], snapshot.streams)
    evaluated = _gauge("watchkeeper_evaluation_timestamp_seconds")
    evaluated.add_metric([], snapshot.evaluated_at)
    return [nodes, findings, profiles, messages, streams, evaluated]


def _controls(snapshot: Snapshot) -> list[Metric]:
    statuses = _gauge("watchkeeper_control_status", "profile", "control", "scope", "status")
    checks = _gauge("watchkeeper_control_checks", "profile", "control", "scope", "count")
    for row in snapshot.controls:
        where = [row.profile, row.control, row.scope]
        for status in Status:
            statuses.add_metric([*where, status], float(status == row.status))
        checks.add_metric([*where, "passed"], row.passed)
        checks.add_metric([*where, "total"], row.total)
    return [statuses, checks]


def counted(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs."""
    return dict(Counter(values))
