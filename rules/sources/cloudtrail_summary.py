"""ct.info, also evt.plugininfo: who did what from where, in one line."""

from __future__ import annotations

from rules.sources.cloudtrail_storage import transferred, uri
from rules.sources.cloudtrail_user import user
from rules.sources.json_document import MISSING, find
from rules.sources.json_event import JsonEvent

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_OBJECTS = (("Bucket", "bucketName"), ("Key", "key"), ("Host", "Host"))


def summary(event: JsonEvent) -> str:
    """Like ``alice via 192.0.2.7 !← GetObject URI=s3://bucket/key``: "!" an error, the arrow reading or writing."""
    who, where, name = user(event), _string(event, "sourceIPAddress"), _string(event, "eventName")
    for value, key in ((who, "userIdentity"), (where, "eventSource"), (name, "eventName")):
        if value is None:
            return f"<invalid cloudtrail event: {key} field missing>"
    failed = "" if find(event.document, ("errorCode",)) is MISSING else "!"
    read_only = find(event.document, ("readOnly",))
    arrow = "←" if read_only is MISSING or read_only is True else "→"
    via = "" if who == where else f" via {where}"
    return f"{who}{via} {failed}{arrow} {name}{_details(event, name)}"


def _details(event: JsonEvent, name: str | None) -> str:
    if name == "PutBucketPublicAccessBlock":
        return _public_access_block(event)
    size = transferred(event)
    told = "" if size is None else f" Size={size}"
    whole = uri(event)
    if whole is not None:
        return f"{told} URI={whole}"
    for label, key in _OBJECTS:
        value = find(event.document, ("requestParameters", key))
        if value is not MISSING:
            return f"{told} {label}={value if type(value) is str else ''}"
    return told


def _public_access_block(event: JsonEvent) -> str:
    if type(find(event.document, ("requestParameters", "PublicAccessBlockConfiguration"))) is not dict:
        return ""
    # As upstream has it: it looks at the top of the record, where these are not.
    values = (f" {key}={'true' if event.document.get(key) is True else 'false'}" for key in _BLOCKS)
    return "".join(values) + " "


def _string(event: JsonEvent, key: str) -> str | None:
    value = find(event.document, (key,))
    if value is MISSING:
        return None
    return value if type(value) is str else ""
