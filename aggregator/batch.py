"""What a node's batch brings. Pure: messages in, nouns and refusals out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aggregator.controls.catalogue import rule_key
from watchkeeper import wire
from watchkeeper.findings import Finding, ProfileDelta
from watchkeeper.seal import record_hash
from watchkeeper.v1 import uplink_pb2 as pb

CHECKS = {"drift": ("profiling_policy", "profiling_enabled"), "health": ("agent_installed",), "rule": ()}
SYSCALL = "syscall"


class ChainError(Exception):
    """The records do not continue what is committed; the message says where."""


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a spool's chain. ``hash`` is empty when only the sequence number is known."""

    sequence: int
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    sequence: int
    kind: str
    reason: str


@dataclass(slots=True)
class Batch:
    """What to commit; afterwards the chain ends at ``end``."""

    end: Link
    nouns: list[wire.Noun] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def checks_of(finding: Finding) -> tuple[str, ...]:
    """Keys of the checks that the finding belongs to: of a rule's finding, that of the rule."""
    fields = dict(finding.fields)
    if finding.source == "rule" and "rule" in fields:
        return (rule_key(fields.get("rule_source", SYSCALL), fields["rule"]),)
    return CHECKS[finding.source]


def judge(records: Iterable[pb.Record], end: Link, node: str, cluster: str) -> Batch:
    """What ``records`` of this node add behind ``end``; those before it are skipped. Raises ChainError."""
    batch = Batch(end)
    for record in records:
        if record.sequence <= batch.end.sequence:
            continue
        _check_link(record, batch.end)
        try:
            batch.nouns.append(_noun(record, node, cluster))
        except wire.WireError as error:
            batch.refused.append(Refused(record.sequence, record.kind[:40], str(error)))
        batch.end = Link(record.sequence, record.hash)
    return batch


def _check_link(record: pb.Record, end: Link) -> None:
    if record.sequence != end.sequence + 1:
        raise ChainError(f"record {record.sequence} came after record {end.sequence}: those between are missing")
    if end.hash and record.previous_hash != end.hash:
        raise ChainError(f"record {record.sequence} does not continue record {end.sequence}: its previous_hash differs")
    if record.withheld:
        return
    if record.hash != record_hash(record.previous_hash, record.sequence, record.kind, record.payload):
        raise ChainError(f"record {record.sequence} does not match its hash")


def _noun(record: pb.Record, node: str, cluster: str) -> wire.Noun:
    if record.withheld:
        raise wire.WireError(f"payload: withheld: {record.withheld[:200]}")
    noun = wire.unpack(record.kind, record.payload)
    match noun:
        case Finding():
            if noun.node != node:
                raise wire.WireError(f"finding.node: is {noun.node!r}, but {node!r} sent it")
            if noun.source not in CHECKS:
                raise wire.WireError(f"finding.source: {noun.source[:40]!r} is none of {', '.join(CHECKS)}")
            if noun.profile:
                _check_cluster("finding.profile.cluster", noun.profile.cluster, cluster)
        case ProfileDelta():
            _check_cluster("delta.key.cluster", noun.key.cluster, cluster)
    return noun


def _check_cluster(name: str, named: str, cluster: str) -> None:
    if named != cluster:
        raise wire.WireError(f"{name}: is {named!r}, but the node belongs to {cluster!r}")
