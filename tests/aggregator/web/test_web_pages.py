"""The dashboard's pages as a browser gets them."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from aggregator import rule_loader
from aggregator.api.app import create_app
from aggregator.authority import Authority
from aggregator.config import Settings
from aggregator.controls.catalogue import load
from aggregator.definition_files import DefinitionFiles
from aggregator.definitions import Definitions
from aggregator.evaluation import Evaluation
from aggregator.live import Live
from aggregator.records import ClassCounters, Interval, Knowledge, Status
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread
from aggregator.web.controls import Segment, history
from aggregator.web.rendering import codes, delay, duration, share, size, when
from watchkeeper.findings import Finding, Severity

PAGES = (
    "/",
    "/?profile=guide",
    "/controls/workload/CC6.1",
    "/controls/aws/CC7.2?profile=guide",
    "/findings",
    "/findings?show=all&q=etc",
    f"/findings/{1:032x}",
    f"/findings/{4:032x}",
    f"/findings/{5:032x}",
    "/nodes",
    "/nodes/worker-2",
    "/nodes/worker-3",
    "/profiles",
    "/policies",
    "/policies/Files",
    "/policies/Inadvised%20K8s%20User%20Activity",
    "/policies/Shop",
    "/evidence",
    "/evidence?stream=findings",
    f"/evidence?about={2:032x}",
    "/api/docs",
)


class _Page(HTMLParser):
    """Elements and what the security policy would forbid."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.scripts: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "script":
            self.scripts.append(given.get("src") or "inline")
        if tag == "style" or any(name == "style" or name.startswith("on") for name in given):
            self.forbidden.append(f"<{tag} {given}>")
        if identity := given.get("id"):
            self.ids.append(identity)
        if tag == "h1":
            self.headings.append(tag)


