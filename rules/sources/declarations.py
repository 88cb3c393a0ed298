"""Short ways to write down the fields of the syscall source, and whether two events of one behaviour differ in them.

What is one behaviour (``FieldInfo.varies``) is what the kernel hashes into the key under which it remembers a verdict:

- The cgroup, which is the container with all that is known of it.
- The process context: of the process, and by inheritance at fork of each ancestor, what its exec made it: the
  executable's path, inode, times of change and modification, owner, mode bits, overlay layer, and whether it is a
  memfd; the arguments (their first 4095 bytes), the environment (when it is told), the directory, the terminal, the
  ids of user, group and login, the capabilities right after, comm. Of an execution that succeeds itself what it makes
  of the process.
- Of an execution, the names (comm) that the next 16 ancestors have at that moment, and whether the process is the first
  of its pid namespace.
- Of the event: real and effective user and group, the login user, the thread group leader's comm as it is now, the
  event type, and the outcome, which is one of three: done (a result of 0 or more), under way (EINPROGRESS), failed.
- The call's constants: domain, type and protocol of a socket, request, command, words of flags (those of open, too),
  new users and groups, the mode given to chmod, mkdir and an opening that may make a file, the signal given to kill.
  The texts in the call, and the directories that paths begin at. The address given to bind and connect.
- The descriptor's file: path, inode, device, file type, overlay layer, and whether the call made it. A socket's family,
  type and protocol, which end is the server's, the local and the remote address, the server's port (the local one where
  the local end is the server's or there is no other), the names of unix sockets.

All else varies: ids of processes and threads, sessions, process groups and who leads them, times, durations, numbers of
descriptors, sizes, buffers, results beyond the outcome, the client's port, the inode of what is no file, whether a
socket is connected, the address given with a datagram, queue lengths, capabilities at the event, what became of an
ancestor since it forked. What a domain name stands for counts as determined: when that changes everything is judged
again. So do names of users and groups: what is remembered is judged anew after an hour.
"""

from __future__ import annotations

from collections.abc import Callable

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, Varies, never, simple, where
from rules.sources.activity import Activity, Process
from rules.sources.syscall_names import EXECUTIONS


def field(name: str, kind: Type, description: str, get: Extractor, varies: Varies = never) -> FieldInfo:
    """A field without an argument."""
    return FieldInfo(name, kind, description, simple(get), varies=varies)


def text(name: str, description: str, get: Extractor, varies: Varies = never) -> FieldInfo:
    return field(name, Type.STRING, description, get, varies)


def integer(name: str, description: str, get: Extractor, varies: Varies = never) -> FieldInfo:
    return field(name, Type.INTEGER, description, get, varies)


def boolean(name: str, description: str, get: Extractor, varies: Varies = never) -> FieldInfo:
    return field(name, Type.BOOLEAN, description, get, varies)


def missing(name: str, kind: Type, reason: str, argument: Argument = Argument.NONE, deprecated: str = "") -> FieldInfo:
    """A field that rules may name, but that no event has; ``reason`` says why."""
    description = f"Always missing: {reason}"
    return FieldInfo(name, kind, description, simple(nothing), argument, deprecated=deprecated, absent=reason)


def nothing(_activity: Activity) -> Value | None:
    return None


def index(argument: str | None) -> int | None:
    """The number in brackets; None without. ValueError: it is none."""
    if argument is None:
        return None
    if not argument.isascii() or not argument.isdecimal() or len(argument) > 6:
        raise ValueError(f"'{argument}' is not a number of 0 or more")
    return int(argument)


def of_process(get: Callable[[Process], Value | None]) -> Extractor:
    """A field of the process; missing where it is not known."""

    def extract(activity: Activity) -> Value | None:
        process = activity.process
        return get(process) if process is not None else None

    return extract


def at_execution(differ: Callable[[Activity], bool] = lambda _activity: False) -> Varies:
    """For FieldInfo.varies: of executions only where ``differ`` says so, of all else always."""
    return where(differ, EXECUTIONS.__contains__, elsewhere=True)


def of_parent(get: Callable[[Process], Value | None]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        parent = activity.ancestor(1)
        return get(parent) if parent is not None else None

    return extract


def moment(activity: Activity) -> int:
    """When it happened: nanoseconds since 1970."""
    return int(activity.event.at * 1_000_000_000)
