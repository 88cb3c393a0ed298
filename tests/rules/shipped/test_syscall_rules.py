"""The shipped rules over system calls: each fires for what it is about, and is quiet about what is next to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.ruleset import Ruleset, load
from rules.sources.registry import source
from tests.rules.shipped.catalogue import catalogued, priorities, tabulated, untagged
from tests.rules.shipped.events import activity

HERE = Path(__file__).parent
FILES = sorted((HERE.parents[2] / "rules" / "shipped").glob("syscall_*.yaml"))
CASES: dict[str, dict[str, list[dict[str, Any]]]] = {
    rule: cases
    for file in sorted((HERE / "syscall_cases").glob("*.yaml"))
    for rule, cases in yaml.safe_load(file.read_text()).items()
}
LONGEST_NAME = 15  # of a process, without the closing zero
MOST_TYPES = 13  # that one rule is about: removing, renaming, linking, emptying and overwriting a history


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return load([(file.name, file.read_text()) for file in FILES], {"syscall": source("syscall")})


def matched(ruleset: Ruleset, case: dict[str, Any]) -> set[str]:
    return {hit.rule.name for hit in ruleset.for_source("syscall").matches(activity(case))}


def each(kind: str) -> list[Any]:
    return [
        pytest.param(rule, case, id=f"{rule}-{number}")
        for rule, cases in CASES.items()
        for number, case in enumerate(cases[kind])
    ]


def test_files_load_without_a_problem(ruleset: Ruleset) -> None:
    """The shipped files have neither errors nor warnings."""
    assert ruleset.problems == ()


@pytest.mark.parametrize(("rule", "case"), each("fires"))
def test_fires(ruleset: Ruleset, rule: str, case: dict[str, Any]) -> None:
    """The rule matches the event."""
    assert rule in matched(ruleset, case)


@pytest.mark.parametrize(("rule", "case"), each("quiet"))
def test_is_quiet(ruleset: Ruleset, rule: str, case: dict[str, Any]) -> None:
    """The rule does not match the event, which is nearly what it is about."""
    assert rule not in matched(ruleset, case)


def test_every_rule_has_cases(ruleset: Ruleset) -> None:
    """Each rule has an event that fires and one that does not, and there are no cases of other rules."""
    assert {rule: (bool(cases["fires"]), bool(cases["quiet"])) for rule, cases in CASES.items()} == {
        rule.name: (True, True) for rule in ruleset.rules
    }


def test_rules_serve_the_catalogue(ruleset: Ruleset) -> None:
    """Every rule that a check needs is there, tagged with each control that needs it."""
    assert untagged(ruleset, catalogued("syscall")) == {}


def test_rules_serve_the_tables(ruleset: Ruleset) -> None:
    """The same for the tables, which have more rules than the catalogue."""
    assert untagged(ruleset, tabulated("syscall")) == {}


def test_priorities_are_those_of_the_tables(ruleset: Ruleset) -> None:
    """Where the tables give a rule's priority, it has that."""
    wanted = priorities("syscall")
    have = {rule.name: rule.rule.priority for rule in ruleset.rules if rule.name in wanted}
    assert have == wanted


def test_every_rule_names_its_event_types(ruleset: Ruleset) -> None:
    """No rule is asked about every event."""
    assert max(len(rule.event_types) for rule in ruleset.rules) <= MOST_TYPES


def test_names_of_programs_are_as_the_kernel_cuts_them() -> None:
    """No list of programs has a name that no process can have."""
    items = [item for file in FILES for item in yaml.safe_load(file.read_text())]
    programs = [str(name) for item in items if item.get("list", "").endswith("_programs") for name in item["items"]]
    lists = {item["list"] for item in items if "list" in item}
    assert [name for name in programs if len(name) > LONGEST_NAME and name not in lists] == []


def test_outputs_tell_who_and_where(ruleset: Ruleset) -> None:
    """Each output names the user, the process and the container."""
    parts = ("%user.name", "%proc.cmdline", "%proc.pname", "%container.image.repository", "%k8s.pod.name")
    assert [rule.name for rule in ruleset.rules if not all(part in rule.rule.output for part in parts)] == []
