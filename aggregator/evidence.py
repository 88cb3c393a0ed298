"""Evidence: canonical JSON, sealed into one hash chain per stream, and verified again without a database.

A link's hash is SHA-256 over the canonical JSON of ``[previous hash, stream, sequence, kind, at]``, a newline,
and the body (canonical JSON too, RFC 8785). The first link of a stream has sequence 1 and a previous hash of zeros.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import rfc8785

from aggregator.records import CheckException, MergedProfile, Node, Observation, Sealed, Triage
from watchkeeper.findings import Behaviour, Finding, behaviours_hash
from watchkeeper.policies import Policy

FIRST = "0" * 64

_LARGEST = 2**53 - 1  # beyond it JSON numbers are not exact

# msgspec writes the same bytes thirty times faster, but for keys beyond ASCII, whole floats, exponents, integers of
# 16 digits and more, and NaN, which becomes null. What looks like one of these, even in a string, goes the slow way.
_SORTED = msgspec.json.Encoder(order="sorted").encode
_DIFFERS = re.compile(rb"[:,\[](?:null|-?\d+(?:(?:\.\d+)?e|\.0[],}]|(?<=\d{16})))").search


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold: its line (from 1), its stream and sequence as far as readable, and why."""

    line: int
    stream: str
    sequence: int
    reason: str


def canonical(body: Any) -> str:
    """RFC 8785 JSON of dataclasses, mappings, sequences, strings and numbers.

    Numbers JSON can not carry exactly (NaN, infinities, integers beyond 2**53) become strings.
    """
    quick: bytes = _SORTED(body)
    if quick[:1] in b"{[" and quick.isascii() and not _DIFFERS(quick):
        return quick.decode()
    plain: Any = msgspec.to_builtins(body)
    try:
        return rfc8785.dumps(plain).decode()
    except rfc8785.CanonicalizationError:
        return rfc8785.dumps(_exact(plain)).decode()


def seal(stream: str, sequence: int, previous_hash: str, kind: str, at: float, body: object) -> Sealed:
    """The next link of ``stream``."""
    text = canonical(body)
    digest = _digest(previous_hash, stream, sequence, kind, at, text)
    return Sealed(stream, sequence, kind, at, text, previous_hash, digest)


def export_line(link: Sealed) -> str:
    """The link as one line of an exported bundle, without the newline; equal links are equal bytes."""
    return canonical(link)


def verify(lines: Iterable[str | bytes]) -> Broken | None:
    """Check an exported bundle: streams may be interleaved, each must begin with its first link and miss none.

    Returns the first link that does not hold. A bundle cut off at the end holds: compare its last hash with one
    noted elsewhere.
    """
    heads: dict[str, Sealed] = {}
    for number, line in enumerate(lines, start=1):
        link = _parsed(line)
        if isinstance(link, str):
            return Broken(number, "", 0, link)
        reason = _fault(link, heads.get(link.stream))
        if reason:
            return Broken(number, link.stream, link.sequence, reason)
        heads[link.stream] = link
    return None


def about(body: object) -> tuple[str, ...]:
    """What a body says it is about, so that it can be found again: its ``about``, else its ``node``."""
    match body:
        case {"about": str(subject)}:
            return (subject,)
        case {"about": [*subjects]}:
            return tuple(dict.fromkeys(str(subject) for subject in subjects))
        case {"node": str(node)}:
            return (node,)
    return ()


def observation_body(observation: Observation) -> Mapping[str, object]:
    return {"about": [observation.check, observation.resource], "observation": msgspec.to_builtins(observation)}


def finding_body(finding: Finding, folded_into: str = "") -> Mapping[str, object]:
    """``folded_into``: id of the stored finding that already stood for it."""
    body: dict[str, object] = {"about": [finding.id, finding.node], "finding": msgspec.to_builtins(finding)}
    if folded_into:
        body["about"] = [finding.id, finding.node, folded_into]
        body["folded_into"] = folded_into
    return body


def triage_body(finding_id: str, triage: Triage) -> Mapping[str, object]:
    return {"about": [finding_id], "finding": finding_id, "triage": msgspec.to_builtins(triage)}


def enrolment_body(node: Node) -> Mapping[str, object]:
    facts = {name: getattr(node, name) for name in ("name", "cluster", "agent_version", "kernel_release")}
    return {"about": [node.name], "node": facts, "enrolled_at": node.enrolled_at}


def acceptance_body(
    profile_id: str, profile: MergedProfile, behaviours: Iterable[Behaviour], who: str, reason: str, until: float
) -> Mapping[str, object]:
    """``profile`` is the one after the acceptance."""
    return {
        "about": [profile_id],
        "profile": msgspec.to_builtins(profile.key),
        "behaviours": [msgspec.to_builtins(behaviour) for behaviour in behaviours],
        "who": who,
        "reason": reason,
        "valid_until": until,
        "hash": behaviours_hash({entry.behaviour for entry in profile.entries}),
    }


def exception_body(exception: CheckException) -> Mapping[str, object]:
    return {"about": [exception.check, exception.resource], "exception": msgspec.to_builtins(exception)}


def policy_body(
    change: str, before: Policy | None, after: Policy | None, who: str, reason: str
) -> Mapping[str, object]:
    """``change``: create, replace, enable, disable, delete or revert (to what files say). ``before`` and ``after``: the
    policy as it counts, None where there is none."""
    named = after or before
    return {
        "about": [named.name if named else ""],
        "change": change,
        "policy": msgspec.to_builtins(after),
        "before_hash": policy_hash(before),
        "after_hash": policy_hash(after),
        "who": who,
        "reason": reason,
    }


def policy_hash(policy: Policy | None) -> str:
    """SHA-256 over the canonical JSON of what the policy says; "" for none."""
    return hashlib.sha256(canonical(policy).encode()).hexdigest() if policy else ""


def files_body(subject: str, files: Mapping[str, str], before: str, after: str) -> Mapping[str, object]:
    """``subject``: rules or policies; ``files``: what each was read as, hashed; the hashes: of all together."""
    return {"about": [subject], "files": dict(files), "before_hash": before, "after_hash": after, "who": "files"}


def _digest(previous_hash: str, stream: str, sequence: int, kind: str, at: float, body: str) -> str:
    head = canonical([previous_hash, stream, sequence, kind, at])
    return hashlib.sha256(f"{head}\n{body}".encode()).hexdigest()


def _parsed(line: str | bytes) -> Sealed | str:
    """The line's link, or what is wrong. The bytes must be those export_line writes: JSON alone would
    let some bytes (spaces, escapes) change unseen."""
    text = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    text = text.removesuffix(b"\n")
    try:
        link = msgspec.json.decode(text, type=Sealed)
        written = export_line(link).encode()
    except (msgspec.DecodeError, UnicodeError, rfc8785.CanonicalizationError) as error:
        return f"is not a link of evidence: {error}"
    return link if written == text else "is not written as it was exported"


def _fault(link: Sealed, head: Sealed | None) -> str:
    expected = head.sequence + 1 if head else 1
    if link.sequence != expected:
        return f"expected number {expected} of its stream"
    if link.previous_hash != (head.hash if head else FIRST):
        return "does not follow the link before it"
    if link.hash != _digest(link.previous_hash, link.stream, link.sequence, link.kind, link.at, link.body):
        return "its content is not what was sealed"
    return ""


def _exact(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int() if abs(value) > _LARGEST:
            return str(value)
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {str(key): _exact(item) for key, item in value.items()}
        case list() | tuple():
            return [_exact(item) for item in value]
    return value
