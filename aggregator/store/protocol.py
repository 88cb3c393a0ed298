"""What the aggregator asks of its store, whatever database is below.

Every method is synchronous and atomic: it has committed when it returns. One writer at a time; the
service calls it from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Protocol

from aggregator.records import (
    CheckException,
    Interval,
    JudgedResource,
    MergedProfile,
    Node,
    NodeInventory,
    Observation,
    PolicyChange,
    Sealed,
    StoredFinding,
    Triage,
)
from watchkeeper.findings import Finding, ProfileEntry, ProfileKey, ProfileState


class StoreError(Exception):
    """The store can not be used; the message names the file and the remedy."""


class Ingest(Protocol):
    """One node's batch inside one transaction; leaving the context commits all of it or nothing."""

    def finding(self, finding: Finding, due_at: float, checks: tuple[str, ...]) -> None:
        """Keep and seal it (stream ``findings``); one already kept, by id, is ignored; one with the fingerprint of an
        untriaged finding, or of one judged false or accepted for this behaviour and still validly so, is folded."""
        ...

    def repeat(self, finding_id: str, count: int, last_at: float) -> None:
        """Count further occurrences. An unknown id is ignored: its finding was refused before."""
        ...

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    def ingest(self) -> Ingest: ...

    def acknowledged(self, node: str, spool: str) -> int: ...

    def enrol(self, node: Node) -> None:
        """Keep who the node is (its heartbeat stays as it was); sealed when new or changed."""
        ...

    def heartbeat(self, node: Node) -> None:
        """Keep its newest heartbeat; ``enrolled_at`` stays as it was."""
        ...

    def heartbeats(self, nodes: Iterable[Node]) -> None:
        """Many at once, in one transaction."""
        ...

    def nodes(self) -> list[Node]: ...

    def inventories(self) -> list[NodeInventory]: ...

    def findings(
        self, *, open_only: bool = False, limit: int = 100, before: float | None = None, query: str = ""
    ) -> list[StoredFinding]:
        """Newest first; ``before`` is a ``stored_at`` (no two are equal); ``query`` is part of title, node or body."""
        ...

    def finding(self, finding_id: str) -> StoredFinding | None: ...

    def triage(self, finding_id: str, triage: Triage) -> StoredFinding:
        """Keep and seal the decision. Accepting also puts the finding's behaviours into its profile.
        KeyError: there is no such finding."""
        ...

    def triages(self, finding_id: str) -> list[Triage]: ...

    def open_findings(self, now: float) -> dict[str, tuple[int, int]]:
        """For each check, by key: (open, overdue). Open: without triage."""
        ...

    def open_by_checks(self, now: float) -> dict[tuple[str, ...], tuple[int, int]]:
        """As open_findings, for each combination of checks findings belong to: no finding counts twice."""
        ...

    def profiles(self) -> list[MergedProfile]: ...

    def profile(self, key: ProfileKey) -> MergedProfile | None: ...

    def save_profile(self, profile: MergedProfile) -> None: ...

    def expire_acceptances(self, now: float) -> list[ProfileKey]:
        """Take behaviours whose acceptance ended out of their profiles; which profiles changed."""
        ...

    def observe(self, observations: Iterable[Observation], reaffirm_after: float) -> int:
        """Keep the newest observation of each (check, resource); seal those that changed or grew older than
        ``reaffirm_after`` seconds since their last seal. Returns how many were sealed."""
        ...

    def observations(self) -> list[Observation]: ...

    def judged(self, check: str, limit: int = 100) -> list[JudgedResource]:
        """The newest observations of a check with their evidence: failures first, then the newest."""
        ...

    def forget_observations(self, kept: Iterable[tuple[str, str]]) -> None: ...

    def accept_failure(self, exception: CheckException) -> None:
        """Keep and seal an exception; it replaces an earlier one for the same check and resource."""
        ...

    def exceptions(self, now: float) -> list[CheckException]:
        """Those still valid."""
        ...

    def record_status(self, subject: str, status: str, at: float) -> bool:
        """Open a new interval when the status differs from the current one. True when it did."""
        ...

    def record_statuses(self, statuses: Mapping[str, str], at: float) -> list[str]:
        """As record_status for many subjects, and remember that they were judged at ``at``. Which changed.
        Statuses of controls are sealed (stream ``statuses``) when they change."""
        ...

    def last_judged(self) -> float:
        """When record_statuses was last called; 0: never."""
        ...

    def intervals(self, subject: str, since: float = 0.0) -> list[Interval]: ...

    def policy_changes(self) -> list[PolicyChange]:
        """What people changed about policies, by name."""
        ...

    def keep_policy_change(self, change: PolicyChange, sealed: Mapping[str, object]) -> None:
        """It replaces an earlier one of the same policy. ``sealed``: the body of its evidence, in ``definitions``."""
        ...

    def drop_policy_change(self, name: str, at: float, sealed: Mapping[str, object]) -> None:
        """The policy is what files say again, or gone."""
        ...

    def seal(self, stream: str, kind: str, at: float, body: object) -> Sealed: ...

    def evidence(
        self, *, stream: str = "", after: int = 0, limit: int = 100, about: str = "", newest: bool = False
    ) -> list[Sealed]:
        """Oldest first unless ``newest``. ``after``: with a stream the sequence number, else how many to skip.
        ``about``: id of a finding or profile, name of a node or policy, key of a check or resource."""
        ...

    def streams(self) -> list[str]: ...

    def node_token_hash(self, node: str) -> str | None: ...

    def save_node_token_hash(self, node: str, token_hash: str) -> None: ...

    def close(self) -> None: ...
