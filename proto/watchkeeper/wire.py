"""The shared nouns as protobuf messages and back.

``pack`` and ``unpack`` serve records of the spool; the ``…_message`` functions and their inverses serve
messages that are part of others. Overlong texts and lists are cut on both sides, so that no process or
container can hide its finding by describing itself at length. What can not be understood is a WireError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    FindingRepeat,
    Inventory,
    Process,
    Profile,
    ProfileDelta,
    ProfileEntry,
    ProfileKey,
    ProfileState,
    Severity,
)
from watchkeeper.v1 import uplink_pb2 as pb
from watchkeeper.wire_policies import detection_set, detection_set_message
from watchkeeper.wire_values import MAX_TEXT, WireError, one_of

__all__ = [
    "MAX_COUNT",
    "MAX_ITEMS",
    "MAX_TEXT",
    "Noun",
    "WireError",
    "behaviour",
    "behaviour_message",
    "container",
    "container_message",
    "cut",
    "detection_set",
    "detection_set_message",
    "finding",
    "finding_message",
    "pack",
    "parse",
    "process",
    "process_message",
    "profile",
    "profile_delta",
    "profile_delta_message",
    "profile_entry",
    "profile_entry_message",
    "profile_key",
    "profile_key_message",
    "profile_message",
    "time_of",
    "unpack",
]

MAX_ITEMS = 256  # arguments, ancestors, labels, fields
MAX_COUNT = 2**53  # what JSON can tell exactly

Noun = Finding | FindingRepeat | ProfileDelta | Inventory

_M = TypeVar("_M", bound=Message)

_ID = re.compile(r"[0-9a-f]{32}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def pack(noun: Noun) -> tuple[str, bytes]:
    """The record kind and payload of ``noun``; WireError for numbers that the wire can not carry."""
    try:
        match noun:
            case Finding():
                return "finding", finding_message(noun).SerializeToString()
            case FindingRepeat():
                repeat = pb.FindingRepeat(id=noun.id, count=noun.count, last_at=noun.last_at)
                return "finding_repeat", repeat.SerializeToString()
            case ProfileDelta():
                return "profile_delta", profile_delta_message(noun).SerializeToString()
            case Inventory():
                containers = [container_message(container) for container in noun.containers]
                return "inventory", pb.Inventory(at=noun.at, containers=containers).SerializeToString()
    except (TypeError, ValueError) as error:
        raise WireError(f"{type(noun).__name__}: {error}") from error


def unpack(kind: str, payload: bytes) -> Noun:
    """The noun in a record's payload; WireError when it is not one of that kind."""
    match kind:
        case "finding":
            return finding(parse(pb.Finding, payload))
        case "finding_repeat":
            return _finding_repeat(parse(pb.FindingRepeat, payload))
        case "profile_delta":
            return profile_delta(parse(pb.ProfileDelta, payload))
        case "inventory":
            return _inventory(parse(pb.Inventory, payload))
    raise WireError(f"kind: {cut(kind)!r} is none of finding, finding_repeat, profile_delta, inventory")


def parse(message: type[_M], payload: bytes) -> _M:
    """``message`` read from bytes; WireError when they are something else."""
    try:
        return message.FromString(payload)
    except DecodeError as error:
        raise WireError(f"{message.__name__}: is not a protobuf message of that type") from error


def finding_message(finding: Finding) -> pb.Finding:
    return pb.Finding(
        id=finding.id,
        node=cut(finding.node),
        source=cut(finding.source),
        title=cut(finding.title),
        severity=finding.severity,
        fingerprint=cut(finding.fingerprint),
        occurred_at=finding.occurred_at,
        detected_at=finding.detected_at,
        profile=profile_key_message(finding.profile) if finding.profile else None,
        behaviour=behaviour_message(finding.behaviour) if finding.behaviour else None,
        container=container_message(finding.container) if finding.container else None,
        process=process_message(finding.process) if finding.process else None,
        fields=dict(_pairs(finding.fields)),
    )


