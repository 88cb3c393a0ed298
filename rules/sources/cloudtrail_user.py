"""ct.user: who made a call, by the type of the identity."""

from __future__ import annotations

from typing import Any

from rules.sources.json_document import MISSING, find
from rules.sources.json_event import JsonEvent

_NAMES = {
    "Root": ("userIdentity", "userName"),
    "IAMUser": ("userIdentity", "userName"),
    "AWSService": ("userIdentity", "invokedBy"),
    "AssumedRole": ("userIdentity", "sessionContext", "sessionIssuer", "userName"),
}
_CONSTANTS = ("AssumedRole", "AWSAccount", "FederatedUser")  # what stands for them where no name is known


def user(event: JsonEvent) -> str | None:
    """The name, or the type where identities of the type have none; None for other types."""
    kind = find(event.document, ("userIdentity", "type"))
    keys = _NAMES.get(kind) if type(kind) is str else None
    name: Any = MISSING if keys is None else find(event.document, keys)
    if name is MISSING:
        return kind if kind in _CONSTANTS else None
    return name if type(name) is str else ""


def original_user(event: JsonEvent) -> str | None:
    """The name as CloudTrail has it: of an assumed role that of the session."""
    if find(event.document, ("userIdentity", "type")) != "AssumedRole":
        name = find(event.document, ("userIdentity", "userName"))
        return name if type(name) is str else None
    for key, separator, parts in (("arn", "/", 3), ("principalId", ":", 2)):
        value = find(event.document, ("userIdentity", key))
        if type(value) is str and len(split := value.split(separator)) == parts:
            return split[-1]
    return None
