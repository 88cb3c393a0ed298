"""Findings in Falco's JSON form."""

import json
from typing import Any

import pytest

from aggregator.alerts.alert import alert, is_wanted, priority
from rules.rule import Priority
from watchkeeper.findings import Behaviour, BehaviourClass, Container, Finding, Process, ProfileKey, Severity

RULE_FIELDS = {
    "rule": "Terminal shell in container",
    "priority": "Notice",
    "output": "10:11:12.000000000: Notice A shell was spawned (user=root)",
    "output_fields": '{"evt.time":1770113472000000000,"proc.name":"bash","user.uid":0,"container.id":null}',
    "tags": "shell,container, shell",
    "rule_source": "syscall",
    "policy": "runtime",
    "time": "2026-02-03T10:11:12.000000000Z",
}


def rule_finding(**changes: str) -> Finding:
    fields = tuple((RULE_FIELDS | changes).items())
    return Finding(
        "f1", "node-1", "rule", "Terminal shell", Severity.LOW, "p", 1770113472.0, 1770113473.0, fields=fields
    )


def told(finding: Finding) -> Any:
    data = alert(finding)
    assert b"\n" not in data
    return json.loads(data)


def test_a_rule_is_told_as_falco_tells_it() -> None:
    """Every member of Falco's output is there, and nothing else."""
    assert told(rule_finding()) == {
        "uuid": "f1",
        "hostname": "node-1",
        "rule": "Terminal shell in container",
        "priority": "Notice",
        "output": "10:11:12.000000000: Notice A shell was spawned (user=root)",
        "output_fields": {"evt.time": 1770113472000000000, "proc.name": "bash", "user.uid": 0, "container.id": None},
        "source": "syscall",
        "tags": ["container", "shell"],
        "time": "2026-02-03T10:11:12.000000000Z",
    }


def test_drift_is_told_under_a_name_of_its_own() -> None:
    """A deviation has a rule name, a priority by its severity, and Falco's names for what it tells."""
    finding = Finding(
        id="f2",
        node="node-1",
        source="drift",
        title="Unexpected program executed: /tmp/x",
        severity=Severity.CRITICAL,
        fingerprint="p",
        occurred_at=1770113472.25,
        detected_at=1770113473.0,
        profile=ProfileKey("c", "shop", "web", "app", "sha256:1"),
        behaviour=Behaviour(BehaviourClass.EXECUTED, "sh", "/tmp/x"),
        container=Container("0123456789abcdef", "app", image="shop:1", pod_name="web-1"),
        process=Process(7, "/tmp/x", ("/tmp/x", "-l"), uid=1000),
        fields=(("review", "rollout"),),
    )
    fields = {
        "evt.time": 1770113472250000000,
        "watchkeeper.severity": "critical",
        "k8s.ns.name": "shop",
        "watchkeeper.workload": "web",
        "container.id": "0123456789ab",
        "container.name": "app",
        "container.image": "shop:1",
        "k8s.pod.name": "web-1",
        "proc.exepath": "/tmp/x",
        "proc.cmdline": "/tmp/x -l",
        "proc.pid": 7,
        "user.uid": 1000,
        "watchkeeper.object": "/tmp/x",
        "watchkeeper.review": "rollout",
    }
    shown = " ".join(f"{name}={value}" for name, value in fields.items() if name != "evt.time")
    assert told(finding) == {
        "uuid": "f2",
        "hostname": "node-1",
        "rule": "Watchkeeper drift: executed",
        "priority": "Critical",
        "output": f"10:11:12.250000000: Critical Unexpected program executed: /tmp/x ({shown})",
        "output_fields": fields,
        "source": "watchkeeper",
        "tags": ["drift", "executed", "watchkeeper"],
        "time": "2026-02-03T10:11:12.250000000Z",
    }


def test_health_is_told_by_its_title() -> None:
    """A finding about an agent has neither behaviour nor container."""
    finding = Finding("f3", "node-1", "health", "Events lost", Severity.HIGH, "p", 0.0, 0.0)
    assert told(finding) == {
        "uuid": "f3",
        "hostname": "node-1",
        "rule": "Watchkeeper health: Events lost",
        "priority": "Error",
        "output": "00:00:00.000000000: Error Events lost (watchkeeper.severity=high)",
        "output_fields": {"evt.time": 0, "watchkeeper.severity": "high"},
        "source": "watchkeeper",
        "tags": ["health", "watchkeeper"],
        "time": "1970-01-01T00:00:00.000000000Z",
    }


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "[" * 5000])
def test_what_a_node_garbled_is_left_out(text: str) -> None:
    """Fields that are no JSON object do not keep the alert from being told."""
    assert told(rule_finding(output_fields=text))["output_fields"] == {}


def test_text_that_is_no_unicode_is_replaced() -> None:
    """Half a surrogate in a finding's text does not break the line."""
    assert told(rule_finding(output="x\ud800\ny"))["output"] == "x?\ny"


@pytest.mark.parametrize(
    ("label", "expected"), [("Emergency", Priority.EMERGENCY), ("Debug", Priority.DEBUG), ("nonsense", Priority.NOTICE)]
)
def test_the_rules_own_priority_counts(label: str, expected: Priority) -> None:
    """An unknown one is replaced by that of the severity."""
    assert priority(rule_finding(priority=label)) is expected


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ("rule", (("actions", "alert"),), True),
        ("rule", (("actions", ""),), False),
        ("rule", (), True),
        ("drift", (), True),
        ("health", (("actions", ""),), True),
    ],
)
def test_policies_without_the_action_alert_are_not_told(
    source: str, fields: tuple[tuple[str, str], ...], expected: bool
) -> None:
    """A rule's finding is told when one of its policies asks for it; others always."""
    found = Finding("f", "n", source, "t", Severity.HIGH, "p", 0.0, 0.0, fields=fields)
    assert is_wanted(found) == expected
