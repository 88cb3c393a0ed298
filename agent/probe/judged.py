"""The behaviours that end in the kernel (bpf/known.h): what was judged goes in, what is old or waits in vain, out."""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Iterator

from agent.probe.bpfmap import Map
from agent.probe.hooks import CLASSES
from agent.probe.source import Ticket

LIFETIME_SECONDS = 3_600  # then it is judged again: names of users, ancestors that ended, all that no key holds
PENDING_SECONDS = 10  # a judgement that takes longer does not come

_ENTRY = struct.Struct("@HHIIIQQQ")  # state, class, generation, round, subject, hits, cgroup, since when
ENTRY_SIZE = _ENTRY.size
_CONTROL = struct.Struct("@QQ")  # generation, round
CONTROL_SIZE = _CONTROL.size
KEY_SIZE = 16
_PENDING, _KNOWN = 1, 2
_NOTED = 4_096  # keys of this round that are kept here, too
_CROWDED = 0.75  # of all the room or of one cgroup's: from here on what was not seen for a round goes


class Judged:
    """Owns both maps. ``expired`` and ``evicted`` count by (cgroup, class).

    One entry holds for one generation; what belongs to an older one counts as not there, in the kernel too.
    """

    def __init__(self, entries: Map, control: Map, capacity: int) -> None:
        self.generation = 1
        self.capacity = capacity
        self.entries = 0  # as of the last round
        self.expired: Counter[tuple[int, str]] = Counter()
        self.evicted: Counter[tuple[int, str]] = Counter()
        self._map = entries
        self._control = control
        self._round = self._begun = 1
        self._settled: dict[bytes, bytes] = {}
        self._needless: list[bytes] = []
        self._known: set[bytes] = set()
        self._steer()

    def settle(self, ticket: Ticket, subject: int, by_object: bool) -> None:
        """It is KNOWN with the next ``remember``, if rules and profiles are the same until then; with ``by_object`` by
        the shorter key, so that what is pending under the other need not be."""
        key = ticket.key
        if by_object and ticket.by_object:
            self._needless.append(key)
            key = ticket.by_object
        number = CLASSES.index(ticket.event_class)
        self._settled[key] = _ENTRY.pack(
            _KNOWN, number, ticket.generation, self._round, subject, 0, ticket.cgroup, _now()
        )

    def remember(self) -> None:
        """Hand what was settled to the kernel."""
        if self._settled:
            self._note()
            self._map.update_many(list(self._settled), list(self._settled.values()))
            self._settled.clear()
        if self._needless:
            self._map.delete_many(self._needless)
            self._needless.clear()

    def is_known(self, key: bytes, generation: int) -> bool:
        """Whether it became KNOWN just now, so that what was told of it before then need not be judged either."""
        return key in self._known and generation == self.generation

    def unlearn(self, key: bytes) -> None:
        """It is not KNOWN any more, nor will be by what was settled until now."""
        self._settled.pop(key, None)
        self._known.discard(key)
        self._map.delete_many([key])

    def forget(self) -> None:
        """Nothing judged so far counts any more."""
        self.generation += 1
        self._settled.clear()
        self._known.clear()
        self._needless.clear()
        self._steer()

    def turn_away(self) -> None:
        """Begin a round without looking: what the kernel holds by its own pointers for one round ends."""
        self._round += 1
        self._known.clear()
        self._steer()

    def turn(self, cgroup_share: int) -> tuple[set[int], Counter[int]]:
        """Begin the next round. Returns the subjects seen in the one that ends, and how many entries each cgroup has
        after old ones went. ``cgroup_share``: how many it may have."""
        seen: set[int] = set()
        held: Counter[int] = Counter()
        gone: list[bytes] = []
        cold: dict[int, list[tuple[bytes, str]]] = {}
        now, ended = _now(), self._round
        self.turn_away()  # what is seen while this looks belongs to the next round
        for key, value in self._map.items(KEY_SIZE):
            state, number, generation, last, subject, _, cgroup, since = _ENTRY.unpack(value)
            held[cgroup] += 1
            if self._is_over(state, generation, now - since, (cgroup, CLASSES[number])):
                gone.append(key)
                held[cgroup] -= 1
            elif state != _KNOWN or generation != self.generation or last > ended:
                continue
            elif last >= self._begun:
                seen.add(subject)
            else:
                cold.setdefault(cgroup, []).append((key, CLASSES[number]))
        self._evict(gone, cold, held, cgroup_share)
        self._map.delete_many(gone)
        self.entries = held.total()
        self._begun = self._round
        return seen - {0}, held

    def close(self) -> None:
        self._map.close()
        self._control.close()

    def _note(self) -> None:
        if len(self._known) > _NOTED:
            self._known.clear()
        for key, entry in self._settled.items():
            if _ENTRY.unpack(entry)[2] == self.generation:
                self._known.add(key)

    def _is_over(self, state: int, generation: int, age: int, whose: tuple[int, str]) -> bool:
        if state == _PENDING and age > PENDING_SECONDS:
            self.expired[whose] += 1
            return True
        if state == _KNOWN and age > LIFETIME_SECONDS:
            self.evicted[whose] += 1
            return True
        return generation != self.generation and age > PENDING_SECONDS

    def _evict(
        self, gone: list[bytes], cold: dict[int, list[tuple[bytes, str]]], held: Counter[int], cgroup_share: int
    ) -> None:
        full = held.total() > self.capacity * _CROWDED
        for cgroup, entries in cold.items():
            if full or held[cgroup] > cgroup_share * _CROWDED:
                held[cgroup] -= len(entries)
                self.evicted.update((cgroup, event_class) for _, event_class in entries)
                gone += (key for key, _ in entries)

    def _steer(self) -> None:
        self._control.update(bytes(4), _CONTROL.pack(self.generation, self._round))

    def __iter__(self) -> Iterator[tuple[bytes, int, int]]:
        """Keys with generation and hits of what is KNOWN; generation 0 for what is PENDING."""
        for key, value in self._map.items(KEY_SIZE):
            state, _, generation, _, _, hits, _, _ = _ENTRY.unpack(value)
            yield key, generation if state == _KNOWN else 0, hits


def _now() -> int:
    """Seconds since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))
