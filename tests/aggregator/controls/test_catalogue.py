"""The shipped catalogue holds what the guide's tables hold, and a wrong one is refused by name."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from aggregator.checks.registry import CHECKS
from aggregator.controls.catalogue import SHIPPED, CatalogueError, load

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
COUNTS = {
    ("CC3.2", "workload"): 1, ("CC5.1", "workload"): 2, ("CC5.2", "workload"): 5, ("CC6.1", "workload"): 2,
    ("CC6.2", "workload"): 5, ("CC6.6", "workload"): 11, ("CC6.8", "workload"): 2, ("CC7.1", "workload"): 42,
    ("CC7.2", "workload"): 6, ("CC7.5", "workload"): 1, ("CC8.1", "workload"): 1, ("CC9.1", "workload"): 1,
    ("CC3.2", "aws"): 8, ("CC5.2", "aws"): 19, ("CC6.2", "aws"): 7, ("CC6.6", "aws"): 29, ("CC7.1", "aws"): 6,
    ("CC7.2", "aws"): 45,
}  # fmt: skip


def table(name: str) -> list[dict[str, str]]:
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"{path} is not there: the reference tables are not part of the repository")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("profile", ["guide", "extended"])
def test_rows_and_counts(profile: str) -> None:
    """18 rows with 79 workload checks and 114 AWS checks, each row with its count."""
    counts = {(control.id, control.scope): len(control.checks) for control in load().controls(profile)}
    assert counts == COUNTS
    assert Counter(scope for _, scope in counts) == {"workload": 12, "aws": 6}


def test_workload_checks_are_those_of_the_table() -> None:
    """Control, id, title, type and source of each, in the table's order."""
    sources = {"syscall": "syscall", "k8s-audit": "k8s_audit"}
    expected = [
        (row["control"], row["id"], row["title"], row["type"], sources.get(row["source"], ""))
        for row in table("workload_checks.csv")
    ]
    assert expected == [
        (control.id, check.id, check.title, check.type, check.source)
        for control in load().controls("guide")
        if control.scope == "workload"
        for check in control.checks
    ]


def test_aws_checks_are_those_of_the_table() -> None:
    """Control and rule of each, in the table's order."""
    assert [(row["control"], row["rule"]) for row in table("aws_detections.csv")] == [
        (control.id, check.rule)
        for control in load().controls("guide")
        if control.scope == "aws"
        for check in control.checks
    ]


def test_every_check_says_what_how_and_what_to_do() -> None:
    """No empty text, no template left unfilled, and for each type the program can tell how it is judged."""
    for control in load().controls("extended"):
        assert control.what, control.id
        assert control.how, control.id
        for check in control.checks:
            texts = (check.title, check.what, check.how, *check.remediation)
            assert all(text and "{" not in text for text in texts), check.id
            assert check.type in CHECKS
            assert (check.key == check.type) == (not check.rule)
            if check.rule:
                assert check.rule in check.what
                assert check.key == f"runtime_rule:{check.source}:{check.rule}"


def test_families_in_order() -> None:
    """The six families of the guide."""
    assert [(family.id, family.title) for family in load().families] == [
        ("CC3", "Risk Assessment"),
        ("CC5", "Control Activities"),
        ("CC6", "Logical and Physical Access Controls"),
        ("CC7", "System Operations"),
        ("CC8", "Change Management"),
        ("CC9", "Risk Mitigation"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: cc32-w-01, type: benchmark_run", "id: cc32-w-01, type: no_such", "check cc32-w-01: type 'no_such'"),
        ("source: syscall", "source: telepathy", "source 'telepathy' is none of syscall, k8s_audit, aws_cloudtrail"),
        ("id: cc51-w-01", "id: cc32-w-01", "check cc32-w-01: is there 2 times"),
        ("scope: aws", "scope: moon", "scope 'moon' is none of workload, aws"),
        ("id: CC9.1", "id: CC1.1", "control CC1.1: its family is not among families"),
        ("{id: cc75-w-01, type: agent_installed}", "{id: cc75-w-01}", "check cc75-w-01: needs a type or a rule"),
        ("{id: cc75-w-01, ", "{id: cc75-w-01, rule: X, ", "check cc75-w-01: only a check of type runtime_rule"),
        ("{id: cc75-w-01, ", "{id: cc75-w-01, profiles: [x], ", "check cc75-w-01: profile 'x' is not among profiles"),
        ("    scope: workload", "    scop: workload", "unknown field `scop`"),
        ("profiles: [guide, extended]", "profiles: [guide", "is not YAML"),
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The error names the file, the entry and what is wrong with it."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CatalogueError) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_missing_catalogue_is_told(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(CatalogueError, match=r"absent\.yaml: can not be read"):
        load(tmp_path / "absent.yaml")
