"""From events to findings and profiles: the synchronous middle of the pipeline.

An act is attributed to its process when it happens and to its profile when its container has a name; in
between it waits, each different behaviour once, and is never dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent import drift, rule_finding
from agent.behaviours import Sensitive, behaviours_of, executed, program
from agent.config import Settings
from agent.findings import Findings
from agent.paths import printable
from agent.probe.source import Ticket
from agent.process import RUNC_INIT, Known
from agent.processes import Processes
from agent.profile import Profile
from agent.profiles import Profiles
from agent.remembered import Memory, Remembered
from agent.rulebook import Hit
from agent.rulings import Rulings
from agent.surroundings import Surroundings
from watchkeeper.events import AnyEvent, Exec, Exit, Fork, Open, Rename, Running, Syscall, Task
from watchkeeper.findings import Behaviour, Container, Finding, ProfileKey, ProfileState

WAIT_SECONDS = 3.0  # for a container's name
WAITING = 4_096  # different acts that wait, of all containers together
WRITTEN = 512  # files remembered per container as written by it

# A container's sandbox (pause) only holds namespaces; it runs nothing of the workload.
UNPROFILED_KINDS = frozenset({"sandbox"})


class Containers(Protocol):
    """What detection and pipeline ask of agent.containers.Containers and of RecordedContainers."""

    on_named: Callable[[int], None]

    def birth(self, cgroup: int, path: str) -> None: ...

    def death(self, cgroup: int) -> None: ...

    def find(self, cgroup: int) -> Container | None: ...

    def is_pending(self, cgroup: int) -> bool: ...

    def running(self) -> list[Container]: ...

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Act:
    at: float
    task: Task
    known: Known | None
    behaviours: tuple[Behaviour, ...]
    ticket: Ticket | None = None
    dropped: bool = False
    observed: bool = False  # found by looking, after the fact: learned, but no ground for an alarm


class Scope(Memory, Protocol):
    """What detection asks of the source of events."""

    def ignore_cgroup(self, cgroup: int) -> None: ...

    def unlearn(self, key: bytes) -> None: ...


class Detection:
    """Judges every act of every container. ``clock`` gives unix seconds; ``source`` is told of the host's cgroups, and
    of what it need not tell again."""

    def __init__(
        self,
        settings: Settings,
        containers: Containers,
        profiles: Profiles,
        findings: Findings,
        surroundings: Surroundings,
        source: Scope,
        clock: Callable[[], float],
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes if processes is not None else Processes()
        self.remembered = Remembered(source)
        self.rulings = Rulings(containers, self.processes, surroundings, self.remembered, self._hit)
        self.judged = 0
        self._settings = settings
        self._containers = containers
        self._profiles = profiles
        self._findings = findings
        self._ignore = source.ignore_cgroup
        self.processes.contexts.on_forgotten = source.unlearn
        self._clock = clock
        self._sensitive = Sensitive(settings.drift.sensitive_paths)
        self._host: set[int] = set()
        self._waiting: dict[int, dict[tuple[Behaviour, ...], _Act]] = {}
        self._since: dict[int, float] = {}
        self._written: dict[int, dict[int, None]] = {}

    def handle(self, event: AnyEvent, ticket: Ticket | None = None) -> None:
        """Take in one event of a task."""
        cgroup = event.task.cgroup
        contained = self._contained(cgroup)
        act = self._act(event, contained, ticket)
        if isinstance(event, Exec | Syscall) and self.rulings.take(event, ticket):
            self._since.setdefault(cgroup, event.at)
        if act is None:
            return
        if not act.behaviours:
            self._settle(act)
        elif self._containers.is_pending(cgroup):
            self._wait(cgroup, act)
        else:
            self._judge(cgroup, act)

    def named(self, cgroup: int) -> None:
        """The container has its name now, or will never have one."""
        self._since.pop(cgroup, None)
        if cgroup in self._host:
            self._host.discard(cgroup)
            self.remembered.forget_cgroup(cgroup)
        for act in self._waiting.pop(cgroup, {}).values():
            self._judge(cgroup, act)
        self.rulings.named(cgroup)

    def died(self, cgroup: int) -> None:
        """The cgroup is gone; what waits for its name still does."""
        self._host.discard(cgroup)
        self._written.pop(cgroup, None)
        self.processes.forget_cgroup(cgroup)

    def watched(self, seconds: float) -> list[Profile]:
        """Let the profiles of running containers observe ``seconds``; returns those that finished learning."""
        finished = []
        for key in self.running():
            profile = self._profiles.of(key)
            before = profile.state, profile.in_review
            if profile.observe(seconds, self._settings.learning):
                finished.append(profile)
            if before != (ProfileState.LEARNED, False):
                self._profiles.changed(key)
        return finished

    def look_back(self, now: float) -> None:
        """Note in the profiles what the kernel saw again and did not tell, and let it forget what is old."""
        for key, behaviours in self.remembered.seen():
            profile = self._profiles.of(key)
            for behaviour in behaviours:
                if profile.seen_again(behaviour, now):
                    self._profiles.changed(key)

    def give_up_waiting(self, now: float, everything: bool = False) -> None:
        """Judge what has waited too long with what is known of its container. ``now``: in the time of events."""
        for cgroup, since in list(self._since.items()):
            if everything or now - since >= WAIT_SECONDS:
                self.named(cgroup)
                if self._containers.find(cgroup) is None:
                    self._host.add(cgroup)

    def waits(self) -> bool:
        return any(self._containers.is_pending(cgroup) for cgroup in self._since)

    def waiting_since(self) -> float:
        """The time of the oldest act that is not judged yet; infinite when all are."""
        return min(self._since.values(), default=float("inf"))

    def running(self) -> Counter[ProfileKey]:
        """How many containers run with each profile."""
        return Counter(
            self.key_of(container)
            for container in self._containers.running()
            if container.workload and container.kind not in UNPROFILED_KINDS
        )

    def key_of(self, container: Container) -> ProfileKey:
        name = container.name or container.id[:12]
        return ProfileKey(
            cluster=self._settings.cluster,
            namespace=printable(container.pod_namespace),
            workload=printable(container.workload or f"Container/{name}"),
            container=printable(name),
            image_digest=printable(container.image_digest),
        )

    def _contained(self, cgroup: int) -> bool:
        if cgroup in self._host:
            return False
        if self._containers.is_pending(cgroup) or self._containers.find(cgroup) is not None:
            return True
        self._host.add(cgroup)
        self._ignore(cgroup)
        return False

    def _act(self, event: AnyEvent, contained: bool, ticket: Ticket | None) -> _Act | None:
        """None for what no profile looks at."""
        task = event.task
        match event:
            case Fork():
                if self.processes.fork(event, contained):
                    self.remembered.settle(ticket)
                return None
            case Exit():
                self.processes.exit(event)
                return None
            case Exec():
                done = self.processes.exec(event, contained)
                if done.before is None:
                    ticket = None  # who executed it may be known the next time
                if not done.after.inside:
                    self.remembered.settle(ticket)
                    return None
                behaviours = executed(event, done.after, done.before)
                return _Act(event.at, task, done.after, behaviours, ticket, dropped=self._is_dropped(event))
            case Running():
                return self._found(event, contained)
            case Syscall():
                self.processes.meet(event.ancestors)
                return None  # rules look at it, profiles do not
        if not contained:
            self.remembered.settle(ticket)
            return None
        known = self.processes.actor(task)
        if _is_runtime(known, task):
            return _Act(event.at, task, known, (), ticket)
        if isinstance(event, Open | Rename):
            self._note_written(event)
        return _Act(event.at, task, known, behaviours_of(event, known, self._sensitive), ticket)

    def _settle(self, act: _Act, key: ProfileKey | None = None) -> None:
        """Whose process is not known now may be known the next time."""
        if act.known is not None:
            self.remembered.settle(act.ticket, key, act.behaviours)

    def _found(self, event: Running, contained: bool) -> _Act | None:
        known = self.processes.running(event, contained)
        if not known.inside:
            return None
        parent = self.processes.find(known.parent_pid, known.parent_start)
        if parent is not None and parent.inside and program(parent) == program(known):
            return None  # forked, and executed nothing of its own
        found = Exec(at=event.at, task=event.task, executable=event.executable, arguments=event.arguments)
        return _Act(event.at, event.task, known, executed(found, known, parent), observed=True)

    def _hit(self, hit: Hit) -> None:
        """A rule in force matched: told as a finding of the container's profile, or of the host."""
        settings, now, activity = self._settings, self._clock(), hit.activity
        key = self.key_of(activity.container) if activity.container is not None else None
        mark = rule_finding.mark(hit, key or ProfileKey(settings.cluster, "", settings.node, "", ""))

        def make() -> Finding:
            known = activity.process
            process = self.processes.describe(known, activity.event.task) if isinstance(known, Known) else None
            return rule_finding.finding(hit, settings.node, key, process, now, mark)

        self._findings.rule(mark, key, activity.event.at, now, make)

    def _is_dropped(self, event: Exec) -> bool:
        written = self._written.get(event.task.cgroup, {})
        return event.upper_layer or event.memfd or hash(event.executable) in written

    def _note_written(self, event: Open | Rename) -> None:
        path = event.new_path if isinstance(event, Rename) else event.path if event.writes else ""
        written = self._written.setdefault(event.task.cgroup, {})
        if path:
            written[hash(path)] = None
        if len(written) > WRITTEN:
            del written[next(iter(written))]

    def _wait(self, cgroup: int, act: _Act) -> None:
        self._since.setdefault(cgroup, act.at)
        self._waiting.setdefault(cgroup, {}).setdefault(act.behaviours, act)
        if sum(map(len, self._waiting.values())) > WAITING:
            self.named(next(iter(self._waiting)))

    def _judge(self, cgroup: int, act: _Act) -> None:
        container = self._containers.find(cgroup)
        if container is None:
            return
        if container.kind in UNPROFILED_KINDS:
            self._settle(act)
            return
        key = self.key_of(container)
        profile = self._profiles.of(key)
        self.judged += 1
        for behaviour in act.behaviours:
            if self._deviates(profile, behaviour, act, container):
                return
        if all(drift.is_settled(profile, behaviour) for behaviour in act.behaviours):
            self._settle(act, key)

    def _deviates(self, profile: Profile, behaviour: Behaviour, act: _Act, container: Container) -> bool:
        """Report the behaviour, or learn it; True when it was reported."""
        now = self._clock()
        deviation = drift.judge(profile, behaviour, now, act.dropped)
        if deviation is None:
            learning = profile.state is ProfileState.LEARNING
            if profile.seen_again(behaviour, act.at) or (learning and profile.learn(behaviour, act.at)):
                self._profiles.changed(profile.key)
            return False
        if act.observed and not deviation.known_bad and _is_familiar(profile, behaviour):
            return False
        if deviation.review and profile.review(behaviour, act.at):
            self._profiles.changed(profile.key)
        process = self.processes.describe(act.known, act.task) if act.known else None
        self._findings.drift(deviation, profile.key, profile.inherited_from, container, process, act.at, now)
        return True


def _is_runtime(known: Known | None, task: Task) -> bool:
    """Whether the task is the runtime that prepares the container, and not yet the container's program."""
    return not known.inside if known is not None else task.comm.startswith(RUNC_INIT)


def _is_familiar(profile: Profile, behaviour: Behaviour) -> bool:
    """Whether the program occurs in the profile at all: for one that was found running, the parent it has now need
    not be the one that started it."""
    return any(behaviour.object in (entry.process, entry.object) for entry in profile.entries)
