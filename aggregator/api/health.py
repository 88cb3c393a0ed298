"""/healthz, /readyz and /metrics, for the platform around the aggregator."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from aggregator import metrics
from aggregator.api import models, representation
from aggregator.api.authentication import require
from aggregator.api.context import Context, ContextOf
from aggregator.api.problems import Problem
from aggregator.evaluation import Evaluation
from aggregator.metrics import ControlStatus, Snapshot
from aggregator.store.protocol import Store, StoreError

router = APIRouter(tags=["health"])

_MOST = 10_000  # findings without triage that a scrape looks at


class Healthy(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Healthy:
    """The process answers."""
    return Healthy()


@router.get("/readyz", responses={503: {"model": models.Error}})
async def readyz(context: ContextOf) -> Healthy:
    """The store answers and every check was judged at least once."""
    try:
        judged_at = await context.store.call("last_judged")
    except StoreError as error:
        raise Problem(503, f"The store does not answer: {error}") from error
    if not judged_at:
        raise Problem(503, "The checks have not been judged yet.", "Wait a moment.")
    return Healthy()


@router.get("/metrics", dependencies=[Depends(require)], response_class=PlainTextResponse)
async def prometheus(context: ContextOf) -> PlainTextResponse:
    """Prometheus metrics; scrape with the API token as bearer token."""
    now = context.clock()
    snapshot = await context.store.call(lambda store: _snapshot(context, store, now))
    return PlainTextResponse(metrics.render(snapshot), media_type=CONTENT_TYPE_LATEST)


def _snapshot(context: Context, store: Store, now: float) -> Snapshot:
    nodes = store.nodes()
    states = [representation.node_state(node, now) for node in nodes]
    missing = set(context.settings.population.nodes) - {node.name for node in nodes}
    unhandled = store.findings(open_only=True, limit=_MOST)
    findings = Counter((str(f.finding.severity), "overdue" if f.due_at < now else "open") for f in unhandled)
    return Snapshot(
        nodes=nodes,
        node_states=metrics.counted([*states, *("never" for _ in missing)]),
        findings=findings,
        controls=_controls(context.evaluation, now),
        profiles=metrics.counted(str(profile.state) for profile in store.profiles()),
        detection=context.definitions.current,
        alerts=context.alerts(),
        messages=context.live.published,
        streams=context.live.subscribers,
        evaluated_at=store.last_judged(),
    )


def _controls(evaluation: Evaluation, now: float) -> list[ControlStatus]:
    return [
        ControlStatus(profile, c.id, c.scope, c.status, c.checks_passed, c.checks_total)
        for profile in get_args(models.CatalogueProfile)
        for family in evaluation.controls(profile, now).families
        for c in family.controls
    ]
