"""What checks are judged from: everything the store knows, read once, and the figures that must be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from aggregator.checks.rule_sets import RuleSets, told_by
from aggregator.detection import Detection
from aggregator.records import MergedProfile, Node, NodeInventory
from watchkeeper.findings import Container, ProfileKey

_WATCHED_KINDS = ("container", "init", "ephemeral")  # a sandbox only holds the pod's namespaces


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``silent_heartbeats``: intervals without a word until a node counts as silent. ``loss_share``: of all events.
    ``learning_seconds``: how long learning may take. ``settling_seconds``: how long a container may run unprofiled."""

    silent_heartbeats: int = 3
    loss_share: float = 0.01
    minimum_version: str = "0.1.0"
    learning_seconds: float = 7 * 86400.0
    settling_seconds: float = 60.0


@dataclass(frozen=True)
class Facts:
    """``hashes``: of each merged profile. ``expected_nodes`` empty: those that ever enrolled are expected."""

    nodes: tuple[Node, ...]
    inventories: tuple[NodeInventory, ...]
    profiles: tuple[MergedProfile, ...]
    expected_nodes: tuple[str, ...] = ()
    hashes: Mapping[ProfileKey, str] = field(default_factory=dict)
    thresholds: Thresholds = Thresholds()
    detection: Detection = field(default_factory=Detection)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def by_key(self) -> Mapping[ProfileKey, MergedProfile]:
        return {profile.key: profile for profile in self.profiles}

    @cached_property
    def node_population(self) -> frozenset[str] | None:
        """Nodes that must be watched; None when neither configuration nor enrolment names any."""
        names = self.expected_nodes or tuple(self.by_name)
        return frozenset(names) if names else None

    @cached_property
    def clusters(self) -> Mapping[str, tuple[Node, ...]]:
        """The clusters of the nodes in scope, sorted, with those nodes."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.name in (self.node_population or ()):
                found.setdefault(node.cluster, []).append(node)
        return {cluster: tuple(nodes) for cluster, nodes in sorted(found.items())}

    @cached_property
    def unenrolled(self) -> frozenset[str]:
        """Nodes in scope that never enrolled: nobody knows their clusters."""
        return frozenset(self.node_population or ()) - self.by_name.keys()

    def rule_sets(self, now: float) -> Mapping[str, RuleSets]:
        """What the nodes of each cluster told of the rules they run. Looked at once for all rules of a run."""
        if now not in self._told:
            silent = self.silent(now)
            self._told[now] = {
                cluster: told_by(nodes, silent, self.detection) for cluster, nodes in self.clusters.items()
            }
        return self._told[now]

    @cached_property
    def _told(self) -> dict[float, Mapping[str, RuleSets]]:
        return {}

    @cached_property
    def workloads(self) -> Mapping[ProfileKey, tuple[tuple[str, Container], ...]]:
        """Every workload of the nodes in scope: its containers and the nodes they run on."""
        found: dict[ProfileKey, list[tuple[str, Container]]] = {}
        for node, container in self._containers():
            found.setdefault(_key(node, container), []).append((node.name, container))
        return {key: tuple(containers) for key, containers in found.items()}

    def unheard(self, now: float) -> frozenset[str]:
        """Nodes in scope that are silent, or never told what runs there: nobody knows their workloads now."""
        told = {inventory.node for inventory in self.inventories}
        return frozenset(name for name in self.node_population or () if name not in told or self.is_silent(name, now))

    def is_silent(self, name: str, now: float) -> bool:
        """The node enrolled once and has now been quiet for too long."""
        node = self.by_name.get(name)
        if node is None:
            return False
        return now - (node.heartbeat_at or node.enrolled_at) > self.thresholds.silent_heartbeats * _interval(node)

    def silent(self, now: float) -> frozenset[str]:
        """All nodes that are."""
        return frozenset(name for name in self.by_name if self.is_silent(name, now))

    def _containers(self) -> Iterator[tuple[Node, Container]]:
        in_scope = self.node_population or frozenset()
        for inventory in self.inventories:
            node = self.by_name.get(inventory.node)
            if node is None or node.name not in in_scope:
                continue
            for container in inventory.containers:
                if container.kind in _WATCHED_KINDS:
                    yield node, container


def resource(key: ProfileKey) -> str:
    """A workload's name as resource of a check."""
    image = f"@{key.image_digest}" if key.image_digest else ""
    return f"{key.cluster}/{key.namespace}/{key.workload}/{key.container}{image}"


def workloads_of(node: str) -> str:
    """Stands for the workloads of a node that nobody knows."""
    return f"workloads of {node}"


def _key(node: Node, container: Container) -> ProfileKey:
    """As the agents name the container's profile."""
    name = container.name or container.id[:12]
    workload = container.workload or f"Container/{name}"
    return ProfileKey(node.cluster, container.pod_namespace, workload, name, container.image_digest)


def _interval(node: Node) -> float:
    return float(max(1, node.heartbeat_seconds))
