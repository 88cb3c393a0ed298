"""The profiles of workloads."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from aggregator.api import profiles as api
from aggregator.api import representation
from aggregator.api.context import ContextOf
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor
from watchkeeper.findings import BehaviourClass

router = APIRouter()


@router.get("/profiles")
async def profiles(request: Request, context: ContextOf, _: Visitor) -> Response:
    return page(request, "profiles.html", profiles=(await api.profiles(context)).profiles)


@router.get("/profiles/{name}")
async def profile(request: Request, context: ContextOf, _: Visitor, name: str) -> Response:
    found = await api.one_profile(context, name)
    shown = representation.profile_detail(found.profile, len(found.deviations))
    return page(
        request,
        "profile.html",
        profile=shown,
        deviations=[representation.finding(deviation) for deviation in found.deviations],
        classes={
            kind: entries
            for kind in BehaviourClass
            if (entries := [entry for entry in shown.entries if entry.behaviour.behaviour_class == kind])
        },
    )
