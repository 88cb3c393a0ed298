"""Policies and rules over HTTP: asked for, made, switched, taken back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

USERS = "/api/v1/policies/Inadvised%20K8s%20User%20Activity"


async def test_policies_are_told_with_their_state(client: httpx.AsyncClient) -> None:
    """By name; each with rules, sources, scope, origin and who changed it."""
    found = (await client.get("/api/v1/policies")).json()["policies"]
    assert [(p["name"], p["enabled"], p["origin"], p["sources"]) for p in found] == [
        ("Files", True, "shipped", ["syscall"]),
        ("Inadvised K8s User Activity", False, "shipped", ["k8s_audit"]),
        ("Shop", True, "shipped", ["k8s_audit"]),
    ]
    assert (await client.get("/api/v1/policies/Shop")).json() == found[2]
    assert found[2] | {"description": ""} == {
        "name": "Shop", "enabled": True, "description": "", "rules": ["Attach/Exec Pod"],
        "scope": {"clusters": ["prod"], "namespaces": ["shop", "team-*"], "labels": {"tier": "front"}, "accounts": [],
                  "regions": []},
        "actions": ["alert"], "severity": None, "origin": "shipped", "changed": None, "sources": ["k8s_audit"],
        "unknown_rules": [],
    }  # fmt: skip


async def test_rules_are_told_with_their_policies(client: httpx.AsyncClient) -> None:
    """Name, source, priority and the policies that have it, enabled or not."""
    answer = (await client.get("/api/v1/rules")).json()
    assert (answer["problems"], answer["refused"]) == ([], [])
    assert {rule["name"]: (rule["source"], rule["priority"], rule["policies"]) for rule in answer["rules"]} == {
        "Write below etc": ("syscall", "Error", [{"name": "Files", "enabled": True}]),
        "Read sensitive file untrusted": ("syscall", "Warning", [{"name": "Files", "enabled": True}]),
        "Anonymous Request Allowed": (
            "k8s_audit", "Warning", [{"name": "Inadvised K8s User Activity", "enabled": False}],
        ),
        "Attach/Exec Pod": ("k8s_audit", "Notice", [{"name": "Shop", "enabled": True}]),
    }  # fmt: skip


async def test_refused_files_are_told(fleet: Any, client: httpx.AsyncClient) -> None:
    """What a newer file does wrong stands beside what stays in force."""
    (fleet.settings.state_directory / "shipped" / "audit.yaml").write_text("- rule: [")
    await fleet.definitions.reload()
    answer = (await client.get("/api/v1/rules")).json()
    assert len(answer["rules"]) == 4
    assert (answer["refused"][0]["severity"], answer["refused"][0]["file"]) == ("error", "audit.yaml")


async def test_a_switch_changes_checks_evidence_and_watchers(fleet: Any, client: httpx.AsyncClient) -> None:
    """The check of the rule says what is missing now; the change is sealed with who and why; watchers hear of it."""
    async with fleet.live.subscribe() as messages:
        answer = await client.post(f"{USERS}/enable", json={"reason": " asked by auditors "})
        assert (await anext(messages)).body == {"name": "Inadvised K8s User Activity"}
    assert answer.json()["enabled"] is True
    assert answer.json()["changed"] == {"who": "admin", "reason": "asked by auditors", "at": fleet.clock.now}
    control = (await client.get("/api/v1/controls/CC5.2", params={"profile": "guide"})).json()
    check = next(check for check in control["checks"] if check["rule"] == "Anonymous Request Allowed")
    assert (check["status"], check["policies"]) == ("not_assessed", ["Inadvised K8s User Activity"])
    assert check["reason"] == "source missing: no Kubernetes audit log reaches this aggregator"
    query = {"stream": "definitions", "about": "Inadvised K8s User Activity"}
    [sealed] = (await client.get("/api/v1/evidence", params=query)).json()["evidence"]
    body = json.loads(sealed["body"])
    assert (body["change"], body["who"], body["reason"]) == ("enable", "admin", "asked by auditors")
    assert (await client.post(f"{USERS}/disable", json={"reason": "noise"})).json()["enabled"] is False


async def test_a_policy_is_made_and_deleted(client: httpx.AsyncClient) -> None:
    """Made by PUT, replaced by PUT, gone after DELETE."""
    body = {"rules": ["Write below etc"], "reason": "new", "enabled": True, "scope": {"labels": {"b": "2", "a": "1"}}}
    made = (await client.put("/api/v1/policies/Mine", json=body)).json()
    assert (made["origin"], made["enabled"], made["scope"]["labels"]) == ("api", True, {"a": "1", "b": "2"})
    again = (await client.put("/api/v1/policies/Mine", json=body | {"severity": "low", "enabled": False})).json()
    assert (again["severity"], again["enabled"]) == ("low", False)
    gone = await client.delete("/api/v1/policies/Mine", params={"reason": "not needed"})
    assert (gone.status_code, gone.json()) == (200, {"policy": None})
    assert (await client.get("/api/v1/policies/Mine")).status_code == 404


async def test_a_shipped_policy_comes_back_when_its_change_is_deleted(client: httpx.AsyncClient) -> None:
    """Replaced, then as it was; without a change there is nothing to take back."""
    await client.put("/api/v1/policies/Files", json={"rules": ["Write below etc"], "reason": "less noise"})
    back = await client.delete("/api/v1/policies/Files", params={"reason": "all of it"})
    assert len(back.json()["policy"]["rules"]) == 2
    refused = await client.delete("/api/v1/policies/Files", params={"reason": "again"})
    assert refused.status_code == 409
    assert refused.json()["remedy"] == "Disable it, or take it out of its file."


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"rules": ["No such rule"]}, 'rules: no rule file holds "No such rule"'),
        ({"rules": []}, "rules: List should have at least 1 item"),
        ({"rules": ["Write below etc", "Write below etc"]}, 'rules: names "Write below etc" twice'),
        ({"rules": ["Write below etc"], "enabld": True}, "enabld: Extra inputs are not permitted"),
        ({"rules": ["Write below etc"], "scope": {"cluster": ["x"]}}, "scope.cluster: Extra inputs are not permitted"),
        ({"rules": ["Write below etc"], "scope": {"accounts": ["x"]}}, 'scope.accounts: "x" can not match anything'),
        ({"rules": ["Write below etc"], "actions": ["kill"]}, "actions.0: Input should be 'alert'"),
        ({"rules": ["Write below etc"], "reason": " "}, "reason: String should have at least 1 character"),
        ({"rules": ["\udcff"]}, "rules"),
    ],
)
async def test_what_can_not_be_is_refused_by_key(client: httpx.AsyncClient, body: dict[str, Any], error: str) -> None:
    """And nothing is made."""
    answer = await client.put(
        "/api/v1/policies/P", content=json.dumps({"reason": "x"} | body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert error in answer.json()["error"]
    assert (await client.get("/api/v1/policies/P")).status_code == 404


async def test_names_are_checked(client: httpx.AsyncClient) -> None:
    """A name has an end, and does not begin with a space; unknown ones are not found."""
    body = {"rules": ["Write below etc"], "reason": "x"}
    for name in ("x" * 101, "%20x"):
        answer = await client.put(f"/api/v1/policies/{name}", json=body)
        assert (answer.status_code, answer.json()["error"][:6]) == (422, "name: ")
    for method, path in (
        ("POST", "none/enable"),
        ("POST", "none/disable"),
        ("DELETE", "none?reason=x"),
        ("GET", "none"),
    ):
        answer = await client.request(method, f"/api/v1/policies/{path}", json={"reason": "x"})
        assert (answer.status_code, answer.json()["remedy"]) == (404, "See GET /api/v1/policies.")


async def test_strangers_change_nothing(fleet: Any) -> None:
    """Without a token every address of policies and rules refuses."""
    async with fleet.client("") as client:
        for method, path in (
            ("GET", "policies"), ("GET", "policies/Files"), ("PUT", "policies/Files"), ("DELETE", "policies/Files"),
            ("POST", "policies/Files/disable"), ("POST", "policies/Files/enable"), ("GET", "rules"),
        ):  # fmt: skip
            assert (await client.request(method, f"/api/v1/{path}")).status_code == 401
    assert fleet.definitions.current.policies["Files"].policy.enabled


async def test_nodes_tell_whether_they_run_what_they_must(client: httpx.AsyncClient) -> None:
    """The hash is compared with that of the node's cluster."""
    nodes = (await client.get("/api/v1/nodes")).json()["nodes"]
    assert {node["name"]: (node["rules_acknowledged"], node["rules_in_force"]) for node in nodes} == {
        "worker-1": (True, 2), "worker-2": (False, 0), "worker-3": (False, 0),
    }  # fmt: skip
    assert nodes[1]["detection_problems"] == ["this kernel does not tell of openat2: too old"]
