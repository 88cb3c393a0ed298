"""A process's ancestors as fields ask for them: one of them, any of them, the leaders of its session and its group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rules.fields import Extractor, Value
from rules.sources.activity import Activity, Process

MOST = 64  # ancestors that are looked at


def ancestors(activity: Activity) -> Iterator[Process]:
    """The parent first."""
    for number in range(1, MOST + 1):
        process = activity.ancestor(number)
        if process is None:
            return
        yield process


def is_orphan(activity: Activity) -> bool:
    """Whether the parent is not known: the next time, or of another process of the same behaviour, it may be."""
    return activity.ancestor(1) is None


def is_incomplete(activity: Activity) -> bool:
    """Whether an ancestor is not known: the known ones do not end with the first process."""
    eldest = (activity.process, *ancestors(activity))[-1]
    return eldest is None or eldest.parent_pid != 0


def nth(activity: Activity, number: int) -> Process | None:
    """0 is the process itself."""
    return activity.ancestor(number) if number else activity.process


def ancestral(get: Callable[[Process], str | int]) -> Callable[[int | None], Extractor]:
    """Extractors for a field of the ancestors: of one of them by number, or, without, of all of them as a tuple."""

    def of_one(number: int) -> Extractor:
        def extract(activity: Activity) -> Value | None:
            process = nth(activity, number)
            return get(process) if process is not None else None

        return extract

    def of_all(activity: Activity) -> Value | None:
        return tuple(get(process) for process in ancestors(activity)) or None

    return lambda number: of_all if number is None else of_one(number)


def session_leader(activity: Activity) -> Process | None:
    """Or, when it is gone, the eldest ancestor in the same session."""
    process = activity.process
    if process is None:
        return None
    return activity.leader() or _eldest(activity, process, lambda other: other.session == process.session)


def group_leader(activity: Activity) -> Process | None:
    """Or, when it is gone, the eldest ancestor in the same process group."""
    process = activity.process
    if process is None or process.pid == process.group:
        return process
    return _eldest(activity, process, lambda other: other.group == process.group)


def _eldest(activity: Activity, process: Process, same: Callable[[Process], bool]) -> Process:
    for ancestor in ancestors(activity):
        if not same(ancestor):
            break
        process = ancestor
    return process
