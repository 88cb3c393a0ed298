"""Agent start to capturing, and its memory once settled: five starts, each with an empty state."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil

from cli.demo_stage import Stage

STARTS = 5
SETTLE_SECONDS = 5


def measure() -> dict[str, float]:
    seconds, resident = [], []
    for _ in range(STARTS):
        with Stage(Path("/run/watchkeeper-bench")) as stage:
            api = stage.start_aggregator()
            seconds.append(stage.start_agent(api, replay=None, record=None))
            time.sleep(SETTLE_SECONDS)
            resident.append(psutil.Process(stage.pid("agent")).memory_info().rss / 2**20)
    return {
        "start to capturing, median s": statistics.median(seconds),
        "start to capturing, worst s": max(seconds),
        "resident memory, median MiB": statistics.median(resident),
    }
