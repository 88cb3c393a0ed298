"""The policies, each policy with its rules, and the switch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from aggregator.api import policies as api
from aggregator.api import representation
from aggregator.api.context import ContextOf
from aggregator.api.problems import Problem
from aggregator.web.rendering import page
from aggregator.web.visitor import Visitor, local_address

router = APIRouter()


@router.get("/policies")
async def policies(request: Request, context: ContextOf, _: Visitor) -> Response:
    current = context.definitions.current
    return page(
        request,
        "policies.html",
        policies=(await api.policies(context)).policies,
        problems=[representation.problem(each) for each in current.problems if each.severity == "error"],
        refused=[representation.problem(each) for each in current.refused],
    )


@router.get("/policies/{name}")
async def policy(request: Request, context: ContextOf, _: Visitor, name: str) -> Response:
    shown = await api.policy(context, name)
    current = context.definitions.current
    known = current.rulebook.rules
    return page(
        request,
        "policy.html",
        policy=shown,
        rules=[representation.rule(known[rule], current) for rule in shown.rules if rule in known],
        sealed=await context.store.call("evidence", stream="definitions", about=name, newest=True, limit=20),
    )


@router.post("/policies/{name}/enabled")
async def enabled(
    context: ContextOf,
    who: Visitor,
    name: str,
    enabled: Annotated[bool, Form()],
    reason: Annotated[str, Form(max_length=2000)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/policies",
) -> Response:
    if not reason.strip():
        raise Problem(422, "A decision needs a reason.", "Go back and say why in a few words; auditors will read it.")
    await api.set_enabled(context, name, enabled, who, reason.strip())
    return RedirectResponse(local_address(next), 303)
