"""Fields of CloudTrail records; the records are made up."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fields import Argument
from rules.sources.aws_cloudtrail import SOURCE
from rules.sources.json_document import decode
from rules.sources.json_event import JsonEvent
from rules.sources.json_input import events

SAMPLES = Path(__file__).parents[4] / "shared" / "falco" / "cloudtrail-samples"

RECORD = {
    "eventVersion": "1.10",
    "userIdentity": {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE",
        "arn": "arn:aws:iam::111122223333:user/alice",
        "accountId": "111122223333",
        "userName": "alice",
    },
    "eventTime": "2026-02-03T04:05:06Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "PutBucketPolicy",
    "awsRegion": "eu-central-1",
    "sourceIPAddress": "192.0.2.9",
    "userAgent": "aws-cli/2.17",
    "requestParameters": {"bucketName": "plans", "Host": "plans.s3.amazonaws.com", "bucketPolicy": {"Version": "1"}},
    "responseElements": None,
    "additionalEventData": {"bytesTransferredIn": 120.0, "bytesTransferredOut": 33},
    "requestID": "R1",
    "eventID": "E1",
    "readOnly": False,
    "resources": [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::plans"}, {"a": 1}],
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "recipientAccountId": "444455556666",
    "eventCategory": "Management",
    "tlsDetails": {"tlsVersion": "TLSv1.3"},
}


def made(document: dict[str, Any]) -> JsonEvent:
    decoded, raw = decode(json.dumps(document).encode())
    return JsonEvent(decoded, raw, 1, 0)


def extracted(document: dict[str, Any], *fields: str) -> dict[str, Any]:
    event = made(document)
    return {field: SOURCE.fields[field].extractor(None)(event) for field in fields}


def test_fields_of_a_record() -> None:
    """What each field of one record is."""
    expected = {
        "ct.id": "E1",
        "ct.error": None,
        "ct.errormessage": None,
        "ct.time": "2026-02-03T04:05:06Z",
        "ct.src": "s3.amazonaws.com",
        "ct.shortsrc": "s3",
        "ct.name": "PutBucketPolicy",
        "ct.user": "alice",
        "ct.originaluser": "alice",
        "ct.user.accountid": "111122223333",
        "ct.user.identitytype": "IAMUser",
        "ct.user.principalid": "AIDAEXAMPLE",
        "ct.user.arn": "arn:aws:iam::111122223333:user/alice",
        "ct.region": "eu-central-1",
        "ct.response": "null",
        "ct.response.subnetid": None,
        "ct.request": '{"bucketName":"plans","Host":"plans.s3.amazonaws.com","bucketPolicy":{"Version":"1"}}',
        "ct.request.host": "plans.s3.amazonaws.com",
        "ct.srcip": "192.0.2.9",
        "ct.useragent": "aws-cli/2.17",
        "ct.info": "alice via 192.0.2.9 → PutBucketPolicy Size=153 Bucket=plans",
        "evt.plugininfo": "alice via 192.0.2.9 → PutBucketPolicy Size=153 Bucket=plans",
        "evt.pluginname": "cloudtrail",
        "ct.managementevent": "true",
        "ct.readonly": "false",
        "ct.requestid": "R1",
        "ct.eventtype": "AwsApiCall",
        "ct.resources": '{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::plans"},{"a":1}',
        "ct.recipientaccountid": "444455556666",
        "ct.sessioncredentialfromconsole": None,
        "ct.tlsdetails.tlsversion": "TLSv1.3",
        "ct.additionaleventdata": '{"bytesTransferredIn":120.0,"bytesTransferredOut":33}',
        "s3.uri": None,
        "s3.bucket": "plans",
        "s3.key": None,
        "s3.bytes": 153,
        "s3.bytes.in": 120,
        "s3.bytes.out": 33,
        "s3.cnt.get": None,
        "s3.cnt.put": None,
        "s3.cnt.other": 1,
    }
    assert extracted(RECORD, *expected) == expected


@pytest.mark.parametrize(
    ("identity", "user", "original"),
    [
        ({"type": "Root", "userName": "main"}, "main", "main"),
        ({"type": "Root"}, None, None),
        ({"type": "IAMUser", "userName": "alice"}, "alice", "alice"),
        ({"type": "AWSService", "invokedBy": "ecs.amazonaws.com"}, "ecs.amazonaws.com", None),
        (
            {
                "type": "AssumedRole",
                "arn": "arn:aws:sts::1:assumed-role/deploy/session-7",
                "sessionContext": {"sessionIssuer": {"userName": "deploy"}},
            },
            "deploy",
            "session-7",
        ),
        ({"type": "AssumedRole", "principalId": "AROA:session-8"}, "AssumedRole", "session-8"),
        ({"type": "AWSAccount", "accountId": "1"}, "AWSAccount", None),
        ({"type": "FederatedUser", "userName": "f"}, "FederatedUser", "f"),
        ({"type": "IdentityCenterUser"}, None, None),
        ({"type": "IAMUser", "userName": None}, "", None),
        ({"type": ["Root"]}, None, None),
        (None, None, None),
    ],
)
def test_the_user_depends_on_the_type_of_identity(identity: Any, user: str | None, original: str | None) -> None:
    """Each type of identity keeps the name elsewhere, and some have none."""
    expected = {"ct.user": user, "ct.originaluser": original}
    assert extracted({"userIdentity": identity}, *expected) == expected


@pytest.mark.parametrize("value", [None, 7, 1.5, True, {"a": 1}, []])
def test_a_value_that_is_no_string_is_present_and_empty(value: Any) -> None:
    """Null, a number or an object makes the field exist with an empty value, which rules on ct.error rely on."""
    record = {"errorCode": value, "eventSource": value, "userIdentity": {"accountId": value}}
    expected = {"ct.error": "", "ct.src": "", "ct.shortsrc": "", "ct.user.accountid": ""}
    assert extracted(record, *expected) == expected


def test_the_document_name_is_never_present() -> None:
    """Upstream declares the field and never fills it."""
    document = {"requestParameters": {"documentName": "AWS-RunShellScript", "target": "i-1"}}
    expected = {"ct.request.documentname": None, "ct.request.target": "i-1"}
    assert extracted(document, *expected) == expected


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"readOnly": True, "errorCode": "AccessDenied"},
            "alice via 192.0.2.9 !← PutBucketPolicy Size=153 Bucket=plans",
        ),
        ({"sourceIPAddress": "alice"}, "alice → PutBucketPolicy Size=153 Bucket=plans"),
        (
            {"requestParameters": {"bucketName": "b", "key": "k"}, "additionalEventData": None},
            "alice via 192.0.2.9 → PutBucketPolicy URI=s3://b/k",
        ),
        (
            {
                "eventName": "PutBucketPublicAccessBlock",
                "requestParameters": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
            },
            "alice via 192.0.2.9 → PutBucketPublicAccessBlock BlockPublicAcls=false BlockPublicPolicy=false "
            "IgnorePublicAcls=false RestrictPublicBuckets=false ",
        ),
        ({"userIdentity": {}}, "<invalid cloudtrail event: userIdentity field missing>"),
    ],
)
def test_the_summary_tells_who_did_what(changes: dict[str, Any], line: str) -> None:
    """Who, from where, reading or writing, failed or not, and on what."""
    assert extracted({**RECORD, **changes}, "ct.info") == {"ct.info": line}


def test_names_and_images_of_instances() -> None:
    """The name is in the tags of the request, the image in the response."""
    tags = [{"key": "Owner", "value": "ops"}, {"key": "Name", "value": "web-1"}]
    record = {
        "requestParameters": {
            "tagSpecificationSet": {
                "items": [
                    {"resourceType": "volume", "tags": [{"key": "Name", "value": "disk"}]},
                    {"resourceType": "instance", "tags": tags},
                ]
            }
        },
        "responseElements": {"tagSpecificationSet": {"items": [{"imageId": "ami-1"}]}},
    }
    expected = {"ec2.name": "web-1", "ec2.imageid": "ami-1"}
    assert extracted(record, *expected) == expected


@pytest.mark.parametrize(("value", "number"), [(-1, 0), (2**64, 0), (1e400, 0), ("9", 0), (None, 0), (2.9, 2)])
def test_odd_sizes_count_as_nothing(value: Any, number: int) -> None:
    """A size that is no unsigned number is present and zero."""
    event = made({"additionalEventData": {"bytesTransferredIn": 0}})
    document, raw = decode(
        json.dumps({"additionalEventData": {"bytesTransferredIn": value}}).replace("Infinity", "1e400").encode()
    )
    event = JsonEvent(document, raw, 1, 0)
    assert SOURCE.fields["s3.bytes.in"].extractor(None)(event) == number


KEYS = ("type", "userName", "items", "tags", "key", "value", "imageId", "bytesTransferredIn", "bucketName", "userName")
TOP_KEYS = (
    *("userIdentity", "requestParameters", "responseElements", "additionalEventData"),
    *("eventName", "eventSource", "readOnly", "resources"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(TOP_KEYS),
        JSON,
    )
)
def test_no_record_breaks_an_extractor(document: dict[str, Any]) -> None:
    """Every field of any record is a value or missing."""
    event = made(document)
    for info in SOURCE.fields.values():
        argument = "/requestParameters/0" if info.argument is Argument.KEY else None
        assert isinstance(info.extractor(argument)(event), str | int | None)


def test_recorded_attacks_are_read() -> None:
    """The recordings of known attacks give records with a name, a region and a source."""
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not there")
    for path in sorted(SAMPLES.glob("*.json")):
        with path.open("rb") as stream:
            records = list(events("aws_cloudtrail", stream))
        assert records
        for record in records:
            assert isinstance(record, JsonEvent)
            fields = [
                SOURCE.fields[name].extractor(None)(record) for name in ("ct.name", "ct.region", "ct.src", "ct.user")
            ]
            assert all(fields)
