"""The checks of rules: from policies and what nodes acknowledge to statuses, in a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.batch import checks_of
from aggregator.checks.check import EVENT_SOURCE_TTL, Check
from aggregator.checks.registry import CHECKS
from aggregator.controls.catalogue import load
from aggregator.detection import Detection
from aggregator.evaluation import CheckReport, ControlReport, Evaluation
from aggregator.policies import StatedPolicy
from aggregator.records import CheckException, Node, Observation, Outcome, Status, Triage, TriageAction
from aggregator.rulebook import KnownRule, Rulebook
from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import Finding, Severity
from watchkeeper.policies import Policy, RuleFile, Scope

NOW = 10_000.0
ETC, SHADOW, SUID = "Write below etc", "Read sensitive file untrusted", "Set Setuid or Setgid bit"
ANONYMOUS, FULL = "Anonymous Request Allowed", "Full K8s Administrative Access"
GUARD = "Disable GuardDuty"
KNOWN = {
    rule.name: rule
    for rule in (
        KnownRule(ETC, "syscall", "Error", file="files.yaml", event_types=frozenset({"open", "openat"})),
        KnownRule(SHADOW, "syscall", "Warning", file="files.yaml"),
        KnownRule(SUID, "syscall", "Notice", file="files.yaml", compiles=False, problems=("no field proc.nmae",)),
        KnownRule(ANONYMOUS, "k8s_audit", "Warning"),
        KnownRule(FULL, "k8s_audit", "Warning"),
        KnownRule(GUARD, "aws_cloudtrail", "Critical"),
    )
}
ETC_KEY = f"runtime_rule:syscall:{ETC}"
FILES = Policy("Files", True, (ETC, SHADOW))


def detection(*policies: Policy) -> Detection:
    rulebook = Rulebook((RuleFile("files.yaml", "- rule: x\n"),), KNOWN)
    return Detection(rulebook, {policy.name: StatedPolicy(policy) for policy in policies})


class Fleet:
    """A store, its evaluation, and the rules and policies in force, which a test exchanges."""

    def __init__(self, store: SqliteStore, nodes: tuple[str, ...] = (), checks: Mapping[str, Check] = CHECKS) -> None:
        self.store = store
        self.detection = Detection()
        self.evaluation = Evaluation(store, load(), nodes, checks=checks, detection=lambda: self.detection)

    def put(self, *policies: Policy) -> Fleet:
        self.detection = detection(*policies)
        return self

    def beat(self, name: str = "n1", cluster: str = "c", hash: str | None = None, **change: object) -> Fleet:
        """A node that runs what it must, or what ``hash`` says."""
        node = Node(name, cluster, "0.1.0", "6.18", 9000.0, NOW, probe_state="attached", canary_at=NOW)
        running = self.detection.hash_for(cluster) if hash is None else hash
        self.store.heartbeat(replace(node, detection_hash=running, **change))  # type: ignore[arg-type]
        return self

    def check(self, control: str, rule: str, scope: str = "workload", now: float = NOW) -> CheckReport:
        self.evaluation.run(now)
        return next(check for check in self.control(control, scope, now).checks if check.rule == rule)

    def control(self, control: str, scope: str = "workload", now: float = NOW) -> ControlReport:
        report = self.evaluation.control("guide", control, scope, now)
        assert report is not None
        return report


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "aggregator.db", lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def fleet(store: SqliteStore) -> Fleet:
    return Fleet(store)


@pytest.fixture
def other(store: SqliteStore) -> Callable[..., Fleet]:
    """A fleet with other settings over the same store."""
    return lambda *nodes, checks=CHECKS: Fleet(store, nodes, checks)


def told(check: CheckReport) -> tuple[Status, str, list[tuple[str, Outcome, str]]]:
    return check.status, check.reason, [(link.resource, link.outcome, link.reason) for link in check.evidence]


def passing(type_: str) -> Check:
    def judge(_facts: object, now: float) -> Iterator[Observation]:
        yield Observation(type_, "all", Outcome.PASS, "", now)

    return Check(type_, EVENT_SOURCE_TTL, lambda _facts, _now: frozenset({"all"}), judge)


def test_guide_with_all_features_on_and_no_rule_policy_enabled(other: Callable[..., Fleet]) -> None:
    """The guide's screens: 1/5, 1/5, 2/6 and 2/42, whether policies are absent or all disabled."""
    features = {name: check if check.of_rule else passing(name) for name, check in CHECKS.items()}
    rules = tuple(check.rule for control in load().controls("guide") for check in control.checks if check.rule)
    for policies in ((), (Policy("All", False, rules),)):
        fleet = other(checks=features).put(*policies).beat()
        fleet.evaluation.run(NOW)
        counts = {
            control.id: (control.status, control.checks_passed, control.checks_total)
            for family in fleet.evaluation.controls("guide", NOW).families
            for control in family.controls
            if control.scope == "workload"
        }
        assert counts == {
            "CC3.2": (Status.PASS, 1, 1), "CC5.1": (Status.PASS, 2, 2), "CC5.2": (Status.FAIL, 1, 5),
            "CC6.1": (Status.PASS, 2, 2), "CC6.2": (Status.FAIL, 1, 5), "CC6.6": (Status.FAIL, 1, 11),
            "CC6.8": (Status.PASS, 2, 2), "CC7.1": (Status.FAIL, 2, 42), "CC7.2": (Status.FAIL, 2, 6),
            "CC7.5": (Status.PASS, 1, 1), "CC8.1": (Status.PASS, 1, 1), "CC9.1": (Status.PASS, 1, 1),
        }  # fmt: skip


