"""The process table: who acts, where it came from, and what its ancestors are.

Keyed by process id and start time, so that a reused id is another process. Records are immutable: an exec or
a fork makes a new one, and whoever kept the old one still sees the process as it was.

Forks and executions that the kernel knows are not told. So each event tells the context of its process and of the
parent: where that is not the one in the table, the process is what the first of its context was (agent.contexts).

A process inside a container's cgroup that has not executed anything there yet is the runtime itself (runc's
init): ``inside`` is False, and what it does is not the workload's behaviour.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, zip_longest

from agent.contexts import Contexts, Lineage
from agent.process import (
    NO_IDS,
    RUNC_INIT,
    UNTOLD,
    Known,
    brief,
    capabilities,
    child_ids,
    cut,
    first_like,
    ids,
    inherited,
    is_current,
    is_runtime,
    with_what_stays,
)
from watchkeeper.events import MOST_ANCESTORS, Ancestor, Exec, Exit, Fork, Running, Task
from watchkeeper.findings import Process

LIVE = 32_768  # processes remembered; beyond it the oldest are forgotten
GONE = 1_024  # ended processes remembered: their last events may wait for the container's name
TICK = 10_000_000  # nanoseconds: /proc tells start times in hundredths of a second

_NOBODY, _UNTOLD = Ancestor(0, 0, ""), Ancestor(UNTOLD, 0, "")


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
        self.contexts: Contexts[Known] = Contexts()
        self._booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        self.forgotten = 0

    def find(self, pid: int, start: int) -> Known | None:
        """The process, running or ended a short while ago. ``start``: the kernel's, or /proc's."""
        known = self._live.get(pid)
        if known is not None:
            if start in (known.start, known.start // TICK * TICK):
                return known
            if not known.exact and abs(known.start - start) < TICK:
                exact = self._live[pid] = replace(known, start=start, exact=True)
                return exact
        return self._gone.get((pid, start))

    def actor(self, task: Task) -> Known | None:
        """The process of the task, with the name, group and session that the task tells if they changed since."""
        if task.parent_context:
            self._check(Ancestor(task.parent_pid, task.parent_start, "", task.parent_context), _UNTOLD)
        known = self._of_context(task, task.context)
        if known is None or is_current(known, task):
            return known
        current = replace(known, name=task.comm, **ids(task))
        self._put(known, current)
        return current

    def meet(self, ancestors: tuple[Ancestor, ...]) -> None:
        """See to it that they are in the table as what they are, and as they are called now."""
        for one, parent in zip_longest(ancestors, ancestors[1:]):
            known = self._check(one, parent or (_NOBODY if len(ancestors) < MOST_ANCESTORS else _UNTOLD))
            if known is not None and known.name != one.comm:
                self._put(known, replace(known, name=sys.intern(one.comm)))

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
        inside = in_container and not is_runtime(task.comm, event.executable, event.arguments, False)
        known = Known(
            pid=task.pid,
            start=task.start,
            parent_pid=task.parent_pid,
            parent_start=task.parent_start,
            executable=sys.intern(event.executable),
            arguments=cut(event.arguments),
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
            **ids(task),
        )
        self._keep(known)
        return known

    def exec(self, event: Exec, in_container: bool) -> Executed:
        """The process runs another program from now on."""
        task = event.task
        self.meet(event.ancestors)
        before = self._of_context(task, event.previous_context) or self._like_its_parent(task)
        entering = in_container and not (before is not None and before.inside)
        runtime = entering and is_runtime(task.comm, event.executable, event.arguments, event.memfd)
        inside = in_container and not runtime
        after = Known(
            pid=task.pid,
            start=task.start,
            parent_pid=task.parent_pid,
            parent_start=task.parent_start,
            executable=sys.intern(event.executable),
            arguments=cut(event.arguments),
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
            capabilities=capabilities(task, before),
            context=task.context,
            **ids(task),
        )
        self._keep(after)
        self._hear(after)
        return Executed(after, before)

    def fork(self, event: Fork, in_container: bool) -> bool:
        """The child runs its parent's program until it executes another. False when that is not known."""
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
            context=event.child_context,
            **child_ids(event),
        )
        self._keep(child)
        if parent is None:
            return False
        self._hear(child)
        return True

    def exit(self, event: Exit) -> None:
        known = self.find(event.task.pid, event.task.start)
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
            ancestors=tuple(brief(each) for each in self._ancestors(known)),
            origin=known.origin,
        )

    def __len__(self) -> int:
        return len(self._live)

    def _ancestors(self, known: Known) -> Iterator[Known]:
        """Those not told of are what they were to the first process of the nearest context that is known."""
        heard: tuple[Known, ...] = ()
        for _ in range(MOST_ANCESTORS):
            if (lineage := self.contexts.find(known.context)) is not None:
                heard = lineage.ancestors
            parent = self.find(known.parent_pid, known.parent_start)
            if parent is None and heard:
                parent = inherited(heard[0], known)
            if parent is None or parent is known:
                return
            yield parent
            known, heard = parent, heard[1:]

    def _hear(self, known: Known) -> None:
        if known.context:
            self.contexts.hear(known.context, known, tuple(self._ancestors(known)))

    def _of_context(self, task: Task, context: bytes) -> Known | None:
        """The process of the task, which is of this context; empty: not told."""
        known = self.find(task.pid, task.start)
        return known if _is_of(known, context) else self._become(known, task, context)

    def _become(self, known: Known | None, task: Task, context: bytes) -> Known | None:
        """Have the table say that the task's process, ``known`` so far, is what the first of the context was."""
        lineage = self.contexts.find(context)
        if lineage is None:
            return self._first_of(known, context)
        current = self._like(lineage, task)
        if known is not None:
            current = with_what_stays(current, known)
            self._put(known, current)
        else:
            self._remember_gone(current)
        return current

    def _first_of(self, known: Known | None, context: bytes) -> Known | None:
        """None for a process that became something else which is not known (any more)."""
        if known is None:
            return None
        if known.context:
            self._drop(known)
            self.forgotten += 1
            return None
        current = replace(known, context=context)
        self._put(known, current)
        return current

    def _like(self, lineage: Lineage[Known], task: Task) -> Known:
        """The task's process, not told of by fork or exec: the same as the first of its context. Its parent is the one
        that this had, which the task names unless it has got another one since."""
        first, parents = lineage.process, lineage.ancestors[:1]
        has_another = any(parent.context != task.parent_context for parent in parents)
        return replace(
            first,
            pid=task.pid,
            start=task.start,
            parent_pid=UNTOLD if has_another else task.parent_pid,
            parent_start=0 if has_another else task.parent_start,
            cgroup=task.cgroup or first.cgroup,
            started_at=self._wall(task.start),
            exact=True,
            name=sys.intern(task.comm or first.name),
            **NO_IDS | ids(task),
        )

    def _check(self, one: Ancestor, parent: Ancestor) -> Known | None:
        """The process as what it is, if that is known."""
        known = self.find(one.pid, one.start)
        if _is_of(known, one.context):
            return known
        untold = (0, 0, -1, 0)  # its users and cgroup
        task = Task(
            one.pid, one.start, parent.pid, parent.start, *untold, one.comm, parent_context=parent.context
        )  # fmt: skip
        return self._become(known, task, one.context)

    def _wall(self, start: int) -> int:
        return int(self._booted * 1e9) + start

    def _shared(self, environment: tuple[str, ...], task: Task, before: Known | None = None) -> tuple[str, ...]:
        """Equal to ``environment``, made of strings that others have: most are the same, and there are many."""
        other = before or self.find(task.parent_pid, task.parent_start)
        if other is not None and environment == other.environment:
            return other.environment
        return first_like(tuple(map(sys.intern, environment)))

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

    def _put(self, known: Known, current: Known) -> None:
        """In the place of the same process."""
        if self._live.get(known.pid) is known:
            self._live[known.pid] = current
        elif (known.pid, known.start) in self._gone:
            self._gone[known.pid, known.start] = current

    def _drop(self, known: Known) -> None:
        if self._live.get(known.pid) is known:
            del self._live[known.pid]
        self._gone.pop((known.pid, known.start), None)

    def _retire(self, known: Known) -> None:
        del self._live[known.pid]
        self._remember_gone(known)

    def _remember_gone(self, known: Known) -> None:
        """What has ended, or what the kernel does not tell the end of."""
        self._gone[known.pid, known.start] = known
        self._gone.move_to_end((known.pid, known.start))
        if len(self._gone) > GONE:
            self._gone.popitem(last=False)


def _is_of(known: Known | None, context: bytes) -> bool:
    """Whether the table says so already; of what has no context it says all there is."""
    return not context or (known is not None and known.context == context)
