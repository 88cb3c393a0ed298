"""Novelty storms: containers that do new things faster than anybody can look at them. Judging only, no I/O.

A storm begins when an owner's novelty exceeds a rate, when anything of it was withheld, or when most of it found no
place in its share of the kernel's memory. It ends after calm intervals, at half of these figures, and may begin again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.novelty import Counts, Novelty, total
from watchkeeper.findings import Container

INTERVAL_SECONDS = 10.0
RATE = 2_000.0  # new behaviours a second
UNLISTED_SHARE = 0.5  # of what was told
UNLISTED_RATE = 100.0  # a second; below, crossing again each time costs little
CALM = 0.5  # of the figures above
CALM_INTERVALS = 2


@dataclass(frozen=True, slots=True)
class Storm:
    """One owner's storm in the interval that just passed. ``container`` None: of the host itself.

    ``rate``: new behaviours a second. ``classes``: what the interval brought, by event class. ``withheld``: events
    were, at some time since it began. ``ended``: told once, when it is over.
    """

    key: str
    container: Container | None
    rate: float
    classes: Mapping[str, Counts]
    withheld: bool
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Ongoing:
    storm: Storm
    calm: int = 0


class Storms:
    """``since``: unix seconds, when counting began."""

    def __init__(self, since: float) -> None:
        self._at = since
        self._before: dict[str, Novelty] = {}
        self._ongoing: dict[str, _Ongoing] = {}

    def judge(self, novelties: Iterable[Novelty], now: float) -> list[Storm]:
        """The storms of the time since the last call, which should be INTERVAL_SECONDS, and those that ended.

        ``novelties``: totals. Nothing is judged when the clock was set back.
        """
        seconds, self._at = now - self._at, now
        before, self._before = self._before, {each.key: each for each in novelties if each.whose != "others"}
        if seconds <= 0:
            return []
        told = [self._judge(each, before.get(key), seconds) for key, each in self._before.items()]
        gone = [self._end(key) for key in self._ongoing.keys() - self._before.keys()]
        return [storm for storm in (*told, *gone) if storm is not None]

    def _judge(self, novelty: Novelty, before: Novelty | None, seconds: float) -> Storm | None:
        classes = _gained(novelty, before)
        counts, ongoing = total(classes.values()), self._ongoing.get(novelty.key)
        if _exceeds(counts, seconds, 1.0 if ongoing is None else CALM):
            withheld = counts.withheld > 0 or (ongoing is not None and ongoing.storm.withheld)
            storm = Storm(novelty.key, novelty.container, counts.new / seconds, classes, withheld)
            self._ongoing[novelty.key] = _Ongoing(storm)
            return storm
        if ongoing is None:
            return None
        if ongoing.calm + 1 >= CALM_INTERVALS:
            return self._end(novelty.key)
        self._ongoing[novelty.key] = _Ongoing(ongoing.storm, ongoing.calm + 1)
        return None

    def _end(self, key: str) -> Storm:
        last = self._ongoing.pop(key).storm
        return Storm(key, last.container, 0.0, {}, last.withheld, ended=True)


def _gained(novelty: Novelty, before: Novelty | None) -> dict[str, Counts]:
    """By class, without those in which nothing happened."""
    earlier = before.classes if before else {}
    gained = {name: counts.since(earlier.get(name, Counts())) for name, counts in novelty.classes.items()}
    return {name: counts for name, counts in gained.items() if counts != Counts()}


def _exceeds(counts: Counts, seconds: float, part: float) -> bool:
    """``part``: of each figure."""
    if counts.withheld or counts.new / seconds >= RATE * part:
        return True
    unlisted = counts.unlisted / seconds
    return unlisted >= UNLISTED_RATE * part and counts.unlisted >= UNLISTED_SHARE * part * counts.submitted
