"""Evidence in the database: links appended to their streams inside the transaction of what they seal."""

# ruff: noqa: S608 - only constants of this module are put into SQL, values are bound

from __future__ import annotations

from aggregator.evidence import FIRST, about, seal
from aggregator.records import Sealed
from aggregator.store.database import Database

_COLUMNS = "stream, sequence, kind, at, body, previous_hash, hash"


class Chain:
    """Streams of links. ``append`` collects; ``flush`` must be called before the transaction commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads: dict[str, tuple[int, str]] = {}
        self._pending: list[tuple[Sealed, tuple[str, ...]]] = []

    def append(self, stream: str, kind: str, at: float, body: object) -> Sealed:
        sequence, head = self._head(stream)
        link = seal(stream, sequence + 1, head, kind, at, body)
        self._heads[stream] = (link.sequence, link.hash)
        self._pending.append((link, about(body)))
        return link

    def flush(self) -> None:
        if not self._pending:
            return
        found = self._database.row("SELECT max(id) FROM evidence")
        numbered = list(enumerate(self._pending, start=(found[0] or 0) + 1 if found else 1))
        self._database.write_many(
            f"INSERT INTO evidence (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, link.stream, link.sequence, link.kind, link.at, link.body, link.previous_hash, link.hash)
                for number, (link, _) in numbered
            ],
        )
        self._database.write_many(
            "INSERT INTO evidence_about (about, evidence) VALUES (?, ?)",
            [(subject, number) for number, (_, subjects) in numbered for subject in subjects],
        )
        self._pending.clear()

    def forget(self) -> None:
        """The transaction was rolled back: nothing appended since the last flush happened."""
        self._heads.clear()
        self._pending.clear()

    def links(self, stream: str, after: int, limit: int, subject: str, newest: bool) -> list[Sealed]:
        conditions, parameters = ["1"], list[object]()
        if stream:
            conditions.append("stream = ? AND sequence > ?")
            parameters += [stream, after]
        if subject:
            conditions.append("id IN (SELECT evidence FROM evidence_about WHERE about = ?)")
            parameters.append(subject)
        order = "DESC" if newest else "ASC"
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM evidence WHERE {' AND '.join(conditions)} ORDER BY id {order} LIMIT ? OFFSET ?",
            [*parameters, limit, 0 if stream else after],
        )
        return [Sealed(*row) for row in rows]

    def streams(self) -> list[str]:
        return [name for (name,) in self._database.rows("SELECT DISTINCT stream FROM evidence ORDER BY stream")]

    def _head(self, stream: str) -> tuple[int, str]:
        if stream not in self._heads:
            found = self._database.row(
                "SELECT sequence, hash FROM evidence WHERE stream = ? ORDER BY sequence DESC LIMIT 1", (stream,)
            )
            self._heads[stream] = (found[0], found[1]) if found else (0, FIRST)
        return self._heads[stream]
