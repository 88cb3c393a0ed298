"""How a new agent follows an old one: what it learns while it waits, which gap it tells, and whom it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent import succession
from agent.probe.source import Told
from agent.recorded_containers import RecordedContainers
from agent.succession import DIED, HUNG, RESTARTED, STOPPED, WENT_DOWN, Following, Gap, Vigil
from agent.tenure import Handover, Holder, Judged, Predecessor, Tenure, boot_id, identity
from watchkeeper.events import AnyEvent, CgroupBirth, CgroupDeath, Exec, Exit, Fork, Open, Task
from watchkeeper.findings import Container

WEB, HOST = 7, 1
START = 1_000_000.0
CONTAINER = Container("c" * 64, "web")
APP = Task(10, 100, 2, 2, 0, 0, -1, WEB, "app")
SHELL = Task(20, 200, 1, 1, 0, 0, -1, HOST, "sh")
PATIENCE = 30.0
HOLD = """
import signal, sys, time
from pathlib import Path
from agent.tenure import Tenure
tenure = Tenure(Path(sys.argv[1]), "0.9")
tenure.take()
tenure.begin(time.time())
if sys.argv[2] == "deaf": signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("holds", flush=True)
while True:
    time.sleep(0.02)
    if sys.argv[2] == "healthy": tenure.renew(time.time())
"""


class FakeSource:
    """Gives what it was fed."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.ignored: list[int] = []
        self.forgotten: list[int] = []

    def feed(self, *events: AnyEvent) -> None:
        self.told += [Told(event, None) for event in events]

    def read(self, limit: int) -> list[Told]:
        told, self.told = self.told, []
        return told

    def ignore_cgroup(self, cgroup: int) -> None:
        self.ignored.append(cgroup)

    def forget_cgroup(self, cgroup: int) -> None:
        self.forgotten.append(cgroup)


@pytest.fixture
def containers() -> RecordedContainers:
    containers = RecordedContainers()
    containers.name(WEB, CONTAINER)
    return containers


def _opened(at: float, path: str, task: Task = APP) -> Open:
    return Open(at=at, task=task, path=path, flags=1)


def _exec(at: float, path: str, task: Task = APP) -> Exec:
    return Exec(at=at, task=task, executable=path)


