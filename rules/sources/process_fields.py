"""proc.*: the program that acted, and its ancestors."""

from __future__ import annotations

from collections.abc import Callable

from rules.fields import Argument, Extractor, FieldInfo, Quantifier, Type, Value, Varies, always, where
from rules.sources import lineage
from rules.sources.activity import Activity, Process
from rules.sources.declarations import (
    at_execution,
    boolean,
    field,
    index,
    integer,
    missing,
    of_parent,
    of_process,
    text,
)

FURTHEST = 20  # ancestors whose environment is searched for a variable


def process_fields() -> tuple[FieldInfo, ...]:
    return (*_own(), *_environments(), *_executables(), *_lineage(), *_leaders(), *_never_told())


def exe(process: Process) -> str:
    """argv[0]; the executable's path for a process without arguments."""
    return process.arguments[0] if process.arguments else process.executable


def arguments(process: Process) -> str:
    """Without argv[0]."""
    return " ".join(process.arguments[1:])


def command_line(process: Process) -> str:
    """The kernel's name for it, and its arguments."""
    return " ".join((process.name, *process.arguments[1:]))


def _own() -> tuple[FieldInfo, ...]:
    return (
        text("proc.name", "The kernel's name of the process (comm), at most 15 characters.", _name),
        text("proc.exe", "The first argument (argv[0]).", of_process(exe)),
        FieldInfo("proc.args", Type.STRING, "The arguments without argv[0].", _arguments, Argument.OPTIONAL_INDEX),
        text("proc.cmdline", "proc.name and proc.args.", of_process(command_line)),
        text("proc.exeline", "proc.exe and proc.args.", of_process(lambda known: f"{exe(known)} {arguments(known)}")),
        integer("proc.cmdnargs", "How many arguments there are.", of_process(lambda known: len(known.arguments[1:]))),
        integer(
            "proc.cmdlenargs",
            "Characters of all arguments, without the blanks between.",
            of_process(lambda known: sum(len(argument) for argument in known.arguments[1:])),
        ),
        field("proc.cwd", Type.PATH, "The working directory.", of_process(_directory)),
        integer("proc.tty", "The terminal's device number; 0 without one.", of_process(lambda known: known.tty_number)),
    )


def _executables() -> tuple[FieldInfo, ...]:
    return (
        field("proc.exepath", Type.PATH, "Path of the executable.", of_process(lambda known: known.executable)),
        boolean(
            "proc.is_exe_writable",
            "Whether the process may write to its executable.",
            of_process(lambda known: known.writable),
        ),
        boolean(
            "proc.is_exe_upper_layer",
            "Whether the executable lies in the writable layer of the container.",
            of_process(lambda known: known.upper_layer),
        ),
        boolean(
            "proc.is_exe_lower_layer",
            "Whether the executable lies in a layer of the image.",
            of_process(lambda known: known.lower_layer),
        ),
        boolean(
            "proc.is_exe_from_memfd",
            "Whether the executable is a file in memory (memfd_create).",
            of_process(lambda known: known.memfd),
        ),
        integer("proc.exe_ino", "Inode of the executable.", of_process(lambda known: known.inode or None)),
        integer("proc.exe_ino.ctime", _CHANGED, of_process(lambda known: known.changed_at or None)),
        integer(
            "proc.exe_ino.mtime",
            "When the executable was modified, nanoseconds since 1970.",
            of_process(lambda known: known.modified_at or None),
        ),
        integer(
            "proc.exe_ino.ctime_duration_proc_start",
            "Nanoseconds from the executable's change to the start of the process.",
            of_process(_change_to_start),
            always,
        ),
    )


_CHANGED = "When the executable's inode changed, nanoseconds since 1970."


def _environments() -> tuple[FieldInfo, ...]:
    return (
        FieldInfo(
            "proc.env",
            Type.STRING,
            "The environment, or one variable of it; empty where it is not set.",
            _environment,
            Argument.OPTIONAL_KEY,
        ),
        FieldInfo(
            "proc.aenv",
            Type.STRING,
            "The environments of the ancestors, of one of them by number, or the nearest one's variable.",
            _ancestors_environment,
            Argument.OPTIONAL_KEY,
            quantifier=Quantifier.ANY,
            varies=where(lineage.is_incomplete),
        ),
    )


