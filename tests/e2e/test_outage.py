"""Both sides are killed in the middle of many findings; afterwards every finding is there exactly once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import learn
from cli.demo_stage import Stage
from cli.requirements import missing_for_live_run

pytestmark = [pytest.mark.kernel, pytest.mark.containers]
OUTAGE_SECONDS = float(os.environ.get("WATCHKEEPER_TEST_OUTAGE_SECONDS", "3"))
WORDS = "alpha bravo charlie delta echo golf hotel india lima mike"
EXPECTED = {f"/etc/{a}-{b}-{c}" for a in WORDS.split() for b in WORDS.split() for c in WORDS.split()}
LOOP = f"for a in {WORDS}; do for b in {WORDS}; do for c in {WORDS}; do echo x > /etc/$a-$b-$c; done; done; done"


@pytest.fixture
def stage() -> Iterator[Stage]:
    missing = missing_for_live_run()
    if missing:
        pytest.skip("; ".join(missing))
    with Stage(Path(f"/run/watchkeeper-test-{os.getpid()}")) as stage:
        yield stage


def _written(api: Api) -> Counter[str]:
    findings: list[dict[str, Any]] = []
    page = api.get("findings", limit=500)
    while page["findings"]:
        findings += page["findings"]
        if page["next_before"] is None:
            break
        page = api.get("findings", limit=500, before=page["next_before"])
    objects = (finding["behaviour"]["object"] for finding in findings if finding["behaviour"])
    return Counter(name for name in objects if name in EXPECTED)


def _profile_state(api: Api) -> set[str]:
    return {p["state"] for p in api.get("profiles")["profiles"] if p["key"]["container"] == demo_acts.CONTAINER}


def test_a_thousand_findings_survive_both_deaths(stage: Stage) -> None:
    """The aggregator is gone for 1,000 findings, then the agent is killed: each is stored once, the profile stays."""
    api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=None)
    stage.run_shop()
    learn(stage, api, print)
    stage.kill("aggregator")
    demo_acts.visit(stage.shop_port, f"x; {LOOP}")
    time.sleep(OUTAGE_SECONDS)
    api = stage.start_aggregator()
    time.sleep(0.5)
    stage.kill("agent")
    stage.start_agent(api, replay=None, record=None)
    until = time.monotonic() + 60
    while len(_written(api)) < len(EXPECTED) and time.monotonic() < until:
        time.sleep(0.5)
    assert _written(api) == Counter(dict.fromkeys(EXPECTED, 1))
    assert _profile_state(api) == {"learned"}
