"""The source aws_cloudtrail: records of AWS CloudTrail, with the fields of Falco's cloudtrail and json plugins.

As upstream has it, a field whose value is present but no string is the empty string.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from rules.fields import Extractor, FieldInfo, Type, always, simple
from rules.sources.cloudtrail_storage import storage_fields
from rules.sources.cloudtrail_summary import summary
from rules.sources.cloudtrail_user import original_user, user
from rules.sources.generic import generic_fields, plugin_fields
from rules.sources.json_document import MISSING, compact, find
from rules.sources.json_event import JsonEvent, JsonSource
from rules.sources.json_fields import json_fields

NAME = "aws_cloudtrail"

_SUFFIX = ".amazonaws.com"
_REQUEST, _RESPONSE = "requestParameters", "responseElements"

_STRINGS: dict[str, tuple[str, ...]] = {
    "ct.id": ("eventID",),
    "ct.error": ("errorCode",),
    "ct.errormessage": ("errorMessage",),
    "ct.time": ("eventTime",),
    "ct.src": ("eventSource",),
    "ct.name": ("eventName",),
    "ct.user.identitytype": ("userIdentity", "type"),
    "ct.user.principalid": ("userIdentity", "principalId"),
    "ct.user.arn": ("userIdentity", "arn"),
    "ct.region": ("awsRegion",),
    "ct.response.subnetid": (_RESPONSE, "subnetId"),
    "ct.response.reservationid": (_RESPONSE, "reservationId"),
    "ct.request.availabilityzone": (_REQUEST, "availabilityZone"),
    "ct.request.cluster": (_REQUEST, "cluster"),
    "ct.request.functionname": (_REQUEST, "functionName"),
    "ct.request.groupname": (_REQUEST, "groupName"),
    "ct.request.host": (_REQUEST, "Host"),
    "ct.request.name": (_REQUEST, "name"),
    "ct.request.policy": (_REQUEST, "policy"),
    "ct.request.reason": (_REQUEST, "reason"),
    "ct.request.serialnumber": (_REQUEST, "serialNumber"),
    "ct.request.servicename": (_REQUEST, "serviceName"),
    "ct.request.subnetid": (_REQUEST, "subnetId"),
    "ct.request.target": (_REQUEST, "target"),
    "ct.request.taskdefinition": (_REQUEST, "taskDefinition"),
    "ct.request.username": (_REQUEST, "userName"),
    "ct.srcip": ("sourceIPAddress",),
    "ct.useragent": ("userAgent",),
    "ct.requestid": ("requestID",),
    "ct.eventtype": ("eventType",),
    "ct.apiversion": ("apiVersion",),
    "ct.recipientaccountid": ("recipientAccountId",),
    "ct.serviceeventdetails": ("serviceEventDetails",),
    "ct.sharedeventid": ("sharedEventID",),
    "ct.vpcendpointid": ("vpcEndpointId",),
    "ct.eventcategory": ("eventCategory",),
    "ct.addendum.reason": ("addendum", "reason"),
    "ct.addendum.updatedfields": ("addendum", "updatedFields"),
    "ct.addendum.originalrequestid": ("addendum", "originalRequestID"),
    "ct.addendum.originaleventid": ("addendum", "originalEventID"),
    "ct.edgedevicedetails": ("edgeDeviceDetails",),
    "ct.tlsdetails.tlsversion": ("tlsDetails", "tlsVersion"),
    "ct.tlsdetails.ciphersuite": ("tlsDetails", "cipherSuite"),
    "ct.tlsdetails.clientprovidedhostheader": ("tlsDetails", "clientProvidedHostHeader"),
    "s3.bucket": (_REQUEST, "bucketName"),
    "s3.key": (_REQUEST, "key"),
    "ecr.repository": (_REQUEST, "repositoryName"),
    "ecr.imagetag": (_REQUEST, "imageTag"),
    "iam.role": (_REQUEST, "roleName"),
    "iam.policy": (_REQUEST, "policyName"),
}
_WHOLE = {
    "ct.request": _REQUEST,
    "ct.response": _RESPONSE,
    "ct.additionaleventdata": "additionalEventData",
}
_BOOLEANS = {
    "ct.managementevent": "managementEvent",
    "ct.readonly": "readOnly",
    "ct.sessioncredentialfromconsole": "sessionCredentialFromConsole",
}


def _record_fields() -> Iterator[FieldInfo]:
    for name, keys in _STRINGS.items():
        yield _field(name, f"{'.'.join(keys)} of the record.", _string(*keys))
    for name, key in _WHOLE.items():
        yield _field(name, f"{key} of the record, as JSON.", _json(key))
    for name, key in _BOOLEANS.items():
        yield _field(name, f"{key} of the record: true or false.", _boolean(key))
    yield _field("ct.shortsrc", f"eventSource without {_SUFFIX}.", _short_source)
    yield _field("ct.user", "Name of who made the call; of an assumed role that of the role.", user)
    yield _field("ct.originaluser", "Name of who made the call; of an assumed role that of the session.", original_user)
    yield _field("ct.user.accountid", "Account of who made the call.", _account)
    yield _field("ct.resources", "The resources of the record, as JSON, separated by commas.", _resources)
    yield _field("ct.info", "The record in one line.", summary)
    # As upstream has it: declared, but no record gives a value.
    yield _field("ct.request.documentname", "Never present; json.value[/requestParameters/documentName] is.", _never)


def _field(name: str, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, Type.STRING, description, simple(get), varies=always)


def _string(*keys: str) -> Extractor:
    def get(event: JsonEvent) -> str | None:
        value = find(event.document, keys)
        if type(value) is str:
            return value
        return None if value is MISSING else ""

    return get


def _json(key: str) -> Extractor:
    return lambda event: compact(event.raw, (key,)) if key in event.document else None


def _boolean(key: str) -> Extractor:
    def get(event: JsonEvent) -> str | None:
        value = event.document.get(key, MISSING)
        return None if value is MISSING else ("true" if value is True else "false")

    return get


def _short_source(event: JsonEvent) -> str | None:
    source = event.document.get("eventSource", MISSING)
    if type(source) is not str:
        return None if source is MISSING else ""
    return source.removesuffix(_SUFFIX) or source


def _account(event: JsonEvent) -> str | None:
    value = find(event.document, ("userIdentity", "accountId"))
    if value is MISSING:
        value = event.document.get("recipientAccountId", MISSING)
    if type(value) is str:
        return value
    return None if value is MISSING else ""


def _resources(event: JsonEvent) -> str | None:
    resources = event.document.get("resources")
    if type(resources) is not list:
        return None
    return ",".join(compact(event.raw, ("resources", index)) for index in range(len(resources))) or None


def _never(_event: JsonEvent) -> None:
    return None


def _fields() -> Iterator[FieldInfo]:
    yield from generic_fields(NAME, lambda event: event.number, lambda event: event.time_ns)
    yield from plugin_fields("cloudtrail", summary)
    yield from json_fields()
    yield from _record_fields()
    yield from storage_fields()


SOURCE = JsonSource(
    NAME,
    MappingProxyType({info.name: info for info in _fields()}),
    list_key="Records",
    time_keys=("eventTime",),
)
