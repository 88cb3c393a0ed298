"""The shipped rules over the Kubernetes audit log: each fires for its own, and is quiet about what is beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.ruleset import Ruleset, load
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events
from rules.sources.registry import source
from tests.rules.shipped.catalogue import catalogued, priorities, tabulated, untagged

HERE = Path(__file__).parent
FILE = HERE.parents[2] / "rules" / "shipped" / "k8s_audit_rules.yaml"
CASES: dict[str, dict[str, list[dict[str, Any]]]] = {
    rule: cases
    for file in sorted((HERE / "k8s_audit_cases").glob("*.yaml"))
    for rule, cases in yaml.safe_load(file.read_text()).items()
}
CODES = {"create": 201}
SITE = """
- list: allowed_cluster_users
  items: [mallory]
  override: {items: append}
- list: allowed_pod_images
  items: [docker.io/evil/miner]
  override: {items: append}
- list: allowed_cluster_namespaces
  items: [mining]
  override: {items: append}
- list: trusted_nodes
  items: [rogue]
  override: {items: append}
- list: accepted_administrators
  items: [kubernetes-admin]
  override: {items: append}
"""


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load([(FILE.name, FILE.read_text())], {"k8s_audit": source("k8s_audit")})


def audit_event(case: dict[str, Any]) -> dict[str, Any]:
    """The audit event of a short description; what it leaves out is as when a request succeeds."""
    stage = case.get("stage", "ResponseComplete")
    parts = ("resource", "subresource", "name", "namespace")
    target = {part: case[part] for part in parts if part in case}
    told: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request",
        "auditID": "0f6f7b1e-1111-4222-8333-444455556666",
        "stage": stage,
        "requestURI": case.get("uri", "/" + "/".join(target.values())),
        "verb": case["verb"],
        "user": {"username": case["user"], "groups": case.get("groups", ["system:authenticated"])},
        "sourceIPs": ["192.0.2.10"],
        "userAgent": "kubectl/v1.31.0",
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z",
        "stageTimestamp": "2026-01-02T03:04:05.100001Z",
        "annotations": {"authorization.k8s.io/decision": case.get("decision", "allow")},
    }
    if target:
        told["objectRef"] = {"apiVersion": "v1", **target}
    if stage != "RequestReceived":
        told["responseStatus"] = {"metadata": {}, "code": case.get("code", CODES.get(case["verb"], 200))}
    if "request" in case:
        told["requestObject"] = {"metadata": {"name": case.get("name", "")}, **case["request"]}
    return told


def matched(ruleset: Ruleset, case: dict[str, Any]) -> set[str]:
    (event,) = events("k8s_audit", json.dumps(audit_event(case)).encode())
    assert isinstance(event, JsonEvent)
    return {hit.name for hit in ruleset.for_source("k8s_audit").matches(event)}


def each(kind: str) -> list[Any]:
    return [
        pytest.param(rule, case, id=f"{rule}-{number}")
        for rule, cases in CASES.items()
        for number, case in enumerate(cases[kind])
    ]


def test_file_loads_without_a_problem(ruleset: Ruleset) -> None:
    """The shipped file has neither errors nor warnings."""
    assert ruleset.problems == ()


@pytest.mark.parametrize(("rule", "case"), each("fires"))
def test_fires(ruleset: Ruleset, rule: str, case: dict[str, Any]) -> None:
    """The rule matches the audit event."""
    assert rule in matched(ruleset, case)


@pytest.mark.parametrize(("rule", "case"), each("quiet"))
def test_is_quiet(ruleset: Ruleset, rule: str, case: dict[str, Any]) -> None:
    """The rule does not match the audit event, which is nearly what it is about."""
    assert rule not in matched(ruleset, case)


def test_every_rule_has_cases(ruleset: Ruleset) -> None:
    """Each rule has an event that fires and one that does not, and there are no cases of other rules."""
    assert {rule: (bool(cases["fires"]), bool(cases["quiet"])) for rule, cases in CASES.items()} == {
        rule.name: (True, True) for rule in ruleset.rules
    }


def test_rules_serve_the_catalogue(ruleset: Ruleset) -> None:
    """Every rule that a check needs is there, tagged with each control that needs it."""
    assert untagged(ruleset, catalogued("k8s_audit")) == {}


def test_rules_serve_the_tables(ruleset: Ruleset) -> None:
    """The same for the tables, which have more rules than the catalogue."""
    assert untagged(ruleset, tabulated("k8s_audit")) == {}


def test_priorities_are_those_of_the_tables(ruleset: Ruleset) -> None:
    """Where the tables give a rule's priority, it has that."""
    wanted = priorities("k8s_audit")
    assert {rule.name: rule.priority for rule in ruleset.rules if rule.name in wanted} == wanted


def test_a_site_extends_the_lists() -> None:
    """What a file appends to the lists at the beginning is allowed."""
    site = load([(FILE.name, FILE.read_text()), ("site.yaml", SITE)], {"k8s_audit": source("k8s_audit")})
    first = {
        rule: rule in matched(site, CASES[rule]["fires"][0])
        for rule in (
            "Disallowed K8s User",
            "Create Disallowed Pod",
            "Create Disallowed Namespace",
            "Untrusted Node Successfully Joined the Cluster",
            "Untrusted Node Unsuccessfully Tried to Join the Cluster",
            "Full K8s Administrative Access",
        )
    }
    assert (site.problems, first) == ((), dict.fromkeys(first, False))
