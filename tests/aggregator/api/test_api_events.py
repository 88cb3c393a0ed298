"""Server-sent events over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx


async def _messages(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    topic = ""
    async for line in answer.aiter_lines():
        if line.startswith(": listening"):
            yield "listening", None
        elif line.startswith("event:"):
            topic = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield topic, json.loads(line.removeprefix("data:"))


async def _ask(url: str, path: str = "/api/v1/events") -> Any:
    client = httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer test-token"}, timeout=10)
    return client, client.stream("GET", path)


async def test_finding_arrives_whole(fleet: Any, url: str) -> None:
    """Ingest names the finding, the stream tells all of it; other topics pass as they are."""
    client, stream = await _ask(url)
    async with client, stream as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        messages = _messages(answer)
        assert await anext(messages) == ("listening", None)
        fleet.live.publish("finding", {"id": f"{2:032x}", "node": "worker-1"})
        fleet.live.publish("node", {"name": "worker-1"})
        fleet.live.publish("finding", {"id": "unknown"})
        topic, finding = await anext(messages)
        assert topic == "finding"
        assert (finding["title"], finding["count"]) == ("Sensitive file read: /etc/shadow", 1204)
        assert await anext(messages) == ("node", {"name": "worker-1"})
        assert await anext(messages) == ("finding", {"id": "unknown"})


async def test_decision_is_told_to_watchers(fleet: Any, url: str) -> None:
    """Who decides tells the others: the finding comes again with its triage."""
    client, stream = await _ask(url)
    async with client, stream as answer, fleet.client() as other:
        messages = _messages(answer)
        assert await anext(messages) == ("listening", None)
        await other.post(f"/api/v1/findings/{1:032x}/triage", json={"action": "accept", "reason": "known"})
        told = [await anext(messages), await anext(messages)]
        assert [topic for topic, _ in told] == ["profile", "finding"]
        assert told[1][1]["triage"]["reason"] == "known"


async def test_streams_end_with_the_service(fleet: Any, url: str) -> None:
    """Closing the live messages ends the connection, so that a stop does not wait for browsers."""
    client, stream = await _ask(url)
    async with client, stream as answer:
        messages = _messages(answer)
        assert await anext(messages) == ("listening", None)
        fleet.live.close()
        assert [message async for message in messages] == []


async def test_gone_listener_is_forgotten(fleet: Any, url: str) -> None:
    """A closed connection leaves no subscription behind."""
    client, stream = await _ask(url)
    async with client, stream as answer:
        assert await anext(_messages(answer)) == ("listening", None)
        assert fleet.live.subscribers == 1
    for _ in range(500):
        if not fleet.live.subscribers:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the subscription is still there")
