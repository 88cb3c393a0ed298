"""From the act in the kernel to the finding in the API's event stream, over 200 different acts."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

from cli import demo_acts
from cli.demo import Arrivals, learn
from cli.demo_stage import Stage

ACTS = 200
WORDS = (
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "golf",
    "hotel",
    "india",
    "lima",
    "mike",
    "oscar",
    "papa",
    "romeo",
    "tango",
    "victor",
)


def measure() -> dict[str, float]:
    with Stage(Path("/run/watchkeeper-bench")) as stage:
        api = stage.start_aggregator()
        arrivals = Arrivals(api)
        stage.start_shop()
        stage.start_agent(api, replay=None, record=None)
        stage.run_shop()
        learn(stage, api, print)
        latencies = []
        for first, second in itertools.islice(itertools.product(WORDS, WORDS), ACTS):
            path = f"/etc/{first}-{second}"
            act = demo_acts.Act("writes", f"echo x > {path}", "written", path)
            demo_acts.visit(stage.shop_port, f"x; {act.injection}")
            arrival = arrivals.wait_for(act, 10)
            if arrival is None:
                raise RuntimeError(f"no finding for {path}\n{stage.log_end('agent')}")
            latencies.append((arrival[1] - arrival[0]["occurred_at"]) * 1000)
    return {
        "acts": float(len(latencies)),
        "median ms": statistics.median(latencies),
        "p99 ms": statistics.quantiles(latencies, n=100)[98],
        "worst ms": max(latencies),
    }
