"""A recording of the agent's events through rule files, without an agent: what would have hit."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from agent.probe.replay import ReplaySource
from agent.probe.source import ProbeError
from agent.processes import Processes
from agent.recorded_containers import RecordedContainers
from agent.remembered import Remembered
from agent.rulebook import Hit, Rulebook
from agent.rulings import Rulings
from agent.surroundings import unknown
from rules.collector import collect
from rules.output import FalcoJson, falco_json
from rules.sources.syscall import SOURCE
from watchkeeper.events import AnyEvent, CgroupBirth, CgroupDeath, ContainerNamed, Exec, Exit, Fork, Running, Syscall
from watchkeeper.policies import DetectionSet, Policy, RuleFile


def replay(recording: Path, files: list[tuple[str, str]], *, match_all: bool = True) -> Iterator[FalcoJson | str]:
    """Each hit of the rules that the files enable, in the recording's order; and, as text, why it can not be read on.
    OSError when it can not be opened."""
    recording.open("rb").close()
    rules = tuple(rule.name for rule in collect(files, {SOURCE.name}).rules if rule.enabled)
    policy = Policy("files given", True, rules)
    detection = DetectionSet(tuple(RuleFile(name, text) for name, text in files), (policy,))
    hits: list[Hit] = []
    source = ReplaySource(recording)
    player = _Player(Rulebook(detection, match_all=match_all), Remembered(source), hits)
    try:
        while not source.finished:
            for told in source.read():
                player.take(told.event)
            yield from (falco_json(hit.rule, hit.activity, SOURCE, platform.node()) for hit in hits)
            hits.clear()
    except ProbeError as error:
        yield str(error)
    finally:
        source.close()
    player.end()
    yield from (falco_json(hit.rule, hit.activity, SOURCE, platform.node()) for hit in hits)


class _Player:
    """Keeps processes and containers as the agent does."""

    def __init__(self, rulebook: Rulebook, remembered: Remembered, hits: list[Hit]) -> None:
        self._containers = RecordedContainers()
        self._processes = Processes()
        surroundings = unknown(platform.node())
        self._rulings = Rulings(self._containers, self._processes, surroundings, remembered, hits.append)
        self._rulings.use(rulebook)
        self._containers.on_named = self._rulings.named

    def take(self, event: AnyEvent) -> None:
        cgroup = event.task.cgroup
        contained = self._containers.is_pending(cgroup) or self._containers.find(cgroup) is not None
        match event:
            case CgroupBirth():
                self._containers.birth(event.cgroup, event.path)
            case CgroupDeath():
                self._containers.death(event.cgroup)
            case ContainerNamed():
                self._containers.name(event.cgroup, event.container)
            case Fork():
                self._processes.fork(event, contained)
            case Exit():
                self._processes.exit(event)
            case Running():
                self._processes.running(event, contained)
            case Exec():
                self._processes.exec(event, contained)
        if isinstance(event, Exec | Syscall):
            self._rulings.take(event)

    def end(self) -> None:
        """Judge what still waits for a name that never came."""
        self._rulings.give_up()
