"""Both sides are killed in the middle of many findings; afterwards every finding is there exactly once."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import learn
from cli.demo_stage import Stage

if TYPE_CHECKING:
    from conftest import Writes

pytestmark = [pytest.mark.kernel, pytest.mark.containers]
OUTAGE_SECONDS = float(os.environ.get("WATCHKEEPER_TEST_OUTAGE_SECONDS", "3"))


def _written(api: Api, expected: frozenset[str]) -> Counter[str]:
    findings: list[dict[str, Any]] = []
    page = api.get("findings", limit=500)
    while page["findings"]:
        findings += page["findings"]
        if page["next_before"] is None:
            break
        page = api.get("findings", limit=500, before=page["next_before"])
    objects = (finding["behaviour"]["object"] for finding in findings if finding["behaviour"])
    return Counter(name for name in objects if name in expected)


def _profile_state(api: Api) -> set[str]:
    return {p["state"] for p in api.get("profiles")["profiles"] if p["key"]["container"] == demo_acts.CONTAINER}


def test_a_thousand_findings_survive_both_deaths(stage: Stage, thousand_writes: Writes) -> None:
    """The aggregator is gone for 1,000 findings, then the agent is killed: each is stored once, the profile stays."""
    api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=None)
    stage.run_shop()
    learn(stage, api, print)
    stage.kill("aggregator")
    demo_acts.visit(stage.shop_port, thousand_writes.injection)
    time.sleep(OUTAGE_SECONDS)
    api = stage.start_aggregator()
    time.sleep(0.5)
    stage.kill("agent")
    stage.start_agent(api, replay=None, record=None)
    until = time.monotonic() + 60
    expected = thousand_writes.paths
    while len(_written(api, expected)) < len(expected) and time.monotonic() < until:
        time.sleep(0.5)
    assert _written(api, expected) == Counter(dict.fromkeys(expected, 1))
    assert _profile_state(api) == {"learned"}
