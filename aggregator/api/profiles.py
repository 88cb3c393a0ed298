"""/api/v1/profiles: what each workload was learned to do."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from aggregator.api import models, representation
from aggregator.api.context import Context, ContextOf
from aggregator.api.problems import not_found
from aggregator.profiles import profile_id
from aggregator.records import MergedProfile, StoredFinding
from aggregator.store.protocol import Store

router = APIRouter(tags=["profiles"])

_MOST = 1000  # open findings looked at to count a profile's deviations


@dataclass(frozen=True, slots=True)
class Deviating:
    """A profile and the open findings of what was done outside it."""

    profile: MergedProfile
    deviations: list[StoredFinding]


@router.get("/profiles")
async def profiles(context: ContextOf) -> models.Profiles:
    """Every workload's profile, merged over all nodes."""
    found = await context.store.call(all_profiles)
    return models.Profiles(profiles=[representation.profile_summary(f.profile, len(f.deviations)) for f in found])


@router.get("/profiles/{name}", responses={404: {"model": models.Error}})
async def profile(context: ContextOf, name: str) -> models.ProfileDetail:
    """One profile with its behaviours. `name`: its id, 16 hex digits."""
    found = await one_profile(context, name)
    return representation.profile_detail(found.profile, len(found.deviations))


async def one_profile(context: Context, name: str) -> Deviating:
    found = await context.store.call(
        lambda store: [d for d in all_profiles(store) if profile_id(d.profile.key) == name]
    )
    if not found:
        raise not_found("profile", name, "See GET /api/v1/profiles.")
    return found[0]


def all_profiles(store: Store) -> list[Deviating]:
    unhandled = store.findings(open_only=True, limit=_MOST)
    return [Deviating(p, representation.deviations(unhandled, p.key)) for p in store.profiles()]
