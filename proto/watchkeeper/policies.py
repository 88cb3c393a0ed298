"""Policies: named, scoped sets of rules, and how the set that a node or source must run is named by a hash."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from watchkeeper.findings import Severity

ACTIONS = ("alert",)  # what a hit may set off, beside the finding that it always is


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a policy counts; what is empty does not restrict. Clusters, namespaces, accounts, regions may hold
    wildcards.

    ``labels``: all must be on the pod. A scope with namespaces or labels does not cover the host's own processes.
    """

    clusters: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def covers_cluster(self, cluster: str) -> bool:
        return _matches(cluster, self.clusters)

    def covers_pod(self, namespace: str, labels: Sequence[tuple[str, str]]) -> bool:
        """Whether it covers what happens in a pod (``namespace`` "": no pod) of a cluster it covers."""
        if self.namespaces and not namespace:
            return False
        return _matches(namespace, self.namespaces) and set(self.labels) <= set(labels)

    def covers_account(self, account: str, region: str) -> bool:
        return _matches(account, self.accounts) and _matches(region, self.regions)

    @property
    def is_whole_cluster(self) -> bool:
        """Nothing inside a covered cluster is left out."""
        return not self.namespaces and not self.labels


@dataclass(frozen=True, slots=True)
class Policy:
    """``severity`` None: by the rule's priority. ``origin``: shipped, file or api."""

    name: str
    enabled: bool
    rules: tuple[str, ...]
    description: str = ""
    scope: Scope = Scope()
    actions: tuple[str, ...] = ("alert",)
    severity: Severity | None = None
    origin: str = "api"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """``name``: how problems call it; no path of anybody's machine."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """What a node runs: rule files in their order, and the policies that cover it (enabled ones)."""

    files: tuple[RuleFile, ...] = ()
    policies: tuple[Policy, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256: equal sets have equal hashes on both sides."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
