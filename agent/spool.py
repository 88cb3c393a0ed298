"""Records on their way to the aggregator, on disk until they are acknowledged.

SQLite in WAL mode. A record that was appended survives kill -9; ``sync`` also makes it survive a power cut
and is called before records are sent, so the aggregator never knows of one that this disk forgot.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.reserve import Reserve
from agent.salvage import Row, Salvage, is_sealed, read_head
from watchkeeper.seal import GENESIS, record_hash
from watchkeeper.v1.uplink_pb2 import Record

NAME = "spool.sqlite"
OVERHEAD = 160  # bytes a row needs beside its payload
RESERVE = 512 * 1024  # the log may grow to half of this between two checkpoints
KEPT_CORRUPT = 2  # databases moved aside that are kept, the newest ones

_SCHEMA = """
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY, size INTEGER NOT NULL, kind TEXT NOT NULL,
    previous_hash BLOB NOT NULL, hash BLOB NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE head (spool_id TEXT NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL, discarded TEXT NOT NULL);
"""

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SpoolError(Exception):
    """The spool can not be used; the message names the path and the remedy."""


class _Corrupt(Exception):
    """The database, or a record in it, is not what was written."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A database that was found corrupt. ``lost`` is None when nobody can tell how many records it held."""

    reason: str
    moved_to: Path
    recovered: int
    lost: int | None


