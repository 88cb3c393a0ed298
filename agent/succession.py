"""How one agent follows another without losing sight of the node.

The new agent's probe is in place before it waits for its turn (agent.tenure). While it waits it learns from its own
events which processes and containers there are, and keeps those that the old agent has not judged for sure. When the
old one ends, it judges what is left, each event once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.probe.source import Told
from agent.processes import Processes
from agent.tenure import Holder, Judged, Predecessor, Tenure, boot_id, started
from watchkeeper.events import AnyEvent, CgroupBirth, CgroupDeath, Exec, Exit, Fork, Running
from watchkeeper.findings import Container

LOOK_SECONDS = 0.02
MOST_HELD = 65_536  # events; beyond it they wait in the ring, and what finds no room there is counted by the kernel
BATCH = 4_096
HUNG_SECONDS = 60.0  # without a sign of life
ENDING_SECONDS = 20.0  # from SIGTERM to SIGKILL
REMINDER_SECONDS = 30.0

STOPPED = "the agent was stopped"
DIED = "the agent ended without saying so (killed or crashed)"
HUNG = "the agent hung and was ended by the one that followed it"
RESTARTED = "the machine was restarted after the agent had been stopped"
WENT_DOWN = "the machine went down or was restarted without the agent being stopped"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time (unix seconds) in which nobody watched, and why. None if ``until`` is not after ``since``."""

    since: float
    until: float
    reason: str

    @property
    def seconds(self) -> float:
        return max(0.0, self.until - self.since)


class Source(Protocol):
    """What is asked of agent.probe.source.Source."""

    def read(self, limit: int) -> list[Told]: ...

    def ignore_cgroup(self, cgroup: int) -> None: ...

    def forget_cgroup(self, cgroup: int) -> None: ...


class Containers(Protocol):
    """What is asked of agent.containers.Containers."""

    def birth(self, cgroup: int, path: str) -> None: ...

    def death(self, cgroup: int) -> None: ...

    def find(self, cgroup: int) -> Container | None: ...

    def is_pending(self, cgroup: int) -> bool: ...

    async def run(self) -> None: ...


def gap(predecessor: Predecessor | None, captured: float, *, hung: bool = False) -> Gap | None:
    """Between the predecessor's last look and ``captured`` (unix seconds), when this agent's probe was in place. None:
    there was no agent before. ``hung``: it had to be ended."""
    if predecessor is None:
        return None
    holder, in_order = predecessor.holder, predecessor.handover is not None
    if holder is not None and holder.boot_id != boot_id():
        reason = RESTARTED if in_order else WENT_DOWN
    elif hung and not in_order:
        reason = HUNG
    else:
        reason = STOPPED if in_order else DIED
    return Gap(predecessor.until, captured, reason)


class Following:
    """What a new agent does with its events while the old one judges. ``processes`` is kept as of the oldest event that
    is held; containers are taken in at once, as a short-lived one can not be looked at later."""

    def __init__(self, source: Source, containers: Containers) -> None:
        self.processes = Processes()
        self._source = source
        self._containers = containers
        self._held: deque[Told] = deque()
        self._host: set[int] = set()

    def learn(self, events: Iterable[AnyEvent]) -> None:
        """Take in what these events, which are judged already, tell of processes."""
        for event in events:
            contained = self._contained(event.task.cgroup)
            match event:
                case Fork():
                    self.processes.fork(event, contained)
                case Exec():
                    self.processes.exec(event, contained)
                case Exit():
                    self.processes.exit(event)
                case Running():
                    self.processes.running(event, contained)
                case CgroupDeath(cgroup=cgroup):
                    self.processes.forget_cgroup(cgroup)

    def follow(self, mark: float) -> None:
        """Take in what waits; the old agent has judged everything up to ``mark``."""
        while len(self._held) < MOST_HELD:
            self._hold(told := self._source.read(BATCH))
            if not told:
                break
        while self._held and self._held[0].event.at <= mark:
            self.learn([self._held.popleft().event])

    def hand_over(self, judged: Judged | None, take: Callable[[list[Told]], None]) -> None:
        """Everything that is held or waits, in order: what is not judged yet goes to ``take``."""
        now = time.time()
        while True:
            batch, self._held = self._held, deque()
            left: list[Told] = []
            for told in batch:
                if judged is None or told.event not in judged:
                    left.append(told)
                    continue
                if left:
                    take(left)
                    left = []
                self.learn([told.event])
            take(left)
            if batch and batch[-1].event.at > now:
                return
            self._hold(self._source.read(BATCH))
            if not self._held:
                return

    def _hold(self, told: list[Told]) -> None:
        for event, _ in told:
            match event:
                case CgroupBirth(cgroup=cgroup, path=path):
                    self._containers.birth(cgroup, path)
                case CgroupDeath(cgroup=cgroup):
                    self._containers.death(cgroup)
                    self._host.discard(cgroup)
                    self._source.forget_cgroup(cgroup)
        self._held.extend(told)

    def _contained(self, cgroup: int) -> bool:
        if cgroup in self._host:
            return False
        if self._containers.is_pending(cgroup) or self._containers.find(cgroup) is not None:
            return True
        self._host.add(cgroup)
        self._source.ignore_cgroup(cgroup)
        return False