@pytest.fixture
def start_holder(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another process that has the turn in ``tmp_path``: healthy, silent, or deaf (silent, ignores SIGTERM)."""
    started: list[subprocess.Popen[str]] = []

    def start(manner: str) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", HOLD, str(tmp_path), manner]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _look(vigil: Vigil, enough: Callable[[], bool]) -> None:
    """Look again and again until it is enough."""
    until = time.monotonic() + PATIENCE
    while not enough() and time.monotonic() < until:
        vigil.look()
        time.sleep(0.01)
    assert enough()


@pytest.mark.parametrize(
    ("in_order", "same_boot", "hung", "reason"),
    [
        (True, True, False, STOPPED),
        (False, True, False, DIED),
        (False, True, True, HUNG),
        (True, True, True, STOPPED),
        (True, False, False, RESTARTED),
        (False, False, False, WENT_DOWN),
    ],
)
def test_a_gap_has_its_reason(in_order: bool, same_boot: bool, hung: bool, reason: str) -> None:
    """Stopped, died or hung, and whether the machine was restarted: each is told as such."""
    holder = Holder(10, 100, "1", boot_id() if same_boot else "another", START)
    handover = Handover(10, 100, START + 5, START + 5) if in_order else None
    gap = succession.gap(Predecessor(holder, START + 5, handover), START + 7, hung=hung)
    assert gap == Gap(START + 5, START + 7, reason)


def test_without_a_predecessor_there_is_no_gap() -> None:
    """The first agent misses nothing it could have seen."""
    assert succession.gap(None, START) is None


def test_an_overlap_is_no_gap() -> None:
    """Who captured before the other one ended has missed nothing."""
    assert Gap(START + 5, START + 3, STOPPED).seconds == 0.0
    assert Gap(START + 3, START + 5, STOPPED).seconds == 2.0


def test_what_is_judged_already_is_only_learned(containers: RecordedContainers) -> None:
    """Acts up to the mark are dropped, but the processes they tell of are known when a later act is judged."""
    source = FakeSource()
    following = Following(source, containers)
    source.feed(_exec(START, "/bin/app"), _opened(START + 1, "/old"), _opened(START + 3, "/new"))
    following.follow(START + 2)
    known = following.processes.find(APP.pid, APP.start)
    assert known is not None
    assert (known.executable, known.inside) == ("/bin/app", True)
    taken: list[AnyEvent] = []
    following.hand_over(None, lambda told: taken.extend(event for event, _ in told))
    assert taken == [_opened(START + 3, "/new")]


def test_the_process_table_is_as_of_the_oldest_act_that_waits(containers: RecordedContainers) -> None:
    """An act of a process that later executed something else is judged as what the process was."""
    source = FakeSource()
    following = Following(source, containers)
    acts = [_exec(START, "/bin/app"), _opened(START + 1, "/a"), _exec(START + 2, "/bin/other")]
    source.feed(*acts)
    following.follow(START + 0.5)
    seen: list[tuple[AnyEvent, str]] = []

    def take(told: list[Told]) -> None:
        for event, _ in told:
            known = following.processes.find(APP.pid, APP.start)
            seen.append((event, known.executable if known else ""))

    following.hand_over(None, take)
    assert seen == [(acts[1], "/bin/app"), (acts[2], "/bin/app")]


def test_each_act_is_judged_by_one_of_both(containers: RecordedContainers) -> None:
    """What the old agent took in is learned, in its place between the acts it did not take in."""
    source = FakeSource()
    following = Following(source, containers)
    acts = [_exec(START + 0.1, "/bin/a"), _opened(START + 0.2, "/a"), _exec(START + 0.3, "/bin/b")]
    acts += [_opened(START + 0.4, "/b"), _opened(START + 5, "/c")]
    source.feed(*acts)
    handover = Handover(10, 100, START + 0.5, START, (identity(acts[0]), identity(acts[2])))
    seen: list[tuple[AnyEvent, str]] = []

    def take(told: list[Told]) -> None:
        for event, _ in told:
            known = following.processes.find(APP.pid, APP.start)
            seen.append((event, known.executable if known else ""))

    following.hand_over(Judged(Predecessor(None, START + 0.5, handover)), take)
    assert seen == [(acts[1], "/bin/a"), (acts[3], "/bin/b"), (acts[4], "/bin/b")]


def test_processes_come_and_go_while_waiting(containers: RecordedContainers) -> None:
    """Forks and exits are learned, too."""
    source = FakeSource()
    following = Following(source, containers)
    child = Task(11, 110, 10, 100, 0, 0, -1, WEB, "app")
    source.feed(_exec(START, "/bin/app"), Fork(at=START, task=APP, child_pid=11, child_start=110))
    following.follow(START)
    assert len(following.processes) == 2
    source.feed(Exit(at=START + 1, task=child))
    following.follow(START + 1)
    assert len(following.processes) == 1


def test_the_host_is_ignored_while_waiting(containers: RecordedContainers) -> None:
    """What the host's own processes do with files ends in the kernel, as with an agent that has its turn."""
    source = FakeSource()
    following = Following(source, containers)
    source.feed(_opened(START, "/a", SHELL), _opened(START, "/b", SHELL), _opened(START, "/c"))
    following.follow(START)
    assert source.ignored == [HOST]


def test_containers_are_taken_in_at_once(containers: RecordedContainers) -> None:
    """A container can not be looked at when it is gone, so its birth does not wait until it was judged."""
    source = FakeSource()
    following = Following(source, containers)
    source.feed(CgroupBirth(at=START + 9, task=SHELL, cgroup=9, path="/x"))
    source.feed(CgroupDeath(at=START + 9, task=SHELL, cgroup=8, path="/y"))
    following.follow(START)
    assert containers.is_pending(9)
    assert source.forgotten == [8]


async def test_waiting_ends_with_the_other_one(
    tmp_path: Path, containers: RecordedContainers, start_holder: Callable[[str], subprocess.Popen[str]]
) -> None:
    """The turn comes when the process that has it is gone."""
    holder = start_holder("healthy")
    tenure = Tenure(tmp_path, "1")
    vigil = Vigil(tenure, print)
    waiting = asyncio.create_task(
        succession.wait(tenure, Following(FakeSource(), containers), containers, asyncio.Event(), vigil)
    )
    await asyncio.sleep(0.1)
    assert not waiting.done()
    holder.kill()
    assert await asyncio.wait_for(waiting, PATIENCE)
    tenure.close()


async def test_waiting_can_be_ended(
    tmp_path: Path, containers: RecordedContainers, start_holder: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Who waits may be stopped; the one that has the turn is left alone."""
    holder = start_holder("healthy")
    tenure, ended = Tenure(tmp_path, "1"), asyncio.Event()
    ended.set()
    vigil = Vigil(tenure, print)
    assert not await succession.wait(tenure, Following(FakeSource(), containers), containers, ended, vigil)
    assert holder.poll() is None
    tenure.close()


@pytest.mark.parametrize(("manner", "number"), [("silent", signal.SIGTERM), ("deaf", signal.SIGKILL)])
def test_an_agent_that_hangs_is_ended(
    tmp_path: Path, start_holder: Callable[[str], subprocess.Popen[str]], manner: str, number: signal.Signals
) -> None:
    """One without a sign of life is asked to end, and killed if it does not; what is done is told with its name."""
    holder = start_holder(manner)
    said: list[str] = []
    tenure = Tenure(tmp_path, "1")
    vigil = Vigil(tenure, said.append, hung_seconds=0.2, ending_seconds=0.2)
    _look(vigil, lambda: holder.poll() is not None)
    assert holder.returncode == -number
    assert vigil.ended_it
    assert tenure.take()
    assert f"pid {holder.pid}, version 0.9" in said[0]
    assert said[0].endswith("ending it (SIGTERM)")
    tenure.close()


def test_a_healthy_agent_is_never_ended(tmp_path: Path, start_holder: Callable[[str], subprocess.Popen[str]]) -> None:
    """However long another waits: who renews its record keeps its turn."""
    holder = start_holder("healthy")
    tenure = Tenure(tmp_path, "1")
    vigil = Vigil(tenure, print, hung_seconds=PATIENCE, ending_seconds=0.1)
    marks: set[float] = set()
    _look(vigil, lambda: marks.add(tenure.mark) or len(marks) > 40)  # type: ignore[func-returns-value]
    assert (holder.poll(), vigil.ended_it) == (None, False)
    tenure.close()


def test_only_the_holder_is_ended(tmp_path: Path, start_holder: Callable[[str], subprocess.Popen[str]]) -> None:
    """A record that names a process without the lock has nobody ended; the remedy is told instead."""
    holder = start_holder("silent")
    said: list[str] = []
    tenure = Tenure(tmp_path, "1")
    with subprocess.Popen(["sleep", "60"]) as bystander:
        named = Tenure(tmp_path, "1").holder
        assert named is not None
        start = psutil.Process(bystander.pid)
        record = (tmp_path / "agent.lock").read_text()
        record = record.replace(f'"pid":{named.pid}', f'"pid":{bystander.pid}')
        record = record.replace(f'"start":{named.start}', f'"start":{succession.started(bystander.pid)}')
        (tmp_path / "agent.lock").write_text(record)
        vigil = Vigil(tenure, said.append, hung_seconds=0.2, ending_seconds=0.1)
        _look(vigil, lambda: bool(said))
        for _ in range(20):
            vigil.look()
        assert (start.is_running(), holder.poll(), vigil.ended_it) == (True, None, False)
        assert said[0].endswith("end it by hand if it hangs")
        bystander.kill()
    tenure.close()
