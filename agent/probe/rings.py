"""Both ring buffers as one stream, in the order in which things happened."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Generic, TypeVar

from agent.probe.record import Buffer
from agent.probe.ring import Ring
from agent.probe.shares import BULK, CRITICAL

T = TypeVar("T")
_FOREVER = float("inf")


class Rings(Generic[T]):
    """``descriptor`` is what to wait on: readable while records wait in either.

    ``decode`` makes of (number of the ring, record) the time in nanoseconds and what is to be given, or None. Each view
    of a record is valid during that call only.
    """

    def __init__(self, bulk: Ring, critical: Ring, decode: Callable[[int, Buffer], tuple[int, T] | None]) -> None:
        # in this order: what led to a record of the first is in the second when that is read after it
        self._rings = {BULK: bulk, CRITICAL: critical}
        self._decode = decode
        self._waiting: list[tuple[int, T]] = []
        self._poll = select.epoll()
        for ring in self._rings.values():
            self._poll.register(ring.descriptor, select.EPOLLIN)
        self.descriptor = self._poll.fileno()

    def read(self, limit: int) -> list[T]:
        """At most some ``limit`` of each ring. While one has more, nothing is given of the other that is later."""
        until = _FOREVER
        for number, ring in self._rings.items():
            taken, last = 0, 0
            for record in ring.read(limit):
                taken += 1
                decoded = self._decode(number, record)
                if decoded is not None:
                    self._waiting.append(decoded)
                    last = decoded[0]
            if taken >= limit and last:
                until = min(until, last)
        self._waiting.sort(key=_when)
        ready = [what for at, what in self._waiting if at <= until]
        del self._waiting[: len(ready)]
        return ready

    def close(self) -> None:
        self._poll.close()
        for ring in self._rings.values():
            ring.close()


def _when(waiting: tuple[int, object]) -> int:
    return waiting[0]
