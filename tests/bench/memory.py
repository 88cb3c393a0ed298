"""The agent's memory while containers with learned profiles of a realistic size run under it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.profile import Profile
from agent.profiles import Profiles
from tests.bench import cost
from tests.bench.load import Load
from tests.bench.node import DEFAULT_HEARTBEAT, FAST_HEARTBEAT, Node
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileEntry, ProfileKey, ProfileState

PODS = 10
CONTAINERS = 5  # of each pod
BEHAVIOURS = 200  # of each profile
IMAGE = "watchkeeper.local/profiled:1"
NAMESPACE = "benchmark"
CALM_SECONDS = 15.0  # the aggregator's answers and one heartbeat
# How many of a profile's behaviours are of which class: a service with helpers that writes its data and logs.
SHARES = (
    (BehaviourClass.EXECUTED, 30, "/usr/bin/helper-{word}-{number}"),
    (BehaviourClass.WRITTEN, 100, "/var/lib/{word}/segments/part-{number}/index.db"),
    (BehaviourClass.SENSITIVE_READ, 5, "/run/secrets/kubernetes.io/serviceaccount/{word}-{number}/token"),
    (BehaviourClass.LISTENING, 5, "tcp/{port}"),
    (BehaviourClass.OUTBOUND, 45, "tcp/10.20.{number}.7:{port}"),
    (BehaviourClass.CAPABILITY, 15, "CAP_{word}_{number}"),
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: when the agent has come to rest, and after it saw the loads; of the latter those of files."""

    profiles: int
    behaviours: int
    at_rest: int
    after_loads: int
    files: int


def measure(node: Node, loads: list[Load]) -> Memory:
    """Runs the containers, finds out their profiles' names, writes the profiles, starts the agent anew. The containers
    stay until the node ends. Raises SandboxError when containers can not run here."""
    node.run_containers(IMAGE, NAMESPACE, PODS, CONTAINERS)
    keys = _keys(node)
    _write(node.directory / "agent", keys)
    node.start(DEFAULT_HEARTBEAT)
    try:
        node.wait_for(lambda status: _learned(status) == len(keys), "to take up the profiles")
        time.sleep(CALM_SECONDS)
        at_rest = cost.resident_bytes(node.agent)
        for load in loads:
            load.run()
        node.settle()
        agent = node.agent
        return Memory(len(keys), BEHAVIOURS, at_rest, cost.resident_bytes(agent), cost.resident_file_bytes(agent))
    finally:
        node.stop()


def _keys(node: Node) -> list[ProfileKey]:
    node.start(FAST_HEARTBEAT)
    try:
        status = node.wait_for(lambda status: len(_own(status)) == PODS * CONTAINERS, "to name the containers")
    finally:
        node.stop()
    return [ProfileKey(**profile["key"]) for profile in _own(status)]


def _learned(status: Mapping[str, Any]) -> int:
    return sum(profile["state"] == ProfileState.LEARNED for profile in _own(status))


def _own(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Profiles in force; without those of containers that somebody else runs here."""
    return [profile for profile in status["profiles"] if profile["key"]["namespace"] == NAMESPACE]


def _write(directory: Path, keys: list[ProfileKey]) -> None:
    """As the agent itself would have saved them."""
    profiles = Profiles(directory)
    for key in keys:
        profile = profiles.of(key)
        profile.state = ProfileState.LEARNED
        for behaviour in _behaviours(key):
            profile.entries[behaviour] = ProfileEntry(behaviour, time.time(), time.time())
        _mark_saved_later(profile)
        profiles.changed(key)
    profiles.close()


def _mark_saved_later(profile: Profile) -> None:
    profile.unreported.clear()
    profile.unsaved.update(profile.entries)


def _behaviours(key: ProfileKey) -> Iterator[Behaviour]:
    """All texts differ between profiles, so that none is shared in memory that would not be."""
    word = f"{key.workload.rpartition('/')[2]}-{key.container}"
    for behaviour_class, count, pattern in SHARES:
        for number in range(count):
            name = pattern.format(word=word, number=number, port=1024 + number)
            yield Behaviour(behaviour_class, f"/usr/bin/{word}-{number % 10}", name)
