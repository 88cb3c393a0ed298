"""Each type of check judged on nodes, inventories and profiles made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aggregator.checks import agent_installed, deviation_detection_active, profiling_enabled
from aggregator.checks.agent_installed import loss_share
from aggregator.checks.facts import Facts, Thresholds
from aggregator.checks.registry import CHECKS
from aggregator.controls.status import check_status
from aggregator.records import (
    ClassCounters,
    EnforcedProfile,
    MergedProfile,
    Node,
    NodeInventory,
    Observation,
    Outcome,
    Status,
)
from watchkeeper.findings import Container, ProfileKey, ProfileState

NOW = 10_000.0
KEY = ProfileKey("c", "ns", "Deployment/web", "web", "sha256:1")
WEB = "c/ns/Deployment/web/web@sha256:1"
ENFORCED = EnforcedProfile(KEY, ProfileState.LEARNED, "hash", 1, True)
HEALTHY = Node(
    "n1", "c", "0.1.0", "6.18", 9000.0, heartbeat_at=NOW - 5, heartbeat_seconds=10, probe_state="attached",
    canary_at=NOW - 6, profiles=(ENFORCED,), counters=(ClassCounters("exec", 500, 0, 500, 0, 500, 0),),
)  # fmt: skip
SILENT = replace(HEALTHY, heartbeat_at=NOW - 31)
RUNNING = Container(
    "id", "web", image_digest="sha256:1", pod_namespace="ns", workload="Deployment/web", started_at=9500.0
)
LOSSY = "loses 1.0% of events or more"
UNACCOUNTED = "can not account for 1.0% of events or more"
LEARNED = MergedProfile(KEY, ProfileState.LEARNED, (), 60.0, 9500.0, 9600.0)


def facts(
    *nodes: Node,
    expected: tuple[str, ...] = (),
    containers: dict[str, tuple[Container, ...]] | None = None,
    profiles: tuple[MergedProfile, ...] = (LEARNED,),
) -> Facts:
    inventories = tuple(NodeInventory(name, NOW, running) for name, running in (containers or {}).items())
    return Facts(nodes, inventories, profiles, expected, {profile.key: "hash" for profile in profiles})


def judged(check: str, known: Facts) -> tuple[frozenset[str] | None, list[tuple[str, Outcome, str]]]:
    observations = list(CHECKS[check].judge(known, NOW))
    assert {one.check for one in observations} <= {check}
    return CHECKS[check].population(known, NOW), [(one.resource, one.outcome, one.reason) for one in observations]


def status(check: str, known: Facts) -> Status:
    outcomes = {one.resource: one.outcome for one in CHECKS[check].judge(known, NOW)}
    population = CHECKS[check].population(known, NOW)
    return check_status(population, outcomes, frozenset(), CHECKS[check].requirement)


def test_a_healthy_agent_passes() -> None:
    """Heard of, attached, next to no loss, canary seen, new enough."""
    assert judged("agent_installed", facts(HEALTHY)) == (frozenset({"n1"}), [("n1", Outcome.PASS, "")])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (replace(HEALTHY, probe_state="degraded", missing_hooks=("sched_process_exec", "connect4")),
         "probe is degraded, not attached, missing hooks: sched_process_exec, connect4"),
        (replace(HEALTHY, probe_state="replay"), "probe is replay, not attached"),
        (replace(HEALTHY, probe_state="detached"), "probe is detached, not attached"),
        (replace(HEALTHY, probe_state=""), "probe is in an unknown state, not attached"),
        (replace(HEALTHY, missing_hooks=("io_uring",)), "missing hooks: io_uring"),
        (replace(HEALTHY, counters=(ClassCounters("open", 1000, 0, 990, 10, 990, 0),)), LOSSY),
        (replace(HEALTHY, counters=(ClassCounters("open", 1000, 0, 1000, 0, 990, 10),)), LOSSY),
        (replace(HEALTHY, counters=(ClassCounters("open", 9999, 8888, 1010, 0, 1010, 0),)), UNACCOUNTED),
        (replace(HEALTHY, counters=(ClassCounters("open", 9999, 9090, 1010, 0, 1010, 0),)), UNACCOUNTED),
        (replace(HEALTHY, canary_at=NOW - 36), "does not see its own canary act through the kernel"),
        (replace(HEALTHY, canary_at=0.0), "does not see its own canary act through the kernel"),
        (replace(HEALTHY, agent_version="0.0.9"), "version 0.0.9 is older than 0.1.0"),
        (replace(HEALTHY, agent_version="0.1.0rc1"), "version 0.1.0rc1 is older than 0.1.0"),
        (replace(HEALTHY, agent_version="latest"), "version latest is older than 0.1.0"),
    ],
)  # fmt: skip
def test_an_agent_that_does_not_see_fails(node: Node, reason: str) -> None:
    """Each fault is named."""
    assert judged("agent_installed", facts(node))[1] == [("n1", Outcome.FAIL, reason)]


def test_the_canary_is_dated_by_the_nodes_own_clock() -> None:
    """A node whose clock is an hour behind or ahead is judged by the same clock on both sides."""
    for skew in (-3600.0, 3600.0):
        node = replace(HEALTHY, sent_at=NOW - 5 + skew, canary_at=NOW - 6 + skew)
        assert judged("agent_installed", facts(node))[1] == [("n1", Outcome.PASS, "")]
        deaf = replace(node, canary_at=NOW - 36 + skew)
        assert judged("agent_installed", facts(deaf))[1][0][1] is Outcome.FAIL


def test_all_faults_are_told_at_once() -> None:
    """So that one repair is enough."""
    node = replace(HEALTHY, probe_state="detached", agent_version="0.0.1")
    (found,) = judged("agent_installed", facts(node))[1]
    assert found[2] == "probe is detached, not attached; version 0.0.1 is older than 0.1.0"


def test_ten_times_newer_is_newer() -> None:
    """Versions are compared as versions, not as text."""
    known = replace(facts(replace(HEALTHY, agent_version="0.10.0")), thresholds=Thresholds(minimum_version="0.9.0"))
    assert judged("agent_installed", known)[1] == [("n1", Outcome.PASS, "")]


@pytest.mark.parametrize(("silence", "outcome"), [(30.0, Outcome.PASS), (30.1, Outcome.ERROR)])
def test_three_intervals_of_silence_are_an_error(silence: float, outcome: Outcome) -> None:
    """Whatever the last heartbeat said."""
    node = replace(HEALTHY, heartbeat_at=NOW - silence, canary_at=NOW - silence)
    assert judged("agent_installed", facts(node))[1][0][1] is outcome


def test_the_reason_of_silence_stays_the_same() -> None:
    """It tells since when, not for how long: each new reason would be sealed again."""
    once, later = (list(agent_installed.judge(facts(SILENT), now)) for now in (NOW, NOW + 60))
    assert once[0].reason == later[0].reason == "agent_missing: silent since 1970-01-01T02:46:09Z"


def test_a_node_that_never_enrolled_lowers_the_coverage() -> None:
    """It is expected by configuration, there is nothing to observe, the check is partial."""
    known = facts(HEALTHY, expected=("n1", "n2"))
    assert judged("agent_installed", known) == (frozenset({"n1", "n2"}), [("n1", Outcome.PASS, "")])
    assert status("agent_installed", known) is Status.PARTIAL


def test_a_node_outside_the_configuration_does_not_count() -> None:
    """Only what is expected is judged."""
    assert judged("agent_installed", facts(HEALTHY, expected=("n2",))) == (frozenset({"n2"}), [])


def test_a_node_that_enrolled_and_never_beat() -> None:
    """Nothing to say at first, missing after three intervals."""
    fresh = replace(HEALTHY, heartbeat_at=0.0, enrolled_at=NOW - 20)
    assert judged("agent_installed", facts(fresh))[1] == []
    assert judged("agent_installed", facts(replace(fresh, enrolled_at=NOW - 40)))[1][0][1] is Outcome.ERROR


@pytest.mark.parametrize("check", ["agent_installed", "profiling_enabled", "profiling_policy"])
def test_without_any_node_the_population_is_unknown(check: str) -> None:
    """Nobody said which nodes there are: not assessed, never not applicable."""
    assert judged(check, facts()) == (None, [])
    assert status(check, facts()) is Status.NOT_ASSESSED


@pytest.mark.parametrize(
    ("counters", "share"),
    [
        ((), 0.0),
        ((ClassCounters("open", 10, 0, 10, 0, 10, 0),), 0.0),
        ((ClassCounters("open", 10**6, 0, 10**6, 0, 10**6, 0), ClassCounters("exec", 200, 0, 100, 100, 100, 0)), 0.5),
        ((ClassCounters("open", 10**6, 0, 10**6, 0, 10**6, 0), ClassCounters("exec", 2, 0, 1, 1, 1, 0)), 1 / 1000002),
        ((ClassCounters("open", 0, 0, 0, 0, 0, 5),), 1.0),
    ],
)
def test_loss(counters: tuple[ClassCounters, ...], share: float) -> None:
    """The worst class counts once there are enough events of it to tell."""
    assert loss_share(replace(HEALTHY, counters=counters)) == pytest.approx(share)


def test_workloads_are_the_population_of_profiling() -> None:
    """Replicas are one resource, init containers count, a pod's sandbox does not."""
    sandbox = replace(RUNNING, id="s", name="pause", kind="sandbox")
    init = replace(RUNNING, id="i", name="migrate", kind="init")
    known = facts(HEALTHY, containers={"n1": (RUNNING, replace(RUNNING, id="2"), sandbox, init)})
    population, observations = judged("profiling_enabled", known)
    assert population == {WEB, "c/ns/Deployment/web/migrate@sha256:1"}
    assert observations == [
        (WEB, Outcome.PASS, ""),
        ("c/ns/Deployment/web/migrate@sha256:1", Outcome.FAIL, "has no profile"),
    ]


