"""What just happened, for those who watch: ingest and evaluation publish, event streams subscribe.

Nothing here is durable: who needs everything asks the store. All calls belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

LOST = "lost"


@dataclass(frozen=True, slots=True)
class Message:
    """``topic``: finding, node, profile, policy, status, or ``lost`` with the count of messages that did not fit."""

    topic: str
    body: Mapping[str, object]


class _Subscription:
    """A bounded queue; the oldest give way to the newest, and the subscriber is told how many went."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[Message] = deque()
        self._capacity = capacity
        self._lost = 0
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, message: Message) -> None:
        if len(self._waiting) == self._capacity:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._lost:
                lost, self._lost = self._lost, 0
                yield Message(LOST, {"count": lost})
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return


class Live:
    """Hands each published message to every subscriber; ``capacity`` bounds what one may leave unread."""

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._subscriptions: set[_Subscription] = set()
        self._closed = False
        self.published: dict[str, int] = {}

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def publish(self, topic: str, body: Mapping[str, object]) -> None:
        """Never waits. ``body`` must be ready for JSON."""
        self.published[topic] = self.published.get(topic, 0) + 1
        message = Message(topic, body)
        for subscription in self._subscriptions:
            subscription.put(message)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Message]]:
        """The messages published from now on; they end when ``close`` is called."""
        subscription = _Subscription(self._capacity)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription.messages()
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription after what it still holds, and all later ones at once."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
