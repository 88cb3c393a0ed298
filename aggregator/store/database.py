"""The SQLite database file: opened, checked, its transactions, and its errors in words an operator can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlite_utils

from aggregator.store import migrations
from aggregator.store.protocol import StoreError

Row = tuple[Any, ...]


class Database:
    """One connection, used by one thread at a time. Raises StoreError for whatever SQLite can not do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, cached_statements=256)
        try:
            with self._explained():
                self._prepare()
        except StoreError:
            self._connection.close()
            raise

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._explained():
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def write(self, sql: str, parameters: Sequence[object] = ()) -> None:
        with self._explained():
            self._connection.execute(sql, parameters)

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        with self._explained():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Commit all that is written inside, or nothing. Not ``durable``: safe from a killed process, though a
        power failure may take the last ones: right for what is told again within seconds."""
        with self._explained():
            if self._connection.in_transaction:
                raise StoreError(f"{self.path}: a transaction inside a transaction; this is a defect, please report it")
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with self._explained():
                self._connection.rollback()
            raise
        with self._explained():
            self._commit()

    def close(self) -> None:
        with self._explained():
            self._connection.close()

    def _commit(self) -> None:
        try:
            self._connection.commit()
        except sqlite3.Error:
            self._connection.rollback()
            raise

    def _prepare(self) -> None:
        self._connection.isolation_level = None
        database = sqlite_utils.Database(self._connection, execute_plugins=False)
        database.enable_wal()
        migrations.apply(database, self.path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {error}. {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    text = str(error)
    if "malformed" in text or "not a database" in text:
        return "The file is damaged: move it aside, and restore a backup or start with a new one."
    if "locked" in text:
        return "Another program has it open: let only one aggregator use the file."
    if "full" in text:
        return "The disk is full: make room, and the aggregator goes on by itself."
    return "Check that the directory exists and that this user may write to it."