def finding(message: pb.Finding) -> Finding:
    """``fields`` come back sorted by name, as labels of containers do."""
    return Finding(
        id=_finding_id(message.id),
        node=_required("finding.node", message.node),
        source=_required("finding.source", message.source),
        title=_required("finding.title", message.title),
        severity=one_of(Severity, "finding.severity", message.severity),
        fingerprint=_required("finding.fingerprint", message.fingerprint),
        occurred_at=time_of("finding.occurred_at", message.occurred_at),
        detected_at=time_of("finding.detected_at", message.detected_at),
        profile=profile_key(message.profile) if message.HasField("profile") else None,
        behaviour=behaviour(message.behaviour) if message.HasField("behaviour") else None,
        container=container(message.container) if message.HasField("container") else None,
        process=process(message.process) if message.HasField("process") else None,
        fields=_sorted(message.fields),
    )


def profile_key_message(key: ProfileKey) -> pb.ProfileKey:
    return pb.ProfileKey(
        cluster=cut(key.cluster),
        namespace=cut(key.namespace),
        workload=cut(key.workload),
        container=cut(key.container),
        image_digest=cut(key.image_digest),
    )


def profile_key(message: pb.ProfileKey) -> ProfileKey:
    return ProfileKey(
        cluster=_required("profile.cluster", message.cluster),
        namespace=cut(message.namespace),
        workload=_required("profile.workload", message.workload),
        container=cut(message.container),
        image_digest=cut(message.image_digest),
    )


def behaviour_message(behaviour: Behaviour) -> pb.Behaviour:
    return pb.Behaviour(
        behaviour_class=behaviour.behaviour_class,
        process=cut(behaviour.process),
        object=cut(behaviour.object),
    )


def behaviour(message: pb.Behaviour) -> Behaviour:
    return Behaviour(
        behaviour_class=one_of(BehaviourClass, "behaviour.behaviour_class", message.behaviour_class),
        process=cut(message.process),
        object=cut(message.object),
    )


def profile_entry_message(entry: ProfileEntry) -> pb.ProfileEntry:
    return pb.ProfileEntry(
        behaviour=behaviour_message(entry.behaviour),
        first_seen=entry.first_seen,
        last_seen=entry.last_seen,
        origin=cut(entry.origin),
        accepted_by=cut(entry.accepted_by),
        reason=cut(entry.reason),
        valid_until=entry.valid_until,
    )


def profile_entry(message: pb.ProfileEntry) -> ProfileEntry:
    return ProfileEntry(
        behaviour=behaviour(message.behaviour),
        first_seen=time_of("entry.first_seen", message.first_seen),
        last_seen=time_of("entry.last_seen", message.last_seen),
        origin=_required("entry.origin", message.origin),
        accepted_by=cut(message.accepted_by),
        reason=cut(message.reason),
        valid_until=time_of("entry.valid_until", message.valid_until),
    )


def profile_message(profile: Profile) -> pb.Profile:
    return pb.Profile(
        key=profile_key_message(profile.key),
        state=profile.state,
        entries=[profile_entry_message(entry) for entry in profile.entries],
        inherited_from=cut(profile.inherited_from),
        hash=cut(profile.hash),
    )


def profile(message: pb.Profile) -> Profile:
    return Profile(
        key=profile_key(message.key),
        state=one_of(ProfileState, "profile.state", message.state),
        entries=tuple(profile_entry(entry) for entry in message.entries),
        inherited_from=cut(message.inherited_from),
        hash=cut(message.hash),
    )


def profile_delta_message(delta: ProfileDelta) -> pb.ProfileDelta:
    return pb.ProfileDelta(
        key=profile_key_message(delta.key),
        state=delta.state,
        observed_seconds=delta.observed_seconds,
        entries=[profile_entry_message(entry) for entry in delta.entries],
        last_novelty_at=delta.last_novelty_at,
    )


