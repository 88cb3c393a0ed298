"""Behaviours, profiles' keys and findings: the nouns both sides exchange.

They mirror the messages of v1/uplink.proto; ``watchkeeper.wire`` turns one into the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum


class BehaviourClass(StrEnum):
    EXECUTED = "executed"
    WRITTEN = "written"
    SENSITIVE_READ = "sensitive_read"
    LISTENING = "listening"
    OUTBOUND = "outbound"
    CAPABILITY = "capability"


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class ProfileState(StrEnum):
    LEARNING = "learning"
    LEARNED = "learned"


@dataclass(frozen=True, slots=True, order=True)
class Behaviour:
    """``process`` did something of this class to ``object``; accidental parts are already removed."""

    behaviour_class: BehaviourClass
    process: str
    object: str


@dataclass(frozen=True, slots=True, order=True)
class ProfileKey:
    """What one profile is learned for."""

    cluster: str
    namespace: str
    workload: str
    container: str
    image_digest: str


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A behaviour of a profile. ``origin`` is learned, inherited or accepted; times are unix seconds."""

    behaviour: Behaviour
    first_seen: float
    last_seen: float
    origin: str = "learned"
    accepted_by: str = ""
    reason: str = ""
    valid_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted into a container, and where; ``writable`` and ``propagation`` as the runtime tells."""

    source: str
    destination: str
    mode: str = ""
    writable: bool = False
    propagation: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container as its runtime describes it. ``kind``: container, init, ephemeral, sandbox. Whether it is privileged
    or shares its host's namespaces, None: nobody told. That and ``mounts`` do not go over the wire."""

    id: str
    name: str = ""
    runtime: str = ""
    image: str = ""
    image_digest: str = ""
    pod_name: str = ""
    pod_namespace: str = ""
    pod_uid: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    started_at: float = 0.0
    kind: str = "container"
    workload: str = ""
    privileged: bool | None = None
    mounts: tuple[Mount, ...] = ()
    host_network: bool | None = None
    host_pid: bool | None = None
    host_ipc: bool | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A process as a finding shows it. ``origin``: entrypoint, exec_in, child, host."""

    pid: int
    executable: str
    arguments: tuple[str, ...] = ()
    working_directory: str = ""
    uid: int = 0
    login_uid: int = -1
    tty: str = ""
    ancestors: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person should look at. ``source``: drift, health or rule; times are unix seconds."""

    id: str
    node: str
    source: str
    title: str
    severity: Severity
    fingerprint: str
    occurred_at: float
    detected_at: float
    profile: ProfileKey | None = None
    behaviour: Behaviour | None = None
    container: Container | None = None
    process: Process | None = None
    fields: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class FindingRepeat:
    """The finding ``id`` occurred ``count`` more times since the last report."""

    id: str
    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A merged profile on its way to the nodes. ``hash`` is that of its behaviours."""

    key: ProfileKey
    state: ProfileState
    entries: tuple[ProfileEntry, ...] = ()
    inherited_from: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class ProfileDelta:
    """What one node found new in one profile. ``observed_seconds``: all its containers of this profile together."""

    key: ProfileKey
    state: ProfileState
    observed_seconds: float
    entries: tuple[ProfileEntry, ...] = ()
    last_novelty_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Inventory:
    """All containers of a node at one time."""

    at: float
    containers: tuple[Container, ...] = ()


def behaviours_hash(behaviours: set[Behaviour] | frozenset[Behaviour]) -> str:
    """SHA-256 over the sorted behaviours: equal sets have equal hashes on both sides."""
    digest = hashlib.sha256()
    for behaviour in sorted(behaviours):
        digest.update(f"{behaviour.behaviour_class}\0{behaviour.process}\0{behaviour.object}\n".encode())
    return digest.hexdigest()
