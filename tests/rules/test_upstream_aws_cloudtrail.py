"""Upstream's CloudTrail rules, unmodified, over recordings of known attacks."""

from pathlib import Path

import pytest

from rules.problems import Severity
from rules.ruleset import load
from rules.sources.aws_cloudtrail import SOURCE
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events

FALCO = Path(__file__).parents[3] / "shared" / "falco"
SAMPLES = FALCO / "cloudtrail-samples"
RULES = FALCO / "rules" / "aws_cloudtrail_rules.yaml"


@pytest.mark.skipif(not (RULES.is_file() and SAMPLES.is_dir()), reason=f"{SAMPLES} or {RULES} is not there")
def test_recorded_attacks_match_the_rules_that_are_about_them() -> None:
    """What each record matches; upstream has no rule for security groups, attached policies and access keys."""
    ruleset = load([(RULES.name, RULES.read_text())], {SOURCE.name: SOURCE})
    assert [problem for problem in ruleset.problems if problem.severity is Severity.ERROR] == []
    fired: dict[str, list[str]] = {}
    for path in sorted(SAMPLES.glob("*.json")):
        for event in events(SOURCE.name, path.read_bytes()):
            assert isinstance(event, JsonEvent)
            name = event.document["eventName"]
            fired[name] = [rule.name for rule in ruleset.for_source(SOURCE.name).matches(event)]
    assert fired == {
        "StopLogging": ["CloudTrail Logging Disabled"],
        "AuthorizeSecurityGroupIngress": [],
        "ConsoleLogin": ["Console Login Without MFA"],
        "AttachUserPolicy": [],
        "CreateAccessKey": [],
        "CreateUser": ["Create AWS user"],
        "UpdateFunctionCode20150331v2": ["Update Lambda Function Code"],
    }
