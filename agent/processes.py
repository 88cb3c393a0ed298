"""The process table: who acts, where it came from, and what its ancestors are.

Keyed by process id and start time, so that a reused id is another process. Records are immutable: an exec or
a fork makes a new one, and whoever kept the old one still sees the process as it was.

A process inside a container's cgroup that has not executed anything there yet is the runtime itself (runc's
init): ``inside`` is False, and what it does is not the workload's behaviour.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TypedDict

from watchkeeper.events import Exec, Exit, Fork, Running, Task
from watchkeeper.findings import Process

LIVE = 32_768  # processes remembered; beyond it the oldest are forgotten
GONE = 1_024  # ended processes remembered: their last events may wait for the container's name
ANCESTORS = 16
ARGUMENTS = 1_024  # characters kept of the arguments of one process
TICK = 10_000_000  # nanoseconds: /proc tells start times in hundredths of a second

RUNC_INIT = "runc:["  # beginning of the name that runc's init has before it becomes the container's program
RUNTIMES = frozenset({"runc", "crun", "youki", "runsc", "kata-runtime", "exe"})


@dataclass(frozen=True, slots=True)
class Known:
    """A process between two execs. ``inside``: it runs a program of its container. ``exact``: start is the kernel's.

    Further fields are those of ``rules.sources.activity.Process``: what the last exec, of it or of the process it
    was forked from, made it; ids and times that are 0 are unknown.
    """

    pid: int
    start: int
    parent_pid: int
    parent_start: int
    executable: str
    arguments: tuple[str, ...] = ()
    working_directory: str = ""
    uid: int = 0
    login_uid: int = -1
    tty: str = ""
    cgroup: int = 0
    origin: str = "host"
    inside: bool = False
    exact: bool = True
    name: str = ""
    started_at: int = 0
    environment: tuple[str, ...] = ()
    tty_number: int = 0
    session: int = 0
    group: int = 0
    virtual_pid: int = 0
    virtual_group: int = 0
    virtual_session: int = 0
    inode: int = 0
    changed_at: int = 0
    modified_at: int = 0
    upper_layer: bool = False
    lower_layer: bool = False
    writable: bool = False
    memfd: bool = False
    capabilities: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """What an exec did: the process after it and, if it was known, before it."""

    after: Known
    before: Known | None


class Processes:
    """The processes of the host, bounded."""

    def __init__(self) -> None:
        self._live: OrderedDict[int, Known] = OrderedDict()
        self._gone: OrderedDict[tuple[int, int], Known] = OrderedDict()
        self._entered: set[int] = set()
        self._booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        self.forgotten = 0

    def find(self, pid: int, start: int) -> Known | None:
        """The process, running or ended a short while ago."""
        known = self._live.get(pid)
        if known is not None:
            if known.start == start:
                return known
            if not known.exact and abs(known.start - start) < TICK:
                exact = self._live[pid] = replace(known, start=start, exact=True)
                return exact
        return self._gone.get((pid, start))

    def actor(self, task: Task) -> Known | None:
        """The process of the task, with the name, group and session that the task tells if they changed since."""
        known = self.find(task.pid, task.start)
        if known is None or _is_current(known, task):
            return known
        current = replace(known, name=task.comm, **_ids(task))
        if self._live.get(known.pid) is known:
            self._live[known.pid] = current
        return current

    def ancestor(self, known: Known, number: int) -> Known | None:
        """1 is the parent; None beyond what is known."""
        return next(islice(self._ancestors(known), number - 1, None), None) if number > 0 else None

    def leader(self, known: Known) -> Known | None:
        """The leader of its session, if it still runs and is known."""
        found = self._live.get(known.session)
        return found if found is not None and found.session == known.session else None

    def running(self, event: Running, in_container: bool) -> Known:
        """A process that was there before the agent."""
        task = event.task
        present = self.actor(task)
        if present is not None and present.inside:
            return present  # it executed something meanwhile: the kernel told more than /proc
        inside = in_container and not _is_runtime(task.comm, event.executable, event.arguments, False)
        known = Known(
            pid=task.pid,
            start=task.start,
            parent_pid=task.parent_pid,
            parent_start=task.parent_start,
            executable=sys.intern(event.executable),
            arguments=_cut(event.arguments),
            working_directory=sys.intern(event.working_directory),
            uid=task.uid,
            login_uid=task.login_uid,
            tty=event.tty,
            cgroup=task.cgroup,
            origin=self._origin(task, inside),
            inside=inside,
            exact=False,
            name=sys.intern(task.comm),
            started_at=self._wall(task.start),
            environment=self._shared(event.environment, task),
            tty_number=event.tty_number,
            **_ids(task),
        )
        self._keep(known)
        return known

    def exec(self, event: Exec, in_container: bool) -> Executed:
        """The process runs another program from now on."""
        task = event.task
        before = self.find(task.pid, task.start) or self._like_its_parent(task)
        entering = in_container and not (before is not None and before.inside)
        runtime = entering and _is_runtime(task.comm, event.executable, event.arguments, event.memfd)
        inside = in_container and not runtime
        after = Known(
            pid=task.pid,
            start=task.start,
            parent_pid=task.parent_pid,
            parent_start=task.parent_start,
            executable=sys.intern(event.executable),
            arguments=_cut(event.arguments),
            working_directory=sys.intern(event.working_directory),
            uid=task.uid,
            login_uid=task.login_uid,
            tty=event.tty,
            cgroup=task.cgroup,
            origin=self._origin(task, inside, before),
            inside=inside,
            name=sys.intern(task.comm),
            started_at=before.started_at if before is not None else self._wall(task.start),
            environment=self._shared(event.environment, task, before),
            tty_number=event.tty_number,
            inode=event.inode,
            changed_at=event.changed_at,
            modified_at=event.modified_at,
            upper_layer=event.upper_layer,
            lower_layer=event.lower_layer,
            writable=event.writable,
            memfd=event.memfd,
            capabilities=_capabilities(task, before),
            **_ids(task),
        )
        self._keep(after)
        return Executed(after, before)

    def fork(self, event: Fork, in_container: bool) -> None:
        """The child runs its parent's program until it executes another."""
        parent = self.actor(event.task)
        task = event.task
        inside = parent.inside if parent else in_container and not task.comm.startswith(RUNC_INIT)
        self._booted = event.at - event.child_start / 1e9
        child = replace(
            parent or Known(task.pid, task.start, task.parent_pid, task.parent_start, ""),
            pid=event.child_pid,
            start=event.child_start,
            parent_pid=task.pid,
            parent_start=task.start,
            uid=task.uid,
            login_uid=task.login_uid,
            cgroup=task.cgroup,
            origin="child" if inside else "host",
            inside=inside,
            exact=True,
            name=sys.intern(task.comm),
            started_at=self._wall(event.child_start),
            **_child_ids(event),
        )
        self._keep(child)

    def exit(self, event: Exit) -> None:
        known = self.actor(event.task)
        if known is not None and self._live.get(known.pid) is known:
            self._retire(known)

    def forget_cgroup(self, cgroup: int) -> None:
        self._entered.discard(cgroup)

    def describe(self, known: Known, task: Task) -> Process:
        """As a finding shows it; ``task`` tells the user it acted as."""
        return Process(
            pid=known.pid,
            executable=known.executable,
            arguments=known.arguments,
            working_directory=known.working_directory,
            uid=task.uid,
            login_uid=task.login_uid,
            tty=known.tty,
            ancestors=tuple(f"{each.executable or 'unknown'}[{each.pid}]" for each in self._ancestors(known)),
            origin=known.origin,
        )

    def __len__(self) -> int:
        return len(self._live)

    def _ancestors(self, known: Known) -> Iterator[Known]:
        for _ in range(ANCESTORS):
            parent = self.find(known.parent_pid, known.parent_start)
            if parent is None or parent is known:
                return
            yield parent
            known = parent

    def _wall(self, start: int) -> int:
        return int(self._booted * 1e9) + start

    def _shared(self, environment: tuple[str, ...], task: Task, before: Known | None = None) -> tuple[str, ...]:
        """Equal to ``environment``, made of strings that others have: most are the same, and there are many."""
        other = before or self.find(task.parent_pid, task.parent_start)
        if other is not None and environment == other.environment:
            return other.environment
        return _first_like(tuple(map(sys.intern, environment)))

    def _origin(self, task: Task, inside: bool, before: Known | None = None) -> str:
        if not inside:
            return "host"
        parent = before or self.find(task.parent_pid, task.parent_start)
        if parent is not None and parent.inside:
            return "child"
        if task.cgroup in self._entered:
            return "exec_in"
        self._entered.add(task.cgroup)
        return "entrypoint"

    def _like_its_parent(self, task: Task) -> Known | None:
        """What a process whose fork was not seen was before its exec."""
        parent = self.find(task.parent_pid, task.parent_start)
        if parent is None or not parent.inside:
            return None
        return replace(parent, pid=task.pid, start=task.start, started_at=self._wall(task.start))

    def _keep(self, known: Known) -> None:
        other = self._live.get(known.pid)
        if other is not None and other.start != known.start:
            self._retire(other)
        self._live[known.pid] = known
        self._live.move_to_end(known.pid)
        if len(self._live) > LIVE:
            self._live.popitem(last=False)
            self.forgotten += 1

    def _retire(self, known: Known) -> None:
        del self._live[known.pid]
        self._gone[known.pid, known.start] = known
        if len(self._gone) > GONE:
            self._gone.popitem(last=False)


