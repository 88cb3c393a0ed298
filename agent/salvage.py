"""Reading what is left of a corrupt spool."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from watchkeeper.seal import record_hash

Row = tuple[int, str, bytes, bytes, bytes]  # sequence, kind, previous_hash, hash, payload


def read_head(connection: sqlite3.Connection) -> tuple[str, int, bytes, str]:
    row = connection.execute("SELECT spool_id, sequence, hash, discarded FROM head").fetchone()
    if row is None:
        raise ValueError("the head of the chain is missing")
    return row[0], row[1], row[2], row[3]


def is_sealed(row: Row) -> bool:
    sequence, kind, previous, sealed, payload = row
    return record_hash(previous, sequence, kind, payload) == sealed


class Salvage:
    """Reads what is left of a corrupt database. ``expected``: records it should hold, None when unknown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.expected: int | None = None
        self.discarded: Counter[str] = Counter()

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Every record that still matches its hash, in order."""
        try:
            connection = sqlite3.connect(self._path, isolation_level=None)
        except sqlite3.DatabaseError:
            return
        with contextlib.closing(connection):
            sequences = self._sequences(connection)
            self._readhead(connection, sequences)
            for sequence in sequences:
                with contextlib.suppress(sqlite3.DatabaseError):  # this row is on a broken page; others may not be
                    row = connection.execute(
                        "SELECT sequence, kind, previous_hash, hash, payload FROM records WHERE sequence = ?",
                        (sequence,),
                    ).fetchone()
                    if row and is_sealed(row):
                        yield row[1], row[4]

    def _sequences(self, connection: sqlite3.Connection) -> list[int]:
        found: set[int] = set()
        for order in ("ASC", "DESC"):  # each direction ends at the first broken page
            with contextlib.suppress(sqlite3.DatabaseError):
                found.update(row[0] for row in connection.execute(f"SELECT sequence FROM records ORDER BY 1 {order}"))  # noqa: S608
        return sorted(each for each in found if isinstance(each, int))

    def _readhead(self, connection: sqlite3.Connection, sequences: list[int]) -> None:
        try:
            _, sequence, _, discarded = read_head(connection)
            self.discarded = Counter(json.loads(discarded))
        except (sqlite3.DatabaseError, ValueError, TypeError):
            return
        if sequences:
            self.expected = max(int(sequence), sequences[-1]) - sequences[0] + 1
