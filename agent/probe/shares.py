"""What each cgroup takes of the rings and of the judged behaviours (bpf/shares.h): the agent's half of the book."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.probe.bpfmap import Map
from agent.probe.hooks import CLASSES
from agent.probe.source import NoveltyCounters

_ALLOWANCE = struct.Struct("@QQqII")  # judged bytes of both rings, released entries, ignored, epoch
_SHARE = struct.Struct("@QQQQ")  # submitted bytes of both rings, listed entries, epoch
_TALLY_KEY = struct.Struct("@QII")
_TALLY = struct.Struct("@QQQQ")
ALLOWANCE_SIZE, SHARE_SIZE, TALLY_SIZE = _ALLOWANCE.size, _SHARE.size, _TALLY.size
BULK, CRITICAL = 0, 1
OTHERS = (1 << 64) - 1
"""Stands for the cgroups that the kernel's map of tallies had no room for."""

_UNTOLD = 32  # of a ring this part stays open for a while, which spares quiet times a call for each of few events


@dataclass(slots=True)
class _Allowance:
    judged: list[int]
    untold: int = 0
    released: int = 0
    ignored: bool = False
    epoch: int = 0


class Shares:
    """Owns the three maps. The kernel's figures and the agent's both only grow; the difference is what is open.

    ``ring_bytes``: of the smaller ring.
    """

    def __init__(self, shares: Map, allowances: Map, tallies: Map, ring_bytes: int) -> None:
        self._shares = shares
        self._allowances = allowances
        self._tallies = tallies
        self._untold = ring_bytes // _UNTOLD
        self._open: dict[int, _Allowance] = {}
        self._ended: set[int] = set()
        others = _TALLY_KEY.pack
        for number in range(len(CLASSES)):
            self._tallies.update(others(OTHERS, number, 0), bytes(TALLY_SIZE))

    def taken(self, cgroup: int, ring: int, size: int) -> None:
        """So many bytes of the cgroup's records were taken out of the ring."""
        allowance = self._of(cgroup)
        allowance.judged[ring] += size
        allowance.untold += size
        if allowance.untold >= self._untold:
            self._tell(cgroup, allowance)

    def ignore(self, cgroup: int) -> None:
        """Its files, connections and capabilities are out of scope from now on."""
        self._of(cgroup).ignored = True
        self._tell(cgroup, self._of(cgroup))

    def renew(self, cgroup: int) -> None:
        """What it does from now on has other keys than what it did before."""
        self._of(cgroup).epoch += 1
        self._tell(cgroup, self._of(cgroup))

    def listed(self) -> dict[int, int]:
        """How many entries of each cgroup the kernel listed so far."""
        found = {cgroup: self._shares.lookup(struct.pack("@Q", cgroup)) for cgroup in self._open}
        return {cgroup: _SHARE.unpack(share[0])[2] for cgroup, share in found.items() if share is not None}

    def hold(self, held: Mapping[int, int], listed: Mapping[int, int]) -> None:
        """So many entries each cgroup has; what was listed beyond that, before they were counted, was released. Less
        than none where entries are older than the kernel's count."""
        for cgroup, count in listed.items():
            allowance, released = self._open[cgroup], count - held.get(cgroup, 0)
            if released != allowance.released:
                allowance.released = released
                self._tell(cgroup, allowance)

    def end(self, cgroup: int) -> None:
        """The cgroup is gone; its counters are told once more."""
        self._ended.add(cgroup)
        self._open.pop(cgroup, None)
        for table in (self._shares, self._allowances):
            table.delete(struct.pack("@Q", cgroup))

    def novelties(
        self, expired: Counter[tuple[int, str]], evicted: Counter[tuple[int, str]]
    ) -> Iterator[NoveltyCounters]:
        gone = []
        for key, value in self._tallies.items(_TALLY_KEY.size):
            cgroup, number, _ = _TALLY_KEY.unpack(key)
            whose = cgroup, CLASSES[number]
            counts = _TALLY.unpack(value)
            if any(counts):
                yield _counters(whose, counts, expired[whose], evicted[whose])
            if cgroup in self._ended:
                gone.append(key)
                del expired[whose], evicted[whose]
        self._tallies.delete_many(gone)
        self._ended.clear()

    def close(self) -> None:
        for table in (self._shares, self._allowances, self._tallies):
            table.close()

    def _of(self, cgroup: int) -> _Allowance:
        allowance = self._open.get(cgroup)
        if allowance is None:
            allowance = self._open[cgroup] = _Allowance([0, 0])
        return allowance

    def _tell(self, cgroup: int, allowance: _Allowance) -> None:
        allowance.untold = 0
        value = _ALLOWANCE.pack(*allowance.judged, allowance.released, allowance.ignored, allowance.epoch)
        self._allowances.update(struct.pack("@Q", cgroup), value)


def _counters(whose: tuple[int, str], counts: tuple[int, ...], expired: int, evicted: int) -> NoveltyCounters:
    submitted, dropped, withheld, unlisted = counts
    return NoveltyCounters(*whose, submitted, dropped, withheld, unlisted, expired, evicted)
