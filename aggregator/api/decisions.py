"""Deciding on a finding: what API and dashboard share."""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.api import representation
from aggregator.api.context import Context
from aggregator.api.problems import Problem, not_found
from aggregator.profiles import profile_id
from aggregator.records import StoredFinding, Triage, TriageAction
from aggregator.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Decision:
    action: TriageAction
    who: str
    reason: str
    valid_until: float = 0.0


async def decide(context: Context, finding_id: str, decision: Decision) -> StoredFinding:
    """Record the decision (the store seals it), then tell nodes, checks and watchers of it."""
    now = context.clock()
    if 0 < decision.valid_until <= now:
        raise Problem(422, "valid_until: lies in the past.", "Give a later time in unix seconds, or 0 for no end.")
    triage = Triage(decision.action, decision.who, decision.reason, now, decision.valid_until)
    decided = await context.store.call(_triage, finding_id, triage)
    if decided.finding.profile and decision.action is TriageAction.ACCEPT:
        await context.push_profile(decided.finding.profile)
        context.live.publish("profile", {"id": profile_id(decided.finding.profile)})
    await context.evaluate()
    context.live.publish("finding", representation.finding(decided).model_dump(mode="json"))
    return decided


def _triage(store: Store, finding_id: str, triage: Triage) -> StoredFinding:
    known = store.finding(finding_id)
    if known is None:
        raise not_found("finding", finding_id, "See GET /api/v1/findings.")
    if triage.action is TriageAction.ACCEPT and not (known.finding.profile and representation.behaviours(known)):
        raise Problem(
            409,
            "This finding has no behaviour that a profile could accept.",
            "Use acknowledge, fixed or false_positive.",
        )
    return store.triage(finding_id, triage)
