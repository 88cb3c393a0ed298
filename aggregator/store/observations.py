"""Observations, the exceptions from them, and the statuses over time that follow from them."""

# ruff: noqa: S608 - only constants of this module are put into SQL, values are bound

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from aggregator.evidence import exception_body, observation_body
from aggregator.records import CheckException, Interval, JudgedResource, Observation, Outcome, Status
from aggregator.store.chain import Chain
from aggregator.store.database import Database

_SEALED = "check_type, resource, outcome, reason, at, stream, sequence, hash, sealed_at"

_encode = msgspec.json.Encoder().encode
_exception = msgspec.json.Decoder(CheckException).decode


class Observations:
    """Every method but the reading ones must be called inside a transaction."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._cached: dict[str, dict[str, JudgedResource]] | None = None  # as in the database: by check, by resource

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._cached = None

    def observe(self, observations: Iterable[Observation], reaffirm_after: float) -> int:
        known = self._known()
        sealed, affirmed = [], []
        for observation in observations:
            of_check = known.setdefault(observation.check, {})
            before = of_check.get(observation.resource)
            if before is None or _differs(before, observation, reaffirm_after):
                judged = self._sealed(observation)
                sealed.append(judged)
            else:
                judged = JudgedResource(observation, before.stream, before.sequence, before.hash, before.sealed_at)
                affirmed.append((observation.at, observation.check, observation.resource))
            of_check[observation.resource] = judged
        self._write(sealed)
        self._database.write_many("UPDATE observation SET at = ? WHERE check_type = ? AND resource = ?", affirmed)
        return len(sealed)

    def all(self) -> list[Observation]:
        return [judged.observation for of_check in self._known().values() for judged in of_check.values()]

    def judged(self, check: str, limit: int) -> list[JudgedResource]:
        return sorted(self._known().get(check, {}).values(), key=_order)[:limit]

    def forget_others(self, kept: Iterable[tuple[str, str]]) -> None:
        known = self._known()
        gone = {(check, resource) for check, of_check in known.items() for resource in of_check} - set(kept)
        self._database.write_many("DELETE FROM observation WHERE check_type = ? AND resource = ?", gone)
        for check, resource in gone:
            del known[check][resource]

    def accept_failure(self, exception: CheckException) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO exception (check_type, resource, valid_until, body) VALUES (?, ?, ?, ?)",
            (exception.check, exception.resource, exception.valid_until, _encode(exception).decode()),
        )
        self._chain.append("decisions", "exception", exception.at, exception_body(exception))

    def exceptions(self, now: float) -> list[CheckException]:
        rows = self._database.rows("SELECT body FROM exception WHERE valid_until > ?", (now,))
        return [_exception(body) for (body,) in rows]

    def _sealed(self, observation: Observation) -> JudgedResource:
        link = self._chain.append("observations", "observation", observation.at, observation_body(observation))
        return JudgedResource(observation, link.stream, link.sequence, link.hash, link.at)

    def _write(self, sealed: list[JudgedResource]) -> None:
        self._database.write_many(
            f"INSERT OR REPLACE INTO observation ({_SEALED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    judged.observation.check, judged.observation.resource, str(judged.observation.outcome),
                    judged.observation.reason, judged.observation.at,
                    judged.stream, judged.sequence, judged.hash, judged.sealed_at,
                )
                for judged in sealed
            ],
        )  # fmt: skip

    def _known(self) -> dict[str, dict[str, JudgedResource]]:
        if self._cached is None:
            self._cached = {}
            for row in self._database.rows(f"SELECT {_SEALED} FROM observation"):
                observation = Observation(row[0], row[1], Outcome(row[2]), row[3], row[4])
                self._cached.setdefault(row[0], {})[row[1]] = JudgedResource(observation, *row[5:])
        return self._cached


class Intervals:
    """Statuses of subjects over time. Writing must happen inside a transaction."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self._chain = chain
        self._cached: dict[str, tuple[int, str]] | None = None  # the open interval of each subject: seq, status

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._cached = None

    def record(self, statuses: Mapping[str, str], at: float) -> list[str]:
        current = self._current()
        changed = [subject for subject, status in statuses.items() if current.get(subject, (0, ""))[1] != status]
        for subject in changed:
            self._open(subject, Status(statuses[subject]), at)
        return changed

    def judged(self, at: float) -> None:
        self._database.write("INSERT OR REPLACE INTO judged (id, at) VALUES (1, ?)", (at,))

    def last_judged(self) -> float:
        found = self._database.row("SELECT at FROM judged")
        return float(found[0]) if found else 0.0

    def since(self, subject: str, since: float) -> list[Interval]:
        rows = self._database.rows(
            "SELECT subject, status, since, until FROM interval WHERE subject = ? AND (until = 0 OR until > ?) "
            "ORDER BY seq",
            (subject, since),
        )
        return [Interval(name, Status(status), begin, end) for name, status, begin, end in rows]

    def _open(self, subject: str, status: Status, at: float) -> None:
        if subject in self._current():
            self._database.write(
                "UPDATE interval SET until = max(since, ?) WHERE seq = ?", (at, self._current()[subject][0])
            )
        self._database.write(
            "INSERT INTO interval (subject, status, since, until) VALUES (?, ?, ?, 0)", (subject, str(status), at)
        )
        found = self._database.row("SELECT last_insert_rowid()")
        self._current()[subject] = (int(found[0]) if found else 0, str(status))
        if subject.startswith("control:"):
            body = {"about": [subject], "subject": subject, "status": str(status), "since": at}
            self._chain.append("statuses", "status", at, body)

    def _current(self) -> dict[str, tuple[int, str]]:
        if self._cached is None:
            rows = self._database.rows("SELECT subject, seq, status FROM interval WHERE until = 0")
            self._cached = {subject: (seq, status) for subject, seq, status in rows}
        return self._cached


def _differs(before: JudgedResource, observation: Observation, reaffirm_after: float) -> bool:
    old = before.observation
    same = (old.outcome, old.reason) == (observation.outcome, observation.reason)
    return not same or observation.at - before.sealed_at > reaffirm_after


def _order(judged: JudgedResource) -> tuple[bool, bool, float, str]:
    outcome = judged.observation.outcome
    return outcome is not Outcome.FAIL, outcome is Outcome.PASS, -judged.sealed_at, judged.observation.resource
