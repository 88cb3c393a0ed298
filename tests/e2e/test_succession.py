"""One agent follows another on the real kernel: nothing between them is missed, told twice or kept quiet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.probe import bpfmap
from agent.tenure import HANDOVER, LOCK
from cli import demo_acts
from cli.api import Api
from cli.demo import learn, until
from cli.demo_stage import Stage
from cli.running_process import start_time

pytestmark = [pytest.mark.kernel, pytest.mark.containers]

WORDS = "alpha bravo charlie delta echo golf hotel india lima mike"
PATIENCE = 90.0  # seconds
EVERY = 0.02
ENOUGH = 40  # acts before, between and after
ACTS = (
    "for a in WORDS; do for b in WORDS; do for c in WORDS; do for d in WORDS; do "
    f"test -e /tmp/enough && exit; echo x > /etc/$a-$b-$c-$d; sleep {EVERY}; done; done; done; done"
).replace("WORDS", WORDS)
START = (
    "import os; from agent.cgroups import detect; from agent.probe.loader import start; "
    "from agent.probe.sizes import Sizes; start(Sizes(), os.getpid(), detect(), [])"
)
_ACT = re.compile(r"[a-z]+-[a-z]+-[a-z]+-[a-z]+$")


def _findings(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = api.get("findings", limit=500)
    while page["findings"]:
        found += page["findings"]
        if page["next_before"] is None:
            break
        page = api.get("findings", limit=500, before=page["next_before"])
    return found


def _acts(api: Api) -> Counter[str]:
    """The files that findings say were written, and how often."""
    counts: Counter[str] = Counter()
    for finding in _findings(api):
        name = finding["behaviour"]["object"].rpartition("/")[2] if finding["behaviour"] else ""
        if _ACT.match(name):
            counts[name] += finding["count"]
    return counts


def _wait_for_more(api: Api, already: int = 0) -> int:
    """Until ENOUGH further acts were found; how many there are then."""
    total = until(lambda: _acts(api).total(), lambda total: total >= already + ENOUGH, PATIENCE)
    assert total >= already + ENOUGH
    return int(total)


def _gaps(api: Api) -> list[dict[str, Any]]:
    return [finding["fields"] for finding in _findings(api) if finding["title"].startswith("Nobody watched")]


def _written(stage: Stage) -> set[str]:
    """What the container's acts really left behind."""
    answer = demo_acts.visit(stage.shop_port, "x; ls /etc")
    return {name for name in answer.split() if _ACT.match(name)}


def _says(stage: Stage, name: str, words: str) -> bool:
    return words in (stage.directory / f"{name}.log").read_text()


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """With rings that hold what a busy machine does while an agent has to wait for the processor."""
    stage.probe = {"bulk_ring_bytes": 1 << 26, "critical_ring_bytes": 1 << 25}
    return stage


@pytest.fixture
def watched(stage: Stage) -> Api:
    """A stage whose agent has learned the shop."""
    api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=None)
    stage.run_shop()
    learn(stage, api, print)
    return api


def _succeed(stage: Stage, api: Api, end: Callable[[str], None]) -> tuple[set[str], Counter[str]]:
    """A second agent waits while a container acts 50 times a second, then ``end`` is called for the first one: what the
    container did, and what was found of it how often."""
    stage.start_successor("second")
    captured = time.time()
    assert _says(stage, "second", f"waiting for the agent that runs (pid {stage.pid('agent')}")
    lock = stage.directory / "agent" / LOCK
    assert until(lambda: lock.stat().st_mtime, lambda mark: mark > captured, PATIENCE) > captured
    demo_acts.visit(stage.shop_port, f"x; ({ACTS}) >/dev/null 2>&1 &")
    before = _wait_for_more(api)
    end("agent")
    assert until(lambda: _says(stage, "second", "taking over after"), bool, PATIENCE)
    _wait_for_more(api, before)
    demo_acts.visit(stage.shop_port, "x; touch /tmp/enough")
    written = _written(stage)
    return written, until(lambda: _acts(api), lambda found: len(found) >= len(written), PATIENCE)


