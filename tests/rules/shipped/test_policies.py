"""The shipped policies and the shipped rules belong together."""

from collections import Counter
from pathlib import Path

import pytest

from aggregator.policy_files import read
from rules.ruleset import Ruleset, load
from rules.sources.registry import NAMES, source
from watchkeeper.policies import Policy, RuleFile, Scope

SHIPPED = Path(__file__).parents[3] / "rules" / "shipped"
POLICIES = SHIPPED / "policies.yaml"
DISABLED = {  # records of ordinary work, and what needs a site's lists first
    "AWS allow lists",
    "AWS change record",
    "Container image allow list",
    "Files of root",
    "Kubernetes allow lists",
    "Kubernetes change record",
    "Network boundary",
}


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    files = [(file.name, file.read_text()) for file in sorted(SHIPPED.glob("*.yaml")) if file != POLICIES]
    return load(files, {name: source(name) for name in NAMES})


@pytest.fixture(scope="module")
def policies() -> list[Policy]:
    written = read([(RuleFile(POLICIES.name, POLICIES.read_text()), "shipped")])
    assert written.problems == ()
    return list(written.policies.values())


def test_all_shipped_rules_load_together(ruleset: Ruleset) -> None:
    """The files of all sources, in the order of their names, have neither errors nor warnings."""
    assert ruleset.problems == ()


def test_each_rule_is_in_exactly_one_policy(ruleset: Ruleset, policies: list[Policy]) -> None:
    """No shipped rule is forgotten, none is in force twice, and no policy names a rule that there is not."""
    named = Counter(rule for policy in policies for rule in policy.rules)
    assert named == Counter(rule.name for rule in ruleset.rules)


def test_a_policy_is_about_one_source(ruleset: Ruleset, policies: list[Policy]) -> None:
    """Whoever sees a policy knows which source must be alive for it."""
    sources = {rule.name: rule.source for rule in ruleset.rules}
    assert [policy.name for policy in policies if len({sources[rule] for rule in policy.rules}) != 1] == []


def test_policies_are_described_and_cover_everything(policies: list[Policy]) -> None:
    """Each says what it is for, and none leaves anything out."""
    assert [policy.name for policy in policies if not policy.description or policy.scope != Scope()] == []


def test_what_needs_lists_or_only_records_is_disabled(policies: list[Policy]) -> None:
    """Everything else is in force from the start."""
    assert {policy.name for policy in policies if not policy.enabled} == DISABLED
