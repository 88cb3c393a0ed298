"""Starting the agent: the real parts, in the order that lets nothing fall between them.

The probe begins first; what happens from then on waits in its buffer while the containers and processes that
were there before are looked up. What is found twice does no harm. Then comes the turn in the state directory, for which
a new agent may have to wait, watching already, until the one before it has ended (agent.succession).
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent import succession
from agent.cgroups import CgroupError, Hierarchy, detect
from agent.config import Settings, checked, sensitive_names
from agent.enforcement import stored
from agent.pipeline import Agent
from agent.probe.hooks import HOOKS
from agent.probe.sizes import Sizes
from agent.probe.source import ProbeError
from agent.recorded_containers import RecordedContainers
from agent.rulebook import Rulebook
from agent.spool import Spool, SpoolError
from agent.succession import Following, Gap, Vigil
from agent.surroundings import Surroundings, unknown
from agent.tenure import Judged, Tenure, TenureError, boot_id
from agent.uplink import Uplink
from watchkeeper import __version__
from watchkeeper.events import Running
from watchkeeper.settings import SettingsError
from watchkeeper.v1 import uplink_pb2 as pb

if TYPE_CHECKING:
    from agent.containers import Containers
    from agent.probe.loader import KernelSource
    from watchkeeper.events import AnyEvent


def start(settings: Settings) -> int:
    """Run the agent until a signal ends it; 0, or 2 with one line on stderr when it can not start or go on."""
    began = time.monotonic()
    try:
        asyncio.run(_run(checked(settings), began))
    except (SettingsError, ProbeError, CgroupError, SpoolError, TenureError, OSError) as error:
        sys.stderr.write(f"watchkeeper agent: {error}\n")
        return 2
    return 0


async def _run(settings: Settings, began: float) -> None:
    ended = asyncio.Event()
    _on_signals(ended.set)
    if settings.probe.replay:
        agent, spool = _replaying(settings, began)
    else:
        watch = _Watch(settings, began)
        if not await watch.turn(ended):
            return
        agent, spool = watch.agent()
    agent.uplink = Uplink(settings, spool, _hello(settings, spool), agent.heartbeat, agent.configure)
    _on_signals(agent.stop)
    if ended.is_set():
        agent.stop()
    await agent.run()


class _Watch:
    """The probe in place: until it is this agent's turn, and what becomes the agent then."""

    def __init__(self, settings: Settings, began: float) -> None:
        self._settings = settings
        self._began = began
        self._directory = Path(settings.state_directory)
        self._tenure = Tenure(self._directory, __version__)
        self._probe = _attach(settings)
        self._present: list[AnyEvent] = []
        self._waited = self._hung = False
        self._following = Following(self._probe.source, self._probe.containers)

    async def turn(self, ended: asyncio.Event) -> bool:
        """Wait for it; False when ``ended`` was set before it came, and nothing is left to do."""
        try:
            self._probe.containers.scan()
            self._present = _present(self._probe.hierarchy)
            self._waited = not self._tenure.take()
            if not self._waited or await self._wait(ended):
                return True
        except BaseException:
            self._leave()
            raise
        self._leave()
        return False

    def agent(self) -> tuple[Agent, Spool]:
        """The agent, which has taken in what happened until now and nobody judged."""
        spool = None
        try:
            spool = Spool(self._directory, self._settings.spool.maximum_bytes)
            return self._succeed(spool), spool
        except BaseException:
            if spool is not None:
                spool.close()
            self._leave()
            raise

    async def _wait(self, ended: asyncio.Event) -> bool:
        self._following.learn(self._present)
        waited_for = succession.name(self._tenure.holder)
        self._capturing(f"; waiting for {waited_for} to end")
        vigil = Vigil(self._tenure, _say)
        if not await succession.wait(self._tenure, self._following, self._probe.containers, ended, vigil):
            _say(f"ended while waiting for {waited_for}")
            return False
        self._hung = vigil.ended_it
        _say(f"taking over after {time.monotonic() - self._began:.1f} s from {waited_for}")
        return True

    def _succeed(self, spool: Spool) -> Agent:
        predecessor = self._tenure.predecessor()
        gap = succession.gap(predecessor, self._probe.captured, hung=self._hung)
        agent = self._build(spool, gap)
        judged = None
        if predecessor is not None and gap is not None and not gap.seconds:
            judged = Judged(predecessor)
            if not self._waited:
                self._following.learn(self._present)
        else:
            agent.take(_present(self._probe.hierarchy) if self._waited else self._present)
        self._tenure.begin(max(gap.since, gap.until) if gap else self._probe.captured)
        self._following.hand_over(judged, agent.take_told)
        if gap is not None and gap.seconds:
            _say(f"nobody watched for {gap.seconds:.1f} s: {gap.reason}")
        if not self._waited:
            self._capturing()
        return agent

    def _build(self, spool: Spool, gap: Gap | None) -> Agent:
        from agent.accounts import Accounts
        from agent.domains import Domains
        from agent.probe.recording import Recorder

        settings, probe, domains = self._settings, self._probe, Domains()
        agent = Agent(
            settings,
            probe.source,
            probe.containers,
            spool,
            Surroundings(settings.node, Accounts(), domains, lambda: domains.changes),
            recorder=Recorder(Path(settings.probe.record)) if settings.probe.record else None,
            processes=self._following.processes,
            tenure=self._tenure,
            gap=gap,
        )
        rulebook, kept = probe.rulebook, stored(self._directory)
        if kept.hash != rulebook.hash:  # it changed while this agent waited
            rulebook = Rulebook(kept, match_all=not settings.rules.first_match)
        agent.enforcement.swap(rulebook)
        return agent

    def _capturing(self, more: str = "") -> None:
        probe = self._settings.probe
        hooks = len(HOOKS) - len(self._probe.source.missing_hooks)
        rings = (probe.critical_ring_bytes + probe.bulk_ring_bytes) / (1 << 20)
        _say(f"capturing after {time.monotonic() - self._began:.1f} s: {hooks} hooks, rings {rings:g} MiB{more}")
        _ready(self._settings)

    def _leave(self) -> None:
        self._tenure.close()
        self._probe.source.close()


