"""The agent's counts of events as its heartbeats tell them, and what lies between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FIGURES = ("seen", "suppressed", "known", "submitted", "dropped", "decoded", "lost_in_user_space")
NOVELTY = ("withheld", "unlisted", "expired", "evicted")


@dataclass(frozen=True, slots=True)
class Count:
    """Of one class of events, or of all. ``known`` is part of ``suppressed``."""

    seen: int = 0
    suppressed: int = 0
    known: int = 0
    submitted: int = 0
    dropped: int = 0
    decoded: int = 0
    lost_in_user_space: int = 0

    def __sub__(self, before: Count) -> Count:
        return Count(*(getattr(self, name) - getattr(before, name) for name in FIGURES))

    def __add__(self, other: Count) -> Count:
        return Count(*(getattr(self, name) + getattr(other, name) for name in FIGURES))

    @property
    def crossing(self) -> float:
        """Percent of what was seen that was to go to user space, whether there was room for it or not."""
        return 100.0 * (self.submitted + self.dropped) / self.seen if self.seen else 0.0

    @property
    def lost(self) -> int:
        return self.dropped + self.lost_in_user_space

    @property
    def unaccounted(self) -> int:
        """How far seen is from what became of it. The counts are read one after the other, so it is exact only while
        nothing happens."""
        return abs(self.seen - self.suppressed - self.submitted - self.dropped)

    def undelivered(self, later: Count) -> int:
        """Of what was submitted, what had neither been read nor lost when ``later`` was taken."""
        return max(0, self.submitted - later.decoded - later.lost_in_user_space)


@dataclass(frozen=True, slots=True)
class Novelty:
    """Of what was new to the kernel: ``withheld`` for a cgroup's own flood; told but ``unlisted``, for want of room in
    the kernel's memory; ``expired`` without being judged; known and ``evicted``."""

    withheld: int = 0
    unlisted: int = 0
    expired: int = 0
    evicted: int = 0

    def __sub__(self, before: Novelty) -> Novelty:
        return Novelty(*(getattr(self, name) - getattr(before, name) for name in NOVELTY))


@dataclass(frozen=True, slots=True)
class Counters:
    """By class of events. ``remembered``: entries of the kernel's memory then, also in a difference."""

    classes: Mapping[str, Count] = field(default_factory=dict)
    novelty: Novelty = Novelty()
    remembered: int = 0

    def __sub__(self, before: Counters) -> Counters:
        classes = {name: count - before.classes.get(name, Count()) for name, count in self.classes.items()}
        return Counters(classes, self.novelty - before.novelty, self.remembered)

    @property
    def all(self) -> Count:
        return sum(self.classes.values(), Count())

    @property
    def seen(self) -> Mapping[str, Count]:
        """The classes of which something was seen."""
        return {name: count for name, count in self.classes.items() if count.seen}


def read(node: Mapping[str, Any]) -> Counters:
    """From the API's node; an agent that does not tell of what it knows, or of novelty, has none."""
    rows: list[Mapping[str, int]] = node.get("novelty") or []
    return Counters(
        {each["event_class"]: Count(*(int(each.get(name) or 0) for name in FIGURES)) for each in node["counters"]},
        Novelty(*(sum(row[name] for row in rows) for name in NOVELTY)),
        (node.get("knowledge") or {}).get("entries", 0),
    )
