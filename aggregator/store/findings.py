"""Findings in the database, folded by fingerprint, and the decisions about them."""

# ruff: noqa: S608 - only constants of this module are put into SQL, values are bound

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from aggregator.evidence import finding_body, triage_body
from aggregator.records import StoredFinding, Triage, TriageAction
from aggregator.store.chain import Chain
from aggregator.store.database import Database, Row
from aggregator.store.finite import finite
from watchkeeper.findings import Behaviour, Finding, Severity

STREAM = "findings"

_COLUMNS = "id, fingerprint, stored_at, count, last_at, due_at, checks, triage, behaviours, body"
_SELECT = f"SELECT {_COLUMNS} FROM finding"
_LARGEST = 2**53 - 1
_SEVERITIES = tuple(Severity)

_encode = msgspec.json.Encoder().encode
_finding = msgspec.json.Decoder(Finding).decode
_triage = msgspec.json.Decoder(Triage).decode
_behaviours = msgspec.json.Decoder(tuple[Behaviour, ...]).decode


@dataclass(slots=True)
class _Kept:
    """A stored finding while a batch changes it."""

    finding: Finding
    stored_at: float
    count: int
    last_at: float
    due_at: float
    checks: tuple[str, ...]
    triage: Triage | None
    behaviours: dict[Behaviour, None]
    is_new: bool = False

    def row(self) -> Row:
        return (
            self.finding.id,
            self.finding.fingerprint,
            self.stored_at,
            min(self.count, _LARGEST),
            self.last_at,
            self.due_at,
            json.dumps(self.checks),
            _encode(self.triage).decode() if self.triage else None,
            _encode(tuple(self.behaviours)).decode(),
            _encode(self.finding).decode(),
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """A finding of a batch, not yet kept."""

    finding: Finding
    due_at: float
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Further occurrences of a finding."""

    finding_id: str
    count: int
    last_at: float


class Findings:
    """Every method but the reading ones must be called inside a transaction."""

    def __init__(self, database: Database, chain: Chain, clock: Callable[[], float]) -> None:
        self._database = database
        self._chain = chain
        self._clock = clock

    def keep(self, batch: Sequence[Arrival | Repeat]) -> None:
        """Fold or keep each, in order, with few statements for the whole batch."""
        Folding(self._database, self._chain, self._clock()).keep(batch)

    def page(self, open_only: bool, limit: int, before: float | None, query: str) -> list[StoredFinding]:
        conditions, parameters = ["1"], list[object]()
        if open_only:
            conditions.append("triage IS NULL")
        if before is not None:
            conditions.append("stored_at < ?")
            parameters.append(before)
        if query:
            conditions.append("body LIKE ? ESCAPE '\\'")
            parameters.append(f"%{_literal(query)}%")
        rows = self._database.rows(
            f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY stored_at DESC LIMIT ?", [*parameters, limit]
        )
        return [_stored(_kept(row)) for row in rows]

    def find(self, finding_id: str) -> StoredFinding | None:
        """Also by the id of a finding that was folded into another."""
        row = self._database.row(
            f"{_SELECT} WHERE id = (SELECT stored FROM finding_id WHERE id = ?)", (finding_id,)
        ) or self._database.row(f"{_SELECT} WHERE id = ?", (finding_id,))
        return _stored(_kept(row)) if row else None

    def triage(self, finding_id: str, triage: Triage) -> StoredFinding:
        stored = self.find(finding_id)
        if stored is None:
            raise KeyError(finding_id)
        text = _encode(triage).decode()
        self._database.write("UPDATE finding SET triage = ? WHERE id = ?", (text, stored.finding.id))
        self._database.write("INSERT INTO triage (finding, body) VALUES (?, ?)", (stored.finding.id, text))
        self._chain.append("decisions", "triage", triage.at, triage_body(stored.finding.id, triage))
        return replace(stored, triage=triage)

    def triages(self, finding_id: str) -> list[Triage]:
        rows = self._database.rows("SELECT body FROM triage WHERE finding = ? ORDER BY seq", (finding_id,))
        return [_triage(body) for (body,) in rows]

    def open(self, now: float) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for checks, (count, overdue) in self.open_by_checks(now).items():
            for check in checks:
                before = found.get(check, (0, 0))
                found[check] = (before[0] + count, before[1] + overdue)
        return found

    def open_by_checks(self, now: float) -> dict[tuple[str, ...], tuple[int, int]]:
        rows = self._database.rows(
            "SELECT checks, count(*), sum(due_at < ?) FROM finding WHERE triage IS NULL GROUP BY checks", (now,)
        )
        return {tuple(json.loads(checks)): (count, overdue) for checks, count, overdue in rows}


class Folding:
    """One batch on its way into the database; what it touches is loaded once and written once."""

    def __init__(self, database: Database, chain: Chain, now: float) -> None:
        self._database = database
        self._chain = chain
        newest = database.row("SELECT max(stored_at) FROM finding")
        self._now = now
        self._stored_at = max(now, (newest[0] or 0.0) + 1e-6 if newest else now)
        self._kept: dict[str, _Kept] = {}  # by id
        self._heads: dict[str, _Kept] = {}  # the newest of each fingerprint
        self._stands_for: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._touched: dict[str, _Kept] = {}

    def keep(self, batch: Sequence[Arrival | Repeat]) -> None:
        self._load(batch)
        for item in batch:
            if isinstance(item, Arrival):
                self._arrive(replace(item, finding=_fit(item.finding)))
            else:
                self._repeat(item)
        self._write()

    def _load(self, batch: Sequence[Arrival | Repeat]) -> None:
        arrivals = [item for item in batch if isinstance(item, Arrival)]
        ids = [item.finding.id if isinstance(item, Arrival) else item.finding_id for item in batch]
        self._stands_for = dict(
            self._database.rows(
                "SELECT id, stored FROM finding_id WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
            )
        )
        repeated = {self._stands_for.get(item.finding_id, "") for item in batch if isinstance(item, Repeat)}
        self._hold(f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?))", repeated)
        heads = self._hold(
            f"{_SELECT} WHERE seq IN (SELECT max(seq) FROM finding WHERE fingerprint IN "
            "(SELECT value FROM json_each(?)) GROUP BY fingerprint)",
            {arrival.finding.fingerprint for arrival in arrivals},
        )
        self._heads = {kept.finding.fingerprint: kept for kept in heads}

    def _hold(self, sql: str, values: Iterable[str]) -> list[_Kept]:
        held = []
        for row in self._database.rows(sql, (json.dumps(list(values)),)):
            held.append(self._kept.get(row[0]) or _kept(row))
            self._kept[row[0]] = held[-1]
        return held

    def _arrive(self, arrival: Arrival) -> None:
        finding = arrival.finding
        if finding.id in self._stands_for:
            return
        head = self._heads.get(finding.fingerprint)
        if head is not None and self._folds(head, finding):
            self._fold(head, arrival)
            self._chain.append(STREAM, "finding", self._now, finding_body(finding, head.finding.id))
        else:
            self._open(arrival)
            self._chain.append(STREAM, "finding", self._now, finding_body(finding))

    def _folds(self, head: _Kept, finding: Finding) -> bool:
        """A decision covers only what was decided about: a behaviour nobody has seen is a new finding even
        when its fingerprint, that of a whole rollout, was accepted."""
        if head.triage is None:
            return True
        covered = finding.behaviour is None or finding.behaviour in head.behaviours
        return covered and _silences(head.triage, self._now)

    def _fold(self, head: _Kept, arrival: Arrival) -> None:
        finding = arrival.finding
        head.count += 1
        head.last_at = max(head.last_at, self._time(finding.occurred_at))
        head.checks = tuple(dict.fromkeys((*head.checks, *arrival.checks)))
        if head.triage is None:
            head.due_at = min(head.due_at, arrival.due_at)
            graver = min(head.finding.severity, finding.severity, key=_SEVERITIES.index)
            head.finding = replace(head.finding, severity=graver)
        if finding.behaviour is not None:
            head.behaviours[finding.behaviour] = None
        self._name(finding.id, head)

    def _open(self, arrival: Arrival) -> None:
        finding = arrival.finding
        behaviours = {finding.behaviour: None} if finding.behaviour else {}
        last_at = self._time(finding.occurred_at)
        self._add(
            _Kept(finding, 0.0, 1, last_at, self._time(arrival.due_at), arrival.checks, None, behaviours, is_new=True)
        )

    def _repeat(self, repeat: Repeat) -> None:
        kept = self._kept.get(self._stands_for.get(repeat.finding_id, ""))
        if kept is None:
            return
        last_at = self._time(repeat.last_at)
        if kept.triage is not None and self._reopens(kept.triage, last_at):
            self._reopen(kept, repeat, last_at)
            return
        kept.count += repeat.count
        kept.last_at = max(kept.last_at, last_at)
        self._touched[kept.finding.id] = kept

    def _reopens(self, triage: Triage, last_at: float) -> bool:
        """It was called fixed and happened again, or the decision to let it be has ended."""
        if triage.action is TriageAction.FIXED:
            return last_at > triage.at
        return triage.action is not TriageAction.ACKNOWLEDGE and not _silences(triage, self._now)

    def _reopen(self, kept: _Kept, repeat: Repeat, last_at: float) -> None:
        identity = hashlib.sha256(f"{kept.finding.id} {last_at}".encode()).hexdigest()[:32]
        finding = replace(kept.finding, id=identity, occurred_at=last_at, detected_at=last_at)
        time_to_act = max(0.0, kept.due_at - kept.stored_at)
        again = replace(
            kept, finding=finding, count=repeat.count, last_at=last_at, due_at=self._now + time_to_act, triage=None,
            behaviours=dict(kept.behaviours), is_new=True,
        )  # fmt: skip
        self._add(again)
        self._name(repeat.finding_id, again)
        self._chain.append(STREAM, "finding", self._now, {**finding_body(finding), "reopens": kept.finding.id})

    def _add(self, kept: _Kept) -> None:
        kept.stored_at = self._stored_at
        self._stored_at += 1e-6  # no two are equal: pages begin after one
        self._heads[kept.finding.fingerprint] = kept
        self._kept[kept.finding.id] = kept
        self._name(kept.finding.id, kept)

    def _name(self, finding_id: str, kept: _Kept) -> None:
        self._stands_for[finding_id] = self._named[finding_id] = kept.finding.id
        self._touched[kept.finding.id] = kept

    def _write(self) -> None:
        fresh = [kept.row() for kept in self._touched.values() if kept.is_new]
        changed = [kept.row() for kept in self._touched.values() if not kept.is_new]
        self._database.write_many(
            f"INSERT INTO finding ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", fresh
        )  # fmt: skip
        self._database.write_many(
            "UPDATE finding SET count = ?, last_at = ?, due_at = ?, checks = ?, behaviours = ?, body = ? WHERE id = ?",
            [(row[3], row[4], row[5], row[6], row[8], row[9], row[0]) for row in changed],
        )
        self._database.write_many("INSERT OR REPLACE INTO finding_id (id, stored) VALUES (?, ?)", self._named.items())

    def _time(self, value: float) -> float:
        return value if math.isfinite(value) else self._now


def _fit(finding: Finding) -> Finding:
    container = finding.container and finite(finding.container)
    return finite(finding) if container is finding.container else finite(replace(finding, container=container))


def _silences(triage: Triage, now: float) -> bool:
    """The decision says: let it be, and still holds."""
    deciding = triage.action in (TriageAction.ACCEPT, TriageAction.FALSE_POSITIVE)
    return deciding and (triage.valid_until == 0 or triage.valid_until > now)


def _kept(row: Row) -> _Kept:
    _, _, stored_at, count, last_at, due_at, checks, triage, behaviours, body = row
    return _Kept(
        _finding(body),
        stored_at,
        count,
        last_at,
        due_at,
        tuple(json.loads(checks)),
        _triage(triage) if triage else None,
        dict.fromkeys(_behaviours(behaviours)),
    )


def _stored(kept: _Kept) -> StoredFinding:
    return StoredFinding(
        kept.finding, kept.stored_at, kept.count, kept.last_at, kept.due_at, kept.triage, kept.checks,
        tuple(kept.behaviours),
    )  # fmt: skip


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
