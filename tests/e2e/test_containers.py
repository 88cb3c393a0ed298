"""Agent, containers and profiles together on the real kernel."""

from __future__ import annotations

import os
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
    pids = [_spawn_with_pid(0)]
    pids.append(_spawn_with_pid(pids[0]))
    stage.stop_agent()
    assert pids[0] == pids[1]
    forks = [e for e in _events(recording) if isinstance(e, Fork) and e.child_pid == pids[0]]
    exits = [e for e in _events(recording) if isinstance(e, Exit) and e.task.pid == pids[0]]
    assert len({fork.child_start for fork in forks}) == 2
    assert [exit.task.start for exit in exits] == [fork.child_start for fork in forks]


def _spawn_with_pid(wanted: int) -> int:
    """Start a process that ends at once; with ``wanted``, under that very pid (through ns_last_pid)."""
    if wanted:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(wanted - 1))
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


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
