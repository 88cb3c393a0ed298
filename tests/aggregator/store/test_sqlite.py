"""The store in its file: it survives, commits all or nothing, and says what is wrong with the file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.evidence import export_line, verify
from aggregator.records import (
    CheckException,
    EnforcedProfile,
    Interval,
    MergedProfile,
    Node,
    NodeInventory,
    Observation,
    Outcome,
    Status,
    Triage,
    TriageAction,
)
from aggregator.store import migrations
from aggregator.store.protocol import Store, StoreError
from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    ProfileEntry,
    ProfileKey,
    ProfileState,
)

KEY = ProfileKey("c", "ns", "Deployment/web", "web", "sha256:1")
LS = ProfileEntry(Behaviour(BehaviourClass.EXECUTED, "/bin/sh", "/bin/ls"), 10.0, 20.0)
NODE = Node("n1", "c", "0.1.0", "6.18", 100.5)


def reopened(store: SqliteStore, tmp_path: Path) -> SqliteStore:
    store.close()
    return SqliteStore(tmp_path / "aggregator.db", store.clock)


def test_it_is_a_store(store: Store) -> None:
    """The type checker holds it against the protocol; at run time each of its methods is there."""
    for name in (name for name in vars(Store) if not name.startswith("_")):
        assert callable(getattr(store, name)), name


def test_everything_survives_reopening(store: SqliteStore, tmp_path: Path, make: Callable[..., Finding]) -> None:
    """Nodes, inventories, profiles, findings, observations, statuses, tokens, acknowledgements, evidence."""
    enforced = EnforcedProfile(KEY, ProfileState.LEARNED, "h", 2, True)
    beating = replace(
        NODE, heartbeat_at=200.5, probe_state="attached", profiles=(enforced,), discarded=(("finding", 2),)
    )
    inventory = NodeInventory("n1", 150.0, (Container("id", "web", labels=(("a", "b"),)),))
    store.enrol(NODE)
    store.heartbeat(beating)
    with store.ingest() as batch:
        batch.finding(make("a"), 5000.0, ("profiling_policy",))
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, 60.0, [LS], 20.0)
        batch.inventory(inventory)
        batch.acknowledge("n1", "spool", 7)
    store.observe([Observation("agent_installed", "n1", Outcome.PASS, "", 210.0)], 60.0)
    store.record_statuses({"control:CC7.5:workload:guide": "pass"}, 210.0)
    store.save_node_token_hash("n1", "abc")
    store.save_node_token_hash("n2", "def")

    def everything(of: SqliteStore) -> object:
        return (
            of.nodes(), of.inventories(), of.profiles(), of.findings(), of.observations(), of.judged("agent_installed"),
            of.intervals("control:CC7.5:workload:guide"), of.last_judged(), of.node_token_hash("n1"),
            of.node_token_hash("n2"), of.node_token_hash("n3"), of.acknowledged("n1", "spool"), of.evidence(),
        )  # fmt: skip

    before = everything(store)
    assert store.nodes() == [beating]
    assert store.inventories() == [inventory]
    assert store.acknowledged("n1", "other") == 0
    again = reopened(store, tmp_path)
    assert everything(again) == before
    assert verify(export_line(link) for link in again.evidence()) is None
    again.close()


def test_a_failing_batch_leaves_nothing(store: SqliteStore, make: Callable[..., Finding]) -> None:
    """Whatever was written before the error is rolled back, in memory too, and the next batch works."""
    with pytest.raises(RuntimeError), store.ingest() as batch:
        batch.finding(make("a"), 5000.0, ())
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, 60.0, [LS], 20.0)
        batch.seal("refused", "refusal", 1.0, {"about": "n1"})
        batch.acknowledge("n1", "spool", 7)
        raise RuntimeError
    assert (store.findings(), store.profiles(), store.evidence(), store.acknowledged("n1", "spool")) == ([], [], [], 0)
    with store.ingest() as batch:
        batch.finding(make("a"), 5000.0, ())
        assert batch.seal("refused", "refusal", 1.0, {"about": "n1"}).sequence == 1
    assert verify(export_line(link) for link in store.evidence()) is None


def test_acknowledgements_never_go_back(store: SqliteStore) -> None:
    """A batch that comes late does not undo a later one."""
    for sequence in (5, 9, 7):
        with store.ingest() as batch:
            batch.acknowledge("n1", "spool", sequence)
    assert store.acknowledged("n1", "spool") == 9


def test_enrolling_is_sealed_once_and_on_change(store: SqliteStore) -> None:
    """Who a node is changes rarely; its heartbeat is not touched by it, nor its enrolment by a heartbeat."""
    store.enrol(NODE)
    store.heartbeat(replace(NODE, enrolled_at=0.0, heartbeat_at=200.5))
    store.enrol(replace(NODE, enrolled_at=300.0))
    store.enrol(replace(NODE, enrolled_at=300.0, agent_version="0.2.0"))
    assert store.nodes() == [replace(NODE, heartbeat_at=200.5, agent_version="0.2.0")]
    assert [link.kind for link in store.evidence(stream="nodes", about="n1")] == ["enrolment", "enrolment"]


def test_profiles_of_nodes_merge(store: SqliteStore) -> None:
    """What two nodes learned is one profile; time a node tells twice counts once."""
    for node, watched in (("n1", 60.0), ("n1", 90.0), ("n2", 10.0)):
        entry = replace(LS, behaviour=replace(LS.behaviour, object=f"/bin/{node}"))
        with store.ingest() as batch:
            batch.profile_delta(node, KEY, ProfileState.LEARNING, watched, [entry], 20.0)
    profile = store.profile(KEY)
    assert profile is not None
    assert [entry.behaviour.object for entry in profile.entries] == ["/bin/n1", "/bin/n2"]
    assert (profile.state, profile.observed_seconds) == (ProfileState.LEARNING, 100.0)


def test_a_new_image_knows_what_it_inherited_from(store: SqliteStore) -> None:
    """The newest learned profile of the same container, when the node says it inherited."""
    successor = replace(KEY, image_digest="sha256:2")
    with store.ingest() as batch:
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, 60.0, [LS], 20.0)
        batch.profile_delta("n1", successor, ProfileState.LEARNED, 0.0, [replace(LS, origin="inherited")], 20.0)
    profile = store.profile(successor)
    assert profile is not None
    assert profile.inherited_from == "sha256:1"


def test_accepting_a_finding_changes_the_profile_until_it_ends(
    store: SqliteStore, tmp_path: Path, make: Callable[..., Finding]
) -> None:
    """The behaviour joins with who and why, is sealed, survives, and leaves when the acceptance ends."""
    with store.ingest() as batch:
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, 60.0, [LS], 20.0)
        batch.finding(make("a"), 5000.0, ())
    store.triage("a", Triage(TriageAction.ACCEPT, "ada", "cron", 1001.0, 3000.0))
    accepted = ProfileEntry(
        Behaviour(BehaviourClass.EXECUTED, "/bin/sh", "/bin/curl"), 1001.0, 1001.0, "accepted", "ada", "cron", 3000.0
    )
    expected = MergedProfile(KEY, ProfileState.LEARNED, (accepted, LS), 60.0, 10.0, 20.0)
    assert store.profile(KEY) == expected
    again = reopened(store, tmp_path)
    assert again.profile(KEY) == expected
    assert again.expire_acceptances(2999.0) == []
    assert again.expire_acceptances(3000.0) == [KEY]
    assert again.profile(KEY) == replace(expected, entries=(LS,))
    assert [link.kind for link in again.evidence(stream="profiles")] == ["acceptance", "acceptance_ended"]
    again.close()


def test_observations_are_sealed_when_they_change_or_grow_old(store: SqliteStore) -> None:
    """Affirmed ones only move in time; what is no longer judged is forgotten, its evidence stays."""

    def seen(at: float, outcome: Outcome = Outcome.PASS) -> Observation:
        return Observation("agent_installed", "n1", outcome, "", at)

    assert [store.observe([seen(at)], 60.0) for at in (100.0, 110.0, 160.0, 160.5, 170.0)] == [1, 0, 0, 1, 0]
    assert store.observe([seen(171.0, Outcome.FAIL)], 60.0) == 1
    judged = store.judged("agent_installed")
    assert [(one.observation, one.sequence, one.sealed_at) for one in judged] == [(seen(171.0, Outcome.FAIL), 3, 171.0)]
    store.forget_observations([])
    assert store.observations() == []
    assert len(store.evidence(about="agent_installed")) == 3


def test_failures_are_shown_first(store: SqliteStore) -> None:
    """Then errors, then what passed."""
    outcomes = {"a": Outcome.PASS, "b": Outcome.ERROR, "c": Outcome.FAIL}
    store.observe([Observation("t", name, outcome, "", 1.5) for name, outcome in outcomes.items()], 60.0)
    assert [one.observation.resource for one in store.judged("t", 2)] == ["c", "b"]


def test_exceptions_end(store: SqliteStore) -> None:
    """An exception counts until its end; a later one replaces it; each is sealed."""
    exception = CheckException("agent_installed", "n1", "ada", "being rebuilt", 100.0, 200.0)
    store.accept_failure(exception)
    assert (store.exceptions(199.0), store.exceptions(200.0)) == ([exception], [])
    store.accept_failure(replace(exception, valid_until=300.0))
    assert store.exceptions(200.0) == [replace(exception, valid_until=300.0)]
    assert len(store.evidence(stream="decisions", about="n1")) == 2


def test_intervals_follow_each_other(store: SqliteStore) -> None:
    """An interval ends where the next begins; the same status again changes nothing; old ones can be left out."""
    results = [
        store.record_status("check:x", status, at) for status, at in (("pass", 1.0), ("pass", 2.0), ("fail", 3.0))
    ]
    assert results == [True, False, True]
    assert store.intervals("check:x") == [
        Interval("check:x", Status.PASS, 1.0, 3.0),
        Interval("check:x", Status.FAIL, 3.0, 0.0),
    ]
    assert store.intervals("check:x", since=3.0) == [Interval("check:x", Status.FAIL, 3.0, 0.0)]


def test_evidence_is_read_page_by_page(store: SqliteStore) -> None:
    """By sequence within a stream, by position over all; newest first on request; by subject."""
    for number in range(6):
        store.seal(f"s{number % 2}", "k", 1.5, {"about": [f"thing{number}"], "n": number})
    assert store.streams() == ["s0", "s1"]
    assert [link.sequence for link in store.evidence(stream="s1", after=1, limit=1)] == [2]
    assert [link.body for link in store.evidence(after=4)] == [link.body for link in store.evidence()[4:]]
    assert [(link.stream, link.sequence) for link in store.evidence(limit=2, newest=True)] == [("s1", 3), ("s0", 3)]
    assert [(link.stream, link.sequence) for link in store.evidence(about="thing3")] == [("s1", 2)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """With the file's name and what to do."""
    path = tmp_path / "aggregator.db"
    path.write_bytes(b"not a database, " * 200)
    with pytest.raises(
        StoreError, match=r"aggregator\.db: file is not a database\. The file is damaged: move it aside"
    ):
        SqliteStore(path)