def test_the_guides_two_remedies(fleet: Fleet) -> None:
    """One rule of CC5.2 has no policy, another is in a disabled one."""
    fleet.put(Policy("Inadvised K8s User Activity", False, (ANONYMOUS,))).beat()
    create, enable = fleet.check("CC5.2", FULL), fleet.check("CC5.2", ANONYMOUS)
    assert (create.remediation, enable.remediation) == (
        (f'Create a policy with rule "{FULL}".',),
        (f'Enable policy "Inadvised K8s User Activity" with rule "{ANONYMOUS}".',),
    )
    assert told(create) == (
        Status.FAIL, "no policy has this rule", [("rule", Outcome.FAIL, "no policy has this rule")],
    )  # fmt: skip
    reason = 'policy "Inadvised K8s User Activity" is disabled'
    assert told(enable) == (Status.FAIL, reason, [("rule", Outcome.FAIL, reason)])
    assert (create.policies, enable.policies) == ((), ("Inadvised K8s User Activity",))


def test_several_disabled_policies_are_all_named(fleet: Fleet) -> None:
    """Enabling any of them helps."""
    fleet.put(Policy("A", False, (ETC,)), Policy("B", False, (ETC,))).beat()
    check = fleet.check("CC7.1", ETC)
    assert check.reason == 'policies "A" and "B" are disabled'
    assert check.remediation == (f'Enable policy "A" or "B" with rule "{ETC}".',)


def test_a_rule_in_force_passes(fleet: Fleet) -> None:
    """Enabled, the whole cluster covered, every node of it runs that set: wherever the rule appears."""
    fleet.put(FILES).beat("n1").beat("n2")
    check = fleet.check("CC7.1", ETC)
    assert told(check) == (Status.PASS, "", [("c", Outcome.PASS, "")])
    assert (check.rule, check.source, check.policies) == (ETC, "syscall", ("Files",))
    assert (check.population.expected, check.population.assessed) == (1, 1)


def test_a_node_that_runs_another_set_is_named(fleet: Fleet) -> None:
    """Also one that runs none: nothing is assessed until it acknowledges."""
    fleet.put(FILES).beat("n1").beat("n2", hash="old").beat("n3", hash="")
    assert told(fleet.check("CC7.1", ETC)) == (
        Status.NOT_ASSESSED, "none of 1 resources could be assessed",
        [("c", Outcome.ERROR, "rule_set_not_acknowledged: n2, n3")],
    )  # fmt: skip
    fleet.beat("n2").beat("n3")
    assert fleet.check("CC7.1", ETC).status is Status.PASS


def test_a_changed_policy_waits_for_the_nodes_again(fleet: Fleet) -> None:
    """What a node acknowledged before says nothing about the set of now."""
    fleet.put(FILES).beat()
    assert fleet.check("CC7.1", ETC).status is Status.PASS
    fleet.put(replace(FILES, severity=Severity.HIGH))
    assert fleet.check("CC7.1", ETC).evidence[0].reason == "rule_set_not_acknowledged: n1"


def test_a_silent_node_is_missing_whatever_it_acknowledged(fleet: Fleet) -> None:
    """Silence comes before what was said."""
    fleet.put(FILES).beat("n1").beat("n2", hash="old")
    fleet.store.heartbeat(replace(fleet.store.nodes()[0], heartbeat_at=NOW - 31))
    assert fleet.check("CC7.1", ETC).evidence[0].reason == "agent_missing: n1"


def test_many_nodes_are_counted_not_listed(fleet: Fleet) -> None:
    """A reason stays short in a large fleet."""
    fleet.put(FILES)
    for number in range(10, 25):
        fleet.beat(f"n{number}", hash="old")
    names = ", ".join(f"n{number}" for number in range(10, 20))
    assert fleet.check("CC7.1", ETC).evidence[0].reason == f"rule_set_not_acknowledged: {names} and 5 more"


