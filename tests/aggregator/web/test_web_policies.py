"""The pages of policies, and what of them shows on other pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest


@pytest.fixture
async def browser(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.client("") as client:
        await client.post("/login", data={"token": "test-token"})
        yield client


async def test_the_list_tells_state_size_source_and_scope(browser: httpx.AsyncClient) -> None:
    """Of each policy, with a link to its page."""
    text = (await browser.get("/policies")).text
    assert 'href="/policies/Inadvised%20K8s%20User%20Activity"' in text
    assert "2 rules · system calls" in text
    assert "1 rule · Kubernetes audit" in text
    assert "cluster prod; namespace shop, team-*; tier=front" in text
    assert text.count("is-enabled") == 2
    assert text.count("is-disabled") == 1


async def test_a_policy_is_switched_by_form(fleet: Any, browser: httpx.AsyncClient) -> None:
    """The form records who and why and leads back to the policy, which then shows the change and its evidence."""
    answer = await browser.post(
        "/policies/Files/enabled", data={"enabled": "false", "reason": " maintenance ", "next": "/policies/Files"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies/Files")
    change = fleet.definitions.current.policies["Files"].change
    assert (change.enabled, change.who, change.reason) == (False, "admin", "maintenance")
    text = (await browser.get("/policies/Files")).text
    assert "maintenance" in text
    assert "definitions #3" in text
    assert ">Enable</button>" in text


async def test_a_switch_without_reason_is_a_page_that_says_so(fleet: Any, browser: httpx.AsyncClient) -> None:
    """Nothing is switched."""
    answer = await browser.post("/policies/Files/enabled", data={"enabled": "false", "reason": " "})
    assert answer.status_code == 422
    assert "A decision needs a reason." in answer.text
    assert fleet.definitions.current.policies["Files"].policy.enabled
    assert (await browser.get("/policies/none")).status_code == 404


async def test_another_sites_page_can_not_switch(fleet: Any, browser: httpx.AsyncClient) -> None:
    """With the visitor's own session."""
    answer = await browser.post(
        "/policies/Files/enabled",
        data={"enabled": "false", "reason": "x"},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert fleet.definitions.current.policies["Files"].policy.enabled


async def test_refused_files_are_told(fleet: Any, browser: httpx.AsyncClient) -> None:
    """With the file, and that nothing changed."""
    (fleet.settings.state_directory / "shipped" / "audit.yaml").write_text("- rule: [")
    await fleet.definitions.reload()
    text = (await browser.get("/policies")).text
    assert "What was in force stays in force." in text
    assert "audit.yaml" in text


async def test_a_rules_check_leads_to_its_policy(browser: httpx.AsyncClient) -> None:
    """And says what to do by its state."""
    text = (await browser.get("/controls/workload/CC5.2?profile=guide")).text
    assert '<a href="/policies/Inadvised%20K8s%20User%20Activity">Inadvised K8s User Activity</a>' in text
    assert "Enable policy &#34;Inadvised K8s User Activity&#34; with rule &#34;Anonymous Request Allowed&#34;." in text
    assert "Create a policy with rule &#34;Full K8s Administrative Access&#34;." in text


async def test_nodes_show_what_they_acknowledged(browser: httpx.AsyncClient) -> None:
    """In the list where something is missing, on the node's page always."""
    assert (await browser.get("/nodes")).text.count("rules not acknowledged") == 2
    assert "Acknowledged:" in (await browser.get("/nodes/worker-1")).text
    behind = (await browser.get("/nodes/worker-2")).text
    assert "Not acknowledged:" in behind
    assert "does not tell of openat2" in behind
