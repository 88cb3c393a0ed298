"""Judging one behaviour against one profile."""

from __future__ import annotations

import pytest

from agent.behaviours import UDP_EPHEMERAL
from agent.drift import canary_detected, fingerprint, judge
from agent.profile import Profile
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState, Severity

KEY = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:1")
KNOWN = Behaviour(BehaviourClass.EXECUTED, "/app", "/bin/known")


def profile(state: ProfileState = ProfileState.LEARNED, **fields: object) -> Profile:
    return Profile(KEY, state, {KNOWN: ProfileEntry(KNOWN, 1.0, 1.0)}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "process", "name", "dropped", "severity", "title"),
    [
        ("executed", "/app", "/tmp/dropped", True, "critical", "Unexpected program executed: /tmp/dropped"),
        ("executed", "/app", "/bin/ls", False, "high", "Unexpected program executed: /bin/ls"),
        (
            "executed",
            "exec_in",
            "/bin/sh",
            False,
            "high",
            "Unexpected program executed from outside the container: /bin/sh",
        ),
        (
            "executed",
            "upper_layer",
            "/bin/ls",
            True,
            "critical",
            "Program replaced in the container was executed: /bin/ls",
        ),
        ("executed", "/app", "memfd:x", False, "critical", "Unexpected program executed: memfd:x"),
        ("written", "/app", "/etc/passwd", False, "high", "Unexpected file written: /etc/passwd"),
        ("written", "/app", "/usr/bin/x", False, "high", "Unexpected file written: /usr/bin/x"),
        ("written", "/app", "/data/x", False, "medium", "Unexpected file written: /data/x"),
        ("sensitive_read", "/app", "/etc/shadow", False, "high", "Sensitive file read unexpectedly: /etc/shadow"),
        ("listening", "/app", "tcp/4444", False, "high", "Unexpected listening port: tcp/4444"),
        ("outbound", "/app", "tcp/10.0.0.5:443", False, "medium", "Unexpected outbound connection: tcp/10.0.0.5:443"),
        ("capability", "/app", "CAP_SYS_ADMIN", False, "medium", "Unexpected capability used: CAP_SYS_ADMIN"),
    ],
)
def test_each_class_has_its_severity_and_title(
    kind: str, process: str, name: str, dropped: bool, severity: str, title: str
) -> None:
    """A learned profile speaks of every class it does not know, in plain words."""
    deviation = judge(profile(), Behaviour(BehaviourClass(kind), process, name), 5.0, dropped)
    assert deviation is not None
    assert (deviation.severity, deviation.title) == (Severity(severity), title)
    assert deviation.fingerprint == fingerprint(KEY, kind, process, name)


def test_known_behaviour_is_silent() -> None:
    """What the profile holds is no deviation, whatever its severity would be."""
    assert judge(profile(), KNOWN, 5.0, dropped=True) is None


def test_learning_profile_only_speaks_of_known_bad() -> None:
    """While learning, a program without a file is told and everything else learned."""
    learning = profile(ProfileState.LEARNING)
    assert judge(learning, Behaviour(BehaviourClass.EXECUTED, "/app", "/tmp/x"), 5.0, dropped=True) is None
    bad = judge(learning, Behaviour(BehaviourClass.EXECUTED, "/app", "memfd:x"), 5.0)
    assert bad is not None
    assert (bad.known_bad, bad.severity) == (True, Severity.CRITICAL)


def test_ephemeral_udp_port_is_no_noise() -> None:
    """Every client of DNS binds one: it is not told."""
    assert judge(profile(), Behaviour(BehaviourClass.LISTENING, "/app", UDP_EPHEMERAL), 5.0) is None


def test_review_has_one_fingerprint_and_never_hides_what_is_critical() -> None:
    """All of a rollout's news share a fingerprint, except a dropped program, which has its own."""
    rollout = profile(inherited_from="sha256:0", in_review=True)
    new = [Behaviour(BehaviourClass.EXECUTED, "/app", name) for name in ("/bin/a", "/bin/b")]
    marks = {deviation.fingerprint for b in new if (deviation := judge(rollout, b, 5.0))}
    assert marks == {fingerprint(KEY, "rollout")}
    dropped = judge(rollout, new[0], 5.0, dropped=True)
    assert dropped is not None
    assert dropped.fingerprint == fingerprint(KEY, "executed", "/app", "/bin/a")


def test_reviewed_behaviour_stays_part_of_the_review() -> None:
    """When the review has ended its behaviours still fold into it, and others are told on their own."""
    old, new = (Behaviour(BehaviourClass.OUTBOUND, "/app", f"tcp/10.0.0.{n}:1") for n in (1, 2))
    settled = profile(inherited_from="sha256:0", reviewed={old})
    assert [judge(settled, b, 5.0).review for b in (old, new)] == [True, False]  # type: ignore[union-attr]


def test_canary_is_detected_by_a_learned_profile_only() -> None:
    """A detector that learns does not claim to detect."""
    assert [canary_detected(profile(state), 5.0) for state in ProfileState] == [False, True]


def test_fingerprints_do_not_collide_over_field_bounds() -> None:
    """Moving a character from one field into the next gives another fingerprint."""
    assert fingerprint(KEY, "ab", "c") != fingerprint(KEY, "a", "bc")
