"""Agent, containers and profiles together on the real kernel."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import Arrivals, learn
from cli.demo_stage import Stage
from watchkeeper.events import AnyEvent, CgroupBirth, ContainerNamed, Exec, Exit, Fork

pytestmark = [pytest.mark.kernel, pytest.mark.containers]
SHORT_LIVED = 200
CLONE3 = 435
SLEEP = f"0.05{os.getpid()}"  # told from what others may run on this machine


def _events(recording: Path) -> list[AnyEvent]:
    decode = msgspec.json.Decoder(AnyEvent).decode
    return [decode(line) for line in recording.read_bytes().splitlines()]


def test_every_exec_of_short_lived_containers_is_attributed(stage: Stage, tmp_path: Path) -> None:
    """200 containers of 50 ms: each one's exec carries a cgroup that is named as that very container."""
    recording = tmp_path / "events.jsonl"
    api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=recording)
    expected = stage.run_short_lived(SHORT_LIVED, ["/bin/sleep", SLEEP])
    stage.stop_agent()
    events = _events(recording)
    names = {e.cgroup: e.container for e in events if isinstance(e, ContainerNamed)}
    attributed: dict[str, int] = {}
    for event in events:
        if isinstance(event, Exec) and event.arguments[:2] == ("/bin/sleep", SLEEP):
            container = names[event.task.cgroup]
            attributed[container.id] = attributed.get(container.id, 0) + 1
    assert attributed == dict.fromkeys(expected, 1)
    assert {expected[c.id] for c in names.values() if c.id in expected} == set(expected.values())
    assert {c.name for c in names.values() if c.id in expected} == set(expected.values())


def test_container_older_than_the_agent_is_profiled(stage: Stage) -> None:
    """A shop that ran before the agent is learned without a restart, and its drift is found."""
    api = stage.start_aggregator()
    arrivals = Arrivals(api)
    stage.start_shop()
    stage.run_shop()
    stage.start_agent(api, replay=None, record=None)
    assert learn(stage, api, print).startswith("Learned")
    act = demo_acts.acts(stage.listen_port, stage.out_port)[2]
    demo_acts.visit(stage.shop_port, f"x; {act.injection}")
    arrival = arrivals.wait_for(act, 10)
    assert arrival is not None
    assert arrival[0]["container"]["name"] == demo_acts.CONTAINER


def test_profile_survives_a_killed_agent(stage: Stage) -> None:
    """kill -9 of the agent: the profile is still learned, nothing known alarms, what is new still does."""
    api = stage.start_aggregator()
    arrivals = Arrivals(api)
    stage.start_shop()
    stage.start_agent(api, replay=None, record=None)
    stage.run_shop()
    learn(stage, api, print)
    stage.kill("agent")
    stage.start_agent(api, replay=None, record=None)
    for _ in range(3):
        demo_acts.visit(stage.shop_port, "teapot")
    arrivals.settle(2)
    assert [finding["title"] for finding in arrivals.all() if finding["source"] == "drift"] == []
    act = demo_acts.acts(stage.listen_port, stage.out_port)[3]
    demo_acts.visit(stage.shop_port, f"x; {act.injection}")
    assert arrivals.wait_for(act, 10) is not None


def test_reused_pid_is_not_confused(stage: Stage, tmp_path: Path) -> None:
    """Two processes that had the same pid in turn are told apart by their start, each with its own parent."""
    recording = tmp_path / "events.jsonl"
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=recording)
    pid = _end_at_once(os.fork())
    assert _is_done_by_child(lambda: _end_at_once(_fork_as(pid)) == pid)  # the same parent's second child is not told
    stage.stop_agent()
    forks = [e for e in _events(recording) if isinstance(e, Fork) and e.child_pid == pid]
    exits = [e for e in _events(recording) if isinstance(e, Exit) and e.task.pid == pid]
    assert len({fork.child_start for fork in forks}) == 2
    assert [exit.task.start for exit in exits] == [fork.child_start for fork in forks]


def _end_at_once(pid: int) -> int:
    """Of a fork: the child ends, the parent waits for it."""
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def _is_done_by_child(act: Callable[[], bool]) -> bool:
    """Whether it is true in a child of this process."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if act() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def _fork_as(pid: int) -> int:
    """fork(2) with that very pid: clone3(2) with set_tid, which no other process of the machine can come before."""
    wanted = ctypes.c_int(pid)
    arguments = struct.pack("@11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    child: int = libc.syscall(CLONE3, arguments, len(arguments))
    if child < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return child


def test_births_are_recorded_before_what_happens_inside(stage: Stage, tmp_path: Path) -> None:
    """A container's cgroup is born in the recording before the first exec inside it."""
    recording = tmp_path / "events.jsonl"
    api: Api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=recording)
    container = stage.run_shop()
    stage.stop_agent()
    events = _events(recording)
    birth = next(i for i, e in enumerate(events) if isinstance(e, CgroupBirth) and container in e.path)
    cgroup = events[birth].cgroup
    first = next(i for i, e in enumerate(events) if isinstance(e, Exec) and e.task.cgroup == cgroup)
    assert birth < first
