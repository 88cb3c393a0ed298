"""The live messages between ingest, evaluation and event streams."""

from __future__ import annotations

import asyncio

from aggregator.live import Live, Message


async def test_every_subscriber_gets_every_message() -> None:
    """Two subscribers both see what is published after they came, in order."""
    live = Live()
    live.publish("finding", {"id": "before"})
    async with live.subscribe() as first, live.subscribe() as second:
        live.publish("finding", {"id": "1"})
        live.publish("node", {"name": "n"})
        live.close()
        expected = [Message("finding", {"id": "1"}), Message("node", {"name": "n"})]
        assert [message async for message in first] == expected
        assert [message async for message in second] == expected
    assert live.published == {"finding": 2, "node": 1}


async def test_slow_subscriber_is_told_what_it_lost() -> None:
    """Beyond the capacity the oldest go, and a message says how many."""
    live = Live(capacity=2)
    async with live.subscribe() as messages:
        for number in range(5):
            live.publish("finding", {"id": number})
        live.close()
        assert [message async for message in messages] == [
            Message("lost", {"count": 3}),
            Message("finding", {"id": 3}),
            Message("finding", {"id": 4}),
        ]


async def test_waiting_subscriber_wakes() -> None:
    """A subscriber that waits gets a message as it is published."""
    live = Live()
    async with live.subscribe() as messages:
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        live.publish("status", {"profile": "guide"})
        assert await waiting == Message("status", {"profile": "guide"})


async def test_gone_subscriber_costs_nothing() -> None:
    """After the context nothing is kept for it."""
    live = Live()
    async with live.subscribe():
        assert live.subscribers == 1
    assert live.subscribers == 0


async def test_subscription_after_close_ends_at_once() -> None:
    """While the service stops, a new stream does not hang."""
    live = Live()
    live.close()
    async with live.subscribe() as messages:
        assert [message async for message in messages] == []
