"""Deviation detection active: wherever a learned profile's workload runs, deviations from it are detected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from aggregator.checks import profiling_enabled
from aggregator.checks.check import EVENT_SOURCE_TTL, Check
from aggregator.checks.facts import Facts, resource, workloads_of
from aggregator.controls.status import Requirement
from aggregator.records import EnforcedProfile, Observation, Outcome
from watchkeeper.findings import ProfileKey, ProfileState


def population(facts: Facts, now: float) -> frozenset[str] | None:
    """Running workloads with a learned profile, and a stand-in for each node whose workloads nobody knows.

    While every workload is still learning nothing can be said: that is unknown, not empty.
    """
    workloads = profiling_enabled.population(facts, now)
    if not workloads:
        return workloads
    learned = {resource(key) for key in _learned(facts)}
    unheard = {workloads_of(node) for node in facts.unheard(now)}
    return frozenset(learned | unheard) if learned else None


def judge(facts: Facts, now: float) -> Iterator[Observation]:
    enforced = {node.name: {profile.key: profile for profile in node.profiles} for node in facts.nodes}
    silent = facts.silent(now)
    for key in _learned(facts):
        outcome, reason = _judged(facts, key, enforced, silent)
        yield Observation(CHECK.type, resource(key), outcome, reason, now)
    yield from profiling_enabled.unheard(CHECK.type, facts, now)


def _judged(
    facts: Facts, key: ProfileKey, enforced: Mapping[str, Mapping[ProfileKey, EnforcedProfile]], silent: Set[str]
) -> tuple[Outcome, str]:
    nodes = sorted({node for node, _ in facts.workloads[key]})
    missing = [node for node in nodes if node in silent]
    behind, deaf = list[str](), list[str]()
    for node in (node for node in nodes if node not in silent):
        profile = enforced[node].get(key)
        if profile is None or profile.state is not ProfileState.LEARNED or profile.hash != facts.hashes.get(key):
            behind.append(node)
        elif not profile.canary_detected:
            deaf.append(node)
    if deaf:
        return Outcome.FAIL, f"a synthetic deviation was not recognised on {', '.join(deaf)}"
    if missing:
        return Outcome.ERROR, f"agent_missing: {', '.join(missing)}"
    if behind:
        return Outcome.ERROR, f"profile_not_acknowledged: {', '.join(behind)}"
    return Outcome.PASS, ""


def _learned(facts: Facts) -> list[ProfileKey]:
    return [key for key in facts.workloads if key in facts.by_key and facts.by_key[key].state is ProfileState.LEARNED]


CHECK = Check("profiling_policy", EVENT_SOURCE_TTL, population, judge, Requirement(allows_empty=True))
