"""A deviation accepted in the API is part of the profile on the node, with who and why."""

from __future__ import annotations

from typing import Any

import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import Arrivals, learn, until
from cli.demo_stage import NODE, Stage

pytestmark = [pytest.mark.kernel, pytest.mark.containers]


def _enforced_hash(api: Api) -> str:
    profiles: list[dict[str, Any]] = api.get(f"nodes/{NODE}")["profiles"]
    return next((p["hash"] for p in profiles if p["key"]["container"] == demo_acts.CONTAINER), "")


def test_accepted_deviation_falls_silent(stage: Stage) -> None:
    """After ``accept`` the same act is no finding any more, another one still is, and the decision is evidence."""
    api = stage.start_aggregator()
    arrivals = Arrivals(api)
    stage.start_shop()
    stage.start_agent(api, replay=None, record=None)
    stage.run_shop()
    learn(stage, api, print)
    _, _, write, read, _ = demo_acts.acts(stage.listen_port, stage.out_port)
    demo_acts.visit(stage.shop_port, f"x; {write.injection}")
    arrival = arrivals.wait_for(write, 10)
    assert arrival is not None
    assert until(lambda: _enforced_hash(api) != "", bool, 10)
    before = _enforced_hash(api)
    finding = arrival[0]["id"]
    api.post(f"findings/{finding}/triage", {"action": "accept", "reason": "the shop plans its jobs"})
    assert until(lambda: _enforced_hash(api) != before, bool, 20)
    count = api.get(f"findings/{finding}")["count"]
    demo_acts.visit(stage.shop_port, f"x; {write.injection}")
    demo_acts.visit(stage.shop_port, f"x; {read.injection}")
    assert arrivals.wait_for(read, 10) is not None
    arrivals.settle(12)  # repetitions are told every ten seconds
    after = api.get(f"findings/{finding}")
    assert after["count"] == count
    assert (after["triage"]["action"], after["triage"]["who"], after["triage"]["reason"]) == (
        "accept",
        "admin",
        "the shop plans its jobs",
    )
    decisions = api.get("evidence", about=finding)["evidence"]
    assert "triage" in {link["kind"] for link in decisions}
