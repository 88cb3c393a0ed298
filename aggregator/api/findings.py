"""/api/v1/findings: what a person should look at, and the decision on it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from aggregator.api import models, representation
from aggregator.api.authentication import Who
from aggregator.api.context import Context, ContextOf
from aggregator.api.decisions import Decision, decide
from aggregator.api.problems import not_found

router = APIRouter(tags=["findings"])


@router.get("/findings")
async def findings(
    context: ContextOf,
    open_only: Annotated[bool, Query(alias="open", description="Only those without triage.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[float | None, Query(ge=0, description="Only those stored earlier (unix seconds).")] = None,
    q: Annotated[str, Query(max_length=200, description="Part of title, node or content.")] = "",
) -> models.Findings:
    """Newest first."""
    found = await context.store.call("findings", open_only=open_only, limit=limit, before=before, query=q)
    next_before = found[-1].stored_at if len(found) == limit else None
    return models.Findings(findings=[representation.finding(f) for f in found], next_before=next_before)


@router.get("/findings/{finding_id}", responses={404: {"model": models.Error}})
async def finding(context: ContextOf, finding_id: str) -> models.FindingDetail:
    """One finding with every decision made on it."""
    return await detail(context, finding_id)


@router.post("/findings/{finding_id}/triage", responses={404: {"model": models.Error}, 409: {"model": models.Error}})
async def triage(context: ContextOf, who: Who, finding_id: str, request: models.TriageRequest) -> models.FindingDetail:
    """Decide on a finding. `accept` makes its behaviours part of the workload's profile on every node."""
    await decide(context, finding_id, Decision(request.action, who, request.reason, request.valid_until or 0.0))
    return await detail(context, finding_id)


async def detail(context: Context, finding_id: str) -> models.FindingDetail:
    stored = await context.store.call(lambda store: store.finding(finding_id))
    if stored is None:
        raise not_found("finding", finding_id, "See GET /api/v1/findings.")
    return representation.finding_detail(stored, await context.store.call("triages", finding_id))
