"""Status semantics: observations of a known population in, the status of a check or control out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

from aggregator.records import Observation, Outcome, Status

_WORST_FIRST = (Status.FAIL, Status.NOT_ASSESSED, Status.PARTIAL, Status.PASS_WITH_EXCEPTIONS, Status.PASS)
_PASSED = (Status.PASS, Status.PASS_WITH_EXCEPTIONS)


@dataclass(frozen=True, slots=True)
class Requirement:
    """``coverage``: share of the population that must be assessed; ``allows_empty``: nothing there is in order."""

    coverage: float = 1.0
    allows_empty: bool = False


COMPLETE = Requirement()


@dataclass(frozen=True, slots=True)
class Population:
    """How much of what must be judged was. ``expected`` None: unknown. Resources to which the check does not
    apply are not expected; a resource is assessed when it passed or failed and that is not stale."""

    expected: int | None
    assessed: int
    failed: int
    excepted: int


def check_status(
    population: Set[str] | None,
    outcomes: Mapping[str, Outcome],
    exceptions: Set[str] = frozenset(),
    requirement: Requirement = COMPLETE,
    overdue: int = 0,
) -> Status:
    """The first clause that matches.

    ``population``: names of all resources, known independently of who reports; None when it is not known.
    ``outcomes``: the newest of each resource; of resources outside a known population they do not count.
    ``exceptions``: resources whose failure is accepted now. ``overdue``: findings of this check past their deadline.
    """
    counted = _counted(population, outcomes)
    if overdue > 0 or any(outcome is Outcome.FAIL and name not in exceptions for name, outcome in counted.items()):
        return Status.FAIL
    figures = measure(population, outcomes, exceptions)
    if figures.expected == 0 and requirement.allows_empty:
        return Status.NOT_APPLICABLE
    if figures.assessed == 0 or figures.expected is None:
        return Status.NOT_ASSESSED
    uncertain = any(outcome in (Outcome.ERROR, Outcome.STALE) for outcome in counted.values())
    if uncertain or figures.assessed < math.ceil(requirement.coverage * figures.expected - 1e-9):
        return Status.PARTIAL
    return Status.PASS_WITH_EXCEPTIONS if figures.excepted else Status.PASS


def measure(
    population: Set[str] | None, outcomes: Mapping[str, Outcome], exceptions: Set[str] = frozenset()
) -> Population:
    """The figures behind check_status; ``failed`` are those without exception."""
    counted = _counted(population, outcomes)
    failing = {name for name, outcome in counted.items() if outcome is Outcome.FAIL}
    excluded = sum(outcome is Outcome.NOT_APPLICABLE for outcome in counted.values())
    passed = sum(outcome is Outcome.PASS for outcome in counted.values())
    expected = None if population is None else len(population) - excluded
    return Population(expected, passed + len(failing), len(failing - exceptions), len(failing & exceptions))


def control_status(checks: Iterable[Status]) -> Status:
    """The worst of its checks; not_applicable is neutral. Without any check nothing was assessed."""
    statuses = set(checks)
    for status in _WORST_FIRST:
        if status in statuses:
            return status
    return Status.NOT_APPLICABLE if statuses else Status.NOT_ASSESSED


def passed(statuses: Iterable[Status]) -> int:
    """How many count as passed."""
    return sum(status in _PASSED for status in statuses)


def aged(observation: Observation, now: float, ttl: float, *, excepted: bool = False) -> Observation:
    """The observation as it counts at ``now``: stale once older than ``ttl`` seconds.

    A failure stays one until the resource is judged again: time alone never makes anything better.
    """
    if now - observation.at <= ttl or (observation.outcome is Outcome.FAIL and not excepted):
        return observation
    if observation.outcome is Outcome.STALE:
        return observation
    return replace(observation, outcome=Outcome.STALE, reason=f"not judged for {ttl:.0f} s")


def _counted(population: Set[str] | None, outcomes: Mapping[str, Outcome]) -> Mapping[str, Outcome]:
    if population is None:
        return outcomes
    return {name: outcome for name, outcome in outcomes.items() if name in population}
