"""The dashboard in a real browser: by keyboard, live, narrow, light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from watchkeeper.findings import Behaviour, BehaviourClass, Finding, Severity

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
INSTALLED = CHROMIUM.exists()
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NARROW = ("/", "/controls/workload/CC6.1", "/findings", f"/findings/{1:032x}", f"/findings/{5:032x}", "/nodes",
          "/nodes/worker-2", "/profiles", "/policies", "/policies/Shop", "/controls/workload/CC5.2", "/evidence",
          "/api/docs")  # fmt: skip


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    if not INSTALLED:
        pytest.skip(f"{CHROMIUM} is missing: install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page on which whatever goes wrong in the console fails the test."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    yield page
    await context.close()
    # the test's server was made after the page, so it ends before it, and the page may have asked for its stream again
    assert [each for each in complaints if not each.endswith("net::ERR_CONNECTION_REFUSED")] == []


async def _log_in(page: Page, url: str) -> None:
    await page.goto(url)
    await expect(page.locator("#token")).to_be_focused()
    await page.keyboard.type("test-token")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{url}/")


async def _tab_to(page: Page, selector: str) -> None:
    """Go on with the Tab key until the element has the focus."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} can not be reached by keyboard")


async def test_deviation_is_accepted_by_keyboard_alone(page: Page, fleet: Any, url: str) -> None:
    """Log in, go to the findings, open one, accept it with a reason: no mouse."""
    await _log_in(page, url)
    await expect(page.get_by_role("heading", name="SOC 2 controls")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    await _tab_to(page, "a[href='/findings']")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{url}/findings")
    await _tab_to(page, f"a[href='/findings/{1:032x}']")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{url}/findings/{1:032x}")
    await _tab_to(page, "input[value='accept']")
    await page.keyboard.press("Space")
    await _tab_to(page, "#reason")
    await page.keyboard.type("the new importer")
    await _tab_to(page, "button.primary")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("the new importer")).to_be_visible()
    stored = await fleet.store.call("finding", f"{1:032x}")
    assert (stored.triage.action, stored.triage.reason) == ("accept", "the new importer")


async def test_profile_page_accepts_with_a_reason(page: Page, fleet: Any, url: str) -> None:
    """The button beside a deviation takes a reason and leads back to the profile, which then has the behaviour."""
    await _log_in(page, url)
    await page.goto(f"{url}/profiles")
    await page.get_by_role("link", name="shop/Deployment/web").click()
    deviation = page.locator("article", has_text="tcp/4444")
    await deviation.get_by_placeholder("Why is this part of the work?").fill("metrics port")
    await deviation.get_by_role("button", name="Accept").click()
    await expect(page.locator("tr", has_text="tcp/4444")).to_contain_text("accepted by admin")
    await expect(page.locator("article", has_text="tcp/4444")).to_have_count(0)


async def test_finding_arrives_without_reload(page: Page, fleet: Any, url: str) -> None:
    """What ingest stores and tells is in the list, and announced, while the page stays."""
    await _log_in(page, url)
    await page.goto(f"{url}/findings")
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    await page.evaluate("window.stayed = true")
    behaviour = Behaviour(BehaviourClass.WRITTEN, "/bin/sh", "/etc/ld.so.preload")
    finding = Finding("f" * 32, "worker-1", "drift", "Written: <b>ld.so.preload</b>", Severity.CRITICAL, "f" * 64,
                      fleet.clock.now, fleet.clock.now, behaviour=behaviour)  # fmt: skip

    def store(real: Any) -> None:
        with real.ingest() as batch:
            batch.finding(finding, fleet.clock.now + 86400, ("profiling_policy",))

    await fleet.store.call(store)
    fleet.live.publish("finding", {"id": finding.id, "node": "worker-1"})
    await expect(page.locator("#list").get_by_text("Written: <b>ld.so.preload</b>")).to_be_visible()
    await expect(page.locator(".toast")).to_contain_text("critical")
    assert await page.evaluate("window.stayed") is True


async def test_what_is_typed_survives_news(page: Page, fleet: Any, url: str) -> None:
    """A half-written reason and opened details stay as they are when the page refreshes itself."""
    await _log_in(page, url)
    await page.goto(f"{url}/profiles")
    await page.get_by_role("link", name="shop/Deployment/web").click()
    await expect(page.locator("#live")).to_have_attribute("data-state", "on")
    field = page.locator("article", has_text="tcp/4444").get_by_placeholder("Why is this part of the work?")
    await field.fill("half a reas")
    await page.locator("#class-executed > summary").click()
    async with page.expect_response(lambda response: "/profiles/" in response.url):
        fleet.live.publish("profile", {"id": "x"})
    await expect(field).to_have_value("half a reas")
    assert await page.locator("#class-executed").get_attribute("open") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_runs_over_at_400_pixels(page: Page, url: str, scheme: str) -> None:
    """No page scrolls sideways on a phone, long names and hashes included."""
    await page.set_viewport_size({"width": 400, "height": 800})
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await _log_in(page, url)
    wide = {}
    for path in NARROW:
        await page.goto(url + path)
        await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        wide[path] = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide == dict.fromkeys(NARROW, 0)


async def test_theme_follows_the_system_until_chosen(page: Page, url: str) -> None:
    """Dark where the system is dark; the button turns it and the choice is kept over a reload."""
    ground = "getComputedStyle(document.body).backgroundColor"
    await _log_in(page, url)
    light = await page.evaluate(ground)
    await page.emulate_media(color_scheme="dark")
    dark = await page.evaluate(ground)
    assert light != dark
    await page.locator("#theme").click()
    assert await page.evaluate(ground) == light
    await page.reload()
    assert await page.evaluate(ground) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_contrast(page: Page, url: str, scheme: str) -> None:
    """Text, status words and chips reach 4.5:1 against what is behind them, in both themes."""
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await _log_in(page, url)
    pale = {}
    for path in (
        "/",
        "/findings",
        f"/findings/{1:032x}",
        "/nodes",
        "/nodes/worker-2",
        "/profiles",
        "/policies",
        "/policies/Shop",
        "/controls/workload/CC5.2",
        "/controls/workload/CC6.1",
    ):
        await page.goto(url + path)
        pale[path] = await page.evaluate(CONTRAST)
    assert {path: found for path, found in pale.items() if found} == {}


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => [r, g, b].map(linear)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const element of document.querySelectorAll("main *, nav *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest(".sr") || !element.checkVisibility()) continue;
    const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) pale.push(`${element.className || element.tagName}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(pale)];
}"""
