"""Controls, findings, nodes, profiles and evidence as the API tells them, over a real store."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest

from aggregator.evidence import verify
from aggregator.identity import token_hash

CRITICAL, SHADOW, PORT, CRON, HOSTILE = (f"{number:032x}" for number in range(1, 6))


async def test_controls_have_the_pinned_shape(client: httpx.AsyncClient) -> None:
    """Profile, time, families and their controls, as scripts rely on."""
    report = (await client.get("/api/v1/controls", params={"profile": "guide"})).json()
    assert report["profile"] == "guide"
    assert report["generated_at"] == 1_795_000_000.0
    row = next(c for f in report["families"] for c in f["controls"] if (c["id"], c["scope"]) == ("CC6.1", "workload"))
    assert row == {
        "id": "CC6.1",
        "scope": "workload",
        "title": "Information Assets Logical Access Security",
        "status": "fail",
        "checks_passed": 0,
        "checks_total": 2,
        "open_findings": 4,
        "overdue_findings": 1,
    }


async def test_guide_has_the_guides_counts(client: httpx.AsyncClient) -> None:
    """CC5.2, CC6.2, CC7.2 and CC7.1 have 5, 5, 6 and 42 workload checks, as on the guide's screens."""
    report = (await client.get("/api/v1/controls", params={"profile": "guide"})).json()
    totals = {c["id"]: c["checks_total"] for f in report["families"] for c in f["controls"] if c["scope"] == "workload"}
    assert {name: totals[name] for name in ("CC5.2", "CC6.2", "CC7.2", "CC7.1")} == {
        "CC5.2": 5, "CC6.2": 5, "CC7.2": 6, "CC7.1": 42,
    }  # fmt: skip


async def test_control_tells_its_checks_with_evidence(client: httpx.AsyncClient) -> None:
    """Each check has its texts, population and sealed outcomes; each link can be found in the evidence."""
    control = (await client.get("/api/v1/controls/CC7.5", params={"scope": "workload", "profile": "guide"})).json()
    [check] = control["checks"]
    assert (check["type"], check["status"]) == ("agent_installed", "fail")
    assert check["population"]["expected"] == 4
    assert check["what"]
    assert check["how"]
    assert check["remediation"]
    for link in check["evidence"]:
        about = (await client.get("/api/v1/evidence", params={"about": link["resource"], "limit": 1000})).json()
        assert link["hash"] in {sealed["hash"] for sealed in about["evidence"]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("controls/CC0.0", 404),
        ("controls/CC6.1?scope=moon", 422),
        ("controls?profile=other", 422),
        ("findings/none", 404),
        ("findings?limit=0", 422),
        ("findings?before=x", 422),
        ("nodes/none", 404),
        ("profiles/none", 404),
        ("intervals", 422),
        ("nowhere", 404),
        ("evidence?after=-1", 422),
    ],
)
async def test_errors_say_what_is_wrong_and_what_helps(client: httpx.AsyncClient, path: str, status: int) -> None:
    """Always JSON with error and remedy, never a traceback."""
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.json()["remedy"]


async def test_findings_are_paged_and_filtered(client: httpx.AsyncClient) -> None:
    """Newest first, by pages without gap or double; open only, and by a part of their content."""
    seen, before = [], None
    while True:
        query = {"limit": 2} | ({"before": before} if before else {})
        answer = (await client.get("/api/v1/findings", params=query)).json()
        seen += [finding["id"] for finding in answer["findings"]]
        before = answer["next_before"]
        if before is None:
            break
    assert sorted(seen) == [CRITICAL, SHADOW, PORT, CRON, HOSTILE]
    assert seen[0] == HOSTILE
    unhandled = (await client.get("/api/v1/findings", params={"open": True})).json()["findings"]
    assert {f["id"] for f in unhandled} == {CRITICAL, SHADOW, PORT, HOSTILE}
    found = (await client.get("/api/v1/findings", params={"q": "/etc/shadow"})).json()["findings"]
    assert [f["id"] for f in found] == [SHADOW]
    assert (await client.get("/api/v1/findings", params={"q": "%"})).json()["findings"] == []