async def wait(
    tenure: Tenure, following: Following, containers: Containers, ended: asyncio.Event, vigil: Vigil
) -> bool:
    """Follow until it is this agent's turn; False when ``ended`` was set before."""
    naming = asyncio.create_task(containers.run())
    try:
        while not tenure.take():
            if ended.is_set():
                return False
            following.follow(tenure.mark)
            vigil.look()
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        naming.cancel()
        await asyncio.gather(naming, return_exceptions=True)
    return True


class Vigil:
    """Watches over the agent that has the turn, and ends it when it hangs.

    A healthy agent is never ended, however long its successor waits: two agents may have been started on one directory
    by mistake, and the first is the one that watches. An agent counts as hung when its record did not change for
    HUNG_SECONDS while this process was looking, and this process can write where the record is: a disk that refuses
    would only look like a hung agent. It is ended (SIGTERM, after ENDING_SECONDS SIGKILL) only when it is proven to be
    the holder: of this boot, with the process id and start that the record names, and with the lock on that very file
    among its own descriptors. What is not proven is told, with the remedy, and left alone.
    """

    def __init__(
        self,
        tenure: Tenure,
        say: Callable[[str], None],
        *,
        hung_seconds: float = HUNG_SECONDS,
        ending_seconds: float = ENDING_SECONDS,
    ) -> None:
        self.ended_it = False
        self._tenure = tenure
        self._say = say
        self._hung_seconds = hung_seconds
        self._ending_seconds = ending_seconds
        self._seen = (tenure.holder, tenure.mark)
        self._seen_at = self._told_at = time.monotonic()
        self._signals = deque((signal.SIGTERM, signal.SIGKILL))
        self._signal_at = 0.0

    def look(self) -> None:
        """To be called again and again while waiting."""
        now, seen = time.monotonic(), (self._tenure.holder, self._tenure.mark)
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
            self._signals = deque((signal.SIGTERM, signal.SIGKILL))
        hung = now - self._seen_at >= self._hung_seconds
        if hung and self._signals and now >= self._signal_at and self._end():
            self._signal_at = now + self._ending_seconds
        elif now - self._told_at >= REMINDER_SECONDS:
            self._tell(f"still waiting for {self._name()} to end")

    def _end(self) -> bool:
        """Send the next signal, or say why not."""
        holder, seconds = self._seen[0], self._hung_seconds
        silent = f"{self._name()} has shown no sign of life for {seconds:.0f} s"
        if holder is None or not _holds(self._tenure, holder) or not _can_write(self._tenure):
            self._signals.clear()
            self._tell(f"{silent}; end it by hand if it hangs")
            return False
        number = self._signals.popleft()
        self.ended_it |= _send(holder, number)
        self._tell(f"{silent}; ending it ({number.name})")
        return True

    def _tell(self, what: str) -> None:
        self._told_at = time.monotonic()
        self._say(what)

    def _name(self) -> str:
        return name(self._tenure.holder)


def name(holder: Holder | None) -> str:
    """The agent in words."""
    if holder is None:
        return "another agent (of which only the lock is to be seen)"
    return f"the agent that runs (pid {holder.pid}, version {holder.version})"


def _holds(tenure: Tenure, holder: Holder) -> bool:
    """Whether this process, and no other one with its number, has the lock."""
    if holder.boot_id != boot_id() or not holder.start or started(holder.pid) != holder.start:
        return False
    wanted = os.fstat(tenure.descriptor)
    try:
        for number in os.listdir(f"/proc/{holder.pid}/fd"):  # noqa: PTH208 -- names are all that is wanted
            if not os.path.samestat(os.stat(f"/proc/{holder.pid}/fd/{number}"), wanted):  # noqa: PTH116
                continue
            with open(f"/proc/{holder.pid}/fdinfo/{number}") as told:  # noqa: PTH123
                if any(line.startswith("lock:") and "FLOCK" in line for line in told):
                    return True
    except OSError:
        return False  # it ended meanwhile, or may not be looked at
    return False


def _can_write(tenure: Tenure) -> bool:
    try:
        with tempfile.TemporaryFile(dir=tenure.directory, buffering=0) as file:
            return file.write(b"x") == 1
    except OSError:
        return False


def _send(holder: Holder, number: signal.Signals) -> bool:
    """Through a descriptor, so that it can not reach another process that got the same number."""
    try:
        descriptor = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return False
    try:
        if started(holder.pid) != holder.start:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
