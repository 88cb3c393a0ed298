"""The schema as numbered steps; each is applied once, in order, inside one transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlite_utils

from aggregator.store.protocol import StoreError

_FIRST = (
    """CREATE TABLE node (
        name TEXT PRIMARY KEY, token_hash TEXT, body TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE acknowledged (
        node TEXT NOT NULL, spool TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (node, spool)
    ) WITHOUT ROWID""",
    "CREATE TABLE inventory (node TEXT PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE finding (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, stored_at REAL NOT NULL,
        count INTEGER NOT NULL, last_at REAL NOT NULL, due_at REAL NOT NULL, checks TEXT NOT NULL,
        triage TEXT, behaviours TEXT NOT NULL, body TEXT NOT NULL
    )""",
    "CREATE INDEX finding_fingerprint ON finding (fingerprint, seq)",
    "CREATE UNIQUE INDEX finding_stored ON finding (stored_at)",
    "CREATE INDEX finding_open ON finding (checks, due_at) WHERE triage IS NULL",
    # every id an agent ever used, and the stored finding that stands for it
    "CREATE TABLE finding_id (id TEXT PRIMARY KEY, stored TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE triage (
        seq INTEGER PRIMARY KEY, finding TEXT NOT NULL, body TEXT NOT NULL
    )""",
    "CREATE INDEX triage_finding ON triage (finding)",
    """CREATE TABLE profile (
        id TEXT PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, first_seen REAL NOT NULL,
        last_novelty_at REAL NOT NULL, inherited_from TEXT NOT NULL, observed_seconds REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE profile_entry (
        profile TEXT NOT NULL, behaviour_class TEXT NOT NULL, process TEXT NOT NULL, object TEXT NOT NULL,
        first_seen REAL NOT NULL, last_seen REAL NOT NULL, origin TEXT NOT NULL, accepted_by TEXT NOT NULL,
        reason TEXT NOT NULL, valid_until REAL NOT NULL, PRIMARY KEY (profile, behaviour_class, process, object)
    ) WITHOUT ROWID""",
    "CREATE INDEX profile_entry_ends ON profile_entry (valid_until) WHERE valid_until > 0",
    """CREATE TABLE profile_node (
        profile TEXT NOT NULL, node TEXT NOT NULL, observed_seconds REAL NOT NULL, PRIMARY KEY (profile, node)
    ) WITHOUT ROWID""",
    """CREATE TABLE observation (
        check_type TEXT NOT NULL, resource TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
        at REAL NOT NULL, stream TEXT NOT NULL, sequence INTEGER NOT NULL, hash TEXT NOT NULL,
        sealed_at REAL NOT NULL, PRIMARY KEY (check_type, resource)
    ) WITHOUT ROWID""",
    """CREATE TABLE exception (
        check_type TEXT NOT NULL, resource TEXT NOT NULL, valid_until REAL NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (check_type, resource)
    ) WITHOUT ROWID""",
    """CREATE TABLE interval (
        seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, status TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL
    )""",
    "CREATE INDEX interval_subject ON interval (subject, seq)",
    """CREATE TABLE evidence (
        id INTEGER PRIMARY KEY, stream TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
        body TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX evidence_stream ON evidence (stream, sequence)",
    """CREATE TABLE evidence_about (
        about TEXT NOT NULL, evidence INTEGER NOT NULL, PRIMARY KEY (about, evidence)
    ) WITHOUT ROWID""",
    "CREATE TABLE judged (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL)",
)

_POLICIES = (
    """CREATE TABLE policy (
        name TEXT PRIMARY KEY, body TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID""",
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _POLICIES)


def apply(database: sqlite_utils.Database, path: Path) -> None:
    """Bring the file to the newest schema. StoreError: it was written by a newer Watchkeeper, or is not ours."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > len(STEPS):
        raise StoreError(
            f"{path}: has schema {version}, this program knows {len(STEPS)}. "
            "Use the newer Watchkeeper that wrote it, or restore a backup from before the upgrade."
        )
    if version == 0 and database.table_names():
        raise StoreError(f"{path}: is another program's database. Choose another state_directory.")
    for number, statements in enumerate(STEPS[version:], start=version + 1):
        _step(database.conn, number, statements)


def _step(connection: sqlite3.Connection, number: int, statements: tuple[str, ...]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
