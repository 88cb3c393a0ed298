"""Folding: the first at once, repeats counted, everything bounded."""

from __future__ import annotations

from agent import findings as module
from agent.drift import Deviation
from agent.findings import FLUSH_SECONDS, FOLDS, FRESH_SECONDS, SHARE, Findings
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    FindingRepeat,
    ProfileKey,
    Severity,
)

KEY = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:1")
WEB = Container("c" * 64, "web")


class Out(list[Finding | FindingRepeat]):
    """What was emitted."""

    def first(self) -> Finding:
        assert isinstance(self[0], Finding)
        return self[0]


def deviation(name: str, mark: str = "") -> Deviation:
    behaviour = Behaviour(BehaviourClass.EXECUTED, "/app", name)
    return Deviation(behaviour, Severity.HIGH, f"Unexpected program executed: {name}", mark or name)


def occur(findings: Findings, what: Deviation, now: float, key: ProfileKey = KEY) -> None:
    findings.drift(what, key, "", WEB, None, now - 0.1, now)


def test_first_occurrence_is_told_at_once_and_in_full() -> None:
    """The finding has node, title, severity, behaviour, container and both times."""
    out = Out()
    occur(Findings("node-1", out.append), deviation("/bin/ls"), 100.0)
    assert out == [
        Finding(
            id=out.first().id,
            node="node-1",
            source="drift",
            title="Unexpected program executed: /bin/ls",
            severity=Severity.HIGH,
            fingerprint="/bin/ls",
            occurred_at=99.9,
            detected_at=100.0,
            profile=KEY,
            behaviour=Behaviour(BehaviourClass.EXECUTED, "/app", "/bin/ls"),
            container=WEB,
        )
    ]
    assert len(out.first().id) == 32


def test_repeats_are_counted_and_told_together() -> None:
    """Later occurrences come as one repeat after the flush time, and none when there were none."""
    out = Out()
    findings = Findings("node-1", out.append)
    findings.flush(100.0)
    for second in range(5):
        occur(findings, deviation("/bin/ls"), 100.0 + second)
    findings.flush(100.0 + FLUSH_SECONDS - 1)
    assert len(out) == 1
    findings.flush(100.0 + FLUSH_SECONDS)
    assert out[1:] == [FindingRepeat(out.first().id, 4, 103.9)]
    findings.flush(100.0 + 3 * FLUSH_SECONDS)
    assert len(out) == 2


def test_behaviours_of_one_review_are_each_told_once() -> None:
    """Equal fingerprints with different behaviours are different findings of the agent: the store folds them."""
    out = Out()
    findings = Findings("node-1", out.append)
    for name in ("/bin/a", "/bin/b", "/bin/a"):
        occur(findings, deviation(name, "rollout"), 100.0)
    assert [f.behaviour.object for f in out if isinstance(f, Finding) and f.behaviour] == ["/bin/a", "/bin/b"]


def test_old_fold_begins_anew_and_loses_no_repeat() -> None:
    """After an hour the next occurrence is told in full again, after the repeats that still waited."""
    out = Out()
    findings = Findings("node-1", out.append)
    for second in (0.0, 1.0, FRESH_SECONDS):
        occur(findings, deviation("/bin/ls"), 100.0 + second)
    assert [type(noun).__name__ for noun in out] == ["Finding", "FindingRepeat", "Finding"]


def test_acceptance_makes_the_profile_speak_in_full_again() -> None:
    """When what a profile accepts has changed, its next deviation is a new finding."""
    out = Out()
    findings = Findings("node-1", out.append)
    occur(findings, deviation("/bin/ls"), 100.0)
    findings.forget(KEY)
    occur(findings, deviation("/bin/ls"), 101.0)
    assert [type(noun).__name__ for noun in out] == ["Finding", "Finding"]


def test_finding_that_could_not_be_kept_is_told_again() -> None:
    """A spool that had no room does not make the agent silent about the next occurrence."""
    out = Out()
    findings = Findings("node-1", out.append)
    occur(findings, deviation("/bin/ls"), 100.0)
    findings.unsent(out.first().id)
    occur(findings, deviation("/bin/ls"), 101.0)
    assert [type(noun).__name__ for noun in out] == ["Finding", "Finding"]


def test_flood_of_one_profile_is_one_finding_and_leaves_room_for_others() -> None:
    """Beyond its share a profile's new deviations are counted in one finding; another profile still is heard."""
    out = Out()
    findings = Findings("node-1", out.append)
    for number in range(SHARE + 50):
        occur(findings, deviation(f"/bin/{number}"), 100.0)
    other = ProfileKey("prod", "shop", "Deployment/db", "db", "sha256:1")
    occur(findings, deviation("/bin/ls"), 100.0, other)
    findings.flush(200.0, force=True)
    told = [noun for noun in out if isinstance(noun, Finding)]
    assert len(told) == SHARE + 2
    assert told[-2].title.startswith(f"More than {SHARE} different deviations")
    assert told[-1].profile == other
    assert [noun.count for noun in out if isinstance(noun, FindingRepeat)] == [49]


def test_hits_of_rules_have_a_share_of_their_own() -> None:
    """A flood of hits takes no room from deviations; only the first hit of each kind is put into words."""
    out = Out()
    findings = Findings("node-1", out.append)
    made: list[str] = []

    def hit(mark: str) -> None:
        def make() -> Finding:
            made.append(mark)
            return Finding("", "", "rule", "A rule", Severity.LOW, mark, 1.0, 1.0, profile=KEY)

        findings.rule(mark, KEY, 1.0, 100.0, make)

    for number in range(SHARE + 50):
        hit(str(number))
        hit(str(number))
    occur(findings, deviation("/bin/ls"), 100.0)
    told = [noun.title for noun in out if isinstance(noun, Finding)]
    assert told.count("A rule") == SHARE
    assert [title for title in told if title != "A rule"] == [
        f"More than {SHARE} different hits of rules in an hour; further ones are only counted",
        "Unexpected program executed: /bin/ls",
    ]
    assert made[:SHARE] == [str(number) for number in range(SHARE)]


def test_table_is_bounded() -> None:
    """However many profiles deviate, the table keeps its size."""
    findings = Findings("node-1", lambda noun: None)
    for number in range(FOLDS + 100):
        occur(findings, deviation("/bin/ls"), 100.0, ProfileKey("prod", "", f"Job/{number}", "x", ""))
    assert len(findings) == FOLDS == module.FOLDS


def test_health_findings_fold_by_subject() -> None:
    """The same trouble of the agent is one finding with repeats."""
    out = Out()
    findings = Findings("node-1", out.append)
    for count in ("1", "2"):
        findings.health("events_lost", "Events were lost", Severity.HIGH, {"lost_open": count}, 100.0)
    findings.flush(200.0, force=True)
    assert (out.first().source, out.first().fields) == ("health", (("lost_open", "1"),))
    assert out[1:] == [FindingRepeat(out.first().id, 1, 100.0)]
