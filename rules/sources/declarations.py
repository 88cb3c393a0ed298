"""Short ways to write down the fields of the syscall source, and whether two events of one behaviour differ in them.

What is taken as one behaviour (``FieldInfo.varies``): a process context, a class, an object and an outcome.

- The context is everything ``Activity.process`` tells of the process and its ancestors (executable, arguments,
  environment, directory, terminal, user) but their ids and times, and the container they are in.
- The class is the event type and, of a file that is opened, whether it is to be read, written or created.
- The object is the path or the paths; of a socket its kind and protocol and the peer's address and port, or those it
  listens on; of other calls their constants (domain, request, command, flags, but not those of open) and the new user.
- The outcome is one of three: done (a result of 0 or more), under way (EINPROGRESS), failed.

What is none of these varies: times, durations, ids of processes and sessions, descriptors' numbers, sizes, results
beyond the outcome, buffers, modes, open's other flags, the client's port, capabilities, whether a socket is connected,
and what a domain name stands for at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, never, simple
from rules.sources.activity import Activity, Process

Varies = Callable[[str, Sequence[str]], bool]


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


def of_parent(get: Callable[[Process], Value | None]) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        parent = activity.ancestor(1)
        return get(parent) if parent is not None else None

    return extract


def moment(activity: Activity) -> int:
    """When it happened: nanoseconds since 1970."""
    return int(activity.event.at * 1_000_000_000)
