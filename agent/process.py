"""One process as the agent knows it, and what an event or another process says of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypedDict

from watchkeeper.events import Fork, Task

ARGUMENTS = 1_024  # characters kept of the arguments of one process
UNTOLD = -1  # in place of a process id: the kernel did not tell which process it was

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
    context: bytes = b""


def inherited(first: Known, child: Known) -> Known:
    """The parent as it was to the first process of a context. Which process that is today only the child may tell."""
    is_eldest = first.parent_pid == 0
    return replace(
        first,
        pid=child.parent_pid,
        start=child.parent_start,
        parent_pid=0 if is_eldest else UNTOLD,
        parent_start=0,
        exact=True,
    )


def with_what_stays(current: Known, known: Known) -> Known:
    """What an exec does not change."""
    return replace(
        current,
        parent_pid=known.parent_pid,
        parent_start=known.parent_start,
        started_at=known.started_at,
        session=current.session or known.session,
        group=current.group or known.group,
        virtual_pid=known.virtual_pid,
        virtual_group=current.virtual_group or known.virtual_group,
        virtual_session=current.virtual_session or known.virtual_session,
    )


def brief(known: Known) -> str:
    name = known.executable or "unknown"
    return name if known.pid == UNTOLD else f"{name}[{known.pid}]"


class Ids(TypedDict, total=False):
    session: int
    group: int
    virtual_pid: int
    virtual_group: int
    virtual_session: int


NO_IDS = Ids(session=0, group=0, virtual_pid=0, virtual_group=0, virtual_session=0)


def capabilities(task: Task, before: Known | None) -> tuple[int, int, int]:
    told = (task.cap_effective, task.cap_permitted, task.cap_inheritable)
    return before.capabilities if before is not None and before.capabilities == told else told


def is_current(known: Known, task: Task) -> bool:
    if known.name != task.comm:
        return False
    return not task.group or (known.group, known.session) == (task.group, task.session)


def ids(task: Task) -> Ids:
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


def child_ids(event: Fork) -> Ids:
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


def is_runtime(comm: str, executable: str, arguments: tuple[str, ...], memfd: bool) -> bool:
    """Whether a process that came into a container from outside still is the runtime and not the program it starts.

    runc executes itself, from a sealed copy in memory or from its own path, with "init" as argument. An image
    whose entry point is a program named runc with that argument would be taken for it.
    """
    if comm.startswith(RUNC_INIT) or memfd or executable.startswith("/memfd:"):
        return True
    name = executable.rsplit("/", 1)[-1]
    return name in RUNTIMES and "init" in arguments[1:2]


@lru_cache(64)
def first_like(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Of equal ones the first: what one parent starts again and again has the same environment each time."""
    return texts


def cut(arguments: tuple[str, ...]) -> tuple[str, ...]:
    room = ARGUMENTS
    kept: list[str] = []
    for argument in arguments:
        if room <= 0:
            return (*kept, "…")
        kept.append(sys.intern(argument[:room]))
        room -= len(argument)
    return tuple(kept)