LEARNING = replace(LEARNED, state=ProfileState.LEARNING)


@pytest.mark.parametrize(
    ("profiles", "container", "outcome", "reason"),
    [
        ((LEARNED,), RUNNING, Outcome.PASS, ""),
        ((LEARNING,), RUNNING, Outcome.PASS, "learning"),
        ((replace(LEARNING, first_seen=NOW - 700_000),), RUNNING, Outcome.FAIL, "still learning after 168 h"),
        ((), RUNNING, Outcome.FAIL, "has no profile"),
        ((), replace(RUNNING, started_at=NOW - 30), Outcome.ERROR, "profile_pending: the container just started"),
    ],
)
def test_profiling(profiles: tuple[MergedProfile, ...], container: Container, outcome: Outcome, reason: str) -> None:
    """Learned, or learning within the window, or just started, or a failure."""
    known = facts(HEALTHY, containers={"n1": (container,)}, profiles=profiles)
    assert judged("profiling_enabled", known)[1] == [(WEB, outcome, reason)]


@pytest.mark.parametrize("check", ["profiling_enabled", "profiling_policy"])
def test_a_silent_node_makes_its_workloads_errors(check: str) -> None:
    """Also those that run elsewhere too, and there may be further ones nobody knows of."""
    other = replace(HEALTHY, name="n2")
    known = facts(SILENT, other, containers={"n1": (RUNNING,), "n2": (RUNNING,)})
    assert judged(check, known) == (
        frozenset({WEB, "workloads of n1"}),
        [(WEB, Outcome.ERROR, "agent_missing: n1"), ("workloads of n1", Outcome.ERROR, "agent_missing: n1")],
    )