async def test_finding_is_told_whole(client: httpx.AsyncClient) -> None:
    """Every part of the story, with the repeats counted."""
    finding = (await client.get(f"/api/v1/findings/{SHADOW}")).json()
    assert finding["count"] == 1204
    assert finding["behaviour"] == {
        "behaviour_class": "sensitive_read",
        "process": "/bin/sh",
        "object": "/etc/shadow",
    }
    assert finding["behaviours"] == [finding["behaviour"]]
    assert finding["container"]["labels"] == {"app": "shop", "pod-template-hash": "6d4cf56db6"}
    assert finding["process"]["ancestors"][0] == "/bin/sh[811]"
    assert finding["checks"] == ["profiling_policy", "profiling_enabled"]
    assert finding["triage"] is None
    profile = (await client.get(f"/api/v1/profiles/{finding['profile']['id']}")).json()
    assert profile["key"]["workload"] == finding["profile"]["workload"] == "Deployment/web"


async def test_accepting_changes_profile_evidence_and_nodes(fleet: Any, client: httpx.AsyncClient) -> None:
    """One decision: the behaviour is in the profile with who and why, is sealed, and goes out to the nodes."""
    fleet.clock.now += 5
    body = {"action": "accept", "reason": " new helper since 2.4 ", "valid_until": fleet.clock.now + 3600}
    answer = await client.post(f"/api/v1/findings/{CRITICAL}/triage", json=body)
    expected = {
        "action": "accept",
        "who": "admin",
        "reason": "new helper since 2.4",
        "at": fleet.clock.now,
        "valid_until": fleet.clock.now + 3600,
    }
    assert answer.json()["triage"] == expected
    assert answer.json()["triages"] == [expected]
    profile = (await client.get(f"/api/v1/profiles/{answer.json()['profile']['id']}")).json()
    [entry] = [e for e in profile["entries"] if e["origin"] == "accepted"]
    assert entry["behaviour"]["object"] == "/tmp/busybox-x"
    assert (entry["accepted_by"], entry["reason"]) == ("admin", "new helper since 2.4")
    assert (profile["accepted"], profile["open_findings"]) == (1, 3)
    assert [key.workload for key in fleet.pushed] == ["Deployment/web"]
    sealed = (await client.get("/api/v1/evidence", params={"about": CRITICAL})).json()["evidence"]
    assert [link["stream"] for link in sealed] == ["findings", "decisions"]


async def test_triage_of_the_overdue_one_heals_the_control(client: httpx.AsyncClient) -> None:
    """The overdue finding failed CC6.1; decided, it fails it no longer."""
    body = {"action": "false_positive", "reason": "a known mirror"}
    assert (await client.post(f"/api/v1/findings/{HOSTILE}/triage", json=body)).status_code == 200
    control = (await client.get("/api/v1/controls/CC6.1")).json()
    assert (control["overdue_findings"], control["status"]) == (0, "partial")


@pytest.mark.parametrize(
    "body",
    [
        {"action": "accept"},
        {"action": "accept", "reason": "  "},
        {"action": "explode", "reason": "x"},
        {"action": "fixed", "reason": "x", "valid_until": 5},
        {"action": "fixed", "reason": "x", "valid_until": 1e300},
        {"action": "fixed", "reason": "x" * 2001},
        {"action": "fixed", "reason": "x", "who": "someone else"},
        [],
    ],
)
async def test_incomplete_decisions_are_refused(client: httpx.AsyncClient, body: object) -> None:
    """A decision has an action, a reason, and an end in the future if it has one; nothing was recorded."""
    answer = await client.post(f"/api/v1/findings/{CRITICAL}/triage", json=body)
    assert answer.status_code == 422
    assert (await client.get(f"/api/v1/findings/{CRITICAL}")).json()["triages"] == []


async def test_decision_on_nothing_is_not_found(client: httpx.AsyncClient) -> None:
    """An unknown finding can not be decided on."""
    answer = await client.post("/api/v1/findings/none/triage", json={"action": "fixed", "reason": "x"})
    assert answer.status_code == 404


async def test_nodes_have_a_state_and_the_missing_are_named(fleet: Any, client: httpx.AsyncClient) -> None:
    """Watched, degraded and silent are told apart; an expected node that never came is named."""
    answer = (await client.get("/api/v1/nodes")).json()
    assert {node["name"]: node["state"] for node in answer["nodes"]} == {
        "worker-1": "watched", "worker-2": "degraded", "worker-3": "silent",
    }  # fmt: skip
    assert answer["missing"] == ["worker-4"]
    fleet.clock.now += 100
    node = (await client.get("/api/v1/nodes/worker-2")).json()
    assert (node["state"], node["lost_events"], node["discarded"]) == ("silent", 220, {"profile_delta": 2})


