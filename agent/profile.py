"""One workload's profile: what it is known to do, and when learning it ends.

Time is what the agent watched, not the wall clock: ``observe`` is told how long the profile's containers ran
under watch, and novelty decays over that time alone. An agent that was down neither learns nor forgets.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agent.config import LearningSettings
from watchkeeper.findings import Behaviour, ProfileDelta, ProfileEntry, ProfileKey, ProfileState, behaviours_hash
from watchkeeper.findings import Profile as PushedProfile

SEEN_AGAIN_SECONDS = 60.0  # how exact last_seen is: every use of a known behaviour need not be written down
LONGEST_PROFILE = 20_000  # behaviours; a workload with more is too random to have a profile

LEARNED, INHERITED, ACCEPTED = "learned", "inherited", "accepted"


@dataclass(slots=True)
class Profile:
    """``novelty`` is the decayed number of new behaviours. ``in_review``: the profile was inherited from the digest
    ``inherited_from`` and what is new in this rollout is one review, until novelty settles. ``unreported`` entries
    the aggregator has not been told of; ``unsaved`` behaviours' rows on disk are out of date. ``reviewed``: what is
    part of the rollout's review, and stays so when the review has ended."""

    key: ProfileKey
    state: ProfileState = ProfileState.LEARNING
    entries: dict[Behaviour, ProfileEntry] = field(default_factory=dict)
    observed_seconds: float = 0.0
    novelty: float = 0.0
    last_novelty_at: float = 0.0
    inherited_from: str = ""
    in_review: bool = False
    reviewed: set[Behaviour] = field(default_factory=set)
    unreported: dict[Behaviour, ProfileEntry] = field(default_factory=dict)
    unsaved: set[Behaviour] = field(default_factory=set)
    reported_seconds: float = 0.0
    overflowed: int = 0
    _hash: str = ""

    def knows(self, behaviour: Behaviour, now: float) -> bool:
        """Whether the behaviour is part of the profile and, if it was accepted for a time, that time is not over."""
        entry = self.entries.get(behaviour)
        return entry is not None and not (entry.valid_until and now >= entry.valid_until)

    def seen_again(self, behaviour: Behaviour, now: float) -> bool:
        """Note the use of a known behaviour; True when it is worth storing."""
        entry = self.entries.get(behaviour)
        if entry is None or now - entry.last_seen < SEEN_AGAIN_SECONDS:
            return False
        self._put(replace(entry, last_seen=now))
        return True

    def learn(self, behaviour: Behaviour, now: float) -> bool:
        """Take a behaviour in; True when it is new."""
        if behaviour in self.entries:
            return False
        if len(self.entries) >= LONGEST_PROFILE:
            self.overflowed += 1
            self.novelty += 1.0
            return False
        self._put(ProfileEntry(behaviour, now, now))
        self.unreported[behaviour] = self.entries[behaviour]
        self.novelty += 1.0
        self.last_novelty_at = now
        return True

    def review(self, behaviour: Behaviour, now: float) -> bool:
        """Count a behaviour of a rollout, True when it is new: the review stays open while more come."""
        if behaviour in self.reviewed or len(self.reviewed) >= LONGEST_PROFILE:
            return False
        self.reviewed.add(behaviour)
        self.novelty += 1.0
        self.last_novelty_at = now
        return True

    def observe(self, seconds: float, learning: LearningSettings) -> bool:
        """Let ``seconds`` of watching pass; True when learning (or the review of a rollout) ended by it."""
        if seconds <= 0:
            return False
        self.observed_seconds += seconds
        self.novelty *= math.exp(-seconds / learning.decay_seconds)
        if not self._settled(learning):
            return False
        if self.state is ProfileState.LEARNING:
            self.state = ProfileState.LEARNED
            return True
        ended, self.in_review = self.in_review, False
        return ended

    def merge(self, pushed: PushedProfile) -> bool:
        """Union with what the fleet knows; True when anything changed. An acceptance the fleet withdrew goes."""
        fleet = {entry.behaviour: entry for entry in pushed.entries}
        before = (self.state, self.hash, self.accepted)
        for behaviour, entry in list(self.entries.items()):
            if entry.origin == ACCEPTED and behaviour not in fleet:
                del self.entries[behaviour]
                self.unsaved.add(behaviour)
                self._hash = ""
        for behaviour, entry in fleet.items():
            own = self.entries.get(behaviour)
            joined = lean(entry) if own is None else _joined(own, entry)
            if joined != own:
                self._put(joined)
        if pushed.state is ProfileState.LEARNED:
            self.state = ProfileState.LEARNED
        self.inherited_from = self.inherited_from or pushed.inherited_from
        return before != (self.state, self.hash, self.accepted)

    @property
    def accepted(self) -> dict[Behaviour, ProfileEntry]:
        """What somebody accepted: the only part of a profile that can be taken back."""
        return {behaviour: entry for behaviour, entry in self.entries.items() if entry.origin == ACCEPTED}

    def delta(self) -> ProfileDelta:
        """What was not reported yet; ``reported`` says that it is on its way."""
        return ProfileDelta(
            self.key, self.state, self.observed_seconds, tuple(self.unreported.values()), self.last_novelty_at
        )

    def reported(self) -> None:
        self.unsaved.update(self.unreported)
        self.unreported.clear()
        self.reported_seconds = self.observed_seconds

    @property
    def hash(self) -> str:
        """Of all behaviours, accepted ones that ended too: equal on every node and in the aggregator."""
        if not self._hash:
            self._hash = behaviours_hash(set(self.entries))
        return self._hash

    def _put(self, entry: ProfileEntry) -> None:
        if entry.behaviour not in self.entries:
            self._hash = ""
        self.entries[entry.behaviour] = entry
        self.unsaved.add(entry.behaviour)

    def _settled(self, learning: LearningSettings) -> bool:
        if self.observed_seconds < learning.minimum_seconds:
            return False
        at_end = 0 < learning.maximum_seconds <= self.observed_seconds
        return at_end or self.novelty <= learning.threshold


