"""Profiling enabled: the behaviour of each running workload is learned, or still being learned in time."""

from __future__ import annotations

from collections.abc import Iterator

from aggregator.checks.check import EVENT_SOURCE_TTL, Check
from aggregator.checks.facts import Facts, resource, workloads_of
from aggregator.controls.status import Requirement
from aggregator.records import Observation, Outcome
from watchkeeper.findings import Container, ProfileKey, ProfileState


def population(facts: Facts, now: float) -> frozenset[str] | None:
    """The workloads in the inventories, and one stand-in for each node whose workloads nobody knows."""
    if facts.node_population is None:
        return None
    unheard = {workloads_of(node) for node in facts.unheard(now)}
    return frozenset({resource(key) for key in facts.workloads} | unheard)


def judge(facts: Facts, now: float) -> Iterator[Observation]:
    silent = facts.silent(now)
    for key, containers in facts.workloads.items():
        missing = silent and silent.intersection(node for node, _ in containers)
        if missing:
            outcome, reason = Outcome.ERROR, f"agent_missing: {', '.join(sorted(missing))}"
        else:
            outcome, reason = _judged(facts, key, containers, now)
        yield Observation(CHECK.type, resource(key), outcome, reason, now)
    yield from unheard(CHECK.type, facts, now)


def unheard(check: str, facts: Facts, now: float) -> Iterator[Observation]:
    """Nodes that enrolled and are silent; of those that never did there is nothing to observe."""
    for node in sorted(facts.unheard(now)):
        if facts.is_silent(node, now):
            yield Observation(check, workloads_of(node), Outcome.ERROR, f"agent_missing: {node}", now)


def _judged(
    facts: Facts, key: ProfileKey, containers: tuple[tuple[str, Container], ...], now: float
) -> tuple[Outcome, str]:
    profile = facts.by_key.get(key)
    if profile is None:
        return _unprofiled(facts, containers, now)
    if profile.state is ProfileState.LEARNED:
        return Outcome.PASS, ""
    if now - profile.first_seen <= facts.thresholds.learning_seconds:
        return Outcome.PASS, "learning"
    return Outcome.FAIL, f"still learning after {facts.thresholds.learning_seconds / 3600:g} h"


def _unprofiled(facts: Facts, containers: tuple[tuple[str, Container], ...], now: float) -> tuple[Outcome, str]:
    """A container that just started has no profile yet: neither in order nor a failure."""
    settling = any(now - container.started_at <= facts.thresholds.settling_seconds for _, container in containers)
    if settling:
        return Outcome.ERROR, "profile_pending: the container just started"
    return Outcome.FAIL, "has no profile"


CHECK = Check("profiling_enabled", EVENT_SOURCE_TTL, population, judge, Requirement(allows_empty=True))
