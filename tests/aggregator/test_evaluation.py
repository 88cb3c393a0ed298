"""From what agents report to the statuses of controls, in a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregator.checks.facts import Thresholds
from aggregator.controls.catalogue import load
from aggregator.evaluation import Changes, ControlReport, Evaluation, UnknownProfileError
from aggregator.evidence import export_line, verify
from aggregator.profiles import profile_hash
from aggregator.records import (
    CheckException,
    EnforcedProfile,
    Interval,
    Node,
    NodeInventory,
    Status,
    Triage,
    TriageAction,
)
from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    ProfileEntry,
    ProfileKey,
    ProfileState,
    Severity,
)

GOLDEN = Path(__file__).with_name("golden")
NOW = 10_000.5
KEY = ProfileKey("c", "ns", "Deployment/web", "web", "sha256:1")
LS = ProfileEntry(Behaviour(BehaviourClass.EXECUTED, "/bin/sh", "/bin/ls"), 9500.0, 9600.0)
RUNNING = Container(
    "id", "web", image_digest="sha256:1", pod_namespace="ns", workload="Deployment/web", started_at=9500.0
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "aggregator.db", lambda: NOW)
    yield opened
    opened.close()


def evaluation(store: SqliteStore, *nodes: str) -> Evaluation:
    return Evaluation(store, load(), nodes, Thresholds())


def beat(store: SqliteStore, name: str = "n1", now: float = NOW, probe_state: str = "attached") -> None:
    profile = store.profile(KEY)
    enforced = (
        (EnforcedProfile(KEY, ProfileState.LEARNED, profile_hash(profile), 1, True),) if profile is not None else ()
    )
    node = Node(name, "c", "0.1.0", "6.18", 9000.0, now, probe_state=probe_state, canary_at=now, profiles=enforced)
    store.heartbeat(node)


def watch(store: SqliteStore, name: str = "n1") -> None:
    """A node that runs one learned workload and enforces its profile."""
    with store.ingest() as batch:
        batch.profile_delta(name, KEY, ProfileState.LEARNED, 60.0, [LS], 9600.0)
        batch.inventory(NodeInventory(name, NOW, (RUNNING,)))
    beat(store, name)


def drift(store: SqliteStore, name: str, due_at: float) -> None:
    behaviour = Behaviour(BehaviourClass.EXECUTED, "/bin/sh", f"/bin/{name}")
    finding = Finding(name, "n1", "drift", name, Severity.HIGH, name, NOW, NOW, KEY, behaviour)
    with store.ingest() as batch:
        batch.finding(finding, due_at, ("profiling_policy", "profiling_enabled"))


def statuses(judge: Evaluation, now: float = NOW, profile: str = "guide") -> dict[str, Status]:
    report = judge.controls(profile, now)
    return {
        control.id: control.status
        for family in report.families
        for control in family.controls
        if control.scope == "workload"
    }


def detail(judge: Evaluation, control: str, now: float = NOW) -> ControlReport:
    report = judge.control("guide", control, "workload", now)
    assert report is not None
    return report


def as_json(report: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(report))


def test_the_guide_report_is_the_golden_one(store: SqliteStore) -> None:
    """One healthy node with one learned workload and an open finding: 18 rows, 79 workload and 114 AWS checks."""
    watch(store)
    drift(store, "curl", NOW + 100)
    judge = evaluation(store, "n1")
    judge.run(NOW)
    report = as_json(judge.controls("guide", NOW))
    assert report == json.loads((GOLDEN / "guide.json").read_text(encoding="utf-8"))
    totals = {
        scope: [control["checks_total"] for family in report["families"] for control in family["controls"]
                if control["scope"] == scope]
        for scope in ("workload", "aws")
    }  # fmt: skip
    assert totals == {"workload": [1, 2, 5, 2, 5, 11, 2, 42, 6, 1, 1, 1], "aws": [8, 19, 7, 29, 6, 45]}


def test_one_control_is_the_golden_one(store: SqliteStore) -> None:
    """Its checks with texts, population, and evidence whose hashes are in the chain."""
    watch(store)
    judge = evaluation(store, "n1")
    judge.run(NOW)
    report = as_json(detail(judge, "CC6.1"))
    sealed = {(link.stream, link.sequence): link.hash for link in store.evidence(limit=1000)}
    for check in report["checks"]:
        for link in check["evidence"]:
            assert link["hash"] == sealed[link["stream"], link["sequence"]]
    assert report == json.loads((GOLDEN / "cc61.json").read_text(encoding="utf-8"))


def test_the_pinned_names_are_there(store: SqliteStore) -> None:
    """Scripts and dashboards rely on them."""
    judge = evaluation(store)
    report = msgspec.to_builtins(judge.controls("extended", NOW))
    assert list(report) == ["profile", "generated_at", "families"]
    assert list(report["families"][0]) == ["id", "title", "controls"]
    row = ["id", "scope", "title", "status", "checks_passed", "checks_total", "open_findings", "overdue_findings"]
    assert list(report["families"][0]["controls"][0]) == row
    one = msgspec.to_builtins(detail(judge, "CC7.2"))
    assert {*row, "profile", "generated_at", "checks"} <= set(one)
    pinned = ["id", "title", "status", "what", "how", "remediation", "evidence", "population"]
    assert list(one["checks"][0])[:8] == pinned
    assert list(one["checks"][0]["population"]) == ["expected", "assessed", "failed", "excepted"]


def test_without_anything_known_nothing_passes(store: SqliteStore) -> None:
    """An empty store is not assessed throughout, before and after judging."""
    judge = evaluation(store)
    assert set(statuses(judge).values()) == {Status.NOT_ASSESSED}
    judge.run(NOW)
    assert set(statuses(judge).values()) == {Status.NOT_ASSESSED}


def test_a_missing_source_is_told(store: SqliteStore) -> None:
    """The reason says which; rule checks say what to create."""
    judge = evaluation(store)
    judge.run(NOW)
    check = detail(judge, "CC5.2").checks[1]
    assert check.reason == "source missing: no Kubernetes audit log reaches this aggregator; no policy has this rule"
    assert check.remediation == ('Create a policy with rule "Full K8s Administrative Access".',)


def test_silence_is_noticed_without_any_report(store: SqliteStore) -> None:
    """31 seconds later the node is missing; nothing was assessed."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    assert statuses(judge)["CC7.5"] is Status.PASS
    judge.run(NOW + 31)
    report = detail(judge, "CC7.5", NOW + 31)
    assert report.status is Status.NOT_ASSESSED
    assert report.checks[0].evidence[0].reason == "agent_missing: silent since 1970-01-01T02:46:40Z"


