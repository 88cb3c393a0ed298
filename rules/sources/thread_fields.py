"""thread.*, and the proc.* that are ids and times: what tells one process from another of the same context."""

from __future__ import annotations

from collections.abc import Sequence

from rules.fields import Argument, FieldInfo, Type, Value, Variation, always, where
from rules.sources.activity import Activity, Process
from rules.sources.declarations import (
    at_execution,
    boolean,
    field,
    integer,
    missing,
    moment,
    nothing,
    of_parent,
    of_process,
    text,
)
from rules.sources.flags import capabilities
from rules.sources.lineage import ancestors
from watchkeeper.events import Exec

# The kernel tells what the task has after the call. These calls give or take capabilities, and a rule asks with which
# ones they were made.
_CHANGE_CREDENTIALS = frozenset({"unshare", "setns", "setuid", "setreuid", "setresuid"})
_COUNTERS = "the kernel's counters are not read for each event."


def thread_fields() -> tuple[FieldInfo, ...]:
    return (*_ids(), *_times(), *_threads())


def _ids() -> tuple[FieldInfo, ...]:
    return (
        integer("proc.pid", "Id of the process.", lambda activity: activity.event.task.pid, always),
        integer("proc.ppid", "Id of its parent.", lambda activity: activity.event.task.parent_pid, always),
        integer("proc.vpid", "Its id in its own pid namespace.", virtual_pid, _virtual_pid_varies),
        integer("proc.pvpid", "proc.vpid of the parent.", of_parent(lambda parent: parent.virtual_pid or None), always),
        integer("proc.sid", "Id of its session, in its own pid namespace.", _session, always),
        integer("proc.pgid", "Id of its process group.", _group, always),
        integer("proc.vpgid", "Id of its process group, in its own pid namespace.", _virtual_group, always),
        boolean("proc.is_sid_leader", "Whether it leads its session.", _leads_session, always),
        boolean("proc.is_pgid_leader", "Whether it leads its process group.", _leads_group, always),
        boolean("proc.is_vpgid_leader", "The same as its own pid namespace sees it.", _leads_virtual_group, always),
        integer("proc.loginshellid", "Id of its eldest ancestor that is a shell.", _login_shell, always),
    )


_IS_FIRST = at_execution()


def _virtual_pid_varies(operator: str, literals: Sequence[str]) -> Variation:
    """Whether it is 1 is part of an execution."""
    asks_for_first = operator in ("=", "!=", "in") and all(each == "1" for each in literals)
    return _IS_FIRST(operator, literals) if asks_for_first else True


def _times() -> tuple[FieldInfo, ...]:
    return (
        field("proc.duration", Type.DURATION, "Nanoseconds since the process started.", _duration, always),
        field("proc.ppid.duration", Type.DURATION, "Nanoseconds since the parent started.", _parent_duration, always),
        integer("proc.pid.ts", "Start of the process, nanoseconds since 1970.", of_process(_start), always),
        integer("proc.ppid.ts", "Start of the parent, nanoseconds since 1970.", of_parent(_start), always),
        integer("proc.pidns_init_start_ts", "Start of its container, nanoseconds since 1970.", namespace_start),
        integer(
            "proc.exe_ino.ctime_duration_pidns_start",
            "Nanoseconds from the start of its container to the executable's change, if that came later.",
            _namespace_to_change,
        ),
    )


def _threads() -> tuple[FieldInfo, ...]:
    return (
        integer("thread.tid", "Id of the thread.", thread, always),
        integer("thread.vtid", "Its id in its own pid namespace.", _virtual_thread, always),
        boolean("thread.ismain", "Whether it is the first one of its process.", _is_main, always),
        text("thread.nametid", "Name of the process and id of the thread.", _name_and_thread, always),
        _capabilities("cap_effective", "effective", 0),
        _capabilities("cap_permitted", "permitted", 1),
        _capabilities("cap_inheritable", "inheritable", 2),
        missing("thread.cgroups", Type.STRING, "the container tells what they would."),
        FieldInfo("thread.cgroup", Type.STRING, "Always missing, as thread.cgroups.", lambda _: nothing, Argument.KEY),
        *(
            missing(f"thread.{name}", Type.INTEGER, _COUNTERS)
            for name in (
                "exectime", "totexectime", "pfmajor", "pfminor", "cpu", "cpu.user", "cpu.system", "vmsize", "vmrss",
                "vmsize.b", "vmrss.b",
            )
        ),
    )  # fmt: skip