def test_a_damaged_database_is_told(store: SqliteStore, tmp_path: Path) -> None:
    """Damage that shows only when the page is read is an error with a remedy, not a wrong answer."""
    for number in range(200):
        store.seal("s", "k", 1.5, {"n": "x" * 1000, "i": number})
    store.close()
    path = tmp_path / "aggregator.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    with pytest.raises(StoreError, match=r"aggregator\.db: .*The file is damaged"):
        SqliteStore(path).evidence(limit=1000)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A path below a file can not be made."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Check that the directory exists and that this user may write to it"):
        SqliteStore(tmp_path / "file" / "aggregator.db")


def test_a_full_disk_is_told_and_survived(store: SqliteStore) -> None:
    """SQLite's page limit stands in for the disk's: the write fails whole, and works again when there is room."""
    store.seal("s", "k", 1.5, {"n": 1})
    pages = store._database.rows("PRAGMA page_count")[0][0]
    store._database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="The disk is full: make room"):
        store.seal("s", "k", 1.5, {"n": "x" * 1_000_000})
    store._database.rows(f"PRAGMA max_page_count = {pages + 10_000}")
    assert store.seal("s", "k", 1.5, {"n": 2}).sequence == 2
    assert verify(export_line(link) for link in store.evidence()) is None


def test_a_newer_schema_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    """An old program does not touch what a newer one wrote."""
    store.close()
    path = tmp_path / "aggregator.db"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(migrations.STEPS),)
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"has schema 99, this program knows \d+\. Use the newer Watchkeeper"):
        SqliteStore(path)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Tables we did not make are not mixed with ours."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="is another program's database"):
        SqliteStore(path)


