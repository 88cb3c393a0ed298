"""Which container a cgroup belongs to, from the cgroup's birth until a minute after its death.

A cgroup that may be a container's is pending until it is named: by the CRI, by what the runtime left on disk (read at
birth, since a container of 50 ms is gone before anybody can be asked), or, after two seconds, by its id alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent import cri
from agent.cgroups import Hierarchy, container_id, is_parent, is_unit
from agent.naming import Naming
from agent.oci import CONTAINERD, Description, Files
from watchkeeper.findings import Container

NAMING_SECONDS = 2.0
UNSHAPED_SECONDS = 1.0  # runc writes its state some milliseconds after it made the cgroup
AGAIN_SECONDS = 5.0  # between attempts when a runtime did not answer in time
REMEMBERED_SECONDS = 60.0
MOST_DEAD = 8192
MOST_UNCLEAR = 4096
SCAN_SECONDS = 1.0  # at least, between two scans for a cgroup whose birth was missed


@dataclass(slots=True, eq=False)
class _Entry:
    """One container. ``top``: path of its cgroup; ``cgroups``: id -> path of that one and of those made inside it,
    also dead ones that are still remembered; ``living``: those that are not dead."""

    described: Description
    top: str
    cgroups: dict[int, str] = field(default_factory=dict)
    living: set[int] = field(default_factory=set)
    pending: bool = True

    @property
    def container(self) -> Container:
        return self.described.container


@dataclass(slots=True, eq=False)
class _Unshaped:
    """A cgroup of which only the runtimes' files can tell whether it is a container's."""

    path: str
    until: float
    alive: bool = True


class Containers:
    """All methods belong to the thread of the event loop that run() is on. ``clock`` gives monotonic seconds.

    ``on_named`` is called with each cgroup that stops to be pending, also for one that turned out to be the host's,
    and once more should a runtime that was down tell the name later.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        sockets: Sequence[str | Path] = cri.SOCKETS,
        files: Files | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_named: Callable[[int], None] = lambda cgroup: None
        paths = [Path(socket) for socket in sockets]
        self._hierarchy = hierarchy
        self._files = files or Files(states=tuple(dict.fromkeys([*(path.parent for path in paths), CONTAINERD])))
        self._naming = Naming(paths)
        self._clock = clock
        self._of: dict[int, _Entry] = {}
        self._tops: dict[str, _Entry] = {}  # living containers
        self._host: set[int] = set()
        self._unshaped: dict[int, _Unshaped] = {}
        self._unknown: set[int] = set()
        self._dead: deque[tuple[float, int, _Entry | None]] = deque()
        self._waiting: deque[_Entry] = deque()
        self._scanned = -SCAN_SECONDS
        self._wake = asyncio.Event()

    def birth(self, cgroup: int, path: str) -> None:
        """A cgroup was made, or was found; ``path`` is relative to the hierarchy's root."""
        self._forget_dead()
        if self._is_known(cgroup, path):
            return
        if cgroup in self._of:
            self.death(cgroup)  # a death was missed, and the id is used again
        self._host.discard(cgroup)
        shape = container_id(path)
        if shape is not None:
            self._join(cgroup, path, *shape, _top(path, shape[1]))
        elif entry := self._entry_above(path):
            self._add(cgroup, path, entry)
        elif is_unit(path):
            self._set_host(cgroup)
        elif found := self._files.unshaped(self._hierarchy, path):
            self._join(cgroup, path, *found)
        elif not is_parent(path) and len(self._unshaped) < MOST_UNCLEAR:
            self._unshaped[cgroup] = _Unshaped(path, self._clock() + UNSHAPED_SECONDS)
            self._wake.set()
        else:
            self._set_host(cgroup)

    def death(self, cgroup: int) -> None:
        """The cgroup is gone. It is still found for a minute, as its last events may be under way."""
        self._forget_dead()
        if cgroup in self._unshaped:
            self._unshaped[cgroup].alive = False
            return
        entry = self._of.get(cgroup)
        if entry is not None:
            entry.living.discard(cgroup)
            if not entry.living or entry.cgroups[cgroup] == entry.top:
                self._retire(entry)
        if entry is not None or cgroup in self._host:
            self._dead.append((self._clock() + REMEMBERED_SECONDS, cgroup, entry))

    def find(self, cgroup: int) -> Container | None:
        """Its container, or None: the host's. While is_pending(), only the id and what the files tell are filled."""
        entry = self._of.get(cgroup)
        return entry.container if entry else None

    def is_pending(self, cgroup: int) -> bool:
        """Whether find()'s answer is still to change; on_named tells when it does not any more."""
        entry = self._of.get(cgroup)
        if entry is not None:
            return entry.pending
        if cgroup in self._host or cgroup == 0:
            return False
        if cgroup not in self._unshaped and cgroup not in self._unknown:
            if len(self._unknown) >= MOST_UNCLEAR:
                return False
            self._unknown.add(cgroup)  # its birth was missed: run() looks for it
            self._wake.set()
        return True

    def running(self) -> list[Container]:
        """Containers that live and are named as well as can be."""
        return [entry.container for entry in self._tops.values() if not entry.pending]

    def scan(self) -> None:
        """Take in what is in the hierarchy now; what is not there any more has died."""
        self._scanned = self._clock()
        before = [cgroup for entry in self._tops.values() for cgroup in entry.living]
        seen = set()
        for cgroup, path in self._hierarchy.walk():
            seen.add(cgroup)
            self.birth(cgroup, path)
        for cgroup in before:
            if cgroup not in seen:
                self.death(cgroup)

    async def run(self) -> None:
        """Name what is pending, until cancelled; may be run again then."""
        tasks: dict[asyncio.Task[None], _Entry] = {}
        try:
            while True:
                await self._rest()
                self._settle_unshaped()
                self._find_unknown()
                while self._waiting:
                    entry = self._waiting.popleft()
                    task = asyncio.create_task(self._name(entry))
                    tasks[task] = entry
                    task.add_done_callback(tasks.pop)
        finally:
            self._waiting.extend(tasks.values())
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._naming.close()

    async def _rest(self) -> None:
        """Until there is something to do, or something unclear is to be looked at again."""
        seconds = None
        if self._unshaped:
            seconds = 0.01
        elif self._unknown:
            seconds = max(0.0, self._scanned + SCAN_SECONDS - self._clock())
        if not self._waiting:
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                return
        self._wake.clear()

    async def _name(self, entry: _Entry) -> None:
        """Ask until the answer is final, or time is up; then go on for a runtime that did not answer at all."""
        until, pause = self._clock() + NAMING_SECONDS, 0.02
        answer = await self._naming.ask(entry.described)
        while not answer.final and self._clock() < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.25)
            answer = await self._naming.ask(entry.described)
        self._settle(entry, answer.container)
        while answer.failed and not answer.final and entry.living:
            await asyncio.sleep(AGAIN_SECONDS)
            answer = await self._naming.ask(entry.described)
            if answer.final:
                self._settle(entry, answer.container)

    def _settle(self, entry: _Entry, container: Container) -> None:
        if not container.workload:
            container = replace(container, workload=cri.workload(container.name or container.id, "", {}))
        entry.described = replace(entry.described, container=container)
        entry.pending = False
        for cgroup in list(entry.cgroups):
            self.on_named(cgroup)

    def _is_known(self, cgroup: int, path: str) -> bool:
        entry = self._of.get(cgroup)
        if entry is not None:
            return entry.cgroups[cgroup] == path
        return cgroup in self._unshaped and self._unshaped[cgroup].path == path

    def _join(self, cgroup: int, path: str, runtime: str, identifier: str, top: str) -> None:
        """The cgroup is the container's own, or lies below it."""
        entry = self._tops.get(top)
        if entry is not None and path == top and path in {entry.cgroups[other] for other in entry.living}:
            self._retire(entry)  # the same path, another cgroup: a death was missed
            entry = None
        if entry is None:
            bare = Description(Container(id=identifier, runtime=runtime))
            entry = _Entry(self._files.describe(runtime, identifier) or bare, top)
            self._tops[top] = entry
            if self._naming.can_ask(runtime):
                self._waiting.append(entry)
                self._wake.set()
            else:
                self._settle(entry, entry.container)
        self._add(cgroup, path, entry)

    def _add(self, cgroup: int, path: str, entry: _Entry) -> None:
        entry.cgroups[cgroup] = path
        entry.living.add(cgroup)
        self._of[cgroup] = entry
        was_unclear = cgroup in self._unknown or cgroup in self._unshaped
        self._unknown.discard(cgroup)
        if was_unclear and not entry.pending:
            self.on_named(cgroup)

    def _set_host(self, cgroup: int) -> None:
        self._host.add(cgroup)
        if cgroup in self._unknown or cgroup in self._unshaped:
            self._unknown.discard(cgroup)
            self.on_named(cgroup)

    def _entry_above(self, path: str) -> _Entry | None:
        """The living container inside which the path lies."""
        while path := path.rpartition("/")[0]:
            if path in self._tops:
                return self._tops[path]
        return None

    def _retire(self, entry: _Entry) -> None:
        """The container has ended; its cgroups stay known for a while."""
        if self._tops.get(entry.top) is entry:
            del self._tops[entry.top]
        for cgroup in entry.living:
            self._dead.append((self._clock() + REMEMBERED_SECONDS, cgroup, entry))
        entry.living.clear()

    def _forget_dead(self) -> None:
        now = self._clock()
        while self._dead and (self._dead[0][0] <= now or len(self._dead) > MOST_DEAD):
            _, cgroup, entry = self._dead.popleft()
            if entry is None:
                self._host.discard(cgroup)
            elif self._of.get(cgroup) is entry:
                del self._of[cgroup]
                entry.cgroups.pop(cgroup, None)

    def _settle_unshaped(self) -> None:
        """Look again whether a runtime claims them; those it does not claim in time are the host's."""
        for cgroup, unshaped in list(self._unshaped.items()):
            found = self._files.unshaped(self._hierarchy, unshaped.path)
            if found is not None:
                self._join(cgroup, unshaped.path, *found)
            elif self._clock() >= unshaped.until:
                self._set_host(cgroup)
            else:
                continue
            del self._unshaped[cgroup]
            if not unshaped.alive:
                self.death(cgroup)

    def _find_unknown(self) -> None:
        if not self._unknown or self._clock() < self._scanned + SCAN_SECONDS:
            return
        asked = set(self._unknown)
        self.scan()
        for cgroup in asked & self._unknown:
            if cgroup not in self._unshaped:
                self._set_host(cgroup)
                self._dead.append((self._clock() + REMEMBERED_SECONDS, cgroup, None))


def _top(path: str, identifier: str) -> str:
    """The path up to the part that carries the container's id."""
    end = path.index(identifier) + len(identifier)
    rest = path[end:].partition("/")[0]
    return path[:end] + rest
