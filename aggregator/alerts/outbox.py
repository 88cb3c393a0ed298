"""Alerts waiting for one sink: bounded, tried again with growing waits, given up when they are too old."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential, wait_random

from aggregator.alerts.sink import RefusedError, Sink, UnavailableError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. ``first_wait`` doubles with each try, up to ``longest_wait``; a random part of up to ``first_wait`` is
    added. An alert is given up ``give_up`` after it came. ``drain``: how long the end waits for what is left."""

    first_wait: float = 1.0
    longest_wait: float = 60.0
    give_up: float = 3600.0
    drain: float = 5.0


@dataclass(frozen=True, slots=True)
class Counters:
    """Alerts of one sink since the start. ``failed``: refused or given up; ``dropped``: no room, or left at the end."""

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    retried: int = 0
    waiting: int = 0


class Outbox:
    """``offer`` never waits; ``run`` delivers until it is cancelled, and then what is left for a while."""

    def __init__(self, sink: Sink, capacity: int, patience: Patience) -> None:
        self.sink = sink
        self._patience = patience
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(capacity)
        self._under_way = 0
        self._counted = Counters()
        self._failing = False

    @property
    def counters(self) -> Counters:
        return replace(self._counted, waiting=self._waiting.qsize() + self._under_way)

    def offer(self, alert: bytes) -> None:
        """The newest gives way when there is no room: an incident's first alerts tell most."""
        try:
            self._waiting.put_nowait((time.monotonic(), alert))
        except asyncio.QueueFull:
            self._count(dropped=1)

    async def run(self) -> None:
        workers = [asyncio.create_task(self._work()) for _ in range(self.sink.concurrency)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                worker.result()
        finally:
            await self._end(workers)

    async def _end(self, workers: list[asyncio.Task[None]]) -> None:
        if not any(worker.done() for worker in workers):
            everything = asyncio.create_task(self._waiting.join())
            await asyncio.wait(
                [everything, *workers], timeout=self._patience.drain, return_when=asyncio.FIRST_COMPLETED
            )
            everything.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
        self._count(dropped=self._waiting.qsize() + self._under_way)
        self._under_way = 0
        while not self._waiting.empty():
            self._waiting.get_nowait()
        await self.sink.close()

    async def _work(self) -> None:
        while True:
            offered_at, alert = await self._waiting.get()
            self._under_way += 1
            await self._deliver(alert, offered_at)
            self._under_way -= 1
            self._waiting.task_done()

    async def _deliver(self, alert: bytes, offered_at: float) -> None:
        patience = self._patience
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=self._wait,
            stop=lambda state: time.monotonic() + state.upcoming_sleep - offered_at > patience.give_up,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            await retrying(self.sink.deliver, alert)
        except (UnavailableError, RefusedError) as error:
            self._count(failed=1)
            self._tell(error)
        else:
            self._count(delivered=1)
            self._tell(None)

    def _wait(self, state: RetryCallState) -> float:
        first, longest = self._patience.first_wait, self._patience.longest_wait
        growing = (wait_exponential(multiplier=first, max=longest) + wait_random(0, first))(state)
        error = state.outcome and state.outcome.exception()
        return max(growing, error.retry_after) if isinstance(error, UnavailableError) else growing

    def _before_sleep(self, state: RetryCallState) -> None:
        self._count(retried=1)
        error = state.outcome and state.outcome.exception()
        if isinstance(error, UnavailableError):
            self._tell(error)

    def _tell(self, error: UnavailableError | RefusedError | None) -> None:
        """Once when a sink begins to fail, and once when it works again."""
        if error and not self._failing:
            log.warning("alerts to %s: %s", self.sink.name, error)
        elif self._failing and not error:
            log.warning("alerts to %s: works again", self.sink.name)
        self._failing = error is not None

    def _count(self, *, delivered: int = 0, failed: int = 0, dropped: int = 0, retried: int = 0) -> None:
        counted = self._counted
        self._counted = Counters(
            counted.delivered + delivered,
            counted.failed + failed,
            counted.dropped + dropped,
            counted.retried + retried,
        )