@pytest.mark.parametrize("check", ["profiling_enabled", "profiling_policy"])
def test_no_workloads_at_all(check: str) -> None:
    """Not applicable only when every expected node was heard and says that nothing runs."""
    empty: dict[str, tuple[Container, ...]] = {"n1": ()}
    assert status(check, facts(HEALTHY, containers=empty)) is Status.NOT_APPLICABLE
    assert status(check, facts(SILENT, containers=empty)) is Status.NOT_ASSESSED
    assert status(check, facts(HEALTHY, containers={})) is Status.NOT_ASSESSED
    assert status(check, facts(HEALTHY, containers=empty, expected=("n1", "n2"))) is Status.NOT_ASSESSED


@pytest.mark.parametrize(
    ("enforced", "outcome", "reason"),
    [
        ((ENFORCED,), Outcome.PASS, ""),
        ((replace(ENFORCED, canary_detected=False),), Outcome.FAIL, "a synthetic deviation was not recognised on n1"),
        ((replace(ENFORCED, hash="old"),), Outcome.ERROR, "profile_not_acknowledged: n1"),
        ((replace(ENFORCED, state=ProfileState.LEARNING),), Outcome.ERROR, "profile_not_acknowledged: n1"),
        ((), Outcome.ERROR, "profile_not_acknowledged: n1"),
    ],
)
def test_deviation_detection(enforced: tuple[EnforcedProfile, ...], outcome: Outcome, reason: str) -> None:
    """The node enforces the merged profile and its detector works, or what is missing is told."""
    known = facts(replace(HEALTHY, profiles=enforced), containers={"n1": (RUNNING,)})
    assert judged("profiling_policy", known) == (frozenset({WEB}), [(WEB, outcome, reason)])


