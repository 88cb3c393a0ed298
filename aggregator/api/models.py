"""The API's answers and requests. Times are unix seconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aggregator.records import Outcome, Status, TriageAction
from watchkeeper.findings import BehaviourClass, ProfileState, Severity

CatalogueProfile = Literal["guide", "extended"]
Scope = Literal["workload", "aws"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")]


def example(**values: Any) -> ConfigDict:
    """Shown in the API's description."""
    return ConfigDict(json_schema_extra={"example": values})


class Error(BaseModel):
    model_config = example(error='There is no finding "7f".', remedy="See GET /api/v1/findings.")
    error: str
    remedy: str = ""


class Population(BaseModel):
    """Resources a check is judged over. ``expected`` is null when nobody knows how many there are."""

    expected: int | None
    assessed: int
    failed: int
    excepted: int


class EvidenceLink(BaseModel):
    """What one resource was found to be, and the sealed record that proves it."""

    resource: str
    outcome: Outcome
    reason: str = ""
    at: float
    stream: str = ""
    sequence: int = 0
    hash: str = ""


class Check(BaseModel):
    """``type`` says how it is judged; ``reason`` why the status is what it is. Of a rule's check: the ``rule``, its
    ``source``, and the ``policies`` that have it."""

    id: str
    type: str
    title: str
    status: Status
    what: str
    how: str
    remediation: list[str]
    evidence: list[EvidenceLink]
    population: Population
    reason: str
    open_findings: int
    overdue_findings: int
    rule: str
    source: str
    policies: list[str]


class Control(BaseModel):
    model_config = example(
        id="CC7.2", scope="workload", title="Anomaly Detection and Analysis", status="partial",
        checks_passed=2, checks_total=6, open_findings=3, overdue_findings=0,
    )  # fmt: skip
    id: str
    scope: Scope
    title: str
    status: Status
    checks_passed: int
    checks_total: int
    open_findings: int
    overdue_findings: int


class ControlDetail(Control):
    """``what`` the control asks, and ``how`` it is addressed."""

    profile: CatalogueProfile
    generated_at: float
    what: str
    how: str
    checks: list[Check]


class Family(BaseModel):
    id: str
    title: str
    controls: list[Control]


class Controls(BaseModel):
    profile: CatalogueProfile
    generated_at: float
    families: list[Family]


class Behaviour(BaseModel):
    model_config = example(behaviour_class="executed", process="/bin/sh", object="/tmp/busybox-x")  # noqa: S108
    behaviour_class: BehaviourClass
    process: str
    object: str


class ProfileKey(BaseModel):
    cluster: str
    namespace: str
    workload: str
    container: str
    image_digest: str


class FindingProfile(ProfileKey):
    id: str


class Container(BaseModel):
    id: str
    name: str
    runtime: str
    image: str
    image_digest: str
    pod_name: str
    pod_namespace: str
    pod_uid: str
    labels: dict[str, str]
    started_at: float
    kind: str
    workload: str


class Process(BaseModel):
    """``ancestors``: nearest first, as ``executable[pid]``. ``login_uid`` -1: none."""

    pid: int
    executable: str
    arguments: list[str]
    working_directory: str
    uid: int
    login_uid: int
    tty: str
    ancestors: list[str]
    origin: str


class Triage(BaseModel):
    model_config = example(action="accept", who="admin", reason="new log shipper", at=1764000000.0, valid_until=0)
    action: TriageAction
    who: str
    reason: str
    at: float
    valid_until: float