def inherit(key: ProfileKey, ancestor: Profile) -> Profile:
    """The profile of a new image digest, beginning with what ``ancestor`` knows.

    A learned ancestor makes a learned profile with an open review; one that still learns, one that learns on.
    """
    entries = {
        behaviour: entry if entry.origin == ACCEPTED else replace(entry, origin=INHERITED)
        for behaviour, entry in ancestor.entries.items()
    }
    return Profile(
        key=key,
        state=ancestor.state,
        entries=entries,
        inherited_from=ancestor.key.image_digest,
        in_review=ancestor.state is ProfileState.LEARNED,
        unreported=dict(entries),
        unsaved=set(entries),
    )


def received(pushed: PushedProfile) -> Profile:
    """A profile this node hears of for the first time from the aggregator."""
    entries = {entry.behaviour: entry for entry in map(lean, pushed.entries)}
    return Profile(
        key=pushed.key,
        state=pushed.state,
        entries=entries,
        unsaved=set(entries),
        inherited_from=pushed.inherited_from,
        in_review=bool(pushed.inherited_from) and pushed.state is ProfileState.LEARNED,
    )


def same_workload(one: ProfileKey, other: ProfileKey) -> bool:
    """Whether the keys differ at most in the image digest."""
    return replace(one, image_digest="") == replace(other, image_digest="")


def ancestor_of(key: ProfileKey, profiles: Iterable[Profile]) -> Profile | None:
    """Which profile a new image digest inherits: a learned one before one that learns, then the newest."""
    candidates = [p for p in profiles if p.key != key and same_workload(p.key, key) and p.entries]
    return max(candidates, key=lambda p: (p.state is ProfileState.LEARNED, _last_seen(p)), default=None)


def _last_seen(profile: Profile) -> float:
    return max(entry.last_seen for entry in profile.entries.values())


def lean(entry: ProfileEntry) -> ProfileEntry:
    """Equal to ``entry``, with as much as possible of what other entries hold already: a node keeps ten thousands."""
    behaviour, first, last = entry.behaviour, entry.first_seen, entry.last_seen
    return replace(
        entry,
        behaviour=replace(behaviour, process=sys.intern(behaviour.process)),
        last_seen=first if last == first else last,
        origin=sys.intern(entry.origin),
        valid_until=entry.valid_until or 0.0,
    )


def _joined(own: ProfileEntry, fleet: ProfileEntry) -> ProfileEntry:
    return replace(
        fleet,
        behaviour=own.behaviour,
        first_seen=min(own.first_seen, fleet.first_seen),
        last_seen=max(own.last_seen, fleet.last_seen),
        origin=sys.intern(fleet.origin),
    )
