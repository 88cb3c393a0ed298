"""Upstream's audit rules, unmodified, over recorded events: the rule that must fire is the one that does."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.problems import Severity
from rules.ruleset import load
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events
from rules.sources.k8s_audit import SOURCE

FALCO = Path(__file__).parents[3] / "shared" / "falco"
SAMPLES = FALCO / "audit-samples"
RULES = FALCO / "rules" / "k8s_audit_rules.yaml"

# Where today's file differs from the recorded expectation: case -> (what fires today, why).
CHANGED: dict[str, tuple[dict[str, int], str]] = {
    "create_hostnetwork_trusted_pod": (
        {"Create HostNetwork Pod": 1},
        "the list falco_hostnetwork_images, which the case extends, is called k8s_audit_hostnetwork_images now",
    ),
    "delete_clusterrole": (
        {"K8s ClusterRole Deleted": 1},
        "the rule K8s Role/Clusterrole Deleted was split into one for roles and one for cluster roles",
    ),
    "create_clusterrolebinding": (
        {"K8s ClusterRoleBinding Created": 1},
        "the rule K8s Role/Clusterrolebinding Created was split into one for each kind of binding",
    ),
}
# Files of cases that extend lists which today's file does not have.
OUTDATED = {"rules_trust_nginx_container.yaml"}


@cache
def cases() -> dict[str, Any]:
    if not RULES.is_file() or not SAMPLES.is_dir():
        return {}
    return {case["case"]: case for case in yaml.safe_load((SAMPLES / "cases.yaml").read_text())}


def fired(name: str, extra: list[tuple[str, str]], outdated: set[str]) -> dict[str, int]:
    """What the case's event matches first; of the extra files ``outdated`` have errors."""
    ruleset = load([(RULES.name, RULES.read_text()), *extra], {SOURCE.name: SOURCE}, match_all=False)
    assert {each.place.file for each in ruleset.problems if each.severity is Severity.ERROR} == outdated
    found: Counter[str] = Counter()
    for event in events(SOURCE.name, (SAMPLES / cases()[name]["event"]).read_bytes()):
        assert isinstance(event, JsonEvent)
        found.update(rule.name for rule in ruleset.for_source(SOURCE.name).matches(event))
    return dict(found)


def extra_rules(name: str) -> list[tuple[str, str]]:
    return [(file, (SAMPLES / file).read_text()) for file in cases()[name]["extra_rules"]]


@pytest.mark.skipif(not cases(), reason=f"{SAMPLES} or {RULES} is not there")
@pytest.mark.parametrize("name", list(cases()) or ["none"])
def test_the_first_matching_rule_is_the_recorded_one(name: str) -> None:
    """Each case's event, with the rules that the case adds, matches what was recorded, or what today's file says."""
    case = cases()[name]
    expected, _reason = CHANGED.get(name, (case["expect"], ""))
    assert fired(name, extra_rules(name), OUTDATED & set(case["extra_rules"])) == expected


@pytest.mark.skipif(not cases(), reason=f"{SAMPLES} or {RULES} is not there")
def test_what_changed_upstream_is_only_names() -> None:
    """With the lists' new names the trusted image is trusted, and the split rules are in the file under theirs."""
    name = "create_hostnetwork_trusted_pod"
    renamed = [(file, text.replace("falco_", "k8s_audit_")) for file, text in extra_rules(name)]
    assert fired(name, renamed, set()) == cases()[name]["expect"] == {}
    defined = {item["rule"] for item in yaml.safe_load(RULES.read_text()) if "rule" in item}
    old = {"K8s Role/Clusterrole Deleted", "K8s Role/Clusterrolebinding Created"}
    new = {"K8s Role Deleted", "K8s ClusterRole Deleted", "K8s RoleBinding Created", "K8s ClusterRoleBinding Created"}
    assert (defined & old, defined & new) == (set(), new)
