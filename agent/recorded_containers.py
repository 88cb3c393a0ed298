"""Containers of a recording: their names come from the recording itself, there is no runtime to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from watchkeeper.findings import Container


class RecordedContainers:
    """Like agent.containers.Containers. Every cgroup that is born may be a container until the recording says so."""

    def __init__(self) -> None:
        self.on_named: Callable[[int], None] = lambda cgroup: None
        self._named: dict[int, Container] = {}
        self._unnamed: set[int] = set()
        self._running: set[int] = set()

    def birth(self, cgroup: int, path: str) -> None:
        if cgroup not in self._named:
            self._unnamed.add(cgroup)
        self._running.add(cgroup)

    def death(self, cgroup: int) -> None:
        self._running.discard(cgroup)

    def name(self, cgroup: int, container: Container) -> None:
        """What the recording says."""
        if cgroup not in self._named:
            self._running.add(cgroup)
        self._named[cgroup] = container
        self._unnamed.discard(cgroup)
        self.on_named(cgroup)

    def find(self, cgroup: int) -> Container | None:
        return self._named.get(cgroup)

    def is_pending(self, cgroup: int) -> bool:
        return cgroup in self._unnamed

    def running(self) -> list[Container]:
        return [container for cgroup, container in self._named.items() if cgroup in self._running]

    async def run(self) -> None:
        """Nothing is left to find out."""
        await asyncio.Event().wait()