_KILLED = """
import os, sys
from pathlib import Path
from aggregator.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for number in range(1_000_000):
    with store.ingest() as batch:
        batch.seal("s", "k", 1.5, {"n": number})
        batch.acknowledge("n1", "spool", number + 1)
    os.write(1, b"%d\\n" % (number + 1))
"""


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A writer killed in the middle: what it said was committed is there, sealed without a gap."""
    path = tmp_path / "aggregator.db"
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'proto'}"}
    with subprocess.Popen([sys.executable, "-c", _KILLED, path], stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    store = SqliteStore(path)
    kept = store.acknowledged("n1", "spool")
    assert kept >= said[-1]
    links = store.evidence(limit=1_000_000)
    assert len(links) == kept
    assert verify(export_line(link) for link in links) is None
    store.close()


def test_numbers_that_are_none_do_not_stop_a_node(store: SqliteStore, tmp_path: Path) -> None:
    """NaN in heartbeat, inventory or profile becomes 0, a sequence beyond SQLite's is held back, all can be read."""
    nan = float("nan")
    store.heartbeat(replace(NODE, cpu_seconds=nan, canary_at=float("inf")))
    with store.ingest() as batch:
        batch.inventory(NodeInventory("n1", nan, (Container("id", started_at=nan),)))
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, nan, [replace(LS, last_seen=nan)], nan)
        batch.acknowledge("n1", "spool", 2**64 - 1)
    again = reopened(store, tmp_path)
    assert again.nodes() == [replace(NODE, cpu_seconds=0.0, canary_at=0.0)]
    assert again.inventories() == [NodeInventory("n1", 0.0, (Container("id"),))]
    assert [profile.entries for profile in again.profiles()] == [(replace(LS, last_seen=0.0),)]
    assert again.acknowledged("n1", "spool") == 2**63 - 1
    again.close()
