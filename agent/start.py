"""Starting the agent: the real parts, in the order that lets nothing fall between them.

The probe begins first; what happens from then on waits in its buffer while the containers and processes that
were there before are looked up. What is found twice does no harm.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from agent.cgroups import CgroupError, detect
from agent.config import Settings, checked, sensitive_names
from agent.enforcement import stored
from agent.pipeline import Agent
from agent.probe.source import ProbeError
from agent.recorded_containers import RecordedContainers
from agent.rulebook import Rulebook
from agent.spool import Spool, SpoolError
from agent.surroundings import Surroundings, unknown
from agent.uplink import Uplink
from watchkeeper.events import Running
from watchkeeper.settings import SettingsError
from watchkeeper.v1 import uplink_pb2 as pb


def start(settings: Settings) -> int:
    """Run the agent until a signal ends it; 0, or 2 with one line on stderr when it can not start or go on."""
    began = time.monotonic()
    try:
        asyncio.run(_run(checked(settings), began))
    except (SettingsError, ProbeError, CgroupError, SpoolError, OSError) as error:
        sys.stderr.write(f"watchkeeper agent: {error}\n")
        return 2
    return 0


async def _run(settings: Settings, began: float) -> None:
    spool = Spool(Path(settings.state_directory), settings.spool.maximum_bytes)
    try:
        agent, what = _replaying(settings, spool) if settings.probe.replay else _watching(settings, spool)
    except BaseException:
        spool.close()
        raise
    agent.uplink = Uplink(settings, spool, _hello(settings, spool), agent.heartbeat, agent.configure)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    sys.stdout.write(what.format(seconds=time.monotonic() - began) + "\n")
    sys.stdout.flush()
    if settings.ready_file:
        Path(settings.ready_file).touch()  # noqa: ASYNC240 -- once, before the loop has anything to do
    await agent.run()


def _watching(settings: Settings, spool: Spool) -> tuple[Agent, str]:
    from agent import running
    from agent.accounts import Accounts
    from agent.containers import Containers
    from agent.domains import Domains
    from agent.probe import loader
    from agent.probe.hooks import HOOKS
    from agent.probe.recording import Recorder

    hierarchy = detect()
    with ThreadPoolExecutor(1) as aside:  # rules are compiled here while a child compiles the hooks
        kept = stored(Path(settings.state_directory))
        rulebook = aside.submit(Rulebook, kept, match_all=not settings.rules.first_match)
        source = loader.start(settings.probe.ring_bytes, os.getpid(), hierarchy, sensitive_names(settings))
    try:
        containers = Containers(hierarchy, settings.containers.cri_sockets)
        recorder = Recorder(Path(settings.probe.record)) if settings.probe.record else None
        surroundings = Surroundings(settings.node, Accounts(), Domains())
        agent = Agent(settings, source, containers, spool, surroundings, recorder=recorder)
        agent.enforcement.swap(rulebook.result())
        containers.scan()
        # Parents before children: the origin of a process depends on its parent's.
        present = running.processes(hierarchy)
        agent.take(sorted(present, key=lambda event: (event.task.start, not isinstance(event, Running))))
    except BaseException:
        source.close()
        raise
    hooks = len(HOOKS) - len(source.missing_hooks)
    ring = settings.probe.ring_bytes / (1 << 20)
    return agent, f"capturing after {{seconds:.1f}} s: {hooks} hooks, ring {ring:g} MiB"


def _replaying(settings: Settings, spool: Spool) -> tuple[Agent, str]:
    from agent.probe.replay import ReplaySource

    source = ReplaySource(Path(settings.probe.replay))
    agent = Agent(settings, source, RecordedContainers(), spool, unknown(settings.node))
    return agent, f"replaying {settings.probe.replay} after {{seconds:.1f}} s"


def _hello(settings: Settings, spool: Spool) -> pb.Hello:
    return pb.Hello(
        node=settings.node,
        cluster=settings.cluster,
        agent_version=metadata.version("watchkeeper"),
        kernel_release=platform.release(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        spool_id=spool.spool_id,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
