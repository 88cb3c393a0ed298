"""The demo as a user runs it: real kernel, real container, real aggregator; and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli.demo import until
from cli.demo_stage import default_directory
from cli.requirements import missing_for_live_run

pytestmark = [pytest.mark.kernel, pytest.mark.containers]
DEMO = [sys.executable, "-m", "cli.main", "demo"]


@pytest.fixture(autouse=True)
def _needs_a_real_kernel() -> None:
    missing = missing_for_live_run()
    if missing:
        pytest.skip("; ".join(missing))


def _left_behind() -> dict[str, set[str]]:
    """Everything the demo could leave on this machine."""
    programs = subprocess.run(["/usr/sbin/bpftool", "prog", "list"], capture_output=True, text=True)
    return {
        "mounts": set(Path("/proc/mounts").read_text().splitlines()),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()},
        "interfaces": set(psutil.net_if_addrs()),
        "programs": {line.split(":")[0] for line in programs.stdout.splitlines() if line[:1].isdigit()},
        "processes": {
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline"])
            if "watchkeeper-demo" in " ".join(process.info["cmdline"] or [])
        },
        "directory": {str(default_directory())} if default_directory().exists() else set(),
    }


def _assert_nothing_new(before: dict[str, set[str]]) -> None:
    until(lambda: all(not (now - before[name]) for name, now in _left_behind().items()), bool, 20)
    after = _left_behind()
    assert {name: after[name] - before[name] for name in before} == {name: set() for name in before}


def test_every_act_becomes_a_finding_and_nothing_stays() -> None:
    """``demo --exit`` ends with 0, tells five findings and both tables, and leaves the machine as it was."""
    before = _left_behind()
    done = subprocess.run(
        [*DEMO, "--exit"], capture_output=True, text=True, timeout=180, env={**os.environ, "COLUMNS": "160"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ms after the act") == 5
    assert "Controls before" in done.stdout
    assert "Controls after" in done.stdout
    _assert_nothing_new(before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_demo_leaves_nothing(how: signal.Signals) -> None:
    """Ctrl-C or a crash in the middle of learning still takes everything away."""
    before = _left_behind()
    demo = subprocess.Popen(DEMO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert until((default_directory() / "agent-ready").exists, bool, 60)
    time.sleep(2)
    demo.send_signal(how)
    demo.wait(60)
    _assert_nothing_new(before)


def test_replay_needs_no_kernel() -> None:
    """``demo --replay --exit`` plays the recorded run through the same flow and says so."""
    done = subprocess.run(
        [*DEMO, "--replay", "--exit"], capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "160"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REPLAY" in done.stdout
    assert done.stdout.count("ms after the act") == 5