class _Ids(TypedDict, total=False):
    session: int
    group: int
    virtual_pid: int
    virtual_group: int
    virtual_session: int


def _capabilities(task: Task, before: Known | None) -> tuple[int, int, int]:
    told = (task.cap_effective, task.cap_permitted, task.cap_inheritable)
    return before.capabilities if before is not None and before.capabilities == told else told


def _is_current(known: Known, task: Task) -> bool:
    if known.name != task.comm:
        return False
    return not task.group or (known.group, known.session) == (task.group, task.session)


def _ids(task: Task) -> _Ids:
    """Empty when the task does not tell them."""
    if not task.virtual_pid:
        return {}
    return {
        "session": task.session,
        "group": task.group,
        "virtual_pid": task.virtual_pid,
        "virtual_group": task.virtual_group,
        "virtual_session": task.virtual_session,
    }


def _child_ids(event: Fork) -> _Ids:
    """Group and session of the parent when the event does not tell them, as in older recordings."""
    if not event.child_virtual_pid:
        return {"virtual_pid": 0}
    return {
        "session": event.session,
        "group": event.group,
        "virtual_pid": event.child_virtual_pid,
        "virtual_group": event.virtual_group,
        "virtual_session": event.virtual_session,
    }


def _is_runtime(comm: str, executable: str, arguments: tuple[str, ...], memfd: bool) -> bool:
    """Whether a process that came into a container from outside still is the runtime and not the program it starts.

    runc executes itself, from a sealed copy in memory or from its own path, with "init" as argument. An image
    whose entry point is a program named runc with that argument would be taken for it.
    """
    if comm.startswith(RUNC_INIT) or memfd or executable.startswith("/memfd:"):
        return True
    name = executable.rsplit("/", 1)[-1]
    return name in RUNTIMES and "init" in arguments[1:2]


@lru_cache(64)
def _first_like(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Of equal ones the first: what one parent starts again and again has the same environment each time."""
    return texts


def _cut(arguments: tuple[str, ...]) -> tuple[str, ...]:
    room = ARGUMENTS
    kept: list[str] = []
    for argument in arguments:
        if room <= 0:
            return (*kept, "…")
        kept.append(sys.intern(argument[:room]))
        room -= len(argument)
    return tuple(kept)
