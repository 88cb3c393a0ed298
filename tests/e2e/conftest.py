"""A stage for each test: aggregator, agent and containers of its own, all gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.demo_stage import Stage
from cli.requirements import missing_for_live_run

WORDS = "alpha bravo charlie delta echo golf hotel india lima mike"


@dataclass(frozen=True)
class Writes:
    """What the intruder types to write 1,000 different files, and their paths."""

    injection: str
    paths: frozenset[str]


@pytest.fixture
def stage() -> Iterator[Stage]:
    missing = missing_for_live_run()
    if missing:
        pytest.skip("; ".join(missing))
    with Stage(Path(f"/run/watchkeeper-test-{os.getpid()}")) as stage:
        yield stage


@pytest.fixture
def thousand_writes() -> Writes:
    words = WORDS.split()
    loop = f"for a in {WORDS}; do for b in {WORDS}; do for c in {WORDS}; do echo x > /etc/$a-$b-$c; done; done; done"
    return Writes(f"x; {loop}", frozenset(f"/etc/{a}-{b}-{c}" for a in words for b in words for c in words))
