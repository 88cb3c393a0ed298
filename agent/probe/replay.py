"""A recording as a source of events."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import msgspec

from agent.probe.source import ClassCounters, Knowledge, NoveltyCounters, ProbeError, Ticket, Told
from agent.probe.syscalls import Outcomes
from watchkeeper.events import AnyEvent

_DECODER = msgspec.json.Decoder(AnyEvent)


class ReplaySource:
    """Plays a recording from its beginning. A line that is not an event stops it with the line's number, so a damaged
    recording is never taken for a short one."""

    state = "replay"
    missing_hooks: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ProbeError(f"the recording {path} can not be read: {error.strerror}") from error
        self._line = 0
        self._error: ProbeError | None = None
        self._played: dict[str, int] = {}
        self._ready = os.eventfd(1)  # always readable: a regular file can not be waited on with epoll
        self.canary_at = 0.0
        self.finished = False

    def fileno(self) -> int:
        return self._ready

    def read(self, limit: int = 4096) -> list[Told]:
        """The next events; raises ProbeError naming the line that is none, after all events before it were given."""
        found: list[Told] = []
        for line in islice(self._file, 0 if self._error else limit):
            self._line += 1
            try:
                found.append(Told(self._decode(line), None))
            except ProbeError as error:
                self._error = error
                break
        if self._error:
            if found:
                return found
            raise self._error
        if len(found) < limit:
            self.finished = True
        return found

    def counters(self) -> list[ClassCounters]:
        return [
            ClassCounters(name, seen=count, submitted=count, decoded=count)
            for name, count in sorted(self._played.items())
        ]

    def novelties(self) -> list[NoveltyCounters]:
        """Everything recorded was told, and nothing was remembered."""
        return []

    def knowledge(self) -> Knowledge:
        return Knowledge()

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None:
        """There are no tickets in a recording."""

    def remember(self) -> None:
        """Nothing is ever settled."""

    def unlearn(self, key: bytes) -> None:
        """Nothing is ever settled."""

    def forget(self) -> None:
        """Nothing is ever settled."""

    def seen(self) -> tuple[int, ...]:
        return ()

    def forget_behaviours(self, cgroup: int) -> None:
        """Nothing is ever settled."""

    def ignore_cgroup(self, cgroup: int) -> None:
        """A recording tells what it tells."""

    def forget_cgroup(self, cgroup: int) -> None:
        """A recording remembers nothing of cgroups."""

    def watch(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        """A recording tells what it tells: nothing can be refused."""
        return {}

    def play_canary(self) -> None:
        """There is no kernel to prove alive: the canary returns at once."""
        self.canary_at = time.time()

    def close(self) -> None:
        self._file.close()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1

    def _decode(self, line: bytes) -> AnyEvent:
        try:
            event: AnyEvent = _DECODER.decode(line)
        except msgspec.DecodeError as error:
            raise ProbeError(
                f"{self._path}, line {self._line}: not an event ({error}); mend the line or remove it"
            ) from error
        name = str(event.__struct_config__.tag)
        self._played[name] = self._played.get(name, 0) + 1
        return event
