"""The overview of controls, and each control's page."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from aggregator.api import controls as api
from aggregator.api import models, nodes
from aggregator.api.context import ContextOf
from aggregator.records import Interval, Status
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor

router = APIRouter()

HISTORY_SECONDS = 7 * 86400.0
_HELD = (Status.PASS, Status.PASS_WITH_EXCEPTIONS)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the history's bar, in thousandths of its width."""

    x: float
    width: float
    status: str


@dataclass(frozen=True, slots=True)
class History:
    """``held`` and ``unknown`` are parts of the whole period, from 0 to 1. Time without any record is unknown."""

    segments: list[Segment]
    held: float
    unknown: float


@router.get("/")
async def overview(
    request: Request, context: ContextOf, _: Visitor, profile: models.CatalogueProfile = "extended"
) -> Response:
    report = await api.controls(context, profile)
    everything = [control for family in report.families for control in family.controls]
    counts = {status: sum(c.status == status for c in everything) for status in Status}
    applicable = len(everything) - counts[Status.NOT_APPLICABLE]
    unhandled = await context.store.call("findings", open_only=True, limit=1000)
    now = context.clock()
    return page(
        request,
        "overview.html",
        report=report,
        counts=counts,
        applicable=applicable,
        held=sum(counts[status] for status in _HELD),
        open_findings=sum(f.due_at >= now for f in unhandled),
        overdue_findings=sum(f.due_at < now for f in unhandled),
        fleet=await nodes.all_nodes(context),
    )


@router.get("/controls/{scope}/{control_id}")
async def control(
    request: Request,
    context: ContextOf,
    _: Visitor,
    scope: models.Scope,
    control_id: str,
    profile: models.CatalogueProfile = "extended",
) -> Response:
    report = await api.control(context, control_id, scope, profile)
    now = context.clock()
    since = now - HISTORY_SECONDS
    intervals = await context.store.call("intervals", f"control:{control_id}:{scope}:{profile}", since)
    return page(request, "control.html", control=report, profile=profile, history=history(intervals, since, now))


def history(intervals: list[Interval], since: float, now: float) -> History:
    """Lay the intervals out over the period from ``since`` to ``now``."""
    segments, held, known = [], 0.0, 0.0
    for interval in intervals:
        begin, end = max(interval.since, since), min(interval.until or now, now)
        if end <= begin:
            continue
        part = (end - begin) / (now - since)
        segments.append(Segment((begin - since) / (now - since) * 1000, part * 1000, interval.status))
        held += part if interval.status in _HELD else 0.0
        known += part if interval.status not in (Status.NOT_ASSESSED, Status.PARTIAL) else 0.0
    return History(segments, held, 1 - known)
