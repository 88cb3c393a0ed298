"""Puts the pushed rules into force: compiles them aside, changes the hooks, swaps.

The set in force stays until a better one is ready, and is kept on disk, so that a restart need not wait for the
aggregator to be protected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from agent.probe.syscalls import Outcomes
from agent.rulebook import EMPTY, Rulebook
from watchkeeper.policies import DetectionSet

FILE = "detection.json"
MOST_TOLD = 20  # problems told in a heartbeat


class Watcher(Protocol):
    """What is asked of the source of events."""

    def watch(self, wanted: Mapping[str, Outcomes]) -> Mapping[str, str]:
        """Tell these system calls from now on; returns those that can not be told, with the reason."""
        ...


class Judge(Protocol):
    """What is asked of agent.rulings.Rulings."""

    rulebook: Rulebook
    failures: int
    last_failure: str

    def use(self, rulebook: Rulebook) -> None: ...


class Enforcement:
    """``problems``: why something that is asked for is not in force; told with the heartbeat."""

    def __init__(self, directory: Path, source: Watcher, judge: Judge, *, match_all: bool = True) -> None:
        self._match_all = match_all
        self.problems: tuple[str, ...] = ()
        self._path = directory / FILE
        self._source = source
        self._judge = judge

    @property
    def hash(self) -> str:
        """Of the detection set in force; "" before the first one."""
        rulebook = self._judge.rulebook
        return "" if rulebook.hash == EMPTY.hash else rulebook.hash

    @property
    def rules(self) -> int:
        """How many rules are in force."""
        return self._judge.rulebook.size

    @property
    def failures(self) -> int:
        """Events that could not be judged."""
        return self._judge.failures

    @property
    def last_failure(self) -> str:
        return self._judge.last_failure

    async def put(self, detection: DetectionSet) -> None:
        """Put it into force, unless it already is. Not to be called again before it returned."""
        if detection.hash == self._judge.rulebook.hash:
            return
        if self.swap(await asyncio.to_thread(Rulebook, detection, match_all=self._match_all)):
            self._save(detection)

    def swap(self, rulebook: Rulebook) -> bool:
        """Judge by ``rulebook`` from now on; False when it has errors and an older one, which stays, is in force."""
        if rulebook.errors and self.hash:
            self.problems = ("the newest rules are not in force", *self._told(rulebook, {}))[:MOST_TOLD]
            return False
        unserved = self._source.watch(rulebook.syscalls)
        self._judge.use(rulebook)
        self.problems = tuple(self._told(rulebook, unserved))[:MOST_TOLD]
        return True

    def _told(self, rulebook: Rulebook, unserved: Mapping[str, str]) -> Iterator[str]:
        yield from map(str, rulebook.errors)
        for rule in rulebook.missing:
            yield f"rule {rule!r} of a policy is not in force: no file holds it, or it does not compile"
        for name, reason in sorted(unserved.items()):
            yield f"this kernel does not tell of {name}: {reason}"

    def _save(self, detection: DetectionSet) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(detection))
            temporary.replace(self._path)
        except OSError as error:
            self.problems = (*self.problems, f"the rules can not be kept for the next start: {error.strerror}")


def stored(directory: Path) -> DetectionSet:
    """What was in force when the agent last ran. An empty set when there was nothing, or it can not be read: the
    aggregator sends it again."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=DetectionSet)
    except (OSError, msgspec.DecodeError):
        return EMPTY
