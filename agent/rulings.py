"""Judges events by the rules in force, each when its container has a name.

An event is bound to its process when it happens, for the process may be another one by the time the container is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from agent.probe.source import Ticket
from agent.process import Known
from agent.processes import Processes
from agent.remembered import Remembered
from agent.rulebook import EMPTY, Hit, Rulebook
from agent.surroundings import Surroundings
from rules.sources.activity import Activity
from watchkeeper.events import Exec, Syscall
from watchkeeper.findings import Container

WAITING = 8_192  # events that wait for a name, of all containers together


class Containers(Protocol):
    """What is asked of the containers."""

    def find(self, cgroup: int) -> Container | None: ...

    def is_pending(self, cgroup: int) -> bool: ...


class Rulings:
    """``on_hit`` is called with each hit. ``failures``: events that could not be judged, a fault of the program's;
    ``last_failure`` says which."""

    def __init__(
        self,
        containers: Containers,
        processes: Processes,
        surroundings: Surroundings,
        remembered: Remembered,
        on_hit: Callable[[Hit], None],
    ) -> None:
        self.judged = 0
        self.failures = 0
        self.last_failure = ""
        self.rulebook = Rulebook(EMPTY)
        self._containers = containers
        self._processes = processes
        self._surroundings = surroundings
        self._remembered = remembered
        self._on_hit = on_hit
        self._waiting: dict[int, list[tuple[Activity, Ticket | None]]] = {}
        self._waiting_count = 0

    def use(self, rulebook: Rulebook) -> None:
        """Judge by this one from the next event on, and again what the last one settled."""
        self.rulebook = rulebook
        self._remembered.forget()

    def take(self, event: Exec | Syscall, ticket: Ticket | None = None) -> bool:
        """Judge the event, or keep it until its container is named; True when it waits."""
        if event.name not in self.rulebook.event_types:
            self._remembered.settle_by_rules(ticket, by_object=True)
            return False
        cgroup = event.task.cgroup
        activity = self._activity(event, self._containers.find(cgroup))
        if not self._containers.is_pending(cgroup):
            self._judge(activity, ticket)
            return False
        self._waiting.setdefault(cgroup, []).append((activity, ticket))
        self._waiting_count += 1
        if self._waiting_count > WAITING:
            self.named(next(iter(self._waiting)))
        return True

    def named(self, cgroup: int) -> None:
        """The container has its name now, or will never have one."""
        waiting = self._waiting.pop(cgroup, ())
        self._waiting_count -= len(waiting)
        container = self._containers.find(cgroup)
        given_up = self._containers.is_pending(cgroup)  # then a name may still come, and other policies with it
        for activity, ticket in waiting:
            self._judge(replace(activity, container=container), None if given_up else ticket)

    def give_up(self) -> None:
        """Judge everything that still waits by what is known of its container."""
        for cgroup in list(self._waiting):
            self.named(cgroup)

    def _judge(self, activity: Activity, ticket: Ticket | None) -> None:
        self.judged += 1
        try:
            judgement = self.rulebook.judge(activity)
        except Exception as error:  # noqa: BLE001 - whoever can make an odd event must not be able to end the agent
            self.failures += 1
            self.last_failure = f"{activity.event.name}: {type(error).__name__}: {error}"
            return
        for hit in judgement.hits:
            self._on_hit(hit)
        if judgement.settled:
            self._remembered.settle_by_rules(ticket, judgement.by_object)

    def _activity(self, event: Exec | Syscall, container: Container | None) -> Activity:
        known = self._processes.actor(event.task)
        return Activity(
            event=event,
            number=self.judged + self._waiting_count + 1,
            process=known,
            ancestor=_Ancestry(self._processes, known),
            leader=_Leader(self._processes, known),
            container=container,
            accounts=self._surroundings.accounts(container, event.task.pid),
            domains=self._surroundings.domains,
            node=self._surroundings.node,
        )


@dataclass(frozen=True, slots=True)
class _Ancestry:
    """Calling it with n gives the n-th ancestor, 1 the parent; looked up only when a rule asks."""

    processes: Processes
    known: Known | None

    def __call__(self, number: int) -> Known | None:
        return self.processes.ancestor(self.known, number) if self.known is not None else None


@dataclass(frozen=True, slots=True)
class _Leader:
    """Calling it gives the leader of the process's session."""

    processes: Processes
    known: Known | None

    def __call__(self) -> Known | None:
        return self.processes.leader(self.known) if self.known is not None else None