def test_an_update_with_overlap_finds_each_act_once(stage: Stage, watched: Api) -> None:
    """A new agent takes over from one that is stopped: no act is missed, none is found twice, and there is no gap."""
    written, found = _succeed(stage, watched, stage.stop_agent)
    assert found == Counter(dict.fromkeys(written, 1))
    assert _gaps(watched) == []


def test_nothing_is_missed_when_the_old_agent_is_killed(stage: Stage, watched: Api) -> None:
    """kill -9 while the new agent waits: what the old one did not judge for sure is judged anew; there is no gap."""
    written, found = _succeed(stage, watched, stage.kill)
    assert found.keys() == written
    assert _gaps(watched) == []


def test_a_killed_agent_leaves_a_gap_that_is_told(stage: Stage, watched: Api) -> None:
    """kill -9: the next agent tells since when nobody watched, until when, and that the end was no orderly one."""
    killed = time.time()
    stage.kill("agent")
    time.sleep(1.5)
    started = time.time()
    stage.start_agent(watched, replay=None, record=None)
    captured = time.time()
    [gap] = until(lambda: _gaps(watched), bool, PATIENCE)
    assert gap["reason"] == "the agent ended without saying so (killed or crashed)"
    assert killed - 10 < float(gap["since"]) <= killed
    assert started < float(gap["until"]) <= captured


def test_the_first_agent_tells_of_no_gap(stage: Stage) -> None:
    """Nothing was watched before the first agent of a state directory, so nothing is missing."""
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=None)
    stage.stop_agent()
    assert not _says(stage, "agent", "nobody watched")
    assert json.loads((stage.directory / "agent" / LOCK).read_text())["pid"] == stage.pid("agent")
    assert (stage.directory / "agent" / HANDOVER).exists()


def test_a_restart_of_the_machine_is_told(stage: Stage) -> None:
    """The record of an agent of another boot, which did not end in order: the machine went down."""
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=None)
    stage.kill("agent")
    lock = stage.directory / "agent" / LOCK
    _belongs_to_another_boot(lock)
    stage.start_agent(api, replay=None, record=None)
    [gap] = until(lambda: _gaps(api), bool, PATIENCE)
    assert gap["reason"] == "the machine went down or was restarted without the agent being stopped"


def _belongs_to_another_boot(lock: Path) -> None:
    record = json.loads(lock.read_text())
    lock.write_text(json.dumps(record | {"boot_id": "of another boot"}))


def test_a_killed_agent_leaves_nothing_in_the_kernel(stage: Stage) -> None:
    """kill -9: its programs are gone without anybody's help."""
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=None)
    programs = _programs(stage.pid("agent"))
    assert programs
    assert programs <= set(bpfmap.program_ids())
    stage.kill("agent")
    assert until(lambda: programs & set(bpfmap.program_ids()), lambda left: not left, PATIENCE) == set()


@pytest.mark.usefixtures("stage")
def test_the_compiling_child_dies_with_the_agent() -> None:
    """kill -9 while the hooks are compiled: no process is left that could still attach them."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", START], env=environment) as agent:
        [child] = until(psutil.Process(agent.pid).children, _compiles, PATIENCE)
        child.suspend()  # it can not come to an end by itself
        agent.kill()
    left = until(lambda: start_time(child.pid), lambda start: not start, PATIENCE)
    if left:
        child.kill()
    assert left == ""


def test_a_new_agent_can_be_stopped_while_it_waits(stage: Stage) -> None:
    """It leaves the one that runs alone."""
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=None)
    stage.start_successor("second")
    stage.stop_agent("second")
    assert _says(stage, "second", "ended while waiting")
    assert Path(f"/proc/{stage.pid('agent')}").exists()


def _programs(pid: int) -> set[int]:
    """The numbers of the BPF programs that the process holds."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
    return {int(number) for text in texts for number in re.findall(r"^prog_id:\s+(\d+)", text, re.MULTILINE)}


def _compiles(children: list[psutil.Process]) -> bool:
    """Whether the child has come so far that it has BCC's library."""
    return any("libbcc" in Path(f"/proc/{child.pid}/maps").read_text() for child in children)
