"""What a type of check is: how long its judgements count, over what population, and how it judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aggregator.checks.facts import Facts
from aggregator.controls.status import COMPLETE, Requirement
from aggregator.records import Observation

EVENT_SOURCE_TTL = 15 * 60.0
DAILY_TTL = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Check:
    """``type`` as in the catalogue, ``ttl`` in seconds. ``population`` gives None when nobody knows it.

    ``missing``: why it can not be assessed at all, by source of a rule ("" for checks without one): this
    program has nothing to judge it from. Never a pass, never silently nothing.
    """

    type: str
    ttl: float
    population: Callable[[Facts, float], frozenset[str] | None]
    judge: Callable[[Facts, float], Iterator[Observation]]
    requirement: Requirement = COMPLETE
    missing: Mapping[str, str] = field(default_factory=dict)


def source_missing(type_: str, ttl: float, missing: Mapping[str, str]) -> Check:
    """A check whose source this program does not have: its population is unknown and nothing is observed."""
    return Check(type_, ttl, _unknown, _nothing, missing=missing)


def _unknown(_facts: Facts, _now: float) -> None:
    return None


def _nothing(_facts: Facts, _now: float) -> Iterator[Observation]:
    return iter(())
