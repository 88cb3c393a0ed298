"""What people changed about policies, kept and sealed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from aggregator.evidence import export_line, policy_body, verify
from aggregator.records import PolicyChange
from aggregator.store import migrations
from aggregator.store.protocol import StoreError
from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import Severity
from watchkeeper.policies import Policy, Scope

WHOLE = Policy("B", True, ("r", "s"), "d", Scope(("c",), labels=(("a", "b"),)), ("alert",), Severity.LOW)
SWITCH = PolicyChange("A", True, "ada", "audit", 1.0)
REPLACED = PolicyChange("B", False, "bob", "noise", 2.0, WHOLE)


def test_changes_are_kept_and_sealed(store: SqliteStore, tmp_path: Path) -> None:
    """By name, over a restart; a later one of a policy replaces the earlier, and both stay in the chain."""
    store.keep_policy_change(REPLACED, policy_body("replace", None, WHOLE, "bob", "noise"))
    for reason in ("first", "audit"):
        store.keep_policy_change(
            PolicyChange("A", True, "ada", reason, 1.0), policy_body("enable", WHOLE, WHOLE, "ada", reason)
        )
    again = SqliteStore(tmp_path / "aggregator.db")
    assert again.policy_changes() == [SWITCH, REPLACED]
    again.close()
    links = store.evidence(stream="definitions")
    assert [json.loads(link.body)["reason"] for link in links] == ["noise", "first", "audit"]
    assert verify(export_line(link) for link in links) is None


def test_a_dropped_change_is_gone_and_sealed(store: SqliteStore) -> None:
    """The chain tells what it was."""
    store.keep_policy_change(SWITCH, {"about": ["A"]})
    store.drop_policy_change("A", 5.0, {"about": ["A"], "change": "revert"})
    assert store.policy_changes() == []
    assert [link.at for link in store.evidence(about="A")] == [1.0, 5.0]


def test_a_change_that_can_not_be_sealed_is_not_kept(store: SqliteStore) -> None:
    """Both or nothing."""
    with pytest.raises(TypeError):
        store.keep_policy_change(SWITCH, {"about": object()})
    assert store.policy_changes() == []
    assert store.evidence() == []


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """What is in it stays, and policies can be changed."""
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    for statement in migrations.STEPS[0]:
        old.execute(statement)
    old.execute("INSERT INTO node (name, token_hash) VALUES ('n1', 'h')")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    store = SqliteStore(path)
    assert store.node_token_hash("n1") == "h"
    store.keep_policy_change(SWITCH, {"about": ["A"]})
    assert store.policy_changes() == [SWITCH]
    store.close()


def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    """Its schema is one that this program does not know."""
    path = tmp_path / "new.db"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(migrations.STEPS) + 1}")
    newer.close()
    with pytest.raises(StoreError, match=f"has schema {len(migrations.STEPS) + 1}"):
        SqliteStore(path)
