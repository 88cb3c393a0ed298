"""All profiles of a node: those of running containers in memory, every one in a SQLite file.

The file is not essential to watching: when it can not be read or written, the agent goes on in memory, counts
the failure and says so in a health finding. What was not saved is tried again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import astuple
from pathlib import Path

import msgspec

from agent.profile import Profile, ancestor_of, inherit, lean, received
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState
from watchkeeper.findings import Profile as PushedProfile

FILE = "profiles.sqlite"
IN_MEMORY = 512  # profiles kept in memory although nothing runs, when the file can not be used

_SCHEMA = """
create table if not exists profiles (
    id integer primary key,
    cluster text not null, namespace text not null, workload text not null, container text not null,
    image_digest text not null,
    state text not null, observed_seconds real not null, novelty real not null, last_novelty_at real not null,
    inherited_from text not null, in_review integer not null, reviewed text not null,
    unique (cluster, namespace, workload, container, image_digest)
);
create table if not exists entries (
    profile integer not null references profiles (id) on delete cascade,
    class text not null, process text not null, object text not null,
    first_seen real not null, last_seen real not null, origin text not null, accepted_by text not null,
    reason text not null, valid_until real not null, reported integer not null,
    primary key (profile, class, process, object)
) without rowid;
"""
_SAVE_PROFILE = """
insert into profiles (cluster, namespace, workload, container, image_digest, state, observed_seconds, novelty,
    last_novelty_at, inherited_from, in_review, reviewed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict do update set state = excluded.state, observed_seconds = excluded.observed_seconds,
    novelty = excluded.novelty, last_novelty_at = excluded.last_novelty_at,
    inherited_from = excluded.inherited_from, in_review = excluded.in_review,
    reviewed = excluded.reviewed
returning id
"""
_SAVE_ENTRY = "insert or replace into entries values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_ENTRY = "delete from entries where profile = ? and class = ? and process = ? and object = ?"
_WORKLOAD = "cluster = ? and namespace = ? and workload = ? and container = ?"


class Profiles:
    """``failures`` counts reads and writes that did not succeed, ``last_error`` says why the last one did not."""

    def __init__(self, directory: Path) -> None:
        self.failures = 0
        self.last_error = ""
        self._live: dict[ProfileKey, Profile] = {}
        self._dirty: set[ProfileKey] = set()
        self._path = directory / FILE
        self._database: sqlite3.Connection | None = None
        self._open()

    def of(self, key: ProfileKey) -> Profile:
        """The profile of ``key``: in memory, else from the file, else inherited, else new."""
        profile = self._live.get(key)
        if profile is None:
            profile = self._find(key)
            if profile is None:
                ancestor = ancestor_of(key, self._relatives(key))
                profile = inherit(key, ancestor) if ancestor else Profile(key)
                self._dirty.add(key)
            self._live[key] = profile
        return profile

    def merge(self, pushed: PushedProfile) -> bool:
        """Take in what the fleet knows; True when it changed anything."""
        profile = self._live.get(pushed.key) or self._find(pushed.key)
        if profile is None:
            profile, changed = received(pushed), True
        else:
            changed = profile.merge(pushed)
        self._live[pushed.key] = profile
        self._dirty.add(pushed.key)
        return changed

    def accepted(self, key: ProfileKey) -> dict[Behaviour, ProfileEntry]:
        """What of the profile somebody accepted; nothing where there is no such profile."""
        profile = self._live.get(key) or self._find(key)
        return profile.accepted if profile is not None else {}

    def changed(self, key: ProfileKey) -> None:
        """The profile must be saved."""
        self._dirty.add(key)

    def live(self) -> list[Profile]:
        return list(self._live.values())

    def save(self) -> bool:
        """Write what changed in one transaction; False when that failed and will be tried again."""
        if not self._dirty:
            return True
        saved = [self._live[key] for key in self._dirty]
        with self._failures():
            if self._database is None:
                self._open_database()
            assert self._database is not None
            with self._database as transaction:
                for profile in saved:
                    _save(transaction, profile)
            for profile in saved:
                profile.unsaved.clear()
            self._dirty.clear()
        return not self._dirty

    def release(self, running: Collection[ProfileKey]) -> None:
        """Drop from memory what no container runs with and the file has."""
        if self._database is None and len(self._live) <= IN_MEMORY:
            return
        for key, profile in list(self._live.items()):
            if key not in running and key not in self._dirty and not profile.unreported:
                del self._live[key]

    def close(self) -> None:
        self.save()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _find(self, key: ProfileKey) -> Profile | None:
        found = self._read(f"{_WORKLOAD} and image_digest = ?", astuple(key))
        return found[0] if found else None

    def _relatives(self, key: ProfileKey) -> list[Profile]:
        stored = {profile.key: profile for profile in self._read(_WORKLOAD, astuple(key)[:4])}
        return list((stored | self._live).values())

    def _read(self, condition: str, values: tuple[str, ...]) -> list[Profile]:
        with self._failures():
            if self._database is not None:
                query = f"select * from profiles where {condition}"  # noqa: S608 -- conditions are constants above
                return [_load(self._database, row) for row in self._database.execute(query, values).fetchall()]
        return []

    def _open(self) -> None:
        with self._failures():
            try:
                self._open_database()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = self._path.with_suffix(f".damaged-{int(time.time())}")
                self._path.rename(aside)
                self._open_database()
                self._failed(f"{self._path}: {error}; it was moved to {aside} and profiles are learned anew")

    def _open_database(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=2)
        try:
            database.executescript("pragma journal_mode = wal; pragma synchronous = normal; pragma cache_size = -64;")
            database.executescript("pragma foreign_keys = on;" + _SCHEMA)
            database.execute("select count(*) from profiles").fetchone()
        except sqlite3.Error:
            database.close()
            raise
        self._database = database

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._failed(f"{self._path}: {error}")

    def _failed(self, reason: str) -> None:
        self.failures += 1
        self.last_error = reason


def _save(database: sqlite3.Connection, profile: Profile) -> None:
    header = (
        *astuple(profile.key),
        profile.state,
        profile.observed_seconds,
        profile.novelty,
        profile.last_novelty_at,
        profile.inherited_from,
        profile.in_review,
        msgspec.json.encode(profile.reviewed).decode(),
    )
    [number] = database.execute(_SAVE_PROFILE, header).fetchone()
    for behaviour in profile.unsaved:
        identity = (number, behaviour.behaviour_class, behaviour.process, behaviour.object)
        entry = profile.entries.get(behaviour)
        if entry is None:
            database.execute(_DELETE_ENTRY, identity)
        else:
            database.execute(_SAVE_ENTRY, (*identity, *_values(entry), behaviour not in profile.unreported))


def _values(entry: ProfileEntry) -> tuple[float, float, str, str, str, float]:
    return entry.first_seen, entry.last_seen, entry.origin, entry.accepted_by, entry.reason, entry.valid_until


def _load(database: sqlite3.Connection, row: tuple[object, ...]) -> Profile:
    number, *key, state, observed, novelty, novel_at, ancestor, review, reviewed = row
    profile = Profile(
        key=ProfileKey(*map(str, key)),
        state=ProfileState(str(state)),
        observed_seconds=float(observed),  # type: ignore[arg-type]  # the column is real
        novelty=float(novelty),  # type: ignore[arg-type]  # the column is real
        last_novelty_at=float(novel_at),  # type: ignore[arg-type]  # the column is real
        inherited_from=str(ancestor),
        in_review=bool(review),
        reviewed=msgspec.json.decode(str(reviewed), type=set[Behaviour]),
    )
    for _, kind, process, name, *values, reported in database.execute(
        "select * from entries where profile = ?", (number,)
    ):
        entry = lean(ProfileEntry(Behaviour(BehaviourClass(kind), process, name), *values))
        profile.entries[entry.behaviour] = entry
        if not reported:
            profile.unreported[entry.behaviour] = entry
    return profile