class Spool:
    """At most ``max_bytes`` of sealed records in ``directory``; belongs to one thread of one process.

    ``discarded`` counts by kind what could not be kept; ``recovery`` tells of a database that was corrupt;
    ``trouble`` says why the disk refused the last write, and is empty when it did not.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._path = directory / NAME
        self._max_bytes = max_bytes
        self._reserve = Reserve(directory / "spool.reserve", min(RESERVE, max_bytes))
        self._discarded: Counter[str] = Counter()
        self.recovery: Recovery | None = None
        self.trouble = ""
        _prepare(directory)
        self._reserve.release()  # the log of a killed agent may need it to be worked in
        try:
            self._open()
        except _Corrupt as error:
            self._recover(str(error))
        self._reserve.hold()

    @property
    def discarded(self) -> dict[str, int]:
        return dict(self._discarded)

    @property
    def recovered(self) -> int:
        """Records saved from a corrupt database."""
        return self.recovery.recovered if self.recovery else 0

    @property
    def lost(self) -> int | None:
        """Records lost in a corrupt database; None: nobody can tell how many."""
        return self.recovery.lost if self.recovery else 0

    def append(self, kind: str, payload: bytes) -> bool:
        """Keep a record, safe from kill -9 on return. False: there was no room, it is counted as discarded."""
        return self.append_many([(kind, payload)])[0]

    def append_many(self, records: Sequence[tuple[str, bytes]], *, again: bool = False) -> list[bool]:
        """Keep many records in one transaction; says of each whether it was kept. ``again``: those that
        were not are tried once more by the caller, so they are not discarded."""
        kept = self._fitting(records)
        chosen = [record for record, keep in zip(records, kept, strict=True) if keep]
        if chosen and not self._store(chosen):
            # Together they do not fit the disk: keep as many as do.
            stored = iter([len(chosen) > 1 and self._store([record]) for record in chosen])
            kept = [keep and next(stored) for keep in kept]
        if not again:
            self._discarded.update(kind for (kind, _), keep in zip(records, kept, strict=True) if not keep)
        return kept

    def pending(self, after: int, limit: int, max_bytes: int = 1 << 20) -> list[Record]:
        """The next records in order, at least one if there is one; both bounds hold from the second on."""
        try:
            return self._read(after, limit, max_bytes)
        except _Corrupt as error:
            self._recover(str(error))
            return []

    def acknowledge(self, sequence: int) -> None:
        """Forget records up to ``sequence``. On a disk too full even for that they go with a later call."""
        where = "FROM records WHERE sequence <= ?"
        spool_id, count, size = self.spool_id, 0, 0

        def delete() -> None:
            nonlocal count, size
            count, size = self._connection.execute(f"SELECT count(*), total(size) {where}", (sequence,)).fetchone()
            self._connection.execute(f"DELETE {where}", (sequence,))
            if count == self.records:
                self._connection.execute("PRAGMA incremental_vacuum").fetchall()

        if not self._write(delete):
            self._reserve.release()
            if self.spool_id != spool_id or not self._write(delete):
                return
        self.records -= count
        self.bytes -= int(size)
        self._reserve.hold()

    def discard(self, kind: str) -> None:
        """Count a record that could not be delivered."""
        self._discarded[kind] += 1

    def renew(self) -> None:
        """Seal what waits anew as a spool of its own: the aggregator's memory and this chain no longer agree."""
        spool_id, sequence, head = uuid.uuid4().hex, 0, GENESIS

        def reseal() -> None:
            nonlocal sequence, head
            for old, kind, _, _, payload in self._rows():
                sequence += 1
                previous, head = head, record_hash(head, sequence, kind, payload)
                self._connection.execute(
                    "UPDATE records SET sequence = ?, previous_hash = ?, hash = ? WHERE sequence = ?",
                    (sequence, previous, head, old),
                )
            self._savehead(spool_id, sequence, head)

        if self._write(reseal):
            self.spool_id, self._sequence, self._head = spool_id, sequence, head

    @property
    def last_sequence(self) -> int:
        return self._sequence

    def sync(self) -> None:
        """Make what was appended survive a power cut. May be called from another thread."""
        with contextlib.suppress(FileNotFoundError):  # no log: everything is in the database already
            descriptor = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        self._write(lambda: self._savehead(self.spool_id, self._sequence, self._head))
        self._connection.close()

    def _fitting(self, records: Sequence[tuple[str, bytes]]) -> list[bool]:
        room = self._max_bytes - self.bytes
        kept = []
        for _, payload in records:
            size = len(payload) + OVERHEAD
            kept.append(size <= room)
            room -= size if kept[-1] else 0
        return kept

    def _store(self, records: Sequence[tuple[str, bytes]]) -> bool:
        if not self._reserve.hold() and not self._make_room():
            self.trouble = f"{self._path.parent}: the disk is full"
            return False
        return self._insert(records) or (self._make_room() and self._insert(records))

    def _insert(self, records: Sequence[tuple[str, bytes]]) -> bool:
        sequence, head, size = self._sequence, self._head, 0
        rows = []
        for sequence, (kind, payload) in enumerate(records, self._sequence + 1):
            previous, head = head, record_hash(head, sequence, kind, payload)
            size += len(payload) + OVERHEAD
            rows.append((sequence, len(payload) + OVERHEAD, kind, previous, head, payload))
        spool_id = self.spool_id

        def insert() -> None:
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._savehead(spool_id, sequence, head)

        if not self._write(insert):
            return self.spool_id != spool_id and self._insert(records)
        self._sequence, self._head = sequence, head
        self.records += len(rows)
        self.bytes += size
        return True

    def _write(self, work: Callable[[], None]) -> bool:
        """Do ``work`` in a transaction; False when the disk refuses it, or a corrupt database had to be replaced."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            work()
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._rollback()
            if _is_corrupt(error):
                self._recover(str(error))
                return False
            self.trouble = f"{self._path}: {error}"
            return False
        self.trouble = ""
        return True

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.DatabaseError):  # SQLite has rolled back by itself
            self._connection.execute("ROLLBACK")

    def _make_room(self) -> bool:
        """Work the log into the database with the space kept back; True when that space can be kept back again."""
        self._reserve.release()
        with contextlib.suppress(sqlite3.OperationalError):  # judged by what hold() says
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self._reserve.hold()

    def _savehead(self, spool_id: str, sequence: int, head: bytes) -> None:
        discarded = json.dumps(self._discarded)
        self._connection.execute(
            "UPDATE head SET spool_id = ?, sequence = ?, hash = ?, discarded = ?", (spool_id, sequence, head, discarded)
        )

    def _open(self) -> None:
        try:
            self._path.touch(mode=0o600)
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=1.0, check_same_thread=False)
            try:
                _configure(connection)
                self._load(connection)
            except BaseException:
                connection.close()
                raise
        except (ValueError, TypeError) as error:
            raise _Corrupt(str(error)) from error
        except sqlite3.DatabaseError as error:
            if _is_corrupt(error):
                raise _Corrupt(str(error)) from error
            raise SpoolError(_explain(self._path, error)) from error
        self._connection = connection

    def _load(self, connection: sqlite3.Connection) -> None:
        self.spool_id, self._sequence, self._head, discarded = read_head(connection)
        self.records, size = connection.execute("SELECT count(*), total(size) FROM records").fetchone()
        self.bytes = int(size)
        self._discarded = Counter(json.loads(discarded))

    def _rows(self, after: int = 0) -> Iterator[Row]:
        query = "SELECT sequence, kind, previous_hash, hash, payload FROM records WHERE sequence > ? ORDER BY sequence"
        while batch := self._connection.execute(query + " LIMIT 100", (after,)).fetchall():
            yield from batch
            after = batch[-1][0]

    def _read(self, after: int, limit: int, max_bytes: int) -> list[Record]:
        found: list[Record] = []
        size = 0
        try:
            for row in self._rows(after):
                size += len(row[4]) + OVERHEAD
                if found and (len(found) >= limit or size > max_bytes):
                    break
                if not is_sealed(row):
                    raise _Corrupt(f"record {row[0]} does not match its hash")
                found.append(Record(sequence=row[0], kind=row[1], previous_hash=row[2], hash=row[3], payload=row[4]))
        except sqlite3.DatabaseError as error:
            if _is_corrupt(error):
                raise _Corrupt(str(error)) from error
            self.trouble = f"{self._path}: {error}"
        return found

    def _recover(self, reason: str) -> None:
        """Begin a fresh spool with whatever can still be read of the corrupt one, which is kept beside it."""
        if hasattr(self, "_connection"):
            self._connection.close()
        moved = self._path.with_name(f"{NAME}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}-{time.time_ns() % 10**9:09}")
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{moved}{suffix}")
        Path(f"{self._path}-shm").unlink(missing_ok=True)
        known, counted = getattr(self, "records", None), self._discarded
        self._open()
        self._discarded = counted
        salvage = Salvage(moved)
        recovered = sum(self._store([record]) for record in salvage.records())
        expected = known if known is not None else salvage.expected
        lost = None if expected is None else max(0, expected - recovered)
        if known is None:
            self._discarded += salvage.discarded
        self._discarded["corrupt"] += 1 if lost is None else lost
        self.recovery = Recovery(reason, moved, recovered, lost)
        _forget_old(self._path)


def _configure(connection: sqlite3.Connection) -> None:
    # Exclusive: a second agent on the same directory is an error, and SQLite needs no shared memory file.
    for pragma in ("locking_mode=EXCLUSIVE", "auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA cache_size=-256")
    connection.execute("PRAGMA wal_autocheckpoint=64")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'head'").fetchone():
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    connection.execute(
        "INSERT INTO head SELECT ?, 0, ?, '{}' WHERE NOT EXISTS (SELECT 1 FROM head UNION SELECT 1 FROM records)",
        (uuid.uuid4().hex, GENESIS),
    )


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in _CORRUPT or "no such table" in str(error) or "no such column" in str(error)


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = directory / ".writable"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise SpoolError(
            f"{directory}: the spool can not be written here: {error.strerror}. "
            "Make the directory writable for the agent or choose another state_directory."
        ) from error


def _explain(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error):
        return f"{path}: is in use by another agent. Stop that one or choose another state_directory."
    return f"{path}: {error}. Free space on this disk or choose another state_directory."


def _forget_old(path: Path) -> None:
    """Corrupt databases must not fill the disk: the newest few are kept."""
    moved = sorted(each for each in path.parent.glob(f"{NAME}.corrupt-*") if not each.name.endswith("-wal"))
    for each in moved[:-KEPT_CORRUPT]:
        each.unlink(missing_ok=True)
        Path(f"{each}-wal").unlink(missing_ok=True)
