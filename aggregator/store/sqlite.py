"""The embedded store: everything in one SQLite file, written by one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType

from aggregator.profiles import Delta
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
    TriageAction,
)
from aggregator.store.chain import Chain
from aggregator.store.database import Database
from aggregator.store.findings import Arrival, Findings, Repeat
from aggregator.store.finite import finite
from aggregator.store.nodes import Nodes
from aggregator.store.observations import Intervals, Observations
from aggregator.store.policies import Policies
from aggregator.store.profiles import Profiles
from watchkeeper.findings import Finding, ProfileEntry, ProfileKey, ProfileState


class SqliteStore:
    """Implements aggregator.store.protocol.Store. Raises StoreError naming the file and the remedy."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._database = Database(path)
        self._chain = Chain(self._database)
        self._nodes = Nodes(self._database, self._chain)
        self._findings = Findings(self._database, self._chain, clock)
        self._profiles = Profiles(self._database, self._chain)
        self._observations = Observations(self._database, self._chain)
        self._intervals = Intervals(self._database, self._chain)
        self._policies = Policies(self._database, self._chain)

    def ingest(self) -> SqliteIngest:
        return SqliteIngest(self._writing(), self._nodes, self._findings, self._profiles, self._chain, self.clock)

    def acknowledged(self, node: str, spool: str) -> int:
        return self._nodes.acknowledged(node, spool)

    def enrol(self, node: Node) -> None:
        with self._writing():
            self._nodes.enrol(node)

    def heartbeat(self, node: Node) -> None:
        with self._writing(durable=False):
            self._nodes.heartbeat(node)

    def heartbeats(self, nodes: Iterable[Node]) -> None:
        """Many at once, in one transaction."""
        with self._writing(durable=False):
            for node in nodes:
                self._nodes.heartbeat(node)

    def nodes(self) -> list[Node]:
        return self._nodes.all()

    def inventories(self) -> list[NodeInventory]:
        return self._nodes.inventories()

    def findings(
        self, *, open_only: bool = False, limit: int = 100, before: float | None = None, query: str = ""
    ) -> list[StoredFinding]:
        return self._findings.page(open_only, limit, before, query)

    def finding(self, finding_id: str) -> StoredFinding | None:
        return self._findings.find(finding_id)

    def triage(self, finding_id: str, triage: Triage) -> StoredFinding:
        with self._writing():
            stored = self._findings.triage(finding_id, triage)
            if triage.action is TriageAction.ACCEPT:
                self._profiles.accept(stored, triage)
        return stored

    def triages(self, finding_id: str) -> list[Triage]:
        return self._findings.triages(finding_id)

    def open_findings(self, now: float) -> dict[str, tuple[int, int]]:
        return self._findings.open(now)

    def open_by_checks(self, now: float) -> dict[tuple[str, ...], tuple[int, int]]:
        return self._findings.open_by_checks(now)

    def profiles(self) -> list[MergedProfile]:
        return self._profiles.all()

    def profile(self, key: ProfileKey) -> MergedProfile | None:
        return self._profiles.find(key)

    def save_profile(self, profile: MergedProfile) -> None:
        with self._writing():
            self._profiles.save(profile)

    def expire_acceptances(self, now: float) -> list[ProfileKey]:
        with self._writing():
            return self._profiles.expire(now)

    def observe(self, observations: Iterable[Observation], reaffirm_after: float) -> int:
        with self._writing():
            return self._observations.observe(observations, reaffirm_after)

    def observations(self) -> list[Observation]:
        return self._observations.all()

    def judged(self, check: str, limit: int = 100) -> list[JudgedResource]:
        return self._observations.judged(check, limit)

    def forget_observations(self, kept: Iterable[tuple[str, str]]) -> None:
        with self._writing():
            self._observations.forget_others(kept)

    def accept_failure(self, exception: CheckException) -> None:
        with self._writing():
            self._observations.accept_failure(exception)

    def exceptions(self, now: float) -> list[CheckException]:
        return self._observations.exceptions(now)

    def record_status(self, subject: str, status: str, at: float) -> bool:
        with self._writing():
            return bool(self._intervals.record({subject: status}, at))

    def record_statuses(self, statuses: Mapping[str, str], at: float) -> list[str]:
        with self._writing():
            self._intervals.judged(at)
            return self._intervals.record(statuses, at)

    def last_judged(self) -> float:
        return self._intervals.last_judged()

    def intervals(self, subject: str, since: float = 0.0) -> list[Interval]:
        return self._intervals.since(subject, since)

    def policy_changes(self) -> list[PolicyChange]:
        return self._policies.all()

    def keep_policy_change(self, change: PolicyChange, sealed: Mapping[str, object]) -> None:
        with self._writing():
            self._policies.keep(change, sealed)

    def drop_policy_change(self, name: str, at: float, sealed: Mapping[str, object]) -> None:
        with self._writing():
            self._policies.drop(name, at, sealed)

    def seal(self, stream: str, kind: str, at: float, body: object) -> Sealed:
        with self._writing():
            return self._chain.append(stream, kind, at, body)

    def evidence(
        self, *, stream: str = "", after: int = 0, limit: int = 100, about: str = "", newest: bool = False
    ) -> list[Sealed]:
        return self._chain.links(stream, after, limit, about, newest)

    def streams(self) -> list[str]:
        return self._chain.streams()

    def node_token_hash(self, node: str) -> str | None:
        return self._nodes.token_hash(node)

    def save_node_token_hash(self, node: str, token_hash: str) -> None:
        with self._writing():
            self._nodes.save_token_hash(node, token_hash)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[None]:
        try:
            with self._database.transaction(durable=durable):
                yield
                self._chain.flush()
        except BaseException:
            for part in (self._chain, self._nodes, self._profiles, self._observations, self._intervals):
                part.forget()
            raise


class SqliteIngest:
    """Implements aggregator.store.protocol.Ingest: findings are collected, and folded and written on leaving."""

    def __init__(
        self,
        transaction: AbstractContextManager[None],
        nodes: Nodes,
        findings: Findings,
        profiles: Profiles,
        chain: Chain,
        clock: Callable[[], float],
    ) -> None:
        self._transaction = transaction
        self._nodes = nodes
        self._findings = findings
        self._profiles = profiles
        self._chain = chain
        self._clock = clock
        self._batch: list[Arrival | Repeat] = []

    def finding(self, finding: Finding, due_at: float, checks: tuple[str, ...]) -> None:
        self._batch.append(Arrival(finding, due_at, checks))

    def repeat(self, finding_id: str, count: int, last_at: float) -> None:
        self._batch.append(Repeat(finding_id, count, last_at))

    def profile_delta(
        self,
        node: str,
        key: ProfileKey,
        state: ProfileState,
        observed_seconds: float,
        entries: Sequence[ProfileEntry],
        last_novelty_at: float,
    ) -> None:
        fit = tuple(map(finite, entries))
        delta = finite(Delta(key, state, observed_seconds, fit, last_novelty_at, self._clock()))
        self._profiles.merge(node, delta.observed_seconds, delta)

    def inventory(self, inventory: NodeInventory) -> None:
        self._nodes.inventory(inventory)

    def seal(self, stream: str, kind: str, at: float, body: object) -> Sealed:
        return self._chain.append(stream, kind, at, body)

    def acknowledge(self, node: str, spool: str, sequence: int) -> None:
        self._nodes.acknowledge(node, spool, sequence)

    def __enter__(self) -> SqliteIngest:
        self._transaction.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                if self._batch:
                    self._findings.keep(self._batch)
            except BaseException as failure:
                self._transaction.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._transaction.__exit__(kind, error, trace)
