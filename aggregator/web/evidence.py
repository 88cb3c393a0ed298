"""The browser of evidence chains, newest first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from aggregator.api.context import ContextOf
from aggregator.records import Sealed
from aggregator.store.protocol import Store
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor

router = APIRouter()

_PAGE = 40


@router.get("/evidence")
async def evidence(
    request: Request,
    context: ContextOf,
    _: Visitor,
    stream: Annotated[str, Query(max_length=200)] = "",
    about: Annotated[str, Query(max_length=500)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=10**9)] = 1,
) -> Response:
    links = await context.store.call(_page_of, stream, about.strip(), number)
    return page(
        request,
        "evidence.html",
        links=links[:_PAGE],
        has_more=len(links) > _PAGE,
        streams=await context.store.call("streams"),
        stream=stream,
        about=about,
        number=number,
    )


def _page_of(store: Store, stream: str, about: str, number: int) -> list[Sealed]:
    """One link more than a page shows, if there is one. Within a stream, pages are counted from its newest link."""
    if not stream:
        return store.evidence(about=about, newest=True, after=(number - 1) * _PAGE, limit=_PAGE + 1)
    if about:
        return store.evidence(stream=stream, about=about, newest=True, limit=number * _PAGE + 1)[(number - 1) * _PAGE :]
    head = store.evidence(stream=stream, newest=True, limit=1)
    last = head[0].sequence - (number - 1) * _PAGE if head else 0
    first = max(0, last - _PAGE - 1)
    return store.evidence(stream=stream, after=first, limit=max(last - first, 1))[::-1] if last > 0 else []
