"""What the catalogue of controls, and the tables it was made from where they are at hand, want of the shipped rules."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from aggregator.controls.catalogue import load
from rules.rule import Priority
from rules.ruleset import Ruleset

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
NAMES = {"syscall": "falco", "k8s_audit": "k8s_audit", "aws_cloudtrail": "awscloudtrail"}  # what a table calls a source
SHORT = {"INFO": Priority.INFORMATIONAL}


def catalogued(source: str) -> dict[str, set[str]]:
    """Tags that the catalogue's rules of a source need: one for each control, by rule."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for control in load().all_controls:
        for check in control.checks:
            if check.source == source:
                wanted[check.rule].add(f"soc2_{control.id}")
    return dict(wanted)


def tabulated(source: str) -> dict[str, set[str]]:
    """The same by the tables; skips the test where they are not at hand."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows("rule_controls.csv"):
        if row["source"] == NAMES[source]:
            wanted[row["rule"]] |= {f"soc2_{control}" for control in row["controls"].split()}
    for row in rows("workload_checks.csv"):
        if row["type"] == "runtime_rule" and row["source"].replace("-", "_") == source:
            wanted[row["title"]].add(f"soc2_{row['control']}")
    return dict(wanted)


def priorities(source: str) -> dict[str, Priority]:
    """By rule, where the tables give one."""
    return {
        row["rule"]: SHORT.get(row["priority"]) or Priority[row["priority"]]
        for row in rows("rule_controls.csv")
        if row["source"] == NAMES[source]
    }


def untagged(ruleset: Ruleset, wanted: dict[str, set[str]]) -> dict[str, set[str]]:
    """Of the wanted tags those that the rules lack, by rule."""
    tags = {rule.name: set(rule.rule.tags) for rule in ruleset.rules}
    found = {name: needed - tags.get(name, set()) for name, needed in wanted.items()}
    return {name: missing for name, missing in found.items() if missing}


def rows(table: str) -> list[dict[str, str]]:
    if not REFERENCE.is_dir():
        pytest.skip(f"{REFERENCE} is not here")
    return list(csv.DictReader((REFERENCE / table).read_text().splitlines()))