@pytest.fixture
async def browser(fleet: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.client("") as client:
        await client.post("/login", data={"token": "test-token"})
        yield client


@pytest.mark.parametrize("path", PAGES)
async def test_pages_keep_to_the_policy(browser: httpx.AsyncClient, path: str) -> None:
    """Each page answers, with one main heading, unique ids, and no inline script or style, whatever names contain."""
    answer = await browser.get(path)
    assert answer.status_code == 200
    page = _Page(answer.text)
    assert page.forbidden == []
    assert all(source.startswith("/static/") for source in page.scripts)
    assert len(page.scripts) == 2
    assert len(page.ids) == len(set(page.ids))
    assert page.headings == ["h1"]


async def test_hostile_names_stay_text(browser: httpx.AsyncClient) -> None:
    """A container called <script>… is shown, not run."""
    for path in ("/findings", f"/findings/{5:032x}", "/findings?q=<script>alert(1)</script>"):
        text = (await browser.get(path)).text
        assert "<script>alert(1)" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


async def test_strangers_are_led_to_the_log_in_and_back(fleet: Any) -> None:
    """Without a session every page leads to the log-in, which knows where to go on."""
    async with fleet.client("") as client:
        answer = await client.get("/findings?show=all")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Ffindings%3Fshow%3Dall")
        assert 'name="next" value="/findings?show=all"' in (await client.get(answer.headers["location"])).text


async def test_unknown_is_told_apart_from_failing(browser: httpx.AsyncClient) -> None:
    """A control that was not assessed carries other classes and words than one that fails."""
    text = (await browser.get("/?profile=guide")).text
    assert "control-row is-not_assessed" in text
    assert "control-row is-fail" in text
    assert "Not assessed" in text


@pytest.mark.parametrize("told", ['{"fd.name":"/etc/<b>x","proc.pname":null}', "[1]", "{broken"])
async def test_a_rules_hit_tells_output_fields_and_policies(fleet: Any, browser: httpx.AsyncClient, told: str) -> None:
    """In Falco's words, each field for itself; what an agent sent malformed is shown as it came."""
    fields = {
        "rule": "Write below etc", "rule_source": "syscall", "priority": "Error", "output": "File <i> written",
        "output_fields": told, "tags": "files,soc2_CC6.8", "policy": "Files\nCommand and control, IPFS",
    }  # fmt: skip
    hit = Finding(f"{77:032x}", "worker-1", "rule", "Write below etc", Severity.HIGH, "7" * 64, 1.0, 1.0,
                  fields=tuple(fields.items()))  # fmt: skip

    def keep(store: SqliteStore) -> None:
        with store.ingest() as ingest:
            ingest.finding(hit, 2.0, ())

    await fleet.store.call(keep)
    text = (await browser.get(f"/findings/{77:032x}")).text
    assert "File &lt;i&gt; written" in text
    assert "system calls, priority Error" in text
    assert 'href="/policies/Command%20and%20control%2C%20IPFS"' in text
    assert '<span class="chip">soc2_CC6.8</span>' in text
    shown = ["/etc/&lt;b&gt;x", "&lt;NA&gt;"] if told.startswith('{"') else [told]
    assert [part for part in shown if part not in text] == []


async def test_decision_by_form(fleet: Any, browser: httpx.AsyncClient) -> None:
    """The form records who, why and until when, and leads back to the finding."""
    path = f"/findings/{2:032x}"
    form = {"action": "accept", "reason": "backup job", "days": "7"}
    answer = await browser.post(f"{path}/triage", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    [triage] = await fleet.store.call("triages", f"{2:032x}")
    assert (triage.action, triage.who, triage.reason) == ("accept", "admin", "backup job")
    assert triage.valid_until == fleet.clock.now + 7 * 86400
    assert "Accepted into the profile" in (await browser.get(path)).text


async def test_decision_without_reason_is_a_page_that_says_so(browser: httpx.AsyncClient) -> None:
    """People get a page, not JSON."""
    answer = await browser.post(f"/findings/{2:032x}/triage", data={"action": "fixed", "reason": " "})
    assert answer.status_code == 422
    assert "A decision needs a reason." in answer.text
    assert (await browser.get("/findings/none")).status_code == 404


async def test_enrolling_shows_the_token_once(fleet: Any, browser: httpx.AsyncClient) -> None:
    """Token, authority and configuration are ready to be copied; a wrong name is refused."""
    answer = await browser.post("/nodes", data={"name": "worker-4"})
    assert "worker-4." in answer.text
    assert "BEGIN CERTIFICATE" in answer.text
    assert "WATCHKEEPER" not in answer.text
    assert (await browser.post("/nodes", data={"name": "a b"})).status_code == 422


async def test_evidence_pages_cover_a_stream_once(browser: httpx.AsyncClient) -> None:
    """Pages of a stream go from its newest link to its first, without gap or double."""
    first = (await browser.get("/evidence?stream=statuses")).text
    second = (await browser.get("/evidence?stream=statuses&page=2")).text
    shown = [i for i in _Page(first).ids + _Page(second).ids if i.startswith("link-statuses-")]
    numbers = [int(i.rpartition("-")[2]) for i in shown]
    assert numbers == list(range(len(numbers), 0, -1))


async def test_empty_aggregator_says_what_to_do_next(tmp_path: Path) -> None:
    """With nothing in the store each page names the next step."""
    store = StoreThread(SqliteStore(tmp_path / "store.sqlite"))
    evaluation = Evaluation(store.store, load())
    definitions = Definitions(store, DefinitionFiles(shipped=tmp_path / "none"), rule_loader.make, time.time)
    app = create_app(
        store,
        evaluation,
        definitions,
        Live(),
        Authority(tmp_path),
        Settings(state_directory=tmp_path),
        token="t",
        session_key="k",
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://aggregator") as client:
        assert (await client.get("/readyz")).json()["error"] == "The checks have not been judged yet."
        await client.post("/login", data={"token": "t"})
        texts = {path: (await client.get(path)).text for path in ("/", "/findings", "/nodes", "/profiles", "/evidence")}
    store.close()
    assert "Enrol the first node" in texts["/"]
    assert "Nothing waits for you" in texts["/findings"]
    assert "Enrol the first one below" in texts["/nodes"]
    assert "Enrol a node, then start a workload" in texts["/profiles"]
    assert "Nothing sealed yet" in texts["/evidence"]


async def test_a_nodes_page_tells_what_the_kernel_remembers(fleet: Any, browser: httpx.AsyncClient) -> None:
    """How full it is and who burdens it; of an older agent, and of one without a memory, that there is nothing."""
    first, second, third = [(await browser.get(f"/nodes/worker-{n}")).text for n in (1, 2, 3)]
    assert "12\u202f034 of 65\u202f536" in first
    assert ("Noisiest containers" in first, "Noisiest containers" in second) == (False, True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in second
    assert "no gap known" in second
    assert "This agent does not tell it" in third
    node = (await fleet.store.call("nodes"))[0]
    await fleet.store.call("heartbeat", replace(node, knowledge=Knowledge(0, 0, 0)))
    assert "no memory of judged behaviours" in (await browser.get("/nodes/worker-1")).text


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (1103, "open: 3 events are in none of the counts (they may have been under way while these were read)."),
        (2000, "open: 900 events are in none of the counts."),
        (900, "open: 200 events too many are in the counts."),
        (1100, ""),
    ],
)
async def test_counts_that_do_not_add_up_are_shown(
    fleet: Any, browser: httpx.AsyncClient, seen: int, told: str
) -> None:
    """Each class by which number, and nothing is called accounted for then."""
    node = (await fleet.store.call("nodes"))[0]
    counters = (ClassCounters("open", seen, 1000, 100, 0, 100, 0),)
    await fleet.store.call("heartbeat", replace(node, counters=counters))
    text = (await browser.get("/nodes/worker-1")).text
    assert re.findall(r"open: \d+ events [^<]+", text) == ([told] if told else [])
    assert ("every event accounted for" in text) == (seen in (1100, 1103))
    assert "not told" in text


def test_history_counts_unrecorded_time_as_unknown() -> None:
    """Half a period without any record, a quarter passing, a quarter partly known: a quarter held, rest unknown."""
    intervals = [Interval("c", Status.PASS, 150, 175), Interval("c", Status.PARTIAL, 175)]
    told = history(intervals, 100, 200)
    assert told.segments == [Segment(500.0, 250.0, "pass"), Segment(750.0, 250.0, "partial")]
    assert (told.held, told.unknown) == (0.25, 0.75)


def test_values_read_well() -> None:
    """Durations, sizes, delays and times as people say them."""
    assert [duration(s) for s in (0, 59, 60, 3599, 7200, 200000)] == ["0 s", "59 s", "1 min", "59 min", "2 h", "2 d"]
    assert [size(b) for b in (0, 1023, 1024, 45 << 20, 3 << 40)] == ["0 B", "1023 B", "1.0 KiB", "45.0 MiB", "3072 GiB"]
    assert [delay(s) for s in (-1, 0.25, 75)] == ["0 ms", "250 ms", "1 min"]
    assert [share(*parts) for parts in ((0, 0), (0, 9), (1, 10**6), (3, 1000), (5, 9))] == [
        "-", "0 %", "< 0.01 %", "0.3 %", "56 %",
    ]  # fmt: skip
    assert when(0, 5) == "never"
    assert 'title="1970-01-01 00:01:40 UTC" data-at="100">20 s ago' in when(100, 120)
    assert "in 2 min" in when(240, 120)
    assert codes("a `<b>` c") == "a <code>&lt;b&gt;</code> c"