def test_clusters_are_judged_each(fleet: Fleet) -> None:
    """One has acknowledged, the other not: partly known."""
    fleet.put(FILES).beat("n1", "a").beat("n2", "b", hash="old")
    status, _, evidence = told(fleet.check("CC7.1", ETC))
    assert (status, sorted(evidence)) == (
        Status.PARTIAL, [("a", Outcome.PASS, ""), ("b", Outcome.ERROR, "rule_set_not_acknowledged: n2")],
    )  # fmt: skip


def test_a_cluster_outside_the_scope_fails(fleet: Fleet) -> None:
    """The policy is enabled, but not there."""
    fleet.put(replace(FILES, scope=Scope(clusters=("prod-*",)))).beat("n1", "prod-1").beat("n2", "test")
    status, reason, evidence = told(fleet.check("CC7.1", ETC))
    assert (status, reason) == (Status.FAIL, "1 of 2 resources fail")
    assert evidence == [
        ("test", Outcome.FAIL, 'outside the scope of policy "Files"'), ("prod-1", Outcome.PASS, ""),
    ]  # fmt: skip


def test_a_partial_scope_is_partly_known(fleet: Fleet) -> None:
    """What lies outside is told; a second policy over the whole cluster heals it."""
    narrow = replace(FILES, scope=Scope(namespaces=("shop",), labels=(("tier", "front"),)))
    fleet.put(narrow).beat()
    assert told(fleet.check("CC7.1", ETC)) == (
        Status.PARTIAL, "1 of 2 resources were assessed",
        [
            ("c, out of scope", Outcome.ERROR,
             'partial_scope: policy "Files" covers only namespaces shop, labels tier=front'),
            ("c, in scope", Outcome.PASS, ""),
        ],
    )  # fmt: skip
    fleet.put(narrow, replace(FILES, name="All")).beat()
    assert told(fleet.check("CC7.1", ETC)) == (Status.PASS, "", [("c", Outcome.PASS, "")])


def test_without_any_node_nothing_is_assessed(fleet: Fleet) -> None:
    """Nobody knows what must be watched; the remedy is told all the same."""
    check = fleet.put().check("CC7.1", ETC)
    assert told(check) == (Status.NOT_ASSESSED, "no policy has this rule", [])
    assert check.population.expected is None
    assert check.remediation == (f'Create a policy with rule "{ETC}".',)
    assert told(fleet.put(FILES).check("CC7.1", ETC)) == (
        Status.NOT_ASSESSED, "nobody knows yet what must be assessed", [],
    )  # fmt: skip


def test_a_node_that_never_enrolled_lowers_the_coverage(other: Callable[..., Fleet]) -> None:
    """Nobody knows its cluster."""
    fleet = other("n1", "n2").put(FILES).beat("n1")
    check = fleet.check("CC7.1", ETC)
    assert (check.status, check.population.expected, check.population.assessed) == (Status.PARTIAL, 2, 1)


def test_a_node_outside_the_population_does_not_count(other: Callable[..., Fleet]) -> None:
    """Neither it nor its cluster."""
    fleet = other("n1").put(FILES).beat("n1").beat("n9", "elsewhere", hash="old")
    assert told(fleet.check("CC7.1", ETC))[2] == [("c", Outcome.PASS, "")]


def test_a_source_that_is_not_connected_is_no_pass(fleet: Fleet) -> None:
    """With an enabled policy the audit log and CloudTrail are still missing; the remedy is to connect them."""
    fleet.put(Policy("K", True, (ANONYMOUS,)), Policy("A", True, (GUARD,))).beat()
    audit, trail = fleet.check("CC5.2", ANONYMOUS), fleet.check("CC3.2", GUARD, "aws")
    log, account = (
        "source missing: no Kubernetes audit log reaches this aggregator",
        "source missing: no AWS account is connected",
    )
    assert told(audit) == (Status.NOT_ASSESSED, log, [("c", Outcome.ERROR, log)])
    assert told(trail) == (Status.NOT_ASSESSED, account, [("aws", Outcome.ERROR, account)])
    assert audit.remediation[0].startswith("Give each API server an audit policy")
    assert trail.remediation == ("Connect the AWS accounts whose CloudTrail must be judged.",)


def test_without_an_account_nobody_knows_what_cloudtrail_rules_must_cover(fleet: Fleet) -> None:
    """No policy is told, but nothing fails over accounts that may not exist."""
    check = fleet.put().beat().check("CC3.2", GUARD, "aws")
    reason = "source missing: no AWS account is connected; no policy has this rule"
    assert told(check) == (Status.NOT_ASSESSED, reason, [])
    assert check.remediation == (f'Create a policy with rule "{GUARD}".',)


