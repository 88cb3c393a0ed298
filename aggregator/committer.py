"""Many nodes' batches in one transaction: a commit costs the same for one record and for a thousand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aggregator.records import Node
from aggregator.store.protocol import Ingest, Store
from aggregator.store.thread import StoreThread

Write = Callable[[Ingest], None]

TOGETHER = 64  # batches in one transaction


class Committer:
    """What is waiting while one transaction runs goes into the next one together."""

    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self._waiting: list[tuple[Write, asyncio.Future[None]]] = []
        self._beats: dict[str, Node] = {}
        self._task: asyncio.Task[None] | None = None

    async def commit(self, write: Write) -> None:
        """Returns when what ``write`` wrote is committed; raises what kept it from that."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((write, done))
        self._start()
        await done

    def beat(self, node: Node) -> None:
        """Keep the node's newest heartbeat soon; an older one still waiting gives way."""
        self._beats[node.name] = node
        self._start()

    async def close(self) -> None:
        """Returns when nothing waits any more."""
        if self._task:
            await self._task

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting or self._beats:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            if batch:
                await self._commit(batch)
            beats, self._beats = list(self._beats.values()), {}
            if beats:
                await self._store.call("heartbeats", beats)

    async def _commit(self, batch: Sequence[tuple[Write, asyncio.Future[None]]]) -> None:
        try:
            await self._store.call(_write_all, [write for write, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to the node whose batch it was
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for each in batch:  # one bad batch must not hold up the others
                await self._commit([each])
            return
        for _, done in batch:
            _settle(done, None)


def _write_all(store: Store, writes: Sequence[Write]) -> None:
    with store.ingest() as ingest:
        for write in writes:
            write(ingest)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.cancelled():  # its stream ended meanwhile
        return
    if error:
        done.set_exception(error)
    else:
        done.set_result(None)
