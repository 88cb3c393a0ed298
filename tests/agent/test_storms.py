"""When a container's novelty is a storm, and when it is over."""

from __future__ import annotations

from agent.novelty import Counts, Novelty
from agent.storms import Storm, Storms
from watchkeeper.findings import Container

WEB = Container("c" * 64, "web", pod_name="web-1", pod_namespace="shop")
BATCH = Container("b" * 64, "batch")


def novelty(counts: Counts, container: Container | None = WEB) -> Novelty:
    return Novelty("container" if container else "host", container, {"open": counts})


def storm(rate: float, counts: Counts, withheld: bool = False, ended: bool = False) -> Storm:
    return Storm(WEB.id, WEB, rate, {"open": counts} if counts != Counts() else {}, withheld, ended)


def test_novelty_below_the_rate_is_no_storm() -> None:
    """Starting a container makes some thousand new behaviours."""
    assert Storms(0.0).judge([novelty(Counts(submitted=19_000, dropped=900))], 10.0) == []


def test_a_storm_is_told_each_interval_until_it_was_calm_twice() -> None:
    """Rates are of the interval alone; one calm interval does not end it, two do, and then it may begin again."""
    storms = Storms(0.0)
    told = [storms.judge([novelty(Counts(submitted=total))], 10.0 * (number + 1)) for number, total in enumerate(
        [30_000, 45_000, 45_010, 56_000, 56_010, 56_020, 56_030, 86_030]
    )]  # fmt: skip
    assert told == [
        [storm(3000.0, Counts(submitted=30_000))],
        [storm(1500.0, Counts(submitted=15_000))],
        [],
        [storm(1099.0, Counts(submitted=10_990))],
        [],
        [storm(0.0, Counts(), ended=True)],
        [],
        [storm(3000.0, Counts(submitted=30_000))],
    ]


def test_anything_withheld_is_a_storm_and_stays_grave_until_it_ends() -> None:
    """Events nobody saw: whatever the rate, and also in later intervals in which only the rate is high."""
    storms = Storms(0.0)
    first = Counts(submitted=5, dropped=1, withheld=1)
    second = first.plus(Counts(submitted=12_000))
    assert storms.judge([novelty(first)], 10.0) == [storm(0.6, first, withheld=True)]
    assert storms.judge([novelty(second)], 20.0) == [storm(1200.0, Counts(submitted=12_000), withheld=True)]
    assert storms.judge([novelty(second)], 30.0) == []
    assert storms.judge([novelty(second)], 40.0) == [storm(0.0, Counts(), withheld=True, ended=True)]


def test_crossing_again_each_time_is_a_storm_when_it_is_most_and_often() -> None:
    """A share that is used up burdens; a handful of events does not, and neither does a small part of many."""
    for submitted, unlisted, stormy in ((3000, 2000, True), (500, 500, False), (15_000, 2000, False)):
        counts = Counts(submitted=submitted, unlisted=unlisted)
        assert Storms(0.0).judge([novelty(counts)], 10.0) == ([storm(submitted / 10, counts)] if stormy else [])


def test_each_container_is_judged_alone() -> None:
    """The neighbours of a container that storms are not told of, nor what is summed as others."""
    calm = novelty(Counts(submitted=100), BATCH)
    others = Novelty("others", None, {"open": Counts(submitted=10**6, withheld=3)})
    host = novelty(Counts(submitted=25_000), None)
    told = Storms(0.0).judge([host, novelty(Counts(submitted=40_000)), calm, others], 10.0)
    assert [(each.key, each.container, each.rate) for each in told] == [
        ("host", None, 2500.0),
        (WEB.id, WEB, 4000.0),
    ]


def test_the_storm_of_a_forgotten_container_ends() -> None:
    """One that is not counted any more does not storm for ever."""
    storms = Storms(0.0)
    counts = Counts(submitted=30_000)
    assert storms.judge([novelty(counts)], 10.0) == [storm(3000.0, counts)]
    assert storms.judge([], 20.0) == [storm(0.0, Counts(), ended=True)]
    assert storms.judge([], 30.0) == []


def test_a_clock_set_back_judges_nothing_once() -> None:
    """What was counted meanwhile has no rate; from the next interval on, rates are right."""
    storms = Storms(1000.0)
    assert storms.judge([novelty(Counts(submitted=10**6))], 500.0) == []
    told = storms.judge([novelty(Counts(submitted=10**6 + 30_000))], 510.0)
    assert told == [storm(3000.0, Counts(submitted=30_000))]
