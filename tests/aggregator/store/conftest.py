"""A store in a real file, with a clock the test sets, and findings to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.store.sqlite import SqliteStore
from watchkeeper.findings import Behaviour, BehaviourClass, Finding, ProfileKey, Severity

KEY = ProfileKey("c", "ns", "Deployment/web", "web", "sha256:1")
DRIFT = ("profiling_policy", "profiling_enabled")


@dataclass
class Clock:
    now: float = 1000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "aggregator.db", clock)
    yield opened
    opened.close()


@pytest.fixture
def make() -> Callable[..., Finding]:
    def finding(
        name: str, fingerprint: str = "f", program: str = "/bin/curl", node: str = "n1", at: float = 900.5,
        severity: Severity = Severity.HIGH,
    ) -> Finding:  # fmt: skip
        behaviour = Behaviour(BehaviourClass.EXECUTED, "/bin/sh", program)
        return Finding(name, node, "drift", f"{program} executed", severity, fingerprint, at, at + 0.25, KEY, behaviour)

    return finding


@pytest.fixture
def put(store: SqliteStore) -> Callable[..., None]:
    """Ingest findings in one batch, due at 5000."""

    def keep(*findings: Finding, due_at: float = 5000.0, checks: tuple[str, ...] = DRIFT) -> None:
        with store.ingest() as batch:
            for finding in findings:
                batch.finding(finding, due_at, checks)

    return keep