def test_a_deaf_detector_fails_though_another_node_is_silent() -> None:
    """What is known to be wrong is not excused by what is not known."""
    deaf = replace(HEALTHY, name="n2", profiles=(replace(ENFORCED, canary_detected=False),))
    known = facts(SILENT, deaf, containers={"n1": (RUNNING,), "n2": (RUNNING,)})
    assert judged("profiling_policy", known)[1][0] == (
        WEB, Outcome.FAIL, "a synthetic deviation was not recognised on n2",
    )  # fmt: skip


def test_while_everything_learns_detection_is_not_assessed() -> None:
    """Workloads run, none has a finished profile: that is not an empty population."""
    known = facts(HEALTHY, containers={"n1": (RUNNING,)}, profiles=(LEARNING,))
    assert judged("profiling_policy", known) == (None, [])
    assert status("profiling_policy", known) is Status.NOT_ASSESSED


def test_profiles_of_what_runs_nowhere_are_not_judged() -> None:
    """An old image's profile has nothing to be enforced on."""
    old = replace(LEARNED, key=replace(KEY, image_digest="sha256:0"))
    known = facts(HEALTHY, containers={"n1": (RUNNING,)}, profiles=(LEARNED, old))
    assert judged("profiling_policy", known)[0] == {WEB}


def test_a_container_without_workload_is_named_as_the_agent_names_it() -> None:
    """By its own name, else the beginning of its id."""
    plain = Container("0123456789abcdef", started_at=NOW)
    population, _ = judged("profiling_enabled", facts(HEALTHY, containers={"n1": (plain,)}))
    assert population == {"c//Container/0123456789ab/0123456789ab"}


@pytest.mark.parametrize("check", sorted(set(CHECKS) - {"agent_installed", "profiling_enabled", "profiling_policy"}))
def test_a_check_without_source_is_not_assessed_and_says_why(check: str) -> None:
    """However healthy the nodes are."""
    known = facts(HEALTHY, containers={"n1": (RUNNING,)})
    assert judged(check, known) == (None, [])
    assert status(check, known) is Status.NOT_ASSESSED
    assert all(reason.startswith("source missing: ") for reason in CHECKS[check].missing.values())
    assert CHECKS[check].missing


def test_checks_live_as_long_as_their_sources() -> None:
    """15 minutes for what comes as events."""
    for check in (agent_installed.CHECK, profiling_enabled.CHECK, deviation_detection_active.CHECK):
        assert check.ttl == 900.0
        assert check.requirement.coverage == 1.0
    assert {check.ttl for check in CHECKS.values()} == {900.0, 86400.0}


def test_observations_carry_the_time_of_judging() -> None:
    """So that they age when nobody judges."""
    assert list(agent_installed.judge(facts(HEALTHY), NOW)) == [
        Observation("agent_installed", "n1", Outcome.PASS, "", NOW)
    ]
