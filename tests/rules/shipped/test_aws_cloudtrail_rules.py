"""The shipped CloudTrail rules, each against records that must fire it and records that nearly do."""

import copy
import csv
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules.rule import Priority
from rules.ruleset import Ruleset, load
from rules.sources.aws_cloudtrail import SOURCE
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = sorted((ROOT / "rules" / "shipped").glob("aws_cloudtrail_*.yaml"))
REFERENCE = ROOT.parent / "shared" / "reference"
SAMPLES = ROOT.parent / "shared" / "falco" / "cloudtrail-samples"
ROOT_USED = "Root User Executing AWS Command"  # an attempt with the root user's credentials counts, too
REGION_UNUSED = "AWS Command Executed on Unused Region"
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['case']}")
    for file in sorted((HERE / "aws_cloudtrail_cases").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text())
]
FIRING = [case for case in CASES if case.values[0]["expected"] and "errorCode" not in case.values[0]["record"]]


@cache
def shipped(*extra: str) -> Ruleset:
    """All files in the order in which they are loaded, then the text of further ones."""
    files = [(file.name, file.read_text()) for file in FILES]
    return load([*files, *((f"extra-{n}.yaml", text) for n, text in enumerate(extra))], {SOURCE.name: SOURCE})


@cache
def surroundings() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((HERE / "aws_cloudtrail_record.yaml").read_text())
    return read


def record(case: dict[str, Any]) -> dict[str, Any]:
    common = surroundings()
    identity = common["identities"][case.get("identity", "alice")]
    return {**copy.deepcopy(common["record"]), "userIdentity": identity, **copy.deepcopy(case["record"])}


def event(document: dict[str, Any]) -> JsonEvent:
    (made,) = events(SOURCE.name, json.dumps({"Records": [document]}).encode())
    assert isinstance(made, JsonEvent), made
    return made


def fired(document: dict[str, Any], rules: Ruleset) -> list[str]:
    return sorted(rule.name for rule in rules.for_source(SOURCE.name).matches(event(document)))


def names() -> set[str]:
    return {rule.name for rule in shipped().rules}


def cases() -> Iterator[dict[str, Any]]:
    yield from (case.values[0] for case in CASES)


def rows(table: str) -> list[dict[str, str]]:
    if not REFERENCE.is_dir():
        pytest.skip(f"{REFERENCE} is not here")
    return list(csv.DictReader((REFERENCE / table).read_text().splitlines()))


def test_all_files_load_without_errors_and_warnings() -> None:
    """Nobody sees a problem when starting with the rules as they are shipped."""
    assert [str(problem) for problem in shipped().problems] == []


def test_all_rules_are_in_force() -> None:
    """No rule is lost, disabled or defined twice between file and rule set."""
    written = [entry["rule"] for file in FILES for entry in yaml.safe_load(file.read_text()) if "rule" in entry]
    assert sorted(written) == sorted(rule.name for rule in shipped().rules)
    assert len(written) == len(set(written))


@pytest.mark.parametrize("case", CASES)
def test_record_fires_exactly_the_expected_rules(case: dict[str, Any]) -> None:
    """Each record fires the rules beside it and no other of all that are shipped."""
    assert fired(record(case), shipped()) == case["expected"]


@pytest.mark.parametrize("case", FIRING)
def test_what_was_refused_is_no_change(case: dict[str, Any]) -> None:
    """The same call with an error fires nothing; only the use of the root user is told even then."""
    refused = {**record(case), "errorCode": "AccessDenied", "errorMessage": "Not authorized."}
    assert fired(refused, shipped()) == [rule for rule in case["expected"] if rule == ROOT_USED]


@pytest.mark.parametrize("case", FIRING)
def test_another_service_is_not_taken_for_the_one_meant(case: dict[str, Any]) -> None:
    """The same event of a service nobody knows fires only the rules that concern all services."""
    other = {**record(case), "eventSource": "example.amazonaws.com"}
    assert fired(other, shipped()) == [rule for rule in case["expected"] if rule in (ROOT_USED, REGION_UNUSED)]


@pytest.mark.parametrize("case", FIRING)
def test_another_event_is_not_taken_for_the_one_meant(case: dict[str, Any]) -> None:
    """The same record of an event nobody knows fires only the rules that concern all events."""
    other = {**record(case), "eventName": "ExampleCall"}
    assert fired(other, shipped()) == [rule for rule in case["expected"] if rule in (ROOT_USED, REGION_UNUSED)]


@pytest.mark.parametrize("case", FIRING)
def test_output_tells_who_what_from_where_in_which_account_and_region(case: dict[str, Any]) -> None:
    """Each output names the caller, the address, the account and the region of its record."""
    document = record(case)
    made = event(document)
    told = [rule.template.message(made) for rule in shipped().for_source(SOURCE.name).matches(made)]
    wanted = (
        f"arn={document['userIdentity'].get('arn', '<NA>')} ip={document['sourceIPAddress']} "
        f"account={document['recipientAccountId']} region={document['awsRegion']}"
    )
    assert [text for text in told if wanted not in text] == []


def test_each_rule_has_a_record_that_fires_it() -> None:
    """A rule that nothing fires is no detection."""
    assert names() - {rule for case in cases() for rule in case["expected"]} == set()


def test_each_rule_has_a_record_that_nearly_fires_it() -> None:
    """Each rule is held against a record that differs from a firing one in one respect."""
    assert names() - {rule for case in cases() for rule in case.get("near", ())} == set()
    assert [case["case"] for case in cases() if set(case["expected"]) & set(case.get("near", ()))] == []


