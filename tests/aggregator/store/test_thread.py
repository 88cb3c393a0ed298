"""Coroutines reach the store through its one thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aggregator.store.protocol import StoreError
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread


async def test_functions_run_on_one_thread_in_order(store: SqliteStore) -> None:
    """Named and given functions, with what they return; many callers at once never meet inside."""
    thread = StoreThread(store)
    names = await asyncio.gather(*(thread.call(lambda _s: threading.current_thread().name) for _ in range(20)))
    assert len(set(names)) == 1
    assert set(names) != {threading.current_thread().name}
    links = await asyncio.gather(*(thread.call("seal", "s", "k", 1.5, {"n": n}) for n in range(20)))
    assert [link.sequence for link in links] == list(range(1, 21))
    assert len(await thread.call("evidence", stream="s", limit=5)) == 5
    thread.close()


async def test_errors_reach_the_caller(store: SqliteStore) -> None:
    """What the store raises the caller gets, and the thread goes on; after closing nothing is possible."""
    thread = StoreThread(store)
    with pytest.raises(KeyError):
        await thread.call("triage", "nobody", None)
    assert await thread.call(lambda s: s.nodes()) == []
    thread.close()
    with pytest.raises((RuntimeError, StoreError)):
        await thread.call("nodes")