def profile_delta(message: pb.ProfileDelta) -> ProfileDelta:
    return ProfileDelta(
        key=profile_key(message.key),
        state=one_of(ProfileState, "delta.state", message.state),
        observed_seconds=time_of("delta.observed_seconds", message.observed_seconds),
        entries=tuple(profile_entry(entry) for entry in message.entries),
        last_novelty_at=time_of("delta.last_novelty_at", message.last_novelty_at),
    )


def container_message(container: Container) -> pb.Container:
    return pb.Container(
        id=cut(container.id),
        name=cut(container.name),
        runtime=cut(container.runtime),
        image=cut(container.image),
        image_digest=cut(container.image_digest),
        pod_name=cut(container.pod_name),
        pod_namespace=cut(container.pod_namespace),
        pod_uid=cut(container.pod_uid),
        labels=dict(_pairs(container.labels)),
        started_at=container.started_at,
        kind=cut(container.kind),
        workload=cut(container.workload),
    )


def container(message: pb.Container) -> Container:
    return Container(
        id=_required("container.id", message.id),
        name=cut(message.name),
        runtime=cut(message.runtime),
        image=cut(message.image),
        image_digest=cut(message.image_digest),
        pod_name=cut(message.pod_name),
        pod_namespace=cut(message.pod_namespace),
        pod_uid=cut(message.pod_uid),
        labels=_sorted(message.labels),
        started_at=time_of("container.started_at", message.started_at),
        kind=cut(message.kind),
        workload=cut(message.workload),
    )


def process_message(process: Process) -> pb.Process:
    return pb.Process(
        pid=process.pid,
        executable=cut(process.executable),
        arguments=_cut_each(process.arguments),
        working_directory=cut(process.working_directory),
        uid=process.uid,
        login_uid=process.login_uid,
        tty=cut(process.tty),
        ancestors=_cut_each(process.ancestors),
        origin=cut(process.origin),
    )


def process(message: pb.Process) -> Process:
    return Process(
        pid=message.pid,
        executable=cut(message.executable),
        arguments=_cut_each(message.arguments),
        working_directory=cut(message.working_directory),
        uid=message.uid,
        login_uid=message.login_uid,
        tty=cut(message.tty),
        ancestors=_cut_each(message.ancestors),
        origin=cut(message.origin),
    )


def _finding_repeat(message: pb.FindingRepeat) -> FindingRepeat:
    if not 1 <= message.count <= MAX_COUNT:
        raise WireError(f"repeat.count: {message.count} is not from 1 to {MAX_COUNT}")
    return FindingRepeat(_finding_id(message.id), message.count, time_of("repeat.last_at", message.last_at))


def _inventory(message: pb.Inventory) -> Inventory:
    return Inventory(time_of("inventory.at", message.at), tuple(container(each) for each in message.containers))


def _finding_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise WireError(f"finding.id: {text[:40]!r} is not 32 hexadecimal digits")
    return text


def _required(name: str, text: str) -> str:
    if not text:
        raise WireError(f"{name}: is empty")
    return cut(text)


def time_of(name: str, seconds: float) -> float:
    """``seconds`` if they can be a time or a duration, else WireError."""
    if not math.isfinite(seconds) or seconds < 0:
        raise WireError(f"{name}: {seconds} is not a time")
    return seconds


def cut(text: str) -> str:
    """``text`` as messages carry it: within bounds; bytes that were not UTF-8 in the kernel (lone surrogates here) are
    shown as \\udcNN."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return cut(text.encode("utf-8", "backslashreplace").decode())


def _cut_each(texts: Iterable[str]) -> tuple[str, ...]:
    each = tuple(map(cut, texts))
    return each if len(each) <= MAX_ITEMS else (*each[: MAX_ITEMS - 1], "…")


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(cut(name), cut(text)) for name, text in sorted(pairs)[:MAX_ITEMS]]


def _sorted(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(_pairs(pairs.items()))
