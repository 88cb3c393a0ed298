"""What the aggregator asks of its store, whatever database is below.

Every method is synchronous and atomic: it has committed when it returns. One writer at a time; the
service calls it from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from aggregator.records import (
    Interval,
    MergedProfile,
    Node,
    NodeInventory,
    Observation,
    Sealed,
    StoredFinding,
    Triage,
)
from watchkeeper.findings import Finding, ProfileEntry, ProfileKey, ProfileState


class StoreError(Exception):
    """The store can not be used; the message names the file and the remedy."""


class Ingest(Protocol):
    """One node's batch inside one transaction; leaving the context commits all of it or nothing."""

    def finding(self, finding: Finding, due_at: float, checks: tuple[str, ...]) -> None: ...

    def repeat(self, finding_id: str, count: int, last_at: float) -> None: ...

    def profile_delta(
        self,
        node: str,
        key: ProfileKey,
        state: ProfileState,
        observed_seconds: float,
        entries: Sequence[ProfileEntry],
        last_novelty_at: float,
    ) -> None: ...

    def inventory(self, inventory: NodeInventory) -> None: ...

    def seal(self, stream: str, kind: str, at: float, body: object) -> Sealed: ...

    def acknowledge(self, node: str, spool: str, sequence: int) -> None: ...

    def __enter__(self) -> Ingest: ...

    def __exit__(self, *error: object) -> None: ...


class Store(Protocol):
    def ingest(self) -> Ingest: ...

    def acknowledged(self, node: str, spool: str) -> int: ...

    def enrol(self, node: Node) -> None: ...

    def heartbeat(self, node: Node) -> None: ...

    def nodes(self) -> list[Node]: ...

    def inventories(self) -> list[NodeInventory]: ...

    def findings(
        self, *, open_only: bool = False, limit: int = 100, before: float | None = None, query: str = ""
    ) -> list[StoredFinding]: ...

    def finding(self, finding_id: str) -> StoredFinding | None: ...

    def triage(self, finding_id: str, triage: Triage) -> StoredFinding: ...

    def triages(self, finding_id: str) -> list[Triage]: ...

    def open_findings(self, now: float) -> dict[str, tuple[int, int]]:
        """For each check type: (open, overdue). Open: without triage."""
        ...

    def profiles(self) -> list[MergedProfile]: ...

    def profile(self, key: ProfileKey) -> MergedProfile | None: ...

    def save_profile(self, profile: MergedProfile) -> None: ...

    def observe(self, observations: Iterable[Observation], reaffirm_after: float) -> int:
        """Keep the newest observation of each (check, resource); seal those that changed or grew older than
        ``reaffirm_after`` seconds since their last seal. Returns how many were sealed."""
        ...

    def observations(self) -> list[Observation]: ...

    def forget_observations(self, kept: Iterable[tuple[str, str]]) -> None: ...

    def record_status(self, subject: str, status: str, at: float) -> bool:
        """Open a new interval when the status differs from the current one. True when it did."""
        ...

    def intervals(self, subject: str, since: float = 0.0) -> list[Interval]: ...

    def seal(self, stream: str, kind: str, at: float, body: object) -> Sealed: ...

    def evidence(self, *, stream: str = "", after: int = 0, limit: int = 100, about: str = "") -> list[Sealed]: ...

    def node_token_hash(self, node: str) -> str | None: ...

    def save_node_token_hash(self, node: str, token_hash: str) -> None: ...

    def close(self) -> None: ...
