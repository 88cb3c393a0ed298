"""What request handlers work with, made once by ``create_app``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request

from aggregator.alerts.outbox import Counters
from aggregator.api.sessions import GuessLimit, Sessions
from aggregator.config import Settings
from aggregator.definitions import Definitions
from aggregator.evaluation import Evaluation
from aggregator.live import Live
from aggregator.store.thread import StoreThread
from watchkeeper.findings import ProfileKey

T = TypeVar("T")


class Authority(Protocol):
    """Of the real one the API needs only what an agent must trust."""

    @property
    def ca_pem(self) -> bytes: ...


async def _nothing() -> None:
    """Without a service around the app there is nothing to be told."""


async def _no_push(_key: ProfileKey) -> None:
    """Without an ingest around the app there are no nodes to push to."""


@dataclass(frozen=True, slots=True)
class Context:
    """``push_profile`` sends a changed profile to the nodes; ``evaluate`` judges every check now; ``alerts``: what
    became of them, by sink."""

    store: StoreThread
    evaluation: Evaluation
    definitions: Definitions
    live: Live
    authority: Authority
    settings: Settings
    token: str
    sessions: Sessions
    tls: bool
    clock: Callable[[], float]
    push_profile: Callable[[ProfileKey], Awaitable[None]] = _no_push
    evaluate: Callable[[], Awaitable[None]] = _nothing
    alerts: Callable[[], Mapping[str, Counters]] = dict
    guesses: GuessLimit = field(default_factory=GuessLimit)

    async def judged(self, question: Callable[[Evaluation], T]) -> T:
        """Ask the evaluation something, on the store's thread as it demands."""
        return await self.store.call(lambda _store: question(self.evaluation))


def _context(request: Request) -> Context:
    context: Any = request.app.state.context
    assert isinstance(context, Context)
    return context


ContextOf = Annotated[Context, Depends(_context)]
