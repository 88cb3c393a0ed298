"""What the pipeline asks of a source of events, be it the kernel or a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agent.probe.syscalls import Outcomes
from watchkeeper.events import AnyEvent

ROUND_SECONDS = 30.0


class ProbeError(Exception):
    """The probe can not start; the message names what is missing and the remedy."""


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """Counts of one event class since the start. seen = suppressed + submitted + dropped.

    ``known``: of those suppressed, the ones that repeated a behaviour judged before; the others are out of scope.
    """

    event_class: str
    seen: int = 0
    suppressed: int = 0
    submitted: int = 0
    dropped: int = 0
    decoded: int = 0
    lost_in_user_space: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class NoveltyCounters:
    """What one cgroup showed of one event class that was new to the kernel, since the cgroup's first novelty.

    ``dropped``: no room in the ring buffer. ``withheld``: dropped, too, because this cgroup alone already held as much
    of the ring as was free. ``unlisted``: told, but not remembered, because the cgroup's share of the known behaviours
    (or all room) is used up: it crosses again each time. ``expired``: remembered as pending, and never judged.
    ``evicted``: known, and forgotten to make room or because of its age.
    """

    cgroup: int
    event_class: str
    submitted: int = 0
    dropped: int = 0
    withheld: int = 0
    unlisted: int = 0
    expired: int = 0
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How full the kernel's map of judged behaviours is, and by which generation of rules and profiles they were."""

    entries: int = 0
    capacity: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the kernel waits to hear of one novel behaviour. ``key``: its 16 bytes; ``generation``: of the rules and
    profiles when it happened. ``by_object``: the key that it shares with those that differ only in how the caller
    worded the object's name; empty where there is none."""

    key: bytes
    generation: int
    cgroup: int
    event_class: str
    by_object: bytes = b""


class Told(NamedTuple):
    """``ticket`` None: the event's behaviour is never remembered."""

    event: AnyEvent
    ticket: Ticket | None


class Source(Protocol):
    """``state``: attached, degraded (some hook is missing) or replay. ``canary_at``: unix time of the last
    own canary act that came back through the kernel, 0 for none."""

    state: str
    missing_hooks: tuple[str, ...]
    canary_at: float

    def fileno(self) -> int:
        """Readable (epoll) when events wait."""
        ...

    def read(self, limit: int = 4096) -> list[Told]:
        """Some ``limit`` events in the order in which they happened; an empty list when none wait."""
        ...

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None:
        """Nothing is to be reported of this behaviour, now or when it is repeated while rules and profiles stay the
        same; with ``by_object`` however its object is called. In force with the next ``remember``. ``subject``: given
        back by ``seen``; 0: nobody asks."""
        ...

    def remember(self) -> None:
        """From now on what was settled ends in the kernel."""
        ...

    def unlearn(self, key: bytes) -> None:
        """The behaviour of this key is to be told again."""
        ...

    def forget(self) -> None:
        """Rules or profiles are others now: whatever was settled is to be judged again. Subjects count no more."""
        ...

    def seen(self) -> Iterable[int]:
        """Subjects that occurred since the last call. It also forgets what is old or waits in vain; to be called every
        ROUND_SECONDS or so."""
        ...

    def counters(self) -> list[ClassCounters]: ...

    def novelties(self) -> list[NoveltyCounters]:
        """By cgroup and class; of cgroups that are gone, until they were asked for once after their end."""
        ...

    def knowledge(self) -> Knowledge: ...

    def forget_behaviours(self, cgroup: int) -> None:
        """Something about the cgroup's container changed: its behaviours are to be judged again."""
        ...

    def ignore_cgroup(self, cgroup: int) -> None:
        """File, network and capability events of this cgroup end in the kernel from now on (counted as suppressed)."""
        ...

    def forget_cgroup(self, cgroup: int) -> None:
        """The cgroup is gone: drop what the kernel remembers of it."""
        ...

    def watch(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        """Tell the system calls of these event types (``Syscall``) from now on, and no others. Returns those that can
        not be told here, with the reason. What is wanted before and after is told without a gap."""
        ...

    def play_canary(self) -> None:
        """Do a harmless act that the kernel must report."""
        ...

    @property
    def finished(self) -> bool:
        """True when no more events can come (a recording's end)."""
        ...

    def close(self) -> None: ...
