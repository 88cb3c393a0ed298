"""What the pipeline asks of a source of events, be it the kernel or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.probe.syscalls import Outcomes
from watchkeeper.events import AnyEvent


class ProbeError(Exception):
    """The probe can not start; the message names what is missing and the remedy."""


@dataclass(frozen=True, slots=True)
class ClassCounters:
    """Counts of one event class since the start. seen = suppressed + submitted + dropped."""

    event_class: str
    seen: int = 0
    suppressed: int = 0
    submitted: int = 0
    dropped: int = 0
    decoded: int = 0
    lost_in_user_space: int = 0


class Source(Protocol):
    """``state``: attached, degraded (some hook is missing) or replay. ``canary_at``: unix time of the last
    own canary act that came back through the kernel, 0 for none."""

    state: str
    missing_hooks: tuple[str, ...]
    canary_at: float

    def fileno(self) -> int:
        """Readable (epoll) when events wait."""
        ...

    def read(self, limit: int = 4096) -> list[AnyEvent]:
        """Up to ``limit`` events in the kernel's order; an empty list when none wait."""
        ...

    def counters(self) -> list[ClassCounters]: ...

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
