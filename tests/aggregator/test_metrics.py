"""The metrics, read back as Prometheus would."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aggregator.metrics import NAMES
from aggregator.records import ClassCounters

NODE = {"node": "worker-2"}


async def test_metrics_tell_the_fleet(client: httpx.AsyncClient) -> None:
    """Nodes by state, findings by severity and state, losses by node and class, statuses: one value each."""
    text = (await client.get("/metrics")).text
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    assert [value("watchkeeper_nodes", state=s) for s in ("watched", "degraded", "silent", "never")] == [1, 1, 1, 1]
    assert value("watchkeeper_findings", severity="low", state="overdue") == 1
    assert value("watchkeeper_findings", severity="high", state="open") == 2
    assert value("watchkeeper_node_events_total", **NODE, **{"class": "open", "stage": "dropped"}) == 214
    assert value("watchkeeper_node_events_total", **NODE, **{"class": "open", "stage": "known"}) == 60
    assert value("watchkeeper_node_events_unaccounted", **NODE, **{"class": "open"}) == 0
    fates = ("withheld", "unlisted", "expired", "evicted")
    assert [value("watchkeeper_node_novelty_total", **NODE, **{"class": "open"}, fate=fate) for fate in fates] == [
        210, 4096, 5, 17,
    ]  # fmt: skip
    memory = ("entries", "capacity", "generation")
    assert [value(f"watchkeeper_node_knowledge_{name}", node="worker-1") for name in memory] == [12034, 65536, 7]
    assert value("watchkeeper_node_unwatched_seconds", node="worker-1") == pytest.approx(0.4, abs=1e-6)
    assert value("watchkeeper_node_discarded_records_total", **NODE, kind="profile_delta") == 2
    where = {"profile": "guide", "control": "CC6.1", "scope": "workload"}
    assert value("watchkeeper_control_status", **where, status="fail") == 1
    assert value("watchkeeper_control_status", **where, status="pass") == 0
    assert value("watchkeeper_control_checks", **where, count="total") == 2
    assert [value("watchkeeper_profiles", state=s) for s in ("learning", "learned")] == [1, 1]
    states = ("in_force", "idle", "broken")
    assert [value("watchkeeper_rules", source="syscall", state=s) for s in states] == [2, 0, 0]
    assert [value("watchkeeper_rules", source="k8s_audit", state=s) for s in states] == [1, 1, 0]
    assert [value("watchkeeper_policies", state=s) for s in ("enabled", "disabled")] == [2, 1]
    assert [value("watchkeeper_rule_problems", kind=k) for k in ("error", "warning", "refused")] == [0, 0, 0]
    assert [value("watchkeeper_node_rules_acknowledged", node=f"worker-{n}") for n in (1, 2, 3)] == [1, 0, 0]
    assert value("watchkeeper_node_rules_in_force", node="worker-1") == 2
    assert value("watchkeeper_alerts_total", sink="http", outcome="dropped") == 3
    assert value("watchkeeper_evaluation_timestamp_seconds") == 1_795_000_000.0


async def test_what_an_older_agent_does_not_tell_is_missing(fleet: Any, client: httpx.AsyncClient) -> None:
    """No sample at all, which is not the same as zero."""
    node = (await fleet.store.call("nodes"))[2]
    await fleet.store.call("heartbeat", replace(node, counters=(ClassCounters("open", 9, 1, 7, 1, 7, 0),)))
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    of_node = [sample for sample in samples if sample.labels.get("node") == "worker-3"]
    assert [s.name for s in of_node if "_knowledge_" in s.name or "novelty" in s.name or "unwatched" in s.name] == []
    assert [s.labels["stage"] for s in of_node if s.name == "watchkeeper_node_events_total"] == [
        "seen", "suppressed", "submitted", "dropped", "decoded", "lost_in_user_space",
    ]  # fmt: skip


async def test_names_are_those_exported(client: httpx.AsyncClient) -> None:
    """What the documentation is checked against is what a scrape shows, no more and no less."""
    text = (await client.get("/metrics")).text
    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == set(NAMES)


async def test_hostile_names_do_not_break_the_format(fleet: Any, client: httpx.AsyncClient) -> None:
    """A discarded kind with quotes and newlines stays one label."""
    node = (await fleet.store.call("nodes"))[0]
    await fleet.store.call("heartbeat", replace(node, discarded=(('a"\n} b', 7),)))
    text = (await client.get("/metrics")).text
    kinds = {
        sample.labels["kind"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "watchkeeper_node_discarded_records_total"
    }
    assert 'a"\n} b' in kinds
