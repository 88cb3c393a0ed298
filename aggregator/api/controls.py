"""/api/v1/controls: which controls hold."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from aggregator.api import models
from aggregator.api.context import ContextOf
from aggregator.api.problems import not_found

router = APIRouter(tags=["controls"])


@router.get("/controls")
async def controls(context: ContextOf, profile: models.CatalogueProfile = "extended") -> models.Controls:
    """Every control of a catalogue profile with its status."""
    now = context.clock()
    report = await context.judged(lambda evaluation: evaluation.controls(profile, now))
    return models.Controls.model_validate(msgspec.to_builtins(report))


@router.get("/controls/{control_id}", responses={404: {"model": models.Error}})
async def control(
    context: ContextOf,
    control_id: str,
    scope: models.Scope = "workload",
    profile: models.CatalogueProfile = "extended",
) -> models.ControlDetail:
    """One control with its checks, their populations, remediation and evidence."""
    now = context.clock()
    report = await context.judged(lambda evaluation: evaluation.control(profile, control_id, scope, now))
    if report is None:
        raise not_found(f"control in scope {scope} and profile {profile}:", control_id, "See GET /api/v1/controls.")
    return models.ControlDetail.model_validate(msgspec.to_builtins(report))
