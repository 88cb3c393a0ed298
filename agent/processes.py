"""The process table: who acts, where it came from, and what its ancestors are.

Keyed by process id and start time, so that a reused id is another process. Records are immutable: an exec or
a fork makes a new one, and whoever kept the old one still sees the process as it was.

A process inside a container's cgroup that has not executed anything there yet is the runtime itself (runc's
init): ``inside`` is False, and what it does is not the workload's behaviour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from watchkeeper.events import Exec, Exit, Fork, Running, Task
from watchkeeper.findings import Process

LIVE = 32_768  # processes remembered; beyond it the oldest are forgotten
GONE = 2_048  # ended processes remembered: their last events may wait for the container's name
ANCESTORS = 16
ARGUMENTS = 1_024  # characters kept of the arguments of one process
TICK = 10_000_000  # nanoseconds: /proc tells start times in hundredths of a second

RUNC_INIT = "runc:["  # beginning of the name that runc's init has before it becomes the container's program
RUNTIMES = frozenset({"runc", "crun", "youki", "runsc", "kata-runtime", "exe"})


@dataclass(frozen=True, slots=True)
class Known:
    """A process between two execs. ``inside``: it runs a program of its container. ``exact``: start is the kernel's."""

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
        return self.find(task.pid, task.start)

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
            executable=event.executable,
            arguments=_cut(event.arguments),
            working_directory=event.working_directory,
            uid=task.uid,
            login_uid=task.login_uid,
            tty=event.tty,
            cgroup=task.cgroup,
            origin=self._origin(task, inside),
            inside=inside,
            exact=False,
        )
        self._keep(known)
        return known

    def exec(self, event: Exec, in_container: bool) -> Executed:
        """The process runs another program from now on."""
        task = event.task
        before = self.actor(task) or self._like_its_parent(task)
        entering = in_container and not (before is not None and before.inside)
        runtime = entering and _is_runtime(task.comm, event.executable, event.arguments, event.memfd)
        inside = in_container and not runtime
        after = Known(
            pid=task.pid,
            start=task.start,
            parent_pid=task.parent_pid,
            parent_start=task.parent_start,
            executable=event.executable,
            arguments=_cut(event.arguments),
            working_directory=event.working_directory,
            uid=task.uid,
            login_uid=task.login_uid,
            tty=event.tty,
            cgroup=task.cgroup,
            origin=self._origin(task, inside, before),
            inside=inside,
        )
        self._keep(after)
        return Executed(after, before)

    def fork(self, event: Fork, in_container: bool) -> None:
        """The child runs its parent's program until it executes another."""
        parent = self.actor(event.task)
        task = event.task
        inside = parent.inside if parent else in_container and not task.comm.startswith(RUNC_INIT)
        child = Known(
            pid=event.child_pid,
            start=event.child_start,
            parent_pid=task.pid,
            parent_start=task.start,
            executable=parent.executable if parent else "",
            arguments=parent.arguments if parent else (),
            working_directory=parent.working_directory if parent else "",
            uid=task.uid,
            login_uid=task.login_uid,
            tty=parent.tty if parent else "",
            cgroup=task.cgroup,
            origin="child" if inside else "host",
            inside=inside,
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
        return replace(parent, pid=task.pid, start=task.start) if parent is not None and parent.inside else None

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


def _is_runtime(comm: str, executable: str, arguments: tuple[str, ...], memfd: bool) -> bool:
    """Whether a process that came into a container from outside still is the runtime and not the program it starts.

    runc executes itself, from a sealed copy in memory or from its own path, with "init" as argument. An image
    whose entry point is a program named runc with that argument would be taken for it.
    """
    if comm.startswith(RUNC_INIT) or memfd or executable.startswith("/memfd:"):
        return True
    name = executable.rsplit("/", 1)[-1]
    return name in RUNTIMES and "init" in arguments[1:2]


def _cut(arguments: tuple[str, ...]) -> tuple[str, ...]:
    room = ARGUMENTS
    kept: list[str] = []
    for argument in arguments:
        if room <= 0:
            return (*kept, "…")
        kept.append(argument[:room])
        room -= len(argument)
    return tuple(kept)
