"""Rounds of the same loads: with nothing, with the agent, with each peer; in turn forwards and backwards."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.bench import cost
from tests.bench.load import Load, Timing
from tests.bench.node import DEFAULT_HEARTBEAT, Node
from tests.bench.peers import Peer, Running
from tests.bench.workshop import Workshop

OFF, AGENT = "off", "agent"
JUDGED_SECONDS = 1.0  # until what the warm-up showed has been judged, beyond the agent's having come to rest


@dataclass(slots=True)
class Block:
    """All loads once under one tracer (or none). ``cpu_seconds``: of the tracer meanwhile."""

    results: dict[str, Timing] = field(default_factory=dict)
    cpu_seconds: float = 0.0


@dataclass(slots=True)
class Rounds:
    """``blocks``: by tracer, in the order of the rounds."""

    blocks: dict[str, list[Block]]

    @property
    def tracers(self) -> list[str]:
        return [name for name in self.blocks if name != OFF]

    def untraced(self, load: Load) -> float:
        """The median with nothing on, in the load's unit."""
        return statistics.median(block.results[load.name].wall for block in self.blocks[OFF])

    def ratios(self, load: Load, tracer: str) -> list[float]:
        """On to off, of each round, by the time that passed."""
        return [on.wall / off.wall for on, off in self._pairs(load, tracer)]

    def cpu_ratios(self, load: Load, tracer: str) -> list[float]:
        """The same by the CPU time of the load."""
        return [on.cpu / off.cpu for on, off in self._pairs(load, tracer)]

    def cpu_seconds(self, tracer: str) -> float:
        """The tracer's median CPU time for one block of all loads."""
        return statistics.median(block.cpu_seconds for block in self.blocks[tracer])

    def _pairs(self, load: Load, tracer: str) -> list[tuple[Timing, Timing]]:
        pairs = zip(self.blocks[tracer], self.blocks[OFF], strict=True)
        return [(on.results[load.name], off.results[load.name]) for on, off in pairs]


def play(
    count: int,
    node: Node,
    workshop: Workshop,
    loads: Sequence[Load],
    peers: Sequence[Peer],
    tell: Callable[[str], None],
) -> Rounds:
    """``count`` rounds. The agent is stopped at the beginning and at the end."""
    ways = {OFF: partial(_block, loads), AGENT: partial(_under_agent, node, loads)}
    ways |= {peer.name: partial(_under_peer, peer, workshop, loads) for peer in peers}
    blocks: dict[str, list[Block]] = {name: [] for name in ways}
    for load in loads:
        load.run()  # caches of the disk and the like: before the first round, not in it
    for number in range(count):
        began = time.monotonic()
        for name in _order(ways, number):
            blocks[name].append(ways[name]())
        tell(f"round {number + 1} of {count}: {time.monotonic() - began:.0f} s; {_told(blocks, loads)}")
    return Rounds(blocks)


def _order(ways: Iterable[str], number: int) -> list[str]:
    """A drift of the machine's speed then counts for one side as often as for the other."""
    return list(ways) if number % 2 == 0 else list(ways)[::-1]


def _block(loads: Sequence[Load]) -> Block:
    return Block({load.name: load.measure() for load in loads})


def _under_agent(node: Node, loads: Sequence[Load]) -> Block:
    node.start(DEFAULT_HEARTBEAT)
    try:
        for load in loads:
            if not load.cold:  # its behaviours are those of the warm one
                load.run()
        node.settle()
        time.sleep(JUDGED_SECONDS)
        before = cost.cpu_seconds(node.agent)
        block = _block(loads)
        node.settle()
        block.cpu_seconds = cost.cpu_seconds(node.agent) - before
        return block
    finally:
        node.stop()


def _under_peer(peer: Peer, workshop: Workshop, loads: Sequence[Load]) -> Block:
    with Running(peer, workshop) as running:
        before = running.cpu_seconds
        block = _block(loads)
        block.cpu_seconds = running.cpu_seconds - before
        return block


def _told(blocks: Mapping[str, list[Block]], loads: Sequence[Load]) -> str:
    newest = Rounds({name: found[-1:] for name, found in blocks.items()})
    return ", ".join(f"{load.name} {newest.ratios(load, AGENT)[0]:.2f}" for load in loads)