def test_a_rule_that_does_not_compile_fails(fleet: Fleet) -> None:
    """Though a policy has it; the reason is the compiler's."""
    check = fleet.put(Policy("P", True, (SUID,))).beat().check("CC6.6", SUID)
    assert (check.status, check.reason) == (Status.FAIL, "the rule does not compile: no field proc.nmae")
    assert check.remediation == (f'Correct rule "{SUID}" in files.yaml.',)


def test_a_rule_that_no_file_holds_fails(fleet: Fleet) -> None:
    """A policy that outlived its rule file has nothing to judge by."""
    check = (
        fleet.put(Policy("P", True, ("Update Package Repository",))).beat().check("CC7.1", "Update Package Repository")
    )
    assert (check.status, check.reason) == (Status.FAIL, "no rule file holds it for source syscall")
    assert check.remediation == ('Load a rule file with rule "Update Package Repository".',)


def test_what_a_node_says_it_can_not_judge_is_an_error(fleet: Fleet) -> None:
    """Of one rule by name, or of all system calls that the rule is about; other rules are not touched."""
    fleet.put(FILES).beat("n1", detection_problems=(f'files.yaml:3: error: rule "{SHADOW}": no such field',))
    assert told(fleet.check("CC7.1", ETC))[2] == [("c", Outcome.PASS, "")]
    assert told(fleet.check("CC7.1", SHADOW))[2] == [("c", Outcome.ERROR, "rule_not_in_force: n1")]
    fleet.beat("n1", detection_problems=("this kernel does not tell of open: no tracepoint",))
    assert fleet.check("CC7.1", ETC).status is Status.PASS
    fleet.beat("n1", detection_problems=tuple(f"this kernel does not tell of {n}: none" for n in ("open", "openat")))
    assert told(fleet.check("CC7.1", ETC))[2] == [("c", Outcome.ERROR, "rule_not_in_force: n1")]


def test_findings_belong_to_the_check_of_their_rule(fleet: Fleet) -> None:
    """Open they are counted there, overdue they fail it, wherever the rule appears, and no other rule."""
    fleet.put(FILES).beat()
    fields = (("rule", ETC), ("rule_source", "syscall"))
    finding = Finding("a" * 32, "n1", "rule", ETC, Severity.HIGH, "f", NOW, NOW, fields=fields)
    assert checks_of(finding) == (ETC_KEY,)
    with fleet.store.ingest() as batch:
        batch.finding(finding, NOW + 10, checks_of(finding))
    check = fleet.check("CC7.1", ETC)
    assert (check.status, check.open_findings, check.overdue_findings) == (Status.PASS, 1, 0)
    late = fleet.check("CC7.1", ETC, now=NOW + 10.1)
    assert (late.status, late.open_findings, late.overdue_findings) == (Status.FAIL, 1, 1)
    assert fleet.check("CC7.1", SHADOW, now=NOW + 10.1).status is Status.PASS
    assert (fleet.control("CC7.1", now=NOW + 10.1).overdue_findings, fleet.control("CC6.1").overdue_findings) == (1, 0)
    fleet.store.triage(finding.id, Triage(TriageAction.FIXED, "ada", "done", NOW + 11))
    assert fleet.check("CC7.1", ETC, now=NOW + 11).status is Status.PASS


def test_a_finding_that_names_no_rule_belongs_to_no_check() -> None:
    """It is kept, and shown, all the same."""
    assert checks_of(Finding("a" * 32, "n1", "rule", "t", Severity.HIGH, "f", NOW, NOW)) == ()


def test_an_exception_is_for_one_rule(fleet: Fleet) -> None:
    """That no policy has it is accepted for a while; other rules still fail."""
    fleet.put().beat()
    fleet.store.accept_failure(CheckException(ETC_KEY, "rule", "ada", "another tool does it", NOW, NOW + 100))
    assert fleet.check("CC7.1", ETC).status is Status.PASS_WITH_EXCEPTIONS
    assert fleet.check("CC7.1", SHADOW).status is Status.FAIL


def test_a_restarted_aggregator_remembers_each_rule(store: SqliteStore) -> None:
    """Before it has judged anything itself."""
    first = Fleet(store).put(FILES).beat()
    first.evaluation.run(NOW)
    again = Fleet(store).put(FILES)
    check = next(check for check in again.control("CC7.1").checks if check.rule == ETC)
    assert check.status is Status.PASS


def test_evidence_of_a_rule_is_found_by_its_key(fleet: Fleet) -> None:
    """Sealed once while nothing changes, and again when its state does."""
    fleet.put().beat()
    for at in (NOW, NOW + 5):
        fleet.evaluation.run(at)
    fleet.put(FILES).beat()
    fleet.evaluation.run(NOW + 10)
    assert [link.at for link in fleet.store.evidence(about=ETC_KEY)] == [NOW, NOW + 10]