class TriageRequest(BaseModel):
    """``valid_until``: 0 or null is without end."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"action": "accept", "reason": "new log shipper since 2.4"}}
    )
    action: TriageAction
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    valid_until: Annotated[float, Field(ge=0, le=253402300799)] | None = None


class Finding(BaseModel):
    """``count`` includes the first occurrence; ``triage`` is null while the finding is open."""

    id: str
    node: str
    source: str
    title: str
    severity: Severity
    fingerprint: str
    occurred_at: float
    detected_at: float
    stored_at: float
    count: int
    last_at: float
    due_at: float
    triage: Triage | None
    checks: list[str]
    profile: FindingProfile | None
    behaviour: Behaviour | None
    behaviours: list[Behaviour]
    container: Container | None
    process: Process | None
    fields: dict[str, str]


class FindingDetail(Finding):
    """With every decision ever made on it, oldest first."""

    triages: list[Triage]


class Findings(BaseModel):
    """``next_before``: give it as ``before`` to get the older ones; null when there are none."""

    findings: list[Finding]
    next_before: float | None


class ClassCounters(BaseModel):
    """Of one event class since the agent started: ``seen`` = ``suppressed`` + ``submitted`` + ``dropped``, and
    ``unaccounted`` by how much that does not hold (a few events may be under way while counts are read). ``known``: of
    the suppressed, those that repeated a behaviour judged before; null: this agent does not tell."""

    model_config = example(
        event_class="open", seen=20481733, suppressed=20401221, known=20330118, submitted=80512, dropped=0,
        decoded=80512, lost_in_user_space=0, unaccounted=0,
    )  # fmt: skip
    event_class: str
    seen: int
    suppressed: int
    known: int | None
    submitted: int
    dropped: int
    decoded: int
    lost_in_user_space: int
    unaccounted: int


class NoveltyCounters(BaseModel):
    """What one container, the host (all its cgroups) or all others showed of one event class that was new to the
    kernel, since the agent started. ``dropped``: no room in the ring buffer; ``withheld``, of these: its cgroup alone
    held as much of the ring as was free. ``unlisted``, of the ``submitted``: not remembered, since its share of the
    memory was used up, so that they cross again each time. ``expired``: never judged. ``evicted``: known and
    forgotten, to make room or for their age."""

    model_config = example(
        whose="container", container_id="c0ffee…", container_name="web", pod_namespace="shop",
        pod_name="web-6d4cf56db6-x2x9k", event_class="open", submitted=102400, dropped=8112, withheld=8100,
        unlisted=36864, expired=0, evicted=512,
    )  # fmt: skip
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


class Knowledge(BaseModel):
    """The kernel's memory of judged behaviours; ``generation``: of the rules and profiles that judged them.
    ``capacity`` 0: this source of events has no memory."""

    model_config = example(entries=12034, capacity=65536, generation=7)
    entries: int
    capacity: int
    generation: int


class Gap(BaseModel):
    """A time in which nobody watched the node."""

    model_config = example(since=1764000000.0, until=1764000000.4, seconds=0.4, reason="the agent was updated")
    since: float
    until: float
    seconds: float
    reason: str


class EnforcedProfile(BaseModel):
    id: str
    key: ProfileKey
    state: ProfileState
    hash: str
    running: int
    canary_detected: bool


class Node(BaseModel):
    """``state``: watched, degraded (its probe is not whole), silent (three heartbeats missed) or never (none yet).
    ``rules_acknowledged``: it runs the rules and policies that it must. ``novelty``: at most some fifty rows, the
    containers with most, the rest summed as others. ``last_gap``: before this agent began to watch. ``knowledge``,
    ``novelty`` and ``last_gap`` are null when the agent does not tell them, the gap also when none is known."""

    name: str
    cluster: str
    state: Literal["watched", "degraded", "silent", "never"]
    agent_version: str
    kernel_release: str
    enrolled_at: float
    heartbeat_at: float
    heartbeat_seconds: int
    started_at: float
    probe_state: str
    missing_hooks: list[str]
    counters: list[ClassCounters]
    lost_events: int
    rule_set_hash: str
    resident_bytes: int
    cpu_seconds: float
    spool_records: int
    spool_bytes: int
    discarded: dict[str, int]
    profiles: list[EnforcedProfile]
    canary_at: float
    containers: int
    detection_hash: str
    detection_problems: list[str]
    rules_in_force: int
    rules_acknowledged: bool
    novelty: list[NoveltyCounters] | None
    knowledge: Knowledge | None
    last_gap: Gap | None


class Nodes(BaseModel):
    """``missing``: nodes of the known population that never reported."""

    nodes: list[Node]
    missing: list[str]


class NodeToken(BaseModel):
    model_config = example(token="worker-1.cXVpZXQ…")  # noqa: S106
    token: str


class ProfileEntry(BaseModel):
    behaviour: Behaviour
    first_seen: float
    last_seen: float
    origin: str
    accepted_by: str
    reason: str
    valid_until: float


class ProfileSummary(BaseModel):
    id: str
    key: ProfileKey
    state: ProfileState
    behaviours: int
    accepted: int
    observed_seconds: float
    first_seen: float
    last_novelty_at: float
    inherited_from: str
    open_findings: int


class ProfileDetail(ProfileSummary):
    entries: list[ProfileEntry]


class Profiles(BaseModel):
    profiles: list[ProfileSummary]


class Sealed(BaseModel):
    """One link of a chain. ``body`` is canonical JSON, byte for byte as it was hashed."""

    stream: str
    sequence: int
    kind: str
    at: float
    body: str
    previous_hash: str
    hash: str


class Evidence(BaseModel):
    """``next_after``: give it as ``after`` to go on; null when the end was reached."""

    evidence: list[Sealed]
    streams: list[str]
    next_after: int | None


class Interval(BaseModel):
    """``until`` 0: still so."""

    subject: str
    status: Status
    since: float
    until: float


class Intervals(BaseModel):
    intervals: list[Interval]
