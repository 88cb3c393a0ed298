"""/api/v1/policies: which rules count, where, and who decided so."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from aggregator.api import models, policy_models, representation
from aggregator.api.authentication import Who
from aggregator.api.context import Context, ContextOf
from aggregator.api.problems import Problem, not_found
from aggregator.definitions import NoChangeError, PolicyError
from aggregator.policies import StatedPolicy
from watchkeeper.policies import Policy, Scope

router = APIRouter(tags=["policies"])


@router.get("/policies")
async def policies(context: ContextOf) -> policy_models.Policies:
    """Every policy, by name: shipped ones, those of files, and those made here."""
    current = context.definitions.current
    return policy_models.Policies(policies=[representation.policy(p, current) for p in current.policies.values()])


@router.get("/policies/{name}", responses={404: {"model": models.Error}})
async def policy(context: ContextOf, name: str) -> policy_models.Policy:
    """One policy."""
    return representation.policy(stated(context, name), context.definitions.current)


@router.put("/policies/{name}")
async def put(context: ContextOf, who: Who, name: str, request: policy_models.PolicyRequest) -> policy_models.Policy:
    """Create the policy, or replace the one of that name. What replaces a shipped policy or one of a file stays over
    upgrades, until it is deleted."""
    scope = request.scope
    labels = tuple(sorted(scope.labels.items()))
    made = Policy(
        name,
        request.enabled,
        tuple(request.rules),
        " ".join(request.description.split()),
        Scope(tuple(scope.clusters), tuple(scope.namespaces), labels, tuple(scope.accounts), tuple(scope.regions)),
        tuple(request.actions),
        request.severity,
    )
    try:
        changed = await context.definitions.put(made, who, request.reason)
    except PolicyError as error:
        raise Problem(422, str(error), "See GET /api/v1/rules for the rules there are.") from error
    return await _told(context, changed)


@router.delete("/policies/{name}", responses={404: {"model": models.Error}, 409: {"model": models.Error}})
async def delete(
    context: ContextOf,
    who: Who,
    name: str,
    reason: Annotated[policy_models.Reason, Query(description="Why; kept as evidence.")],
) -> policy_models.RemovedPolicy:
    """Take back what was changed here: a policy made here is gone, a shipped one or one of a file is as it was."""
    stated(context, name)
    try:
        left = await context.definitions.remove(name, who, reason)
    except NoChangeError as error:
        raise Problem(
            409,
            f'Policy "{name}" is as files have it: there is no change to take back.',
            "Disable it, or take it out of its file.",
        ) from error
    await _tell(context, name)
    shown = representation.policy(left, context.definitions.current) if left else None
    return policy_models.RemovedPolicy(policy=shown)


@router.post("/policies/{name}/enable", responses={404: {"model": models.Error}})
async def enable(context: ContextOf, who: Who, name: str, request: policy_models.ReasonRequest) -> policy_models.Policy:
    """Have its rules judged where its scope says."""
    return await set_enabled(context, name, True, who, request.reason)


@router.post("/policies/{name}/disable", responses={404: {"model": models.Error}})
async def disable(
    context: ContextOf, who: Who, name: str, request: policy_models.ReasonRequest
) -> policy_models.Policy:
    """Have its rules judged no longer, unless another enabled policy has them."""
    return await set_enabled(context, name, False, who, request.reason)


async def set_enabled(context: Context, name: str, enabled: bool, who: str, reason: str) -> policy_models.Policy:
    """What API and dashboard share."""
    stated(context, name)
    return await _told(context, await context.definitions.enable(name, enabled, who, reason))


def stated(context: Context, name: str) -> StatedPolicy:
    found = context.definitions.current.policies.get(name)
    if found is None:
        raise not_found("policy", name, "See GET /api/v1/policies.")
    return found


async def _told(context: Context, changed: StatedPolicy) -> policy_models.Policy:
    await _tell(context, changed.policy.name)
    return representation.policy(changed, context.definitions.current)


async def _tell(context: Context, name: str) -> None:
    """The checks are judged anew, then watchers learn of it."""
    await context.evaluate()
    context.live.publish("policy", {"name": name})