def test_each_rule_tells_its_source_service_and_controls() -> None:
    """Tags name AWS, the service and the SOC 2 controls; the source is CloudTrail."""
    for rule in shipped().rules:
        first, second, *controls = rule.rule.tags
        assert (rule.source, first, second.startswith("aws_")) == (SOURCE.name, "aws", True), rule.name
        assert controls, rule.name
        assert all(tag.startswith("soc2_CC") for tag in controls), rule.name


def test_each_rule_of_the_catalogue_is_shipped() -> None:
    """No check can ask for a rule over CloudTrail that we do not ship."""
    catalogue = yaml.safe_load((ROOT / "aggregator" / "controls" / "soc2.yaml").read_text())
    asked = {
        check["rule"]
        for control in catalogue["controls"]
        for check in control["checks"]
        if check.get("source") == SOURCE.name
    }
    assert len(asked) > 90
    assert asked - names() == set()


def test_each_rule_of_the_reference_tables_is_shipped() -> None:
    """Every CloudTrail rule that the guide or the vendor's mapping names is there."""
    detections = {row["rule"] for row in rows("aws_detections.csv")}
    mapped = {row["rule"] for row in rows("rule_controls.csv") if row["source"] == "awscloudtrail"}
    assert (detections | mapped) - names() == set()


def test_priorities_and_controls_are_those_of_the_reference_tables() -> None:
    """Priority and SOC 2 tags of each rule are the ones of the mapping."""
    mapped = {
        row["rule"]: (
            Priority[row["priority"].upper().replace("INFO", "INFORMATIONAL")],
            {f"soc2_{control}" for control in row["controls"].split()},
        )
        for row in rows("rule_controls.csv")
        if row["source"] == "awscloudtrail"
    }
    assert {
        rule.name: (rule.priority, {tag for tag in rule.rule.tags if tag.startswith("soc2_")})
        for rule in shipped().rules
        if rule.name in mapped
    } == mapped


def launch(region: str, image: str) -> dict[str, Any]:
    (case,) = (case for case in cases() if case["case"] == "instances start from some image")
    document = {**record(case), "awsRegion": region}
    for part in ("requestParameters", "responseElements"):
        document[part]["instancesSet"]["items"][0]["imageId"] = image
    return document


def override(name: str, *items: str) -> str:
    return yaml.safe_dump([{"list": name, "items": list(items), "override": {"items": "replace"}}])


def test_approved_regions_are_the_users_to_say() -> None:
    """Overriding approved_regions decides about instances, and about commands in regions that are not used."""
    rules = shipped(override("approved_regions", "me-south-1"), override("approved_images", "ami-0a"))
    assert fired(launch("me-south-1", "ami-0a"), rules) == []
    assert fired(launch("eu-central-1", "ami-0a"), rules) == [REGION_UNUSED, "Run Instances in Non-approved Region"]


def test_used_regions_can_differ_from_the_approved_ones() -> None:
    """Commands may be expected where instances are not."""
    rules = shipped(override("used_regions", "me-south-1"), override("approved_images", "ami-0a"))
    assert fired(launch("me-south-1", "ami-0a"), rules) == ["Run Instances in Non-approved Region"]
    assert fired(launch("eu-central-1", "ami-0a"), rules) == [REGION_UNUSED]


def test_approved_images_are_the_users_to_say() -> None:
    """Only instances from other images are reported once the approved ones are named."""
    rules = shipped(override("approved_images", "ami-0a", "ami-0b"))
    assert fired(launch("eu-central-1", "ami-0b"), rules) == []
    assert fired(launch("eu-central-1", "ami-0c"), rules) == ["Run Instances with Non-standard Image"]


@pytest.mark.parametrize("part", ["requestParameters", "responseElements"])
def test_image_is_known_from_request_or_response(part: str) -> None:
    """A launch template leaves the image out of the request; a large response may be left out of the record."""
    document = launch("eu-central-1", "ami-0b")
    document[part] = None
    assert fired(document, shipped(override("approved_images", "ami-0b"))) == []
    assert fired(document, shipped(override("approved_images", "ami-0a"))) == ["Run Instances with Non-standard Image"]


def test_own_accounts_are_the_users_to_say() -> None:
    """Sharing a snapshot with an account of one's own is not reported, unless a foreign one is added to it."""
    rules = shipped(override("own_accounts", "210987654321"))
    (case,) = (case for case in cases() if case["case"] == "a database snapshot is shared")
    document = record(case)
    assert fired(document, rules) == []
    document["requestParameters"]["valuesToAdd"] = ["210987654321", "345678901234"]
    assert fired(document, rules) == ["Share RDS Snapshot with Foreign Account"]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("defense-evasion.cloudtrail-stop", ["CloudTrail Logging Disabled"]),
        (
            "exfiltration.ec2-security-group-open-port-22-ingress",
            [
                "Authorize Security Group Ingress",
                "Create Security Group Rule Allowing Ingress Open to the World",
                "Create Security Group Rule Allowing SSH Ingress",
            ],
        ),
        ("initial-access.console-login-without-mfa", ["Console Login Without MFA"]),
        ("persistence.iam-create-admin-user", ["Attach Administrator Policy", "Attach IAM Policy to User"]),
        ("persistence.lambda-overwrite-code", ["Update Lambda Function Code"]),
    ],
)
def test_recorded_attacks_are_seen(sample: str, expected: list[str]) -> None:
    """Records of known attacks fire what they should. Their regions were made up by who published them."""
    file = SAMPLES / f"{sample}.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    found = {rule for document in json.loads(file.read_text()) for rule in fired(document, shipped())}
    assert sorted(found - {REGION_UNUSED}) == expected