def test_observations_grow_stale_when_nobody_judges(store: SqliteStore) -> None:
    """A hung evaluation must not keep showing a pass: after 15 minutes nothing is assessed any more."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    assert statuses(judge, NOW + 900)["CC7.5"] is Status.PASS
    assert statuses(judge, NOW + 900.1)["CC7.5"] is Status.NOT_ASSESSED


def test_a_restarted_aggregator_remembers(store: SqliteStore) -> None:
    """Before it has judged anything itself it tells what was observed, as old as that is."""
    watch(store)
    evaluation(store).run(NOW)
    again = evaluation(store)
    assert statuses(again, NOW + 1)["CC7.5"] is Status.PASS
    assert statuses(again, NOW + 901)["CC7.5"] is Status.NOT_ASSESSED


def test_a_failing_node_fails_until_an_exception_is_approved(store: SqliteStore) -> None:
    """With the exception the control passes with exceptions; when it ends it fails again."""
    watch(store, "n1")
    beat(store, "n2", probe_state="detached")
    judge = evaluation(store, "n1", "n2")
    judge.run(NOW)
    assert statuses(judge)["CC7.5"] is Status.FAIL
    store.accept_failure(CheckException("agent_installed", "n2", "ada", "being rebuilt", NOW, NOW + 10))
    report = detail(judge, "CC7.5", NOW + 9)
    assert report.status is Status.PASS_WITH_EXCEPTIONS
    assert report.checks[0].population == type(report.checks[0].population)(2, 2, 0, 1)
    assert statuses(judge, NOW + 10)["CC7.5"] is Status.FAIL


def test_only_an_overdue_finding_fails_its_checks(store: SqliteStore) -> None:
    """Open it changes nothing, past its deadline it fails both its checks, a decision ends that."""
    watch(store)
    drift(store, "curl", NOW + 20)
    judge = evaluation(store)
    judge.run(NOW)
    before, after = detail(judge, "CC6.1", NOW + 20), detail(judge, "CC6.1", NOW + 20.1)
    assert (before.status, before.open_findings, before.overdue_findings) == (Status.PASS, 1, 0)
    assert (after.status, after.open_findings, after.overdue_findings) == (Status.FAIL, 1, 1)
    assert [check.reason for check in after.checks] == ["1 findings are past their deadline without a decision"] * 2
    assert statuses(judge, NOW + 20.1)["CC7.5"] is Status.PASS
    store.triage("curl", Triage(TriageAction.ACKNOWLEDGE, "ada", "looking", NOW + 21))
    assert detail(judge, "CC6.1", NOW + 21).status is Status.PASS


def test_an_accepted_behaviour_waits_for_the_nodes_and_ends(store: SqliteStore) -> None:
    """Accepting changes the profile: detection is unsettled until the node enforces it, and again when it ends."""
    watch(store)
    drift(store, "curl", NOW + 100)
    judge = evaluation(store)
    store.triage("curl", Triage(TriageAction.ACCEPT, "ada", "cron", NOW, NOW + 20))
    judge.run(NOW)
    waiting = detail(judge, "CC6.1").checks[1]
    assert (waiting.status, waiting.evidence[0].reason) == (Status.NOT_ASSESSED, "profile_not_acknowledged: n1")
    beat(store)
    judge.run(NOW + 1)
    assert detail(judge, "CC6.1", NOW + 1).status is Status.PASS
    changes = judge.run(NOW + 20)
    assert changes.profiles == (KEY,)
    assert detail(judge, "CC6.1", NOW + 20).checks[1].status is Status.NOT_ASSESSED


def test_history_tells_unknown_time_as_unknown(store: SqliteStore) -> None:
    """While the aggregator was down nobody knows: that time is not assessed, not what was before."""
    watch(store)
    judge = evaluation(store)
    for at in (NOW, NOW + 5, NOW + 10):
        beat(store, now=at)
        judge.run(at)
    beat(store, now=NOW + 600)
    evaluation(store).run(NOW + 600)
    subject = "control:CC7.5:workload:guide"
    assert store.intervals(subject) == [
        Interval(subject, Status.PASS, NOW, NOW + 10),
        Interval(subject, Status.NOT_ASSESSED, NOW + 10, NOW + 600),
        Interval(subject, Status.PASS, NOW + 600, 0.0),
    ]
    assert store.intervals("check:cc75-w-01")[0] == Interval("check:cc75-w-01", Status.PASS, NOW, NOW + 10)


def test_a_clock_set_back_makes_no_gap(store: SqliteStore) -> None:
    """History stays in order."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    judge.run(NOW - 3600)
    intervals = store.intervals("control:CC7.5:workload:guide")
    assert all(interval.until == 0 or interval.until >= interval.since for interval in intervals)


