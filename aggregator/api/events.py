"""/api/v1/events: what happens, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from fastapi import APIRouter
from sse_starlette import EventSourceResponse, ServerSentEvent

from aggregator.api import representation
from aggregator.api.context import Context, ContextOf
from aggregator.live import Message

router = APIRouter(tags=["events"])

HEARTBEAT_SECONDS = 15

_EXAMPLE = 'event: finding\ndata: {"id":"5f0c…","title":"…","severity":"high"}\n\n'


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}}},
)
async def events(context: ContextOf) -> EventSourceResponse:
    """Server-sent events.

    `finding`: a finding came or changed (body: as in GET findings); `node`: a node's state changed; `profile`: a
    profile changed; `policy`: a policy was changed; `status`: a control's status changed; `lost`: `count` messages did
    not reach you because you read too slowly. A comment comes every 15 s when nothing else does. Nothing is replayed
    after a reconnect (Last-Event-ID is ignored): ask the other addresses for what is, then listen.
    """
    return EventSourceResponse(_events(context), ping=HEARTBEAT_SECONDS, headers={"x-accel-buffering": "no"})


async def _events(context: Context) -> AsyncIterator[ServerSentEvent]:
    async with context.live.subscribe() as messages:
        yield ServerSentEvent(comment="listening")
        async for message in messages:
            body = await _body(context, message)
            yield ServerSentEvent(event=message.topic, data=msgspec.json.encode(body).decode())


async def _body(context: Context, message: Message) -> object:
    """Ingest names the finding; who listens gets all of it, as it is stored now."""
    if message.topic != "finding" or "stored_at" in message.body:
        return message.body
    identity = str(message.body.get("id", ""))
    stored = await context.store.call(lambda store: store.finding(identity))
    return representation.finding(stored).model_dump(mode="json") if stored else message.body