def virtual_pid(activity: Activity) -> int | None:
    """The host's processes are seen in no other namespace."""
    task, process = activity.event.task, activity.process
    known = task.virtual_pid or (process.virtual_pid if process is not None else 0)
    return known or (task.pid if activity.container is None else None)


def thread(activity: Activity) -> int:
    """Older recordings tell the process only."""
    task = activity.event.task
    return task.thread or task.pid


def namespace_start(activity: Activity) -> int | None:
    container = activity.container
    return int(container.started_at * 1_000_000_000) or None if container is not None else None


def _session(activity: Activity) -> int | None:
    task, process = activity.event.task, activity.process
    known = task.virtual_session or task.session
    return known or (process.virtual_session or process.session if process is not None else None)


def _group(activity: Activity) -> int | None:
    task, process = activity.event.task, activity.process
    return task.group or (process.group if process is not None else None)


def _virtual_group(activity: Activity) -> int | None:
    task, process = activity.event.task, activity.process
    known = task.virtual_group or task.group
    return known or (process.virtual_group or process.group if process is not None else None)


def _leads_session(activity: Activity) -> bool:
    return _session(activity) == virtual_pid(activity)


def _leads_group(activity: Activity) -> bool:
    return _group(activity) == activity.event.task.pid


def _leads_virtual_group(activity: Activity) -> bool:
    return _virtual_group(activity) == virtual_pid(activity)


def _virtual_thread(activity: Activity) -> int | None:
    task = activity.event.task
    return task.virtual_thread or (thread(activity) if activity.container is None else None)


def _is_main(activity: Activity) -> bool:
    return thread(activity) == activity.event.task.pid


def _name_and_thread(activity: Activity) -> str:
    process = activity.process
    return f"{process.name if process is not None else activity.event.task.comm}{thread(activity)}"


def _login_shell(activity: Activity) -> int | None:
    process = activity.process
    if process is None:
        return None
    found = None
    for known in (process, *ancestors(activity)):
        if known.name.endswith("sh"):
            found = known.pid
    return found


def _start(process: Process) -> int | None:
    return process.started_at or None


def _duration(activity: Activity) -> int | None:
    process = activity.process
    return max(0, moment(activity) - process.started_at) if process is not None and process.started_at else None


def _parent_duration(activity: Activity) -> int | None:
    parent = activity.ancestor(1)
    return max(0, moment(activity) - parent.started_at) if parent is not None and parent.started_at else None


def _namespace_to_change(activity: Activity) -> Value | None:
    process, start = activity.process, namespace_start(activity)
    if process is None or start is None or process.changed_at <= start:
        return None
    return process.changed_at - start


def _has_them_now(activity: Activity) -> bool:
    """Whether the capabilities are those at the event, and not those of the last exec."""
    process = activity.process
    return activity.event.name not in _CHANGE_CREDENTIALS or process is None or process.capabilities is None


def _may_have_changed(activity: Activity) -> bool:
    return _has_them_now(activity) and type(activity.event) is not Exec


def _capabilities(name: str, which: str, number: int) -> FieldInfo:
    """``number``: its place in Process.capabilities."""

    def extract(activity: Activity) -> Value | None:
        task, process = activity.event.task, activity.process
        if process is not None and process.capabilities is not None and not _has_them_now(activity):
            return capabilities(process.capabilities[number])
        return capabilities((task.cap_effective, task.cap_permitted, task.cap_inheritable)[number])

    return text(
        f"thread.{name}", f"The {which} capabilities, as CAP_… with blanks between.", extract, where(_may_have_changed)
    )
