"""The rule files of Falco's authors load as they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rules.collector import Counts, collect
from rules.expression import And, Expression, Not, Or
from rules.problems import Severity

DIRECTORY = Path(__file__).parents[3] / "shared" / "falco" / "rules"
SOURCES = ("syscall", "k8s_audit", "aws_cloudtrail")
FILES = {
    "falco_rules.yaml": Counts(49, 87, {"syscall": 25}),
    "falco-incubating_rules.yaml": Counts(54, 82, {"syscall": 31}),
    "falco-sandbox_rules.yaml": Counts(60, 183, {"syscall": 37}),
    "k8s_audit_rules.yaml": Counts(18, 45, {"k8s_audit": 48}),
    "aws_cloudtrail_rules.yaml": Counts(1, 0, {"aws_cloudtrail": 22}),
}


@pytest.fixture
def files() -> list[tuple[str, str]]:
    if not DIRECTORY.is_dir():
        pytest.skip(f"upstream's rule files are not at {DIRECTORY}")
    return [(name, (DIRECTORY / name).read_text()) for name in FILES]


def test_each_file_loads_alone(files: list[tuple[str, str]]) -> None:
    """Without an error or a warning, and with as many lists, macros and rules as it has."""
    for name, content in files:
        result = collect([(name, content)], SOURCES)
        assert (result.counts, result.problems) == (FILES[name], ()), name
        assert len({rule.name for rule in result.rules}) == sum(FILES[name].rules.values())


def test_all_files_load_in_one_go(files: list[tuple[str, str]]) -> None:
    """Macros and lists that several files define are defined again; there are 163 rules."""
    result = collect(files, SOURCES)
    assert result.problems == ()
    assert len(result.rules) == 163
    assert result.counts == Counts(137, 360, {"syscall": 93, "k8s_audit": 48, "aws_cloudtrail": 22})


def test_the_three_files_of_system_calls_load_together(files: list[tuple[str, str]]) -> None:
    """In the order in which their authors mean them."""
    result = collect(files[:3], SOURCES)
    assert (len(result.rules), result.problems) == (93, ())


def test_a_file_whose_source_is_missing_gives_no_rules(files: list[tuple[str, str]]) -> None:
    """But a warning for each."""
    result = collect(files[4:], ("syscall",))
    assert (result.rules, Counter(problem.severity for problem in result.problems)) == (
        (),
        {Severity.WARNING: 23},  # the list is used nowhere, then
    )


def inner(tree: Expression) -> list[Expression]:
    """Every And, Or, Not in it, as often as it stands there."""
    match tree:
        case And(operands) | Or(operands):
            return [tree, *(one for operand in operands for one in inner(operand))]
        case Not(operand):
            return [tree, *inner(operand)]
    return []


def test_macros_are_shared(files: list[tuple[str, str]]) -> None:
    """A macro that many rules use is the same object in all of them, which the compiler counts on."""
    nodes = Counter(id(node) for rule in collect(files, SOURCES).rules for node in inner(rule.condition))
    assert nodes.most_common(1)[0][1] > 20
