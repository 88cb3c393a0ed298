"""Findings are kept once, folded while nobody decided, and come back when a decision does not cover them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.evidence import export_line, verify
from aggregator.records import StoredFinding, Triage, TriageAction
from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import Behaviour, BehaviourClass, Container, Finding, Severity

Make = Callable[..., Finding]
Put = Callable[..., None]


def ran(program: str) -> Behaviour:
    return Behaviour(BehaviourClass.EXECUTED, "/bin/sh", program)


def decide(store: SqliteStore, name: str, action: TriageAction, at: float = 1001.0, until: float = 0.0) -> None:
    store.triage(name, Triage(action, "ada", "because", at, until))


def counts(store: SqliteStore) -> dict[str, int]:
    return {stored.finding.id: stored.count for stored in store.findings()}


def test_a_finding_is_kept_whole(store: SqliteStore, make: Make, put: Put) -> None:
    """Everything the agent said, and when it was stored and is due."""
    put(make("a"))
    assert store.finding("a") == StoredFinding(
        make("a"), 1000.5, 1, 900.5, 5000.0, None, ("profiling_policy", "profiling_enabled"), (ran("/bin/curl"),)
    )
    assert store.finding("b") is None


def test_the_same_finding_twice_is_one(store: SqliteStore, make: Make, put: Put) -> None:
    """An id that is known is ignored: in the same batch, in another, and when it was folded."""
    put(make("a"), make("a"), make("b"))
    put(make("b"), make("a"))
    assert counts(store) == {"a": 2}
    assert len(store.evidence(stream="findings")) == 2


def test_equal_fingerprints_fold_while_untriaged(store: SqliteStore, make: Make, put: Put) -> None:
    """Count, last time and behaviours grow, the earliest deadline and the gravest severity count."""
    put(make("a", severity=Severity.LOW))
    put(make("b", program="/bin/nc", node="n2", at=950.5), due_at=2000.0)
    stored = store.finding("b")
    assert stored is not None
    assert (stored.finding.id, stored.count, stored.last_at, stored.due_at, stored.finding.severity) == (
        "a", 2, 950.5, 2000.0, Severity.HIGH,
    )  # fmt: skip
    assert stored.behaviours == (ran("/bin/curl"), ran("/bin/nc"))


def test_other_fingerprints_do_not_fold(store: SqliteStore, make: Make, put: Put) -> None:
    """Two behaviours of one workload are two findings."""
    put(make("a", "f"), make("b", "g"))
    assert counts(store) == {"a": 1, "b": 1}


@pytest.mark.parametrize("action", [TriageAction.FALSE_POSITIVE, TriageAction.ACCEPT])
def test_what_was_decided_stays_silent_while_valid(
    store: SqliteStore, make: Make, put: Put, clock: Any, action: TriageAction
) -> None:
    """It is counted, and opens again once the decision has ended."""
    put(make("a"))
    decide(store, "a", action, until=3000.0)
    put(make("b"))
    assert counts(store) == {"a": 2}
    assert store.open_findings(9999.0) == {}
    clock.now = 3000.0
    put(make("c"))
    assert counts(store) == {"c": 1, "a": 2}


@pytest.mark.parametrize("action", [TriageAction.FIXED, TriageAction.ACKNOWLEDGE])
def test_what_was_fixed_or_seen_opens_anew(store: SqliteStore, make: Make, put: Put, action: TriageAction) -> None:
    """Neither says that the behaviour is in order."""
    put(make("a"))
    decide(store, "a", action)
    put(make("b"), make("c"))
    assert counts(store) == {"b": 2, "a": 1}


def test_a_decision_covers_only_the_behaviours_it_was_about(store: SqliteStore, make: Make, put: Put) -> None:
    """A rollout's findings share a fingerprint; what nobody had seen when it was accepted is new."""
    put(make("a", program="/bin/curl"))
    decide(store, "a", TriageAction.ACCEPT)
    put(make("b", program="/bin/curl"), make("c", program="/bin/nc"))
    assert counts(store) == {"c": 1, "a": 2}


def test_repeats_are_counted_where_the_finding_was_folded(store: SqliteStore, make: Make, put: Put) -> None:
    """Also within the batch that brought the finding; unknown ids change nothing."""
    put(make("a"))
    with store.ingest() as batch:
        batch.finding(make("b"), 5000.0, ())
        batch.repeat("b", 3, 980.5)
        batch.repeat("nobody", 9, 990.5)
    stored = store.finding("a")
    assert stored is not None
    assert (stored.count, stored.last_at) == (5, 980.5)


