"""Merged profiles in the database: one row each, one row an entry, and what each node has watched."""

# ruff: noqa: S608 - only constants of this module are put into SQL, values are bound

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace

import msgspec

from aggregator.evidence import acceptance_body
from aggregator.profiles import Delta, accept, expire, merge, profile_id
from aggregator.records import MergedProfile, StoredFinding, Triage
from aggregator.store.chain import Chain
from aggregator.store.database import Database, Row
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState

_ENTRY = "behaviour_class, process, object, first_seen, last_seen, origin, accepted_by, reason, valid_until"

_encode = msgspec.json.Encoder().encode
_key = msgspec.json.Decoder(ProfileKey).decode


class Profiles:
    """Every method but the reading ones must be called inside a transaction."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._cached: dict[str, MergedProfile] | None = None  # as in the database; read for each evaluation

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._cached = None

    def all(self) -> list[MergedProfile]:
        return list(self._known().values())

    def find(self, key: ProfileKey) -> MergedProfile | None:
        return self._known().get(profile_id(key))

    def merge(self, node: str, watched: float, delta: Delta) -> None:
        """``watched``: seconds this node has watched the workload in all; ``delta`` tells nothing of them."""
        known = self.find(delta.key)
        merged = merge(known, replace(delta, observed_seconds=self._growth(delta.key, node, watched)))
        if known is None:
            merged = replace(merged, inherited_from=self._ancestor(delta))
        self.save(merged)

    def save(self, profile: MergedProfile) -> None:
        identity = profile_id(profile.key)
        known = self._known().get(identity)
        self._database.write(
            "INSERT OR REPLACE INTO profile (id, key, state, first_seen, last_novelty_at, inherited_from, "
            "observed_seconds) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                identity, _encode(profile.key).decode(), str(profile.state), profile.first_seen,
                profile.last_novelty_at, profile.inherited_from, profile.observed_seconds,
            ),
        )  # fmt: skip
        before = {entry.behaviour: entry for entry in known.entries} if known else {}
        self._remove(identity, set(before) - {entry.behaviour for entry in profile.entries})
        self._put(identity, [entry for entry in profile.entries if before.get(entry.behaviour) != entry])
        self._known()[identity] = profile

    def accept(self, stored: StoredFinding, triage: Triage) -> None:
        """The finding's behaviours become part of its profile. Findings without a profile have nothing to add."""
        key = stored.finding.profile
        if key is None or not stored.behaviours:
            return
        profile = self.find(key) or MergedProfile(key, ProfileState.LEARNED, (), 0.0, triage.at, triage.at)
        accepted = accept(profile, stored.behaviours, triage.who, triage.reason, triage.valid_until, triage.at)
        self.save(accepted)
        body = acceptance_body(
            profile_id(key), accepted, stored.behaviours, triage.who, triage.reason, triage.valid_until
        )
        self._chain.append("profiles", "acceptance", triage.at, body)

    def expire(self, now: float) -> list[ProfileKey]:
        rows = self._database.rows(
            "SELECT DISTINCT profile FROM profile_entry WHERE valid_until > 0 AND valid_until <= ?", (now,)
        )
        changed = []
        for (identity,) in rows:
            profile = expire(self._known()[identity], now)
            self.save(profile)
            self._chain.append("profiles", "acceptance_ended", now, {"about": [identity], "profile": profile.key})
            changed.append(profile.key)
        return changed

    def _growth(self, key: ProfileKey, node: str, watched: float) -> float:
        """A node tells its total, so what it tells twice counts once."""
        identity = profile_id(key)
        found = self._database.row(
            "SELECT observed_seconds FROM profile_node WHERE profile = ? AND node = ?", (identity, node)
        )
        before = float(found[0]) if found else 0.0
        self._database.write(
            "INSERT OR REPLACE INTO profile_node (profile, node, observed_seconds) VALUES (?, ?, ?)",
            (identity, node, max(before, watched)),
        )
        return max(0.0, watched - before)

    def _ancestor(self, delta: Delta) -> str:
        """Image digest of the newest learned profile of the same container, when the node says it inherited."""
        if not any(entry.origin == "inherited" for entry in delta.entries):
            return ""
        siblings = [
            profile
            for profile in self._known().values()
            if replace(profile.key, image_digest=delta.key.image_digest) == delta.key
            and profile.key != delta.key
            and profile.state is ProfileState.LEARNED
        ]
        newest = max(siblings, key=lambda profile: profile.first_seen, default=None)
        return newest.key.image_digest if newest else ""

    def _remove(self, identity: str, behaviours: Iterable[Behaviour]) -> None:
        self._database.write_many(
            "DELETE FROM profile_entry WHERE profile = ? AND behaviour_class = ? AND process = ? AND object = ?",
            [(identity, str(gone.behaviour_class), gone.process, gone.object) for gone in behaviours],
        )

    def _put(self, identity: str, entries: Sequence[ProfileEntry]) -> None:
        self._database.write_many(
            f"INSERT OR REPLACE INTO profile_entry (profile, {_ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(identity, *_columns(entry)) for entry in entries],
        )

    def _known(self) -> dict[str, MergedProfile]:
        if self._cached is None:
            entries: dict[str, list[ProfileEntry]] = {}
            for identity, *columns in self._database.rows(f"SELECT profile, {_ENTRY} FROM profile_entry"):
                entries.setdefault(identity, []).append(_entry(tuple(columns)))
            rows = self._database.rows(
                "SELECT id, key, state, observed_seconds, first_seen, last_novelty_at, inherited_from FROM profile"
            )
            self._cached = {
                identity: MergedProfile(
                    _key(key), ProfileState(state), tuple(sorted(entries.get(identity, []), key=_behaviour)), *facts
                )
                for identity, key, state, *facts in rows
            }
        return self._cached


def _columns(entry: ProfileEntry) -> Row:
    behaviour, *facts = (entry.behaviour, *astuple(entry)[1:])
    return str(behaviour.behaviour_class), behaviour.process, behaviour.object, *facts


def _entry(columns: Row) -> ProfileEntry:
    behaviour_class, process, name, *facts = columns
    return ProfileEntry(Behaviour(BehaviourClass(behaviour_class), process, name), *facts)


def _behaviour(entry: ProfileEntry) -> Behaviour:
    return entry.behaviour