async def test_a_node_tells_what_its_kernel_knows_and_who_was_noisy(client: httpx.AsyncClient) -> None:
    """Known behaviours, the memory and the last gap as the agent told them; null where an older one did not."""
    first, second, third = (await client.get("/api/v1/nodes")).json()["nodes"]
    assert [counters["known"] for counters in first["counters"]] == [39004, 20330118, 0, 88240]
    assert first["knowledge"] == {"entries": 12034, "capacity": 65536, "generation": 7}
    assert first["last_gap"]["seconds"] == pytest.approx(0.4, abs=1e-6)
    assert (first["novelty"], second["last_gap"], second["counters"][0]["unaccounted"]) == ([], None, 0)
    assert second["novelty"][2] == {
        "whose": "container", "container_id": "c0ffee" * 10 + "abcd", "container_name": "web", "pod_namespace": "shop",
        "pod_name": "web-6d4cf56db6-x2x9k", "event_class": "open", "submitted": 740, "dropped": 1, "withheld": 0,
        "unlisted": 0, "expired": 2, "evicted": 0,
    }  # fmt: skip
    assert (third["novelty"], third["knowledge"], third["last_gap"]) == (None, None, None)


async def test_node_token_is_kept_as_a_hash_only(fleet: Any, client: httpx.AsyncClient) -> None:
    """The answer is the only place the token ever is; a new one replaces it."""
    first = (await client.post("/api/v1/nodes/worker-4/token")).json()["token"]
    second = (await client.post("/api/v1/nodes/worker-4/token")).json()["token"]
    assert first != second
    assert first.startswith("worker-4.")
    kept = await fleet.store.call("node_token_hash", "worker-4")
    assert kept == token_hash(second.rpartition(".")[2])
    assert (await client.post("/api/v1/nodes/%20x/token")).status_code == 422


async def test_export_verifies_offline(client: httpx.AsyncClient) -> None:
    """The exported chains hold; with one byte changed they do not."""
    answer = await client.get("/api/v1/evidence/export")
    lines = answer.content.splitlines()
    total = (await client.get("/api/v1/evidence", params={"limit": 1000})).json()["evidence"]
    assert len(lines) == len(total) > 10
    assert verify(lines) is None
    lines[3] = lines[3].replace(b"0", b"1", 1)
    broken = verify(lines)
    assert broken is not None
    assert broken.line == 4


async def test_evidence_is_paged(client: httpx.AsyncClient) -> None:
    """With and without a stream, `next_after` leads through all of it once."""
    for stream in ("", "findings"):
        seen, after = [], 0
        while after is not None:
            query = {"stream": stream, "after": after, "limit": 3}
            answer = (await client.get("/api/v1/evidence", params=query)).json()
            seen += [(link["stream"], link["sequence"]) for link in answer["evidence"]]
            after = answer["next_after"]
        assert len(seen) == len(set(seen)) > 3
    assert [sequence for _, sequence in seen] == list(range(1, len(seen) + 1))


async def test_intervals_tell_the_history(fleet: Any, client: httpx.AsyncClient) -> None:
    """A status that changed has two intervals, the older closed where the newer begins."""
    subject = "control:CC6.1:workload:guide"
    fleet.clock.now += 10
    await client.post(f"/api/v1/findings/{HOSTILE}/triage", json={"action": "fixed", "reason": "peer removed"})
    answer = (await client.get("/api/v1/intervals", params={"subject": subject})).json()["intervals"]
    assert [(i["status"], i["since"], i["until"]) for i in answer] == [
        ("fail", 1_795_000_000.0, 1_795_000_010.0),
        ("partial", 1_795_000_010.0, 0.0),
    ]


async def test_broken_store_is_an_answer_not_a_traceback(fleet: Any, client: httpx.AsyncClient) -> None:
    """When the database fails under us, clients get 503 and the reason, and readiness says no."""
    await fleet.store.call(lambda store: store.close())
    for path in ("/readyz", "/api/v1/nodes/x", "/api/v1/findings"):
        answer = await client.get(path)
        assert answer.status_code in (503, 404)
        assert "Traceback" not in answer.text
    assert (await client.get("/api/v1/findings")).json()["error"]


async def test_defect_is_told_without_its_details(fleet: Any) -> None:
    """An unexpected exception becomes a plain 500; details stay in the log."""

    def broken(*_: object) -> None:
        raise sqlite3.ProgrammingError("secret detail")

    fleet.evaluation.controls = broken
    async with fleet.client() as client:
        answer = await client.get("/api/v1/controls")
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "Something went wrong here.", "remedy": "The aggregator's log has the details."},
    )