@dataclass(frozen=True, slots=True)
class _Probe:
    """``captured``: unix seconds at which everything was in place."""

    hierarchy: Hierarchy
    source: KernelSource
    containers: Containers
    rulebook: Rulebook
    captured: float


def _attach(settings: Settings) -> _Probe:
    from agent.containers import Containers
    from agent.probe import loader

    hierarchy, probe = detect(), settings.probe
    sizes = Sizes(probe.bulk_ring_bytes, probe.critical_ring_bytes, probe.known_behaviours)
    with ThreadPoolExecutor(1) as aside:  # rules are compiled here while a child compiles the hooks
        kept = stored(Path(settings.state_directory))
        compiling = aside.submit(Rulebook, kept, match_all=not settings.rules.first_match)
        directory = Path(settings.state_directory)
        source = loader.start(sizes, os.getpid(), hierarchy, sensitive_names(settings), directory)
    try:
        rulebook = compiling.result()
        source.watch(rulebook.syscalls)
        captured = time.time()
        return _Probe(hierarchy, source, Containers(hierarchy, settings.containers.cri_sockets), rulebook, captured)
    except BaseException:
        source.close()
        raise


def _present(hierarchy: Hierarchy) -> list[AnyEvent]:
    """What runs, parents before children: the origin of a process depends on its parent's."""
    from agent import running

    present = running.processes(hierarchy)
    return sorted(present, key=lambda event: (event.task.start, not isinstance(event, Running)))


def _replaying(settings: Settings, began: float) -> tuple[Agent, Spool]:
    from agent.probe.replay import ReplaySource

    spool = Spool(Path(settings.state_directory), settings.spool.maximum_bytes)
    try:
        source = ReplaySource(Path(settings.probe.replay))
        agent = Agent(settings, source, RecordedContainers(), spool, unknown(settings.node))
    except BaseException:
        spool.close()
        raise
    _say(f"replaying {settings.probe.replay} after {time.monotonic() - began:.1f} s")
    _ready(settings)
    return agent, spool


def _say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def _ready(settings: Settings) -> None:
    if settings.ready_file:
        Path(settings.ready_file).touch()


def _on_signals(act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def _hello(settings: Settings, spool: Spool) -> pb.Hello:
    return pb.Hello(
        node=settings.node,
        cluster=settings.cluster,
        agent_version=__version__,
        kernel_release=platform.release(),
        boot_id=boot_id(),
        spool_id=spool.spool_id,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
