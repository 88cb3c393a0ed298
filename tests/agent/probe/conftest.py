"""The real kernel as the tests' subject: small programs act, and what the probe told of them is returned."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent.cgroups import Hierarchy, detect
from agent.probe.loader import KernelSource, start
from agent.probe.source import ProbeError
from watchkeeper.events import AnyEvent, Exit

SENSITIVE = ("shadow", ".ssh", "watched-name", "a-name-as-long-as-the-map-can-hold-and-more")
PATIENCE = float(os.environ.get("WATCHKEEPER_TEST_PATIENCE", "20"))  # seconds


class Watch:
    """A source, and everything it told so far."""

    def __init__(self, source: KernelSource) -> None:
        self.source = source
        self.seen: list[AnyEvent] = []

    def until(self, wanted: Callable[[AnyEvent], bool]) -> AnyEvent:
        """The first event that fits, waiting for it if need be."""
        checked = 0
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in self.seen[checked:]:
                if wanted(event):
                    return event
            checked = len(self.seen)
            select.select([self.source], [], [], 0.2)
            self.seen += self.source.read()
        raise AssertionError("the kernel did not tell of it in time")

    def run(self, code: str, *arguments: str, program: Sequence[str] = (sys.executable, "-IS", "-c")) -> list[AnyEvent]:
        """Run Python code in a process of its own; what the probe told of that process, in order."""
        with subprocess.Popen([*program, code, *arguments]) as process:
            assert process.wait() == 0
        pid = process.pid
        self.until(lambda event: isinstance(event, Exit) and event.task.pid == pid)
        return [event for event in self.seen if event.task.pid == pid]


def begin(ring_bytes: int = 1 << 22, sensitive: Sequence[str] = SENSITIVE) -> KernelSource:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    try:
        return start(ring_bytes, os.getpid(), detect(), sensitive)
    except ProbeError as error:
        if "python3-bpfcc" in str(error) or "BTF" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """One attached probe for all tests of a module."""
    source = begin()
    yield Watch(source)
    source.close()


@pytest.fixture
def fresh() -> Iterator[Callable[..., Watch]]:
    """Makes probes of the test's own."""
    made: list[KernelSource] = []

    def make(**options: int) -> Watch:
        made.append(begin(**options))
        return Watch(made[-1])

    yield make
    for source in made:
        source.close()


@pytest.fixture
def cgroup() -> Iterator[tuple[Hierarchy, Path]]:
    """An empty cgroup of the chosen hierarchy."""
    hierarchy = detect()
    directory = hierarchy.mount / f"watchkeeper-test-{os.getpid()}"
    directory.mkdir()
    yield hierarchy, directory
    directory.rmdir()
