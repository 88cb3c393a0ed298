"""Loads too long for rounds: a million known openings, a pace kept for a while, and a flood of novelty."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cost
from tests.bench.accounting import Account, account
from tests.bench.counters import Counters
from tests.bench.load import measured_cpu, output
from tests.bench.node import DEFAULT_HEARTBEAT, Node
from tests.bench.slice import Slice
from tests.bench.workshop import Workshop

MILLION = 1_000_000
PACE = 20_000  # openings a second
FLOOD = 100_000
FLOOD_FILES = 100_000
LOOKS = 4  # heartbeats in which the counts may come to agree: the rest of the machine does not stand still


@dataclass(frozen=True, slots=True)
class LongLoads:
    """``idle_percent``, ``paced_percent``: agent CPU in percent of one core with nothing to do and at the pace;
    ``paced_rate``, ``flood_rate``: openings a second that the machine came to; ``unaccounted``: events at the end of
    all that the counts do not account for."""

    idle_percent: float
    million: Account
    paced: Account
    paced_percent: float
    paced_rate: float
    flood: Account
    flood_rate: float
    flood_seconds: float
    unaccounted: int


def measure(node: Node, workshop: Workshop, group: Slice, paced_seconds: int, flood_rounds: int) -> LongLoads:
    """Starts the agent, with its default heartbeat, and stops it. ``flood_rounds``: of a second each."""
    files = workshop.make_files(FLOOD_FILES)
    known, cpu = str(workshop.path("known")), measured_cpu()
    open_close, pacer = str(workshop.path("open_close")), str(workshop.path("paced"))

    def paced(seconds: int) -> float:
        return float(output(group.inside((pacer, known, str(PACE), str(seconds), cpu))))

    node.start(DEFAULT_HEARTBEAT)
    try:
        output(group.inside((open_close, known, "1000", cpu)))
        idle = _busy_percent(node, 2 * DEFAULT_HEARTBEAT)
        million = account(node, lambda: output(group.inside((open_close, known, str(MILLION), cpu))))
        paced(1)
        rates: list[float] = []
        pace = account(node, lambda: rates.append(paced(paced_seconds)))
        floods: list[float] = []
        flooded = account(node, lambda: floods.extend(_flood(workshop, group, files, flood_rounds)), pace.after)
        return LongLoads(
            idle_percent=idle,
            million=million,
            paced=pace,
            paced_percent=100.0 * pace.cpu_seconds / paced_seconds,
            paced_rate=rates[0],
            flood=flooded,
            flood_rate=sum(floods) / len(floods),
            flood_seconds=sum(FLOOD_FILES / rate for rate in floods),
            unaccounted=_unaccounted(node, flooded.after),
        )
    finally:
        node.stop()


def _flood(workshop: Workshop, group: Slice, files: Path, rounds: int) -> list[float]:
    """Openings a second of each round. On two CPUs where there are, or one would not come to the rate."""
    cpus = sorted(os.sched_getaffinity(0))[-2:]
    share, rate = FLOOD_FILES // len(cpus), FLOOD // len(cpus)

    def one(number: int, place: int) -> float:
        arguments = (str(files), str(place * share), str(share), str(rate), f"{number}-{place}", str(cpus[place]))
        return float(output(group.inside((str(workshop.path("flood")), *arguments))))

    with ThreadPoolExecutor(len(cpus)) as threads:
        return [sum(threads.map(one, [number] * len(cpus), range(len(cpus)))) for number in range(rounds)]


def _unaccounted(node: Node, first: Counters) -> int:
    """Of each class by the look at which its counts agreed best; what is under way at one look must have come by the
    next (the canary of each heartbeat always is)."""
    looks = [first]
    while len(looks) < LOOKS and (len(looks) == 1 or _best(looks)):
        looks.append(node.counters())
    return _best(looks)


def _best(looks: Sequence[Counters]) -> int:
    pairs = list(itertools.pairwise(looks))
    return sum(
        min(look.classes[name].unaccounted for look in looks)
        + min(one.classes[name].undelivered(later.classes[name]) for one, later in pairs)
        for name in looks[0].classes
    )


def _busy_percent(node: Node, seconds: float) -> float:
    before = cost.cpu_seconds(node.agent)
    time.sleep(seconds)
    return 100.0 * (cost.cpu_seconds(node.agent) - before) / seconds
