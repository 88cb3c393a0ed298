"""evt.*: what kind of event it is, how it ended, and what was read or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, always, simple
from rules.sources import flags
from rules.sources.activity import Activity
from rules.sources.arguments import result
from rules.sources.declarations import boolean, field, integer, missing, moment, text
from rules.sources.descriptor_fields import descriptor
from rules.sources.generic import generic_fields
from rules.sources.outcome import depends_on_outcome_only, text_depends_on_outcome_only
from rules.sources.syscall_names import SYSTEM_CALLS
from watchkeeper.events import Syscall

_MILLISECOND = 1_000_000
_OPENED = frozenset({"open", "openat", "openat2", "open_by_handle_at"})
_READS = frozenset({"read", "pread64", "readv", "preadv", "recv", "recvfrom", "recvmsg"})
_WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "send", "sendto", "sendmsg"})
_WAITS = frozenset({"poll", "ppoll", "select", "epoll_wait", "nanosleep"})
_EXECUTABLE = 0o111
_CATEGORIES: dict[str, str] = {
    **dict.fromkeys(("accept", "accept4", "bind", "connect", "listen", "socket", "shutdown"), "net"),
    **dict.fromkeys(("execve", "execveat", "setns", "unshare", "setsid", "setpgid", "prctl"), "process"),
    **dict.fromkeys(("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"), "user"),
    **dict.fromkeys(("kill", "tkill", "tgkill"), "signal"),
    **dict.fromkeys(("memfd_create", "mmap", "mprotect", "munmap", "brk"), "memory"),
    **dict.fromkeys(("bpf", "ptrace", "init_module", "finit_module", "delete_module", "io_uring_setup"), "other"),
}
_DIRECTION = "only the ends of calls are events, so it is always <"
_LATENCY = "only the ends of calls are events, so it is always 0"


def event_fields() -> tuple[FieldInfo, ...]:
    generic = (found for found in generic_fields("syscall", _number, moment) if found.name != "evt.hostname")
    return (*generic, *_kinds(), *_results(), *_opens(), *_data(), *_counts(), *_latencies(), *_never_told())


def _number(activity: Activity) -> int:
    return activity.number


def event_type(activity: Activity) -> str:
    return activity.event.name


def _kinds() -> tuple[FieldInfo, ...]:
    return (
        text("evt.hostname", "Name of the node.", lambda activity: activity.node),
        text("evt.type", "Name of the event: that of the system call.", event_type),
        FieldInfo("evt.type.is", Type.INTEGER, "1 for events of the type in brackets, else 0.", _is_type, Argument.KEY),
        text("syscall.type", "The same for system calls, else missing.", _system_call),
        text("evt.category", "file, net, process, user, memory, signal or other.", _category),
        FieldInfo("evt.dir", Type.STRING, "Always <.", simple(lambda _activity: "<"), deprecated=_DIRECTION),
        FieldInfo(
            "evt.around",
            Type.INTEGER,
            "Whether it happened within so many milliseconds of the time in brackets (nanoseconds since 1970).",
            _around,
            Argument.INDEX,
            right_side=False,
            varies=always,
            match=_match_around,
        ),
    )


def _results() -> tuple[FieldInfo, ...]:
    return (
        text("evt.res", "SUCCESS, or the name of the error, like ENOENT.", _result_text, _text_varies),
        integer("evt.rawres", "What the call returned; a negative error number for failure.", result, _number_varies),
        boolean("evt.failed", "Whether it returned an error.", _failed),
    )


def _opens() -> tuple[FieldInfo, ...]:
    return (
        boolean("evt.is_open_read", "Whether a file was opened to be read.", _is_open_read),
        boolean("evt.is_open_write", "Whether a file was opened to be written.", _is_open_write),
        boolean("evt.is_open_exec", "Whether a file was made that may be executed.", _is_open_exec),
        boolean("evt.is_open_create", "Whether a file was made.", _is_open_create),
    )


def _data() -> tuple[FieldInfo, ...]:
    return (
        field("evt.buffer", Type.BYTES, "The first bytes that were read or written.", _buffer, always),
        integer("evt.buflen", "How many bytes were read or written.", _length(_READS | _WRITES), always),
        integer("evt.buflen.in", "How many bytes were read.", _length(_READS), always),
        integer("evt.buflen.out", "How many bytes were written.", _length(_WRITES), always),
        boolean("evt.is_io", "Whether the call reads or writes.", _is_one_of(_READS | _WRITES)),
        boolean("evt.is_io_read", "Whether the call reads.", _is_one_of(_READS)),
        boolean("evt.is_io_write", "Whether the call writes.", _is_one_of(_WRITES)),
        text("evt.io_dir", "read or write.", _direction),
        boolean("evt.is_wait", "Whether the call waits.", _is_one_of(_WAITS)),
        boolean("evt.is_syslog", "Whether it writes to /dev/log.", _is_syslog),
    )


def _counts() -> tuple[FieldInfo, ...]:
    return (
        integer("evt.count", "Always 1.", lambda _activity: 1),
        integer("evt.count.error", "1 for a failed call, else 0.", _errors("")),
        integer("evt.count.error.file", "The same for calls on files.", _errors("file")),
        integer("evt.count.error.net", "The same for calls on sockets.", _errors("net")),
        integer("evt.count.error.memory", "The same for calls on memory.", _errors("memory")),
        integer("evt.count.error.other", "The same for all others.", _errors("other")),
        integer("evt.count.exit", "Always 1.", lambda _activity: 1),
    )


def _latencies() -> tuple[FieldInfo, ...]:
    zero = simple(lambda _activity: 0)
    names = ("evt.latency", "evt.latency.s", "evt.latency.ns", "evt.wait_latency")
    return (
        *(FieldInfo(name, Type.DURATION, "Always 0.", zero, deprecated=_LATENCY) for name in names),
        FieldInfo(
            "evt.latency.human", Type.STRING, "Always 0ns.", simple(lambda _activity: "0ns"), deprecated=_LATENCY
        ),
    )


def _never_told() -> tuple[FieldInfo, ...]:
    alone = "an event is judged without those before it."
    return (
        *(missing(f"evt.deltatime{part}", Type.DURATION, alone) for part in ("", ".s", ".ns")),
        *(missing(f"evt.reltime{part}", Type.DURATION, alone) for part in ("", ".s", ".ns")),
        missing("evt.cpu", Type.INTEGER, "the probe does not tell it."),
        missing("evt.pluginname", Type.STRING, "system calls come from no plugin."),
        missing("evt.plugininfo", Type.STRING, "system calls come from no plugin."),
    )


def _is_type(argument: str | None) -> Extractor:
    return lambda activity: int(activity.event.name == argument)


def _system_call(activity: Activity) -> str | None:
    name = activity.event.name
    return name if name in SYSTEM_CALLS else None


def _category(activity: Activity) -> str:
    name = activity.event.name
    if name in _READS or name in _WRITES:
        found = descriptor(activity)
        return "net" if found is None or found.kind in ("ipv4", "ipv6", "unix", "netlink", "packet") else "file"
    return _CATEGORIES.get(name, "file")


def _around(argument: str | None) -> Extractor:
    if argument is None or not argument.isascii() or not argument.isdecimal():
        raise ValueError(f"'{argument}' is not a time in nanoseconds since 1970")
    middle = int(argument)
    return lambda activity: abs(moment(activity) - middle)


def _match_around(operator: str, literals: Sequence[str]) -> Callable[[Any], bool] | None:
    if operator != "=" or len(literals) != 1 or not literals[0].isdecimal():
        return None
    most = int(literals[0]) * _MILLISECOND
    return lambda distance: bool(distance <= most)


def _result_text(activity: Activity) -> str:
    value = result(activity)
    return "SUCCESS" if value >= 0 else flags.error(value)


def _failed(activity: Activity) -> bool:
    return result(activity) < 0


def _text_varies(operator: str, literals: Sequence[str]) -> bool:
    return not text_depends_on_outcome_only(operator, literals)


def _number_varies(operator: str, literals: Sequence[str]) -> bool:
    return not depends_on_outcome_only(operator, literals)


def _open_flags(activity: Activity) -> int | None:
    """As the kernel takes them; None for what opens nothing."""
    event = activity.event
    if type(event) is not Syscall or event.name not in _OPENED:
        return None
    value = event.arguments.get("flags", 0)
    return value if isinstance(value, int) else None


def _is_open_read(activity: Activity) -> bool:
    found = _open_flags(activity)
    return found is not None and found & os.O_ACCMODE != os.O_WRONLY


def _is_open_write(activity: Activity) -> bool:
    found = _open_flags(activity)
    return found is not None and found & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)


def _is_open_create(activity: Activity) -> bool:
    found, event = _open_flags(activity), activity.event
    if found is None or type(event) is not Syscall:
        return False
    temporary = found & os.O_TMPFILE == os.O_TMPFILE and event.result >= 0
    return temporary or bool(event.arguments.get("created"))


def _is_open_exec(activity: Activity) -> bool:
    event = activity.event
    if type(event) is not Syscall:
        return False
    mode = event.arguments.get("mode", 0)
    if not isinstance(mode, int) or not mode & _EXECUTABLE:
        return False
    return _may_make(activity)


def _may_make(activity: Activity) -> bool:
    """Whether the call makes a file that is not there, so that its mode counts."""
    found = _open_flags(activity)
    if found is None:
        return activity.event.name == "creat"
    return bool(found & os.O_CREAT) or found & os.O_TMPFILE == os.O_TMPFILE


def _buffer(activity: Activity) -> bytes | None:
    event = activity.event
    if type(event) is not Syscall or (event.name not in _READS and event.name not in _WRITES):
        return None
    return event.buffer


def _length(names: frozenset[str]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        event = activity.event
        if type(event) is not Syscall or event.name not in names or event.result < 0:
            return None
        return event.result

    return extract


def _is_one_of(names: frozenset[str]) -> Extractor:
    return lambda activity: activity.event.name in names


def _direction(activity: Activity) -> str | None:
    name = activity.event.name
    return "write" if name in _WRITES else "read" if name in _READS else None


def _is_syslog(activity: Activity) -> bool:
    found = descriptor(activity)
    return activity.event.name in _WRITES and found is not None and found.path.endswith("/dev/log")


def _errors(what: str) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        if what and what != (_category(activity) if _category(activity) in _COUNTED else "other"):
            return None
        return int(result(activity) < 0)

    return extract


_COUNTED = frozenset({"file", "net", "memory"})
