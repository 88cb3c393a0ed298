"""Merging what many nodes learned into one profile, and accepting behaviours into it. Pure: values in, values out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aggregator.records import MergedProfile
from watchkeeper.findings import Behaviour, ProfileEntry, ProfileKey, ProfileState, behaviours_hash


@dataclass(frozen=True, slots=True)
class Delta:
    """What one node found new; ``observed_seconds`` is what its profile's total grows by."""

    key: ProfileKey
    state: ProfileState
    observed_seconds: float
    entries: tuple[ProfileEntry, ...]
    last_novelty_at: float
    at: float = 0.0


def profile_id(key: ProfileKey) -> str:
    """16 hex digits that name the profile in addresses and evidence."""
    parts = (key.cluster, key.namespace, key.workload, key.container, key.image_digest)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def profile_hash(profile: MergedProfile) -> str:
    """The hash nodes tell in their heartbeats when they enforce this profile."""
    return behaviours_hash({entry.behaviour for entry in profile.entries})


def merge(profile: MergedProfile | None, delta: Delta) -> MergedProfile:
    """The union of both; learned as soon as either is. Merging is idempotent but for the observed time."""
    if profile is None:
        seen = [entry.first_seen for entry in delta.entries]
        profile = MergedProfile(delta.key, delta.state, (), 0.0, min(seen, default=delta.at), delta.last_novelty_at)
    learned = ProfileState.LEARNED in (profile.state, delta.state)
    return replace(
        profile,
        state=ProfileState.LEARNED if learned else ProfileState.LEARNING,
        entries=_union(profile.entries, delta.entries),
        observed_seconds=profile.observed_seconds + delta.observed_seconds,
        first_seen=min([profile.first_seen, *(entry.first_seen for entry in delta.entries)]),
        last_novelty_at=max(profile.last_novelty_at, delta.last_novelty_at),
    )


def accept(
    profile: MergedProfile, behaviours: Iterable[Behaviour], who: str, reason: str, until: float, at: float = 0.0
) -> MergedProfile:
    """The profile with ``behaviours`` accepted until then (0: without end); what was learned stays learned."""
    entries = {entry.behaviour: entry for entry in profile.entries}
    for behaviour in behaviours:
        known = entries.get(behaviour)
        if known is None:
            entries[behaviour] = ProfileEntry(behaviour, at, at, "accepted", who, reason, until)
        elif known.origin == "accepted":
            entries[behaviour] = replace(known, accepted_by=who, reason=reason, valid_until=until)
    return replace(profile, entries=_ordered(entries))


def expire(profile: MergedProfile, now: float) -> MergedProfile:
    """The profile without the entries whose acceptance has ended."""
    kept = tuple(entry for entry in profile.entries if not 0 < entry.valid_until <= now)
    return profile if len(kept) == len(profile.entries) else replace(profile, entries=kept)


def _union(ours: Sequence[ProfileEntry], theirs: Sequence[ProfileEntry]) -> tuple[ProfileEntry, ...]:
    entries = {entry.behaviour: entry for entry in ours}
    for entry in theirs:
        known = entries.get(entry.behaviour)
        entries[entry.behaviour] = _joined(known, entry) if known else entry
    return _ordered(entries)


def _joined(ours: ProfileEntry, theirs: ProfileEntry) -> ProfileEntry:
    first, last = min(ours.first_seen, theirs.first_seen), max(ours.last_seen, theirs.last_seen)
    return replace(ours, first_seen=first, last_seen=last)


def _ordered(entries: dict[Behaviour, ProfileEntry]) -> tuple[ProfileEntry, ...]:
    return tuple(entries[behaviour] for behaviour in sorted(entries))
