"""What the benchmark computes from the agent's counts."""

from __future__ import annotations

from tests.bench import counters
from tests.bench.counters import Count, Counters, Novelty


def test_difference_and_sum_are_taken_figure_by_figure() -> None:
    """What lies between two heartbeats, by class and over all; an agent without ``known`` has none."""
    before = counters.read({"counters": [_told("open", 10, 4, 5, 1, 5, 0)]})
    after = counters.read({"counters": [_told("open", 30, 20, 8, 2, 7, 1), _told("exec", 2, 0, 2, 0, 2, 0)]})
    between = after - before
    assert between == Counters({"open": Count(20, 16, 0, 3, 1, 2, 1), "exec": Count(2, 0, 0, 2, 0, 2, 0)})
    assert between.all == Count(22, 16, 0, 5, 1, 4, 1)


def test_novelty_is_summed_over_containers_and_classes() -> None:
    """Between two heartbeats; how much the kernel remembers is a state and no count."""
    row = {"withheld": 1, "unlisted": 2, "expired": 3, "evicted": 4, "submitted": 9}
    before = counters.read({"counters": [], "novelty": [row], "knowledge": {"entries": 70}})
    after = counters.read({"counters": [], "novelty": [row, row, row], "knowledge": {"entries": 80}})
    assert after - before == Counters({}, Novelty(2, 4, 6, 8), 80)
    assert counters.read({"counters": [], "novelty": None, "knowledge": None}) == Counters()


def test_what_was_dropped_counts_as_crossing_and_as_lost() -> None:
    """It was to go to user space, and did not arrive there."""
    count = Count(seen=200, suppressed=190, known=150, submitted=6, dropped=4, decoded=5, lost_in_user_space=1)
    assert (count.crossing, count.lost, count.unaccounted) == (5.0, 5, 0)
    assert Count().crossing == 0.0


def test_an_event_that_nothing_became_of_is_unaccounted() -> None:
    """Seen, but neither suppressed nor submitted nor dropped; and submitted, but neither read nor lost later on."""
    assert Count(seen=10, suppressed=4, submitted=4, dropped=1).unaccounted == 1
    assert Count(submitted=9).undelivered(Count(submitted=12, decoded=7, lost_in_user_space=1)) == 1
    assert Count(submitted=9).undelivered(Count(submitted=12, decoded=11)) == 0


def _told(name: str, *figures: int) -> dict[str, object]:
    names = ("seen", "suppressed", "submitted", "dropped", "decoded", "lost_in_user_space")
    return {"event_class": name, **dict(zip(names, figures, strict=True))}
