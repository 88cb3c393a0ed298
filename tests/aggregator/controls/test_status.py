"""Each clause of the status semantics, by table and by property."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.controls.status import (
    Population,
    Requirement,
    aged,
    check_status,
    control_status,
    measure,
    passed,
)
from aggregator.records import Observation, Outcome, Status

P, F, E, N, S = Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.NOT_APPLICABLE, Outcome.STALE
EMPTY_IS_FINE, MOST = Requirement(allows_empty=True), Requirement(coverage=0.5)

names = st.sampled_from("abcdef")
populations = st.none() | st.frozensets(names)
observed = st.dictionaries(names, st.sampled_from(Outcome))
excepted = st.frozensets(names)
requirements = st.builds(Requirement, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans())
# worse is later; not_applicable beside pass, for it is neutral
BADNESS = {
    Status.PASS: 0, Status.NOT_APPLICABLE: 0, Status.PASS_WITH_EXCEPTIONS: 1, Status.PARTIAL: 2,
    Status.NOT_ASSESSED: 3, Status.FAIL: 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("population", "outcomes", "exceptions", "requirement", "overdue", "expected"),
    [
        ("ab", {"a": P, "b": P}, "", Requirement(), 0, Status.PASS),
        ("ab", {"a": P, "b": F}, "", Requirement(), 0, Status.FAIL),
        ("ab", {"a": P, "b": F}, "b", Requirement(), 0, Status.PASS_WITH_EXCEPTIONS),
        ("ab", {"a": P, "b": P}, "b", Requirement(), 0, Status.PASS),
        ("ab", {"a": P, "b": P}, "", Requirement(), 1, Status.FAIL),
        ("ab", {"a": P}, "", Requirement(), 0, Status.PARTIAL),
        ("ab", {"a": P}, "", MOST, 0, Status.PASS),
        ("ab", {"a": P, "b": E}, "", MOST, 0, Status.PARTIAL),
        ("ab", {"a": P, "b": S}, "", MOST, 0, Status.PARTIAL),
        ("abc", {"a": P}, "", MOST, 0, Status.PARTIAL),
        ("ab", {"a": F, "b": S}, "a", MOST, 0, Status.PARTIAL),
        ("ab", {"a": E, "b": S}, "", Requirement(), 0, Status.NOT_ASSESSED),
        ("ab", {}, "", Requirement(), 0, Status.NOT_ASSESSED),
        ("ab", {}, "", Requirement(coverage=0.0), 0, Status.NOT_ASSESSED),
        ("", {}, "", Requirement(), 0, Status.NOT_ASSESSED),
        ("", {}, "", EMPTY_IS_FINE, 0, Status.NOT_APPLICABLE),
        ("", {}, "", EMPTY_IS_FINE, 1, Status.FAIL),
        ("ab", {"a": N, "b": N}, "", EMPTY_IS_FINE, 0, Status.NOT_APPLICABLE),
        ("ab", {"a": N, "b": P}, "", Requirement(), 0, Status.PASS),
        ("a", {"a": P, "z": F}, "", Requirement(), 0, Status.PASS),
        (None, {"a": P}, "", EMPTY_IS_FINE, 0, Status.NOT_ASSESSED),
        (None, {}, "", EMPTY_IS_FINE, 0, Status.NOT_ASSESSED),
        (None, {"a": F}, "", Requirement(), 0, Status.FAIL),
        (None, {}, "", Requirement(), 2, Status.FAIL),
    ],
)
def test_status_of_a_check(
    population: str | None,
    outcomes: dict[str, Outcome],
    exceptions: str,
    requirement: Requirement,
    overdue: int,
    expected: Status,
) -> None:
    """The first clause that matches decides."""
    known = None if population is None else frozenset(population)
    assert check_status(known, outcomes, frozenset(exceptions), requirement, overdue) is expected


@given(populations, observed, excepted, requirements, names)
def test_a_failing_resource_fails_the_check(
    population: frozenset[str] | None,
    outcomes: dict[str, Outcome],
    exceptions: frozenset[str],
    requirement: Requirement,
    failing: str,
) -> None:
    """Added to the population and failing without exception, it makes any status fail."""
    grown = None if population is None else population | {failing}
    status = check_status(grown, {**outcomes, failing: F}, exceptions - {failing}, requirement)
    assert status is Status.FAIL


@given(populations, observed, excepted, requirements, st.integers(1, 9))
def test_an_overdue_finding_fails_the_check(
    population: frozenset[str] | None,
    outcomes: dict[str, Outcome],
    exceptions: frozenset[str],
    requirement: Requirement,
    overdue: int,
) -> None:
    """Whatever else is observed."""
    assert check_status(population, outcomes, exceptions, requirement, overdue) is Status.FAIL


@given(populations, observed, excepted, requirements)
def test_a_check_passes_exactly_when_enough_is_known_and_nothing_is_wrong(
    population: frozenset[str] | None,
    outcomes: dict[str, Outcome],
    exceptions: frozenset[str],
    requirement: Requirement,
) -> None:
    """A known population, something assessed, the coverage reached, no failure, no error, nothing stale."""
    status = check_status(population, outcomes, exceptions, requirement)
    inside = {name: outcome for name, outcome in outcomes.items() if name in (population or ())}
    figures = measure(population, outcomes, exceptions)
    enough = figures.expected is not None and figures.assessed >= max(1, requirement.coverage * figures.expected)
    in_order = figures.failed == 0 and not {E, S} & set(inside.values())
    assert (status in (Status.PASS, Status.PASS_WITH_EXCEPTIONS)) == (enough and in_order)
    assert (status is Status.PASS_WITH_EXCEPTIONS) == (enough and in_order and figures.excepted > 0)


@given(observed, excepted, requirements)
def test_an_unknown_population_is_never_better_than_not_assessed(
    outcomes: dict[str, Outcome], exceptions: frozenset[str], requirement: Requirement
) -> None:
    """Whatever reported, nobody knows whether it is all."""
    assert check_status(None, outcomes, exceptions, requirement) in (Status.NOT_ASSESSED, Status.FAIL)


@given(st.frozensets(names, min_size=1), observed, excepted, requirements, names)
def test_an_exception_taken_away_never_improves(
    population: frozenset[str],
    outcomes: dict[str, Outcome],
    exceptions: frozenset[str],
    requirement: Requirement,
    ended: str,
) -> None:
    """When an exception ends the status stays or gets worse."""
    before = check_status(population, outcomes, exceptions, requirement)
    after = check_status(population, outcomes, exceptions - {ended}, requirement)
    assert BADNESS[after] >= BADNESS[before]


@given(
    st.frozensets(names),
    st.dictionaries(names, st.tuples(st.sampled_from(Outcome), st.floats(0, 1000))),
    excepted,
    requirements,
    st.floats(0, 1000),
    st.floats(0, 5000),
)
def test_time_alone_never_improves(
    population: frozenset[str],
    found: dict[str, tuple[Outcome, float]],
    exceptions: frozenset[str],
    requirement: Requirement,
    first: float,
    later: float,
) -> None:
    """Observations that only grow older give the same status or a worse one."""
    now = 1000.0 + first

    def status(at: float) -> Status:
        outcomes = {
            name: aged(Observation("c", name, outcome, "", when), at, 900.0, excepted=name in exceptions).outcome
            for name, (outcome, when) in found.items()
        }
        return check_status(population, outcomes, exceptions, requirement)

    assert BADNESS[status(now + later)] >= BADNESS[status(now)]


def test_an_observation_grows_stale() -> None:
    """Past its time to live a pass is stale; a failure stays one unless it was excepted."""
    good, bad = Observation("c", "r", P, "", 100.0), Observation("c", "r", F, "broken", 100.0)
    assert aged(good, 1000.0, 900.0) is good
    assert aged(good, 1000.1, 900.0) == Observation("c", "r", S, "not judged for 900 s", 100.0)
    assert aged(bad, 9999.0, 900.0) is bad
    assert aged(bad, 9999.0, 900.0, excepted=True).outcome is S


def test_the_figures_of_a_population() -> None:
    """Expected without those it does not apply to; errors are not assessed; failed without the excepted."""
    outcomes = {"a": P, "b": F, "c": F, "d": E, "e": N, "z": F}
    assert measure(frozenset("abcdef"), outcomes, frozenset("c")) == Population(5, 3, 1, 1)
    assert measure(None, {"a": P}) == Population(None, 1, 0, 0)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["pass", "fail", "not_assessed"], "fail"),
        (["pass", "not_assessed", "partial"], "not_assessed"),
        (["pass", "partial", "pass_with_exceptions"], "partial"),
        (["pass", "pass_with_exceptions", "not_applicable"], "pass_with_exceptions"),
        (["pass", "not_applicable"], "pass"),
        (["not_applicable", "not_applicable"], "not_applicable"),
        ([], "not_assessed"),
    ],
)
def test_status_of_a_control(statuses: list[str], expected: str) -> None:
    """The worst of its checks, not_applicable neutral."""
    assert control_status(Status(status) for status in statuses) == expected


@given(st.lists(st.sampled_from(Status)), st.sampled_from([s for s in Status if s is not Status.NOT_APPLICABLE]))
def test_a_further_check_never_improves_a_control(statuses: list[Status], further: Status) -> None:
    """Unless it is the first one assessed at all, one more check leaves the control as it is or worse."""
    assume(statuses and set(statuses) != {Status.NOT_APPLICABLE})
    assert BADNESS[control_status([*statuses, further])] >= BADNESS[control_status(statuses)]


def test_passed_counts_pass_and_pass_with_exceptions() -> None:
    """A family's figure."""
    assert passed(Status) == 2
