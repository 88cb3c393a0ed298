"""What the aggregator keeps and serves, as frozen dataclasses; times are unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from watchkeeper.findings import Behaviour, Container, Finding, ProfileEntry, ProfileKey, ProfileState
from watchkeeper.policies import Policy

UNDER_WAY = 100  # events that may be between two counts while an agent reads these


class Status(StrEnum):
    """Of a check or control; the pinned names."""

    PASS = "pass"  # noqa: S105 - a status, not a secret
    PASS_WITH_EXCEPTIONS = "pass_with_exceptions"  # noqa: S105 - as above
    PARTIAL = "partial"
    NOT_ASSESSED = "not_assessed"
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


class Outcome(StrEnum):
    """Of one observation."""

    PASS = "pass"  # noqa: S105 - a status, not a secret
    FAIL = "fail"
    ERROR = "error"
    NOT_APPLICABLE = "not_applicable"
    STALE = "stale"


class TriageAction(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"  # the behaviour becomes part of the profile
    FALSE_POSITIVE = "false_positive"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """``known``: of the suppressed, those that repeated a behaviour judged before; None: the agent does not tell."""

    event_class: str
    seen: int
    suppressed: int
    submitted: int
    dropped: int
    decoded: int
    lost_in_user_space: int
    known: int | None = None

    @property
    def unaccounted(self) -> int:
        """By how much seen = suppressed + submitted + dropped does not hold. Up to UNDER_WAY mean nothing."""
        return abs(self.seen - self.suppressed - self.submitted - self.dropped)


@dataclass(frozen=True, slots=True)
class NoveltyCounters:
    """What a container, the host or all others (``whose``) showed of one class that was new to the kernel, since the
    agent's start. ``withheld`` is part of ``dropped``, ``unlisted`` of ``submitted``."""

    whose: str
    container_id: str
    container_name: str
    pod_namespace: str
    pod_name: str
    event_class: str
    submitted: int
    dropped: int
    withheld: int
    unlisted: int
    expired: int
    evicted: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The kernel's memory of judged behaviours; ``capacity`` 0: there is none."""

    entries: int
    capacity: int
    generation: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nobody watched the node."""

    since: float
    until: float
    reason: str

    @property
    def seconds(self) -> float:
        return max(0.0, self.until - self.since)


@dataclass(frozen=True, slots=True)
class EnforcedProfile:
    """A profile as one node's heartbeat tells of it."""

    key: ProfileKey
    state: ProfileState
    hash: str
    running: int
    canary_detected: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A node that ever enrolled, with its newest heartbeat; ``heartbeat_at`` is the aggregator's clock, 0: never.

    ``knowledge`` None: its agent tells neither that nor novelty nor gaps.
    """

    name: str
    cluster: str
    agent_version: str
    kernel_release: str
    enrolled_at: float
    heartbeat_at: float = 0.0
    heartbeat_seconds: int = 10
    started_at: float = 0.0
    probe_state: str = ""
    missing_hooks: tuple[str, ...] = ()
    counters: tuple[ClassCounters, ...] = ()
    rule_set_hash: str = ""
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    spool_records: int = 0
    spool_bytes: int = 0
    discarded: tuple[tuple[str, int], ...] = ()
    profiles: tuple[EnforcedProfile, ...] = ()
    canary_at: float = 0.0
    containers: int = 0
    sent_at: float = 0.0  # when the node sent the heartbeat, by its own clock; 0: unknown
    detection_hash: str = ""  # of the detection set it runs; empty: none
    detection_problems: tuple[str, ...] = ()
    rules_in_force: int = 0
    novelty: tuple[NoveltyCounters, ...] = ()
    knowledge: Knowledge | None = None
    last_gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class NodeInventory:
    node: str
    at: float
    containers: tuple[Container, ...]


@dataclass(frozen=True, slots=True)
class Triage:
    action: TriageAction
    who: str
    reason: str
    at: float
    valid_until: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding with what became of it. ``count`` includes the first; ``stored_at``: the aggregator's commit."""

    finding: Finding
    stored_at: float
    count: int
    last_at: float
    due_at: float
    triage: Triage | None = None
    checks: tuple[str, ...] = ()  # keys of the checks it belongs to, e.g. ("profiling_policy",)
    behaviours: tuple[Behaviour, ...] = ()  # of all findings folded into this one, the first one's first


@dataclass(frozen=True, slots=True)
class MergedProfile:
    """One workload's profile over all nodes."""

    key: ProfileKey
    state: ProfileState
    entries: tuple[ProfileEntry, ...]
    observed_seconds: float
    first_seen: float
    last_novelty_at: float
    inherited_from: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One check judged on one resource at one time. ``check``: its key in the catalogue."""

    check: str
    resource: str
    outcome: Outcome
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class JudgedResource:
    """The newest observation of one resource and the evidence it was last sealed as (stream, sequence, hash, time)."""

    observation: Observation
    stream: str
    sequence: int
    hash: str
    sealed_at: float


@dataclass(frozen=True, slots=True)
class CheckException:
    """An approved, expiring acceptance that ``resource`` fails ``check`` (a check's key)."""

    check: str
    resource: str
    who: str
    reason: str
    at: float
    valid_until: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A status from ``since`` until ``until`` (0: still so) of subject ``control:CC6.1:workload:guide`` or a check."""

    subject: str
    status: Status
    since: float
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """One link of an evidence chain. ``body`` is canonical JSON; ``hash`` covers stream, sequence, kind, at, body
    and ``previous_hash``."""

    stream: str
    sequence: int
    kind: str
    at: float
    body: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What a person decided about a policy, laid over what files say. ``policy`` None: only ``enabled`` differs."""

    name: str
    enabled: bool
    who: str
    reason: str
    at: float
    policy: Policy | None = None
