"""Who may ask, and what every answer carries."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aggregator.api.secrets import equal, kept_secret
from aggregator.api.sessions import LIFETIME, GuessLimit, Sessions

TOKEN = "test-token"
PROTECTED = (
    "/api/v1/controls",
    "/api/v1/controls/CC6.1",
    "/api/v1/findings",
    "/api/v1/nodes",
    "/api/v1/profiles",
    "/api/v1/evidence",
    "/api/v1/evidence/export",
    "/api/v1/intervals?subject=x",
    "/api/v1/events",
    "/metrics",
)


@asynccontextmanager
async def _logged_in(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.client("") as client:
        answer = await client.post("/login", data={"token": TOKEN, "next": "/findings"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/findings")
        yield client


@pytest.mark.parametrize("path", PROTECTED)
async def test_nothing_is_told_without_a_token(fleet: Any, path: str) -> None:
    """Neither without nor with a wrong token; the answer says what helps and shows no data."""
    for token in ("", "wrong", TOKEN + "x", TOKEN[:-1]):
        async with fleet.client(token) as client:
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert set(answer.json()) == {"error", "remedy"}


async def test_health_needs_no_token(fleet: Any) -> None:
    """The platform's probes can ask without a secret."""
    async with fleet.client("") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ok"}


async def test_session_cookie_opens_api_and_pages(fleet: Any) -> None:
    """After the log-in the cookie is enough; it is out of scripts' and other sites' reach."""
    async with _logged_in(fleet) as client:
        answer = await client.post("/login", data={"token": TOKEN})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await client.get("/api/v1/nodes")).status_code == 200
        assert (await client.get("/findings")).status_code == 200


async def test_wrong_bearer_is_not_saved_by_a_cookie(fleet: Any) -> None:
    """A request that names a token is judged by it alone."""
    async with _logged_in(fleet) as client:
        answer = await client.get("/api/v1/nodes", headers={"authorization": "Bearer wrong"})
        assert answer.status_code == 401


async def test_log_out_ends_the_session_everywhere(fleet: Any) -> None:
    """A cookie kept elsewhere is worth nothing after the log-out."""
    async with _logged_in(fleet) as client:
        kept = client.cookies["watchkeeper_session"]
        assert (await client.post("/logout")).headers["location"] == "/login"
    async with fleet.client("") as thief:
        thief.cookies.set("watchkeeper_session", kept)
        assert (await thief.get("/api/v1/nodes")).status_code == 401
        assert (await thief.get("/nodes")).headers["location"] == "/login?next=%2Fnodes"


async def test_session_ends_with_time(fleet: Any) -> None:
    """A session is good for twelve hours."""
    async with _logged_in(fleet) as client:
        fleet.clock.now += LIFETIME + 1
        assert (await client.get("/api/v1/nodes")).status_code == 401


async def test_foreign_page_can_not_act(fleet: Any) -> None:
    """A post that another site's page sends is refused even with the cookie."""
    async with _logged_in(fleet) as client:
        foreign = {"origin": "http://evil.example"}
        for path in ("/logout", "/nodes", f"/findings/{1:032x}/triage", "/login"):
            answer = await client.post(path, headers=foreign, data={"name": "x", "action": "fixed", "reason": "x"})
            assert answer.status_code == 403
        answer = await client.post("/api/v1/nodes/x/token", headers=foreign)
        assert answer.status_code == 403
        assert (await client.post("/nodes", headers={"origin": "http://aggregator"}, data={"name": "x"})).is_success


async def test_guessing_is_slowed(fleet: Any) -> None:
    """After five wrong tokens even the right one must wait; then it is taken."""
    async with fleet.client("") as client:
        for _ in range(5):
            assert (await client.post("/login", data={"token": "guess"})).status_code == 401
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 429
        fleet.clock.now += 31
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nx: y"])
async def test_log_in_leads_to_no_other_site(fleet: Any, target: str) -> None:
    """An address that is not a path of ours becomes the start page."""
    async with fleet.client("") as client:
        answer = await client.post("/login", data={"token": TOKEN, "next": target})
        assert answer.headers["location"] == "/"


@pytest.mark.parametrize("path", ["/login", "/api/v1/nodes", "/nowhere", "/api/docs", "/healthz", "/static/parts.css"])
async def test_every_answer_is_locked_down(fleet: Any, path: str) -> None:
    """No foreign or inline code, no framing, no guessing of types, nothing kept by caches."""
    async with fleet.client("") as client:
        headers = (await client.get(path)).headers
    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert path.startswith("/static/") or headers["cache-control"] == "no-store"


async def test_too_large_bodies_are_refused(fleet: Any, client: httpx.AsyncClient) -> None:
    """Whether the length is announced or the body just goes on."""

    async def endless() -> Any:
        for _ in range(70):
            yield b"x" * 1024

    path = f"/api/v1/findings/{1:032x}/triage"
    announced = await client.post(path, content=b"x" * 70_000)
    streamed = await client.post(path, content=endless())
    assert [announced.status_code, streamed.status_code] == [413, 413]
    assert announced.json()["remedy"] == "Send at most 65536 bytes."


def test_secret_is_made_once_for_its_owner(tmp_path: Path) -> None:
    """The first use makes it, readable by nobody else; later uses find the same."""
    path = tmp_path / "api-token"
    secret = kept_secret(path)
    assert len(secret) >= 43
    assert kept_secret(path) == secret == path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secrets_compare_by_content() -> None:
    """Equal is equal, everything else is not, also what is not ASCII."""
    assert equal("ä", "ä")
    assert not equal("a", "b")
    assert not equal("", "b")


@pytest.mark.parametrize("forged", ["", ".", "9999999999.nonce.", "x.y.z", "9999999999.n.ü", "inf.a.b"])
def test_forged_sessions_are_no_sessions(forged: str) -> None:
    """Only what we signed counts, whatever else is sent."""
    sessions = Sessions("key", "token")
    assert not sessions.is_valid(forged, 0)
    good = sessions.begin(0)
    assert sessions.is_valid(good, 1)
    assert not sessions.is_valid("9" + good, 1)
    assert not Sessions("key", "another token").is_valid(good, 1)
    assert not Sessions("another key", "token").is_valid(good, 1)


def test_guesses_are_forgotten_after_success_and_bounded() -> None:
    """Who succeeds starts anew; many addresses do not fill the memory; one address's pause is not another's."""
    limit = GuessLimit()
    for _ in range(6):
        limit.failed("a", 0)
    assert (limit.wait_seconds("a", 0), limit.wait_seconds("b", 0)) == (60, 0)
    limit.succeeded("a")
    assert limit.wait_seconds("a", 0) == 0
    for number in range(5000):
        limit.failed(str(number), 0)
    assert len(limit._guesses) == 4096