def test_a_repeat_after_the_fix_opens_anew(store: SqliteStore, make: Make, put: Put) -> None:
    """Repeats from before count; one from after is a new finding with time to act of its own."""
    put(make("a"))
    decide(store, "a", TriageAction.FIXED, at=1001.0)
    with store.ingest() as batch:
        batch.repeat("a", 1, 1000.9)
        batch.repeat("a", 2, 1001.5)
        batch.repeat("a", 4, 1002.5)
    again, first = store.findings()
    assert (first.finding.id, first.count) == ("a", 2)
    assert (again.count, again.last_at, again.due_at, again.triage) == (6, 1002.5, 5000.0, None)
    assert store.evidence(stream="findings", after=1)[0].body.endswith('"reopens":"a"}')


def test_open_and_overdue_by_check(store: SqliteStore, make: Make, put: Put) -> None:
    """A finding counts for each check it belongs to, once for the combination, and not after a decision."""
    put(make("a", "f"), make("b", "g"))
    put(make("c", "h"), due_at=1500.0, checks=("agent_installed",))
    decide(store, "a", TriageAction.ACKNOWLEDGE)
    assert store.open_findings(2000.0) == {
        "profiling_policy": (1, 0), "profiling_enabled": (1, 0), "agent_installed": (1, 1),
    }  # fmt: skip
    assert store.open_by_checks(5000.1) == {
        ("profiling_policy", "profiling_enabled"): (1, 1),
        ("agent_installed",): (1, 1),
    }


def test_pages_and_queries(store: SqliteStore, make: Make, put: Put) -> None:
    """Newest first, page by page without gap or double, narrowed by open and by text taken literally."""
    put(*(make(f"id{number}", f"f{number}", program=f"/bin/p{number}") for number in range(5)))
    first = store.findings(limit=2)
    rest = store.findings(before=first[-1].stored_at)
    assert [stored.finding.id for stored in (*first, *rest)] == ["id4", "id3", "id2", "id1", "id0"]
    decide(store, "id4", TriageAction.FIXED)
    assert [stored.finding.id for stored in store.findings(open_only=True, limit=1)] == ["id3"]
    assert [stored.finding.id for stored in store.findings(query="/BIN/P2")] == ["id2"]
    assert store.findings(query="%") == []


def test_decisions_are_kept_and_sealed(store: SqliteStore, make: Make, put: Put) -> None:
    """Each one in order, in the chain of decisions; there is none without a finding."""
    put(make("a"), make("b"))
    decide(store, "b", TriageAction.ACKNOWLEDGE, at=1001.0)
    decide(store, "a", TriageAction.FIXED, at=1002.0)
    assert [triage.action for triage in store.triages("a")] == [TriageAction.ACKNOWLEDGE, TriageAction.FIXED]
    links = store.evidence(stream="decisions", about="a")
    assert [link.kind for link in links] == ["triage", "triage"]
    with pytest.raises(KeyError):
        decide(store, "nobody", TriageAction.FIXED)


def test_numbers_that_are_none_are_survived(store: SqliteStore, make: Make, put: Put) -> None:
    """An agent's NaN time and absurd count neither break the batch nor the chain."""
    put(
        replace(make("a"), occurred_at=float("nan"), container=Container("i", started_at=float("inf"))),
        due_at=float("inf"),
    )
    with store.ingest() as batch:
        batch.repeat("a", 2**64 - 1, float("-inf"))
    stored = store.finding("a")
    assert stored is not None
    assert (stored.count, stored.last_at, stored.due_at) == (2**53 - 1, 1000.5, 1000.5)
    assert stored.finding.occurred_at == 0.0
    assert verify(export_line(link) for link in store.evidence()) is None


actions = st.sampled_from(["new", "again", "repeat", "decide"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(actions, st.integers(0, 6), st.sampled_from("xy")), max_size=25), st.integers(1, 5))
def test_batches_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, make: Make, steps: list[tuple[str, int, str]], size: int
) -> None:
    """However findings and repeats are cut into batches, the same is kept."""

    def run(batch_size: int) -> list[tuple[str, int, float, tuple[Behaviour, ...]]]:
        store = SqliteStore(tmp_path_factory.mktemp("store") / "a.db", lambda: 1000.0)
        pending: list[tuple[str, int, str]] = []

        def flush() -> None:
            with store.ingest() as batch:
                for step, number, fingerprint in pending:
                    if step == "repeat":
                        batch.repeat(f"{number}", 2, 990.0 + number)
                    else:
                        name = f"{number}{fingerprint}" if step == "new" else f"{number}"
                        batch.finding(make(name, fingerprint, program=f"/bin/{number % 2}"), 5000.0, ())
            pending.clear()

        for step in steps:
            if step[0] == "decide":
                flush()
                for stored in store.findings(query=f'fingerprint":"{step[2]}'):
                    decide(store, stored.finding.id, TriageAction.ACCEPT, at=1000.0)
                continue
            pending.append(step)
            if len(pending) >= batch_size:
                flush()
        flush()
        kept = [(s.finding.id, s.count, s.last_at, s.behaviours) for s in store.findings()]
        store.close()
        return kept

    assert run(size) == run(100)
