"""/api/v1/evidence and /api/v1/intervals: what can be proven, and the history of statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from aggregator.api import models
from aggregator.api.context import Context, ContextOf
from aggregator.evidence import export_line
from aggregator.records import Sealed

router = APIRouter(tags=["evidence"])

_PAGE = 1000


@router.get("/evidence")
async def evidence(
    context: ContextOf,
    stream: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[
        int, Query(ge=0, le=2**53, description="Sequence number with a stream, else how many to skip.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    about: Annotated[str, Query(max_length=500, description="Finding, profile, node, check type or resource.")] = "",
) -> models.Evidence:
    """Sealed records, oldest first."""
    links: list[Sealed] = await context.store.call("evidence", stream=stream, after=after, limit=limit, about=about)
    streams = await context.store.call("streams")
    full = len(links) == limit
    following = (links[-1].sequence if stream else after + limit) if full else None
    plain = msgspec.to_builtins(links)
    return models.Evidence.model_validate({"evidence": plain, "streams": streams, "next_after": following})


@router.get(
    "/evidence/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
async def export(context: ContextOf, stream: Annotated[str, Query(max_length=200)] = "") -> StreamingResponse:
    """All chains (or one) as JSON lines, which `watchkeeper evidence verify` checks offline."""
    streams = [stream] if stream else await context.store.call("streams")
    return StreamingResponse(
        _lines(context, streams),
        media_type="application/jsonl",
        headers={"content-disposition": 'attachment; filename="watchkeeper-evidence.jsonl"'},
    )


@router.get("/intervals")
async def intervals(
    context: ContextOf,
    subject: Annotated[str, Query(max_length=500, examples=["control:CC7.2:workload:guide"])],
    since: Annotated[float, Query(ge=0)] = 0.0,
) -> models.Intervals:
    """The statuses a control or check had, and from when until when."""
    found = await context.store.call("intervals", subject, since)
    return models.Intervals.model_validate({"intervals": msgspec.to_builtins(found)})


async def _lines(context: Context, streams: list[str]) -> AsyncIterator[bytes]:
    """Page by page, so that neither memory nor the store's thread is held by one reader."""
    for stream in streams:
        after = 0
        while links := await context.store.call("evidence", stream=stream, after=after, limit=_PAGE):
            yield "".join(export_line(link) + "\n" for link in links).encode()
            after = links[-1].sequence
