"""Judge one behaviour against one profile. Pure: no clock, no state, no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agent.behaviours import EXEC_IN, UDP_EPHEMERAL, UPPER_LAYER
from agent.profile import Profile
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileKey, ProfileState, Severity

# Below these a changed file changes what runs or who may do what.
CRITICAL_DIRECTORIES = (
    "/etc/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/",
    "/usr/libexec/", "/usr/local/bin/", "/usr/local/sbin/", "/usr/local/lib/",
)  # fmt: skip
# Programs that have no file, or lie where only memory is: no image starts there.
_FILELESS = ("memfd:", "/dev/shm/")  # noqa: S108 -- looked for, not used

CANARY = Behaviour(BehaviourClass.EXECUTED, "watchkeeper", "/watchkeeper/canary")

_TITLES = {
    BehaviourClass.WRITTEN: "Unexpected file written",
    BehaviourClass.SENSITIVE_READ: "Sensitive file read unexpectedly",
    BehaviourClass.LISTENING: "Unexpected listening port",
    BehaviourClass.OUTBOUND: "Unexpected outbound connection",
    BehaviourClass.CAPABILITY: "Unexpected capability used",
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """``known_bad``: told of even while the profile is learned, and never learned."""

    behaviour: Behaviour
    severity: Severity
    title: str
    fingerprint: str
    known_bad: bool = False
    review: bool = False


def judge(profile: Profile, behaviour: Behaviour, now: float, dropped: bool = False) -> Deviation | None:
    """The deviation, or None for what the profile knows or still may learn.

    ``dropped``: the program that is executed was written in the container after its start.
    """
    if profile.knows(behaviour, now):
        return None
    known_bad = is_known_bad(behaviour)
    if not known_bad and (profile.state is ProfileState.LEARNING or behaviour.object == UDP_EPHEMERAL):
        # A UDP socket that asked for no port is every client of DNS; one bound there on purpose looks the same.
        return None
    level = _severity(behaviour, dropped or known_bad)
    # What is critical is never folded into the review of a rollout.
    review = (profile.in_review or behaviour in profile.reviewed) and level is not Severity.CRITICAL
    mark = fingerprint(profile.key, "rollout") if review else fingerprint(profile.key, *_words(behaviour))
    return Deviation(behaviour, level, _title(behaviour), mark, known_bad, review)


def is_settled(profile: Profile, behaviour: Behaviour) -> bool:
    """Whether the behaviour is no deviation and will not become one by the mere passing of time."""
    if behaviour.object == UDP_EPHEMERAL:
        return True
    entry = profile.entries.get(behaviour)
    return entry is not None and not entry.valid_until


def is_known_bad(behaviour: Behaviour) -> bool:
    """Execution of a program without a file. Few, because a wrong alarm while learning can not be learned away."""
    return behaviour.behaviour_class is BehaviourClass.EXECUTED and behaviour.object.startswith(_FILELESS)


def canary_detected(profile: Profile, now: float) -> bool:
    """Whether the detector, as it stands with this profile, recognises a behaviour that nothing ever shows."""
    return judge(profile, CANARY, now) is not None


def fingerprint(key: ProfileKey, *words: str) -> str:
    """SHA-256 over the profile's key and ``words``: equal on every node."""
    parts = (key.cluster, key.namespace, key.workload, key.container, key.image_digest, *words)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _severity(behaviour: Behaviour, dropped: bool) -> Severity:
    match behaviour.behaviour_class:
        case BehaviourClass.EXECUTED:
            return Severity.CRITICAL if dropped else Severity.HIGH
        case BehaviourClass.LISTENING | BehaviourClass.SENSITIVE_READ:
            return Severity.HIGH
        case BehaviourClass.WRITTEN if behaviour.object.startswith(CRITICAL_DIRECTORIES):
            return Severity.HIGH
    return Severity.MEDIUM


def _title(behaviour: Behaviour) -> str:
    if behaviour.behaviour_class is not BehaviourClass.EXECUTED:
        return f"{_TITLES[behaviour.behaviour_class]}: {behaviour.object}"
    if behaviour.process == UPPER_LAYER:
        return f"Program replaced in the container was executed: {behaviour.object}"
    if behaviour.process == EXEC_IN:
        return f"Unexpected program executed from outside the container: {behaviour.object}"
    return f"Unexpected program executed: {behaviour.object}"


def _words(behaviour: Behaviour) -> tuple[str, str, str]:
    return behaviour.behaviour_class, behaviour.process, behaviour.object
