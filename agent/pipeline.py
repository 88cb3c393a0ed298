"""Read first: wires the agent's flow.

source -> events -> detection (processes, behaviours, profiles, drift) -> findings -> spool -> uplink
                 -> containers (names)                                  -> profile deltas, inventory

One asyncio loop, one thread. The kernel's clock of events is the wall clock; a recording brings its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import memory
from agent.config import Settings
from agent.detection import Containers, Detection
from agent.enforcement import Enforcement
from agent.findings import Findings
from agent.health import Health, Unwatched
from agent.outbox import Outbox
from agent.parts import Recorder, Spool, Tenure, Uplink
from agent.probe.source import ROUND_SECONDS, Source, Ticket, Told
from agent.processes import Processes
from agent.profile import Profile
from agent.profiles import Profiles
from agent.recorded_containers import RecordedContainers
from agent.surroundings import Surroundings
from agent.tenure import LEAVING_SECONDS, SKEW_SECONDS
from watchkeeper import wire
from watchkeeper.events import AnyEvent, CgroupBirth, CgroupDeath, ContainerNamed, Task
from watchkeeper.findings import Inventory, ProfileState, Severity
from watchkeeper.policies import DetectionSet
from watchkeeper.v1 import uplink_pb2 as pb

FEW, BATCH = 8, 256  # events between two writes, when they begin to come and while more wait
TICK_SECONDS = 0.5
DELTA_SECONDS = 2.0
OBSERVED_SECONDS = 15.0  # how often a learning profile tells of its progress alone
DELTA_ENTRIES = 500  # of one record
INVENTORY_SECONDS = 60.0
DEBOUNCE_SECONDS = 1.0
RETRY_SECONDS = 5.0
NAMES_SECONDS = 3.0  # how long the end waits for containers' names
DELIVERY_SECONDS = 1.0  # and for the last records to be acknowledged
STALLED_SECONDS = 60.0  # a tick that comes this late (suspend, stopped process) did not watch all that time

_NOBODY = Task(0, 0, 0, 0, 0, 0, -1, 0, "")


class Agent:
    """One node's agent. ``uplink`` may be set later, before ``run``; ``clock`` gives unix seconds.

    ``processes``: those that are known already. ``tenure``: this agent's turn in its state directory, which it leaves
    when it ends; ``gap``: before it.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        containers: Containers,
        spool: Spool,
        surroundings: Surroundings,
        uplink: Uplink | None = None,
        *,
        recorder: Recorder | None = None,
        processes: Processes | None = None,
        tenure: Tenure | None = None,
        gap: Unwatched | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.uplink = uplink
        self.profiles = Profiles(Path(settings.state_directory))
        self._outbox = Outbox()
        self.findings = Findings(settings.node, self._outbox.put)
        self.detection = Detection(
            settings, containers, self.profiles, self.findings, surroundings, source, clock, processes
        )
        self.enforcement = Enforcement(
            Path(settings.state_directory), source, self.detection.rulings, match_all=not settings.rules.first_match
        )
        self._health = Health(settings, source, spool, self.profiles, self.enforcement, clock(), containers.find, gap)
        self._source = source
        self._containers = containers
        self._spool = spool
        self._recorder = recorder
        self._tenure = tenure
        self._taken_until = 0.0
        self._finished = False
        self._clock = clock
        self._replays = isinstance(containers, RecordedContainers)
        self._introduced: set[int] = set()
        self._event_time = 0.0
        self._delta_at = self._save_at = self._inventory_at = 0.0
        self._round_at = time.monotonic()
        self._domain_changes = surroundings.domain_changes
        self._domains_judged = 0
        self._inventory_due = 0.0
        self._pushed: asyncio.Queue[DetectionSet] = asyncio.Queue()
        self._readable = asyncio.Event()
        self._stopping = asyncio.Event()
        containers.on_named = self._named

    async def run(self) -> None:
        """Watch until ``stop``; then write down everything and close source, profiles and spool."""
        tasks = [asyncio.create_task(work) for work in self._works()]
        if self.uplink is not None:
            tasks.append(asyncio.create_task(self.uplink.run()))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._finish()
        finally:
            for task in (stop, *tasks):
                task.cancel()
            await asyncio.gather(stop, *tasks, return_exceptions=True)
            self._close()

    def _works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        return self._read(), self._tick(), self._containers.run(), self._enforce(), memory.keep_giving_back()

    def stop(self) -> None:
        """End ``run`` gracefully."""
        self._stopping.set()

    def take(self, events: Iterable[AnyEvent]) -> None:
        """Take in a batch of events and write down what came of it."""
        self.take_told(Told(event, None) for event in events)

    def take_told(self, told: Iterable[Told]) -> None:
        """The same, and settle what the kernel need not tell again."""
        for event, ticket in told:
            if self._recorder is not None:
                self._record(event)
            if self._replays:
                self._advance(event.at)
            self._handle(event, ticket)
        self._write()

    def heartbeat(self) -> pb.Heartbeat:
        """The next heartbeat; plays the canary whose echo the one after it will tell of."""
        self._source.play_canary()
        running = self.detection.running()
        heartbeat = self._health.heartbeat(running, len(self._containers.running()), self._clock())
        self._write()
        return heartbeat

    def configure(self, configuration: pb.Configuration) -> None:
        """Take in the profiles and rules that the aggregator pushes. What can not be understood is told of, and the
        rest still counts."""
        for message in configuration.profiles:
            try:
                pushed = wire.profile(message)
            except wire.WireError as error:
                self._not_understood("A profile", error)
                continue
            accepted = self.profiles.accepted(pushed.key)
            if self.profiles.merge(pushed):
                self.findings.forget(pushed.key)
            if self.profiles.accepted(pushed.key) != accepted:
                self.detection.remembered.forget()
        if configuration.HasField("detection"):
            try:
                self._pushed.put_nowait(wire.detection_set(configuration.detection))
            except wire.WireError as error:
                self._not_understood("A rule set", error)
        self._write()

    def _not_understood(self, what: str, error: wire.WireError) -> None:
        title = f"{what} pushed by the aggregator could not be understood"
        self.findings.health("configuration", title, Severity.MEDIUM, {"reason": str(error)}, self._clock())

    async def _read(self) -> None:
        loop, limit = asyncio.get_running_loop(), FEW
        loop.add_reader(self._source.fileno(), self._readable.set)
        try:
            while not self._source.finished:
                await self._readable.wait()
                self._readable.clear()
                limit = FEW if self._take_in(limit) < limit else min(2 * limit, BATCH)
                await asyncio.sleep(0)
        finally:
            loop.remove_reader(self._source.fileno())
        await asyncio.Event().wait()

    def _take_in(self, limit: int = BATCH) -> int:
        """Take in some ``limit`` of the events that wait; how many did."""
        until = self._clock()
        told = self._source.read(limit)
        self.take_told(told)
        events = [each.event for each in told]
        if self._tenure is not None:
            self._tenure.took(events)
        self._taken_until = max(self._taken_until, (events[-1].at if events else until) - SKEW_SECONDS)
        return len(events)

    async def _enforce(self) -> None:
        """Put what is pushed into force, one after the other."""
        while True:
            await self.enforcement.put(await self._pushed.get())
            memory.give_back()

    async def _tick(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if self._source.finished:
                self.detection.give_up_waiting(self._clock(), everything=True)
            elif not self._replays:
                self._take_in()
                self._watch(min(now - before, STALLED_SECONDS), self._clock())
            before = now
            self._report(now)
            self._write()
            if self._tenure is not None:
                self._tenure.renew(min(self._taken_until, self.detection.waiting_since() - SKEW_SECONDS))

    def _advance(self, at: float) -> None:
        """In a recording, time passes from event to event."""
        if self._event_time == 0.0:
            self._event_time = at
        while at - self._event_time >= TICK_SECONDS:
            step = min(at - self._event_time, STALLED_SECONDS)
            self._event_time += step
            self._watch(step, self._event_time)

    def _watch(self, seconds: float, now: float) -> None:
        self.detection.give_up_waiting(now)
        for profile in self.detection.watched(seconds):
            self._send_delta(profile)

    def _handle(self, event: AnyEvent, ticket: Ticket | None) -> None:
        match event:
            case CgroupBirth(cgroup=cgroup, path=path):
                self._containers.birth(cgroup, path)
                self._inventory_changed()
            case CgroupDeath(cgroup=cgroup):
                self._containers.death(cgroup)
                self.detection.died(cgroup)
                self._source.forget_cgroup(cgroup)
                self._introduced.discard(cgroup)
                self._inventory_changed()
            case ContainerNamed(cgroup=cgroup, container=container):
                if isinstance(self._containers, RecordedContainers):
                    self._containers.name(cgroup, container)
            case _:
                self.detection.handle(event, ticket)

    def _named(self, cgroup: int) -> None:
        container = self._containers.find(cgroup)
        if self._recorder is not None and container is not None:
            self._introduced.add(cgroup)
            self._recorder.write(self._naming(cgroup, self._clock()))
        self.detection.named(cgroup)
        self._inventory_changed()
        if not self._replays:
            self._write()

    def _naming(self, cgroup: int, at: float) -> AnyEvent:
        container = self._containers.find(cgroup)
        if container is None or self._containers.is_pending(cgroup):
            return CgroupBirth(at=at, task=_NOBODY, cgroup=cgroup, path="")
        return ContainerNamed(at=at, task=_NOBODY, cgroup=cgroup, container=container)

    def _record(self, event: AnyEvent) -> None:
        """Write the event, and before it which container its cgroup is if the recording does not say so yet."""
        assert self._recorder is not None
        cgroup = event.cgroup if isinstance(event, CgroupBirth) else event.task.cgroup
        if cgroup not in self._introduced:
            self._introduced.add(cgroup)
            contained = self._containers.is_pending(cgroup) or self._containers.find(cgroup) is not None
            if contained and not isinstance(event, CgroupBirth):
                self._recorder.write(self._naming(cgroup, event.at))
        self._recorder.write(event)

    def _inventory_changed(self) -> None:
        self._inventory_due = self._inventory_due or time.monotonic() + DEBOUNCE_SECONDS

    def _report(self, now: float) -> None:
        """What is told now and then; ``now`` is monotonic."""
        self._health.report(self.findings, self.detection.processes.forgotten, self._clock())
        self.findings.flush(self._clock())
        self._outbox.retry()
        if (changes := self._domain_changes()) != self._domains_judged:
            self._domains_judged = changes
            self.detection.remembered.forget()
        if now - self._round_at >= ROUND_SECONDS:
            self._round_at = now
            self.detection.look_back(self._clock())
        if now - self._delta_at >= DELTA_SECONDS:
            self._delta_at = now
            self._send_deltas()
            self.profiles.release(self.detection.running().keys())
        if (self._inventory_due and now >= self._inventory_due) or now - self._inventory_at >= INVENTORY_SECONDS:
            self._inventory_at, self._inventory_due = now, 0.0
            self._send_inventory()

    def _send_deltas(self, final: bool = False) -> None:
        for profile in self.profiles.live():
            progress = profile.observed_seconds - profile.reported_seconds
            learning = profile.state is ProfileState.LEARNING
            if profile.unreported or (learning and (progress >= OBSERVED_SECONDS or (final and progress > 0))):
                self._send_delta(profile)

    def _send_delta(self, profile: Profile) -> None:
        delta = profile.delta()
        parts = [delta.entries[i : i + DELTA_ENTRIES] for i in range(0, len(delta.entries), DELTA_ENTRIES)]
        records = [wire.pack(replace(delta, entries=part)) for part in parts or [()]]
        if all(self._append(records, again=True)):
            profile.reported()
            self.profiles.changed(profile.key)

    def _send_inventory(self) -> None:
        self._append([wire.pack(Inventory(self._clock(), tuple(self._containers.running())))])

    def _write(self) -> None:
        """Put findings into the spool and profiles into their file."""
        for lost in self._outbox.write(self._append):
            self.findings.unsent(lost)
        if time.monotonic() < self._save_at:
            return
        if self.profiles.save():
            self.detection.remembered.remember()
        else:
            self._save_at = time.monotonic() + RETRY_SECONDS

    def _append(self, records: list[tuple[str, bytes]], *, again: bool = False) -> list[bool]:
        kept = self._spool.append_many(records, again=again)
        if self.uplink is not None:
            self.uplink.wake()
        return kept

    async def _finish(self) -> None:
        """Tell everything, and give the uplink a moment to deliver it; what happens meanwhile is still judged."""
        self._take_what_waits()
        await _until(lambda: self._replays or not self.detection.waits(), NAMES_SECONDS)
        self._tell_everything()
        await _until(self._is_delivered, DELIVERY_SECONDS)
        if self._tenure is not None:
            self._tenure.leaving()
            await asyncio.sleep(LEAVING_SECONDS)
            self._take_what_waits()
            self._tell_everything()
        self._finished = True

    def _take_what_waits(self) -> None:
        now = self._clock()
        while self._take_in() and (self._replays or self._taken_until < now):
            continue

    def _tell_everything(self) -> None:
        self.detection.give_up_waiting(self._clock(), everything=True)
        self._send_deltas(final=True)
        self.findings.flush(self._clock(), force=True)
        self._outbox.retry()
        self._send_inventory()
        self._write()

    def _is_delivered(self) -> bool:
        return self.uplink is None or not self.uplink.connected or not self._spool.records

    def _close(self) -> None:
        """Leave the state directory first: the kernel needs seconds to let go of all hooks."""
        self.profiles.close()
        self._spool.close()
        if self._tenure is not None:
            if self._finished:
                self._tenure.end(self._taken_until)
            self._tenure.close()
        self._source.close()
        if self._recorder is not None:
            self._recorder.close()


def main(settings: Settings) -> int:
    """Run the agent until SIGTERM or SIGINT; the exit status: 0, or 2 when it can not start."""
    from agent.start import start  # which imports this module

    return start(settings)


async def _until(true: Callable[[], bool], seconds: float) -> None:
    """Wait until it is true, but not longer than ``seconds``."""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:  # noqa: ASYNC110 -- what is waited for sets no event
        await asyncio.sleep(0.02)
