"""/api/v1/rules: the rules that are loaded, and what is wrong with rules and policies."""

from __future__ import annotations

from fastapi import APIRouter

from aggregator.api import policy_models, representation
from aggregator.api.context import ContextOf

router = APIRouter(tags=["policies"])


@router.get("/rules")
async def rules(context: ContextOf) -> policy_models.Rules:
    """Every rule of the files in force, with the policies that have it."""
    current = context.definitions.current
    return policy_models.Rules(
        rules=[representation.rule(rule, current) for rule in current.rulebook.rules.values()],
        problems=[representation.problem(each) for each in current.problems],
        refused=[representation.problem(each) for each in current.refused],
    )
