"""Rules and policies from the aggregator to the kernel and back: pushed, acknowledged, changed while events go on."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.api import Api
from cli.demo import until
from cli.demo_stage import Stage

pytestmark = [pytest.mark.kernel, pytest.mark.containers]

RULE = """
- macro: marker
  condition: (fd.name startswith {place}/marker-)
- rule: Marker is written
  desc: {description}
  condition: evt.type in (open, openat) and evt.is_open_write=true and marker
  output: "%fd.name by %proc.name"
  priority: ERROR
  tags: [marker]
"""
WORDS = (
    "alpha", "bravo", "charlie", "delta", "echo", "golf", "hotel", "india", "lima", "mike", "oscar", "papa", "romeo",
    "tango", "victor",
)  # fmt: skip
PATIENCE = 15.0


def _write(place: Path, name: str) -> None:
    """On this host, by this process."""
    (place / f"marker-{name}").touch()
    (place / f"marker-{name}").unlink()


def _markers(api: Api) -> set[str]:
    found: set[str] = set()
    before: dict[str, float] = {}
    while True:
        page = api.get("findings", limit=500, q="Marker is written", **before)
        told = [json.loads(finding["fields"]["output_fields"]) for finding in page["findings"]]
        found |= {fields["fd.name"].rpartition("/marker-")[2] for fields in told}
        if page["next_before"] is None:
            return found
        before = {"before": page["next_before"]}


def _wait(stage: Stage, ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    answer = until(ask, enough, PATIENCE)
    assert enough(answer), f"{answer}\n{stage.log_end('aggregator')}\n{stage.log_end('agent')}"
    return answer


def _acknowledged(stage: Stage, api: Api, hash_before: str = "") -> str:
    """Wait until the node runs another set than before, and the newest."""
    [node] = _wait(
        stage,
        lambda: api.get("nodes")["nodes"],
        lambda nodes: nodes and nodes[0]["rules_acknowledged"] and nodes[0]["detection_hash"] != hash_before,
    )
    return str(node["detection_hash"])


def _check(api: Api, control: str, rule: str) -> dict[str, Any]:
    detail = api.get(f"controls/{control}", scope="workload", profile="guide")
    [check] = [each for each in detail["checks"] if each["title"] == rule]
    return dict(check)


def test_policies_and_rules_change_while_the_node_is_watched(stage: Stage, tmp_path: Path) -> None:
    """A policy made by API fires within seconds; a broken file changes nothing and is told; a stream of acts over five
    reloads is found whole; a disabled policy is silent. Alerts come in Falco's JSON form."""
    rules, alerts = tmp_path / "rules.yaml", tmp_path / "alerts.jsonl"
    rules.write_text(RULE.format(place=tmp_path, description="first"))
    api = stage.start_aggregator({"rules": {"files": [str(rules)]}, "alerts": {"file": str(alerts)}})
    stage.start_agent(api, replay=None, record=None)
    shipped = _acknowledged(stage, api)
    _write(tmp_path, "early")

    api.put("policies/Markers", {"enabled": True, "rules": ["Marker is written"], "reason": "test"})
    ours = _acknowledged(stage, api, shipped)
    _write(tmp_path, "first")
    assert _wait(stage, lambda: _markers(api), bool) == {"first"}
    [alert] = [each for each in map(json.loads, alerts.read_text().splitlines()) if each["rule"] == "Marker is written"]
    assert (alert["priority"], alert["source"], alert["tags"]) == ("Error", "syscall", ["marker"])
    assert alert["output_fields"]["fd.name"] == f"{tmp_path}/marker-first"

    rules.write_text(RULE.format(place=tmp_path, description="broken").replace("fd.name", "fd.nmae"))
    _wait(stage, lambda: api.get("rules")["refused"], lambda refused: "fd.nmae" in str(refused))
    _write(tmp_path, "despite-the-broken-file")
    _wait(stage, lambda: _markers(api), lambda found: found == {"first", "despite-the-broken-file"})

    names = ["-".join(pair) for pair in itertools.product(WORDS, WORDS)]
    for number, name in enumerate(names):
        if number % 45 == 0:
            rules.write_text(RULE.format(place=tmp_path, description=f"version {number}"))
        _write(tmp_path, name)
        time.sleep(0.06)
    _wait(stage, lambda: _markers(api), lambda found: found == {"first", "despite-the-broken-file", *names})
    ours = _acknowledged(stage, api, ours)

    api.post("policies/Markers/disable", {"reason": "test"})
    _acknowledged(stage, api, ours)
    before = _markers(api)
    _write(tmp_path, "late")
    time.sleep(1.5)
    assert _markers(api) == before


def test_rule_checks_tell_the_three_states(stage: Stage) -> None:
    """No policy, only a disabled one, in force: the check fails with what helps, fails, passes."""
    api = stage.start_aggregator()
    stage.start_agent(api, replay=None, record=None)
    _acknowledged(stage, api)
    rule = "Write below etc"
    policies = [each["name"] for each in api.get("policies")["policies"] if rule in each["rules"]]
    for name in policies:
        api.post(f"policies/{name}/disable", {"reason": "test"})
    disabled = _wait(stage, lambda: _check(api, "CC7.1", rule), lambda check: check["status"] == "fail")
    assert disabled["remediation"] == [f'Enable policy "{policies[0]}" with rule "{rule}".']
    api.put("policies/Etc", {"enabled": True, "rules": [rule], "reason": "test"})
    _wait(stage, lambda: _check(api, "CC7.1", rule), lambda check: check["status"] == "pass")
