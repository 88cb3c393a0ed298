"""s3.*, ec2.*: fields of CloudTrail records that take more than one look-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rules.fields import Extractor, FieldInfo, Type, always, simple
from rules.sources.json_document import MISSING, Number, find
from rules.sources.json_event import JsonEvent

_WORD = 1 << 64


def storage_fields() -> Iterator[FieldInfo]:
    yield _field("s3.uri", Type.STRING, "s3://bucket/key.", uri)
    yield _field("s3.bytes", Type.INTEGER, "Bytes moved to and from S3.", transferred)
    yield _field("s3.bytes.in", Type.INTEGER, "Bytes moved to S3.", _moved("bytesTransferredIn"))
    yield _field("s3.bytes.out", Type.INTEGER, "Bytes moved from S3.", _moved("bytesTransferredOut"))
    yield _field("s3.cnt.get", Type.INTEGER, "1 for GetObject.", _count(lambda name: name == "GetObject"))
    yield _field("s3.cnt.put", Type.INTEGER, "1 for PutObject.", _count(lambda name: name == "PutObject"))
    neither = _count(lambda name: name not in ("GetObject", "PutObject"))
    yield _field("s3.cnt.other", Type.INTEGER, "1 for all others.", neither)
    yield _field("ec2.name", Type.STRING, "Name of the instances, from their tags.", _instance_name)
    yield _field("ec2.imageid", Type.STRING, "Image of the instance in the response.", _image)


def uri(event: JsonEvent) -> str | None:
    bucket = find(event.document, ("requestParameters", "bucketName"))
    key = find(event.document, ("requestParameters", "key"))
    return f"s3://{bucket}/{key}" if type(bucket) is str and type(key) is str else None


def transferred(event: JsonEvent) -> int | None:
    """Bytes in both directions; None when the record has neither."""
    data = find(event.document, ("additionalEventData",))
    values = [find(data, (key,)) for key in ("bytesTransferredIn", "bytesTransferredOut")]
    present = [_whole(value) for value in values if value is not MISSING]
    return sum(present) % _WORD if present else None


def _moved(key: str) -> Extractor:
    def get(event: JsonEvent) -> int | None:
        value = find(event.document, ("additionalEventData", key))
        return None if value is MISSING else _whole(value)

    return get


def _whole(value: Any) -> int:
    """As an unsigned whole number; 0 for what is none."""
    if type(value) is int:
        return value if 0 <= value < _WORD else 0
    if type(value) is Number:
        number = float(value.text)
        return int(number) if 0 <= number < _WORD else 0
    return 0


def _count(counts: Callable[[str], bool]) -> Extractor:
    def get(event: JsonEvent) -> int | None:
        name = find(event.document, ("eventName",))
        return 1 if counts(name if type(name) is str else "") else None

    return get


def _instance_name(event: JsonEvent) -> str | None:
    items = find(event.document, ("requestParameters", "tagSpecificationSet", "items"))
    name = ""
    for item in items if type(items) is list else ():
        if find(item, ("resourceType",)) == "instance":
            name = _tagged(find(item, ("tags",)), name)
    return name or None


def _tagged(tags: Any, name: str) -> str:
    """The value of the first tag "Name"; ``name`` when there is none."""
    for tag in tags if type(tags) is list else ():
        if find(tag, ("key",)) == "Name":
            value = find(tag, ("value",))
            return value if type(value) is str else ""
    return name


def _image(event: JsonEvent) -> str | None:
    items = find(event.document, ("responseElements", "tagSpecificationSet", "items"))
    image = find(items, ("0", "imageId")) if type(items) is list else ""
    return image if type(image) is str and image else None


def _field(name: str, kind: Type, description: str, get: Extractor) -> FieldInfo:
    return FieldInfo(name, kind, description, simple(get), varies=always)
