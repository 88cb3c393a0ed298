"""Agent installed: each node in scope runs an agent that sees, loses next to nothing, and is heard of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from packaging.version import InvalidVersion, Version

from aggregator.checks.check import EVENT_SOURCE_TTL, Check
from aggregator.checks.facts import Facts, Thresholds
from aggregator.records import UNDER_WAY, Node, Observation, Outcome


def population(facts: Facts, _now: float) -> frozenset[str] | None:
    return facts.node_population


def judge(facts: Facts, now: float) -> Iterator[Observation]:
    """One observation for each node that ever enrolled; one that never did lowers the coverage."""
    for name in sorted(facts.node_population or ()):
        node = facts.by_name.get(name)
        if node is None:
            continue
        if facts.is_silent(name, now):
            yield Observation(CHECK.type, name, Outcome.ERROR, f"agent_missing: silent since {_when(node)}", now)
        elif node.heartbeat_at > 0:
            faults = "; ".join(_faults(node, facts.thresholds))
            yield Observation(CHECK.type, name, Outcome.FAIL if faults else Outcome.PASS, faults, now)


def _faults(node: Node, thresholds: Thresholds) -> Iterator[str]:
    """Each fault in words that stay the same as long as it does: a new reason is new evidence."""
    if node.probe_state != "attached":
        missing = f", missing hooks: {', '.join(node.missing_hooks)}" if node.missing_hooks else ""
        yield f"probe is {node.probe_state or 'in an unknown state'}, not attached{missing}"
    elif node.missing_hooks:
        yield f"missing hooks: {', '.join(node.missing_hooks)}"
    if loss_share(node) >= thresholds.loss_share:
        yield f"loses {thresholds.loss_share:.1%} of events or more"
    if unaccounted_share(node) >= thresholds.loss_share:
        yield f"can not account for {thresholds.loss_share:.1%} of events or more"
    # canary and heartbeat by the same clock: the node's may differ from ours
    if (node.sent_at or node.heartbeat_at) - node.canary_at > thresholds.silent_heartbeats * max(
        1, node.heartbeat_seconds
    ):
        yield "does not see its own canary act through the kernel"
    if _older(node.agent_version, thresholds.minimum_version):
        yield f"version {node.agent_version or 'unknown'} is older than {thresholds.minimum_version}"


def loss_share(node: Node) -> float:
    """Events lost in kernel or user space, as a share of all that should have been judged; the worst class counts
    for itself when it is large enough to tell, so that a busy class can not hide a deaf one."""
    shares = [0.0]
    lost_in_all, wanted_in_all = 0, 0
    for counters in node.counters:
        lost = counters.dropped + counters.lost_in_user_space
        wanted = counters.submitted + counters.dropped
        lost_in_all, wanted_in_all = lost_in_all + lost, wanted_in_all + wanted
        if wanted >= _TELLING:
            shares.append(lost / wanted)
    if lost_in_all:
        shares.append(lost_in_all / max(wanted_in_all, lost_in_all))
    return max(shares)


def unaccounted_share(node: Node) -> float:
    """Events in no count, as a share of all that should have been judged if they were lost; of the worst class."""
    shares = [0.0]
    for counters in node.counters:
        if counters.unaccounted > UNDER_WAY:
            shares.append(counters.unaccounted / (counters.submitted + counters.dropped + counters.unaccounted))
    return max(shares)


def _older(version: str, minimum: str) -> bool:
    try:
        return Version(version) < Version(minimum)
    except InvalidVersion:
        return True


def _when(node: Node) -> str:
    last = node.heartbeat_at or node.enrolled_at
    return datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_TELLING = 100  # events

CHECK = Check("agent_installed", EVENT_SOURCE_TTL, population, judge)
