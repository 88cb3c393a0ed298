"""What each load costs the agent: events, what crossed to user space, loss, CPU time, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.bench import cost
from tests.bench.counters import Counters
from tests.bench.load import Load
from tests.bench.node import FAST_HEARTBEAT, Node

AT_LEAST_SECONDS = 2.0  # a load is repeated so long, so that what other programs do counts for little


@dataclass(frozen=True, slots=True)
class Account:
    """Of one load. ``after``: the agent's counters at its end. ``cpu_seconds``: the agent's, until it had worked off
    everything; ``resident_bytes``: then."""

    counters: Counters
    after: Counters
    cpu_seconds: float
    resident_bytes: int

    @property
    def cpu_seconds_per_million(self) -> float:
        """For a million events seen."""
        seen = self.counters.all.seen
        return 1e6 * self.cpu_seconds / seen if seen else 0.0


def account(node: Node, work: Callable[[], object], before: Counters | None = None) -> Account:
    """Do the work with the agent running; counters are those of a heartbeat before (``before``, if it was taken
    already) and of one after it."""
    before = before or node.counters()
    cpu = cost.cpu_seconds(node.agent)
    work()
    node.settle()
    cpu = cost.cpu_seconds(node.agent) - cpu
    after = node.counters()
    return Account(after - before, after, cpu, cost.resident_bytes(node.agent))


def accounts(node: Node, loads: Sequence[Load]) -> dict[str, Account]:
    """By load, each after it was run once so that its behaviours are known. Starts the agent and stops it."""
    node.start(FAST_HEARTBEAT)
    try:
        found = {}
        for load in loads:
            load.run()
            node.settle()
            found[load.name] = account(node, partial(_repeated, load))
        return found
    finally:
        node.stop()


def _repeated(load: Load) -> None:
    until = time.monotonic() + AT_LEAST_SECONDS
    load.run()
    while time.monotonic() < until:
        load.run()