def test_a_run_tells_what_changed(store: SqliteStore) -> None:
    """Every subject at first, then only those whose status did; the control's change is sealed."""
    watch(store)
    judge = evaluation(store)
    assert len(judge.run(NOW).statuses) == 193 + 2 * 18
    assert judge.run(NOW + 1) == Changes()
    beat(store, now=NOW + 2, probe_state="detached")
    changed = {"check:cc51-w-02", "check:cc75-w-01"} | {
        f"control:{control}:workload:{profile}" for control in ("CC5.1", "CC7.5") for profile in ("guide", "extended")
    }
    assert set(judge.run(NOW + 2).statuses) == changed
    assert len(store.evidence(stream="statuses", limit=1000)) == 36 + 4
    assert verify(export_line(link) for link in store.evidence(limit=10_000)) is None


def test_what_no_longer_exists_is_no_longer_shown(store: SqliteStore) -> None:
    """A workload that is gone leaves the evidence list, not the chain."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    with store.ingest() as batch:
        batch.inventory(NodeInventory("n1", NOW + 1, ()))
    judge.run(NOW + 1)
    check = detail(judge, "CC6.1", NOW + 1).checks[0]
    assert (check.status, check.evidence, check.reason) == (Status.NOT_APPLICABLE, (), "there is nothing to assess")
    assert len(store.evidence(about="profiling_enabled")) == 1


def test_a_changed_profile_is_hashed_anew(store: SqliteStore) -> None:
    """The hash kept between runs follows the profile."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    more = replace(LS, behaviour=replace(LS.behaviour, object="/bin/cat"))
    with store.ingest() as batch:
        batch.profile_delta("n1", KEY, ProfileState.LEARNED, 60.0, [more], 9700.0)
    judge.run(NOW + 1)
    assert detail(judge, "CC6.1", NOW + 1).checks[1].evidence[0].reason == "profile_not_acknowledged: n1"


def test_unknown_names(store: SqliteStore) -> None:
    """A control that is not there is None, a profile that is not there an error naming those that are."""
    judge = evaluation(store)
    assert judge.control("guide", "CC1.1", "workload", NOW) is None
    assert judge.control("guide", "CC9.1", "aws", NOW) is None
    with pytest.raises(UnknownProfileError, match="no profile 'x'; there are guide, extended"):
        judge.controls("x", NOW)


def test_a_family_counts_its_passed_controls(store: SqliteStore) -> None:
    """One of five in System Operations, with an agent and nothing else."""
    watch(store)
    judge = evaluation(store)
    judge.run(NOW)
    counts = {family.id: family.controls_passed for family in judge.controls("guide", NOW).families}
    assert counts == {"CC3": 0, "CC5": 0, "CC6": 1, "CC7": 1, "CC8": 0, "CC9": 0}
