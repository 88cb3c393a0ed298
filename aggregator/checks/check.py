"""What a type of check is: how long its judgements count, over what population, and how it judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aggregator.checks.facts import Facts
from aggregator.controls.status import COMPLETE, Requirement
from aggregator.detection import Detection
from aggregator.records import Observation, Status

EVENT_SOURCE_TTL = 15 * 60.0
DAILY_TTL = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check has its status ("": nothing beyond the figures), what to do, and the policies it is about."""

    reason: str
    remediation: tuple[str, ...]
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """``type``: its key in the catalogue, ``ttl`` in seconds. ``population`` gives None when nobody knows it.

    ``missing``: why it can not be assessed at all, by source of a rule ("" for checks without one): this
    program has nothing to judge it from. Never a pass, never silently nothing. ``explain``: for checks whose
    remediation depends on their state. ``of_rule``: for a type that is judged rule by rule, the check of one
    (source, rule).
    """

    type: str
    ttl: float
    population: Callable[[Facts, float], frozenset[str] | None]
    judge: Callable[[Facts, float], Iterator[Observation]]
    requirement: Requirement = COMPLETE
    missing: Mapping[str, str] = field(default_factory=dict)
    explain: Callable[[Detection, Status], Explanation] | None = None
    of_rule: Callable[[str, str], Check] | None = None


def source_missing(
    type_: str, ttl: float, missing: Mapping[str, str], of_rule: Callable[[str, str], Check] | None = None
) -> Check:
    """A check whose source this program does not have: its population is unknown and nothing is observed."""
    return Check(type_, ttl, _unknown, _nothing, missing=missing, of_rule=of_rule)


def _unknown(_facts: Facts, _now: float) -> None:
    return None


def _nothing(_facts: Facts, _now: float) -> Iterator[Observation]:
    return iter(())
