"""The list of findings, each finding's story, and the decision on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from aggregator.api import findings as api
from aggregator.api.context import ContextOf
from aggregator.api.decisions import Decision, decide
from aggregator.api.problems import Problem
from aggregator.records import TriageAction
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor, local_address

router = APIRouter()

_PAGE = 50


@router.get("/findings")
async def findings(
    request: Request,
    context: ContextOf,
    _: Visitor,
    show: str = "open",
    q: Annotated[str, Query(max_length=200)] = "",
    before: float | None = None,
) -> Response:
    found = await api.findings(context, open_only=show != "all", limit=_PAGE, before=before, q=q)
    return page(request, "findings.html", found=found, show="all" if show == "all" else "open", q=q, before=before)


@router.get("/findings/{finding_id}")
async def finding(request: Request, context: ContextOf, _: Visitor, finding_id: str) -> Response:
    found = await api.detail(context, finding_id)
    sealed = await context.store.call("evidence", about=found.id, limit=20)
    return page(request, "finding.html", finding=found, sealed=sealed)


@router.post("/findings/{finding_id}/triage")
async def triage(
    context: ContextOf,
    who: Visitor,
    finding_id: str,
    action: Annotated[TriageAction, Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
    days: Annotated[int, Form(ge=0, le=3650)] = 0,
    next: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    if not reason.strip():
        raise Problem(422, "A decision needs a reason.", "Go back and say why in a few words; auditors will read it.")
    until = context.clock() + days * 86400 if days else 0.0
    await decide(context, finding_id, Decision(action, who, reason.strip(), until))
    return RedirectResponse(local_address(next) if next else f"/findings/{finding_id}", 303)