def _lineage() -> tuple[FieldInfo, ...]:
    """An ancestor's program is part of the behaviour where it is known at all. An ancestor may take another name at any
    time: those they have when a program is executed are part of that only."""
    of_parents, of_ancestors = where(lineage.is_orphan), where(lineage.is_incomplete)
    names_of_parents, names_of_ancestors = at_execution(lineage.is_orphan), at_execution(lineage.is_incomplete)
    return (
        text("proc.pname", "proc.name of the parent.", of_parent(lambda parent: parent.name), names_of_parents),
        text("proc.pexe", "proc.exe of the parent.", of_parent(exe), of_parents),
        field("proc.pexepath", Type.PATH, "proc.exepath of the parent.", of_parent(_path), of_parents),
        text("proc.pcmdline", "proc.cmdline of the parent.", of_parent(command_line), names_of_parents),
        _ancestral("proc.aname", Type.STRING, "proc.name", lambda known: known.name, names_of_ancestors),
        _ancestral("proc.aexe", Type.STRING, "proc.exe", exe, of_ancestors),
        _ancestral("proc.aexepath", Type.PATH, "proc.exepath", _path, of_ancestors),
        _ancestral("proc.aargs", Type.STRING, "proc.args", arguments, of_ancestors),
        _ancestral("proc.acmdline", Type.STRING, "proc.cmdline", command_line, names_of_ancestors),
        _ancestral("proc.apid", Type.INTEGER, "proc.pid", lambda known: known.pid, always),
    )


def _leaders() -> tuple[FieldInfo, ...]:
    return (
        _of_session("proc.sname", "proc.name", lambda leader: leader.name),
        _of_session("proc.sid.exe", "proc.exe", exe),
        _of_session("proc.sid.exepath", "proc.exepath", _path),
        *(
            _of_group(f"{prefix}.{what}", f"proc.{what}", get)
            for prefix in ("proc.vpgid", "proc.pgid")
            for what, get in (("name", lambda one: one.name), ("exe", exe), ("exepath", _path))
        ),
    )


def _never_told() -> tuple[FieldInfo, ...]:
    table = "no table of open descriptors is kept."
    counters = "the kernel's counters are not read for each event."
    probes = "who started a process is told as the finding's origin."
    return (
        *(missing(f"proc.std{which}.{what}", Type.STRING, table) for which in _STANDARD for what in ("type", "name")),
        missing("proc.fdopencount", Type.INTEGER, table),
        missing("proc.fdlimit", Type.INTEGER, counters),
        missing("proc.fdusage", Type.INTEGER, counters),
        missing("proc.vmsize", Type.INTEGER, counters),
        missing("proc.vmrss", Type.INTEGER, counters),
        missing("proc.vmswap", Type.INTEGER, counters),
        missing("proc.nthreads", Type.INTEGER, counters),
        missing("proc.nchilds", Type.INTEGER, counters),
        *(
            missing(f"proc.is_container_{which}", Type.BOOLEAN, probes, deprecated="Falco does not tell it any more")
            for which in ("healthcheck", "liveness_probe", "readiness_probe")
        ),
    )


_STANDARD = ("in", "out", "err")


def _name(activity: Activity) -> str | None:
    process = activity.process
    return process.name if process is not None else activity.event.task.comm or None


def _path(process: Process) -> str:
    return process.executable


def _arguments(argument: str | None) -> Extractor:
    number = index(argument)
    if number is None:
        return of_process(arguments)

    def one(process: Process) -> str | None:
        return process.arguments[number + 1] if number + 1 < len(process.arguments) else None

    return of_process(one)


def _directory(process: Process) -> str | None:
    """Falco's ends with a slash."""
    directory = process.working_directory
    return directory if directory.endswith("/") or not directory else directory + "/"


def _environment(argument: str | None) -> Extractor:
    if argument is None:
        return of_process(lambda known: " ".join(known.environment))
    return of_process(lambda known: _variable(known, argument))


def _ancestors_environment(argument: str | None) -> Extractor:
    if argument is None or argument.isdecimal():
        return lineage.ancestral(lambda known: " ".join(known.environment))(index(argument))

    def nearest(activity: Activity) -> str:
        for number, process in enumerate(lineage.ancestors(activity)):
            if number < FURTHEST and (found := _variable(process, argument)):
                return found
        return ""

    return nearest


def _variable(process: Process, name: str) -> str:
    start = f"{name}="
    return next((each[len(start) :] for each in process.environment if each.startswith(start)), "")


def _change_to_start(process: Process) -> int | None:
    if not process.changed_at or not process.started_at or process.changed_at > process.started_at:
        return None
    return process.started_at - process.changed_at


def _ancestral(name: str, kind: Type, what: str, get: Callable[[Process], str | int], varies: Varies) -> FieldInfo:
    extractors = lineage.ancestral(get)
    return FieldInfo(
        name,
        kind,
        f"{what} of an ancestor by number (0: its own, 1: the parent's); without, of any ancestor.",
        lambda argument: extractors(index(argument)),
        Argument.OPTIONAL_INDEX,
        quantifier=Quantifier.ANY,
        varies=varies,
    )


def _of_session(name: str, what: str, get: Callable[[Process], str]) -> FieldInfo:
    def extract(activity: Activity) -> Value | None:
        leader = lineage.session_leader(activity)
        return get(leader) if leader is not None else None

    return text(name, f"{what} of the leader of its session.", extract, always)


def _of_group(name: str, what: str, get: Callable[[Process], str]) -> FieldInfo:
    def extract(activity: Activity) -> Value | None:
        leader = lineage.group_leader(activity)
        return get(leader) if leader is not None else None

    return text(name, f"{what} of the leader of its process group.", extract, always)
