"""``watchkeeper demo``: the product's whole flow on this host, told as it happens."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.status import Status

from cli import demo_acts
from cli.api import Api, ApiError
from cli.demo_acts import Act
from cli.demo_stage import Stage, StageError, default_directory
from cli.requirements import missing_for_live_run
from cli.screen import STYLES, controls_table

RECORDING = Path(__file__).with_name("demo_recording.jsonl")
ROWS = frozenset({"CC5.1", "CC6.1", "CC7.2", "CC7.5"})
LEARNING_SECONDS = 60.0
FINDING_SECONDS = 10.0
VISIT_EVERY = 0.5


class DemoFailed(Exception):
    """An act did not become a finding, or the controls do not show it."""


def run_demo(*, exit_after: bool, replay: bool, record: Path | None) -> int:
    """0: told to the end (with ``exit_after``: and everything was found); 1: not; 2: the machine lacks something."""
    console = Console()
    missing = [] if replay else missing_for_live_run()
    if missing:
        for item in missing:
            console.print(f"[red]missing[/] {item}", highlight=False)
        console.print("`./run demo --replay` plays a recorded run through the same flow instead.", highlight=False)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background starts us with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with Stage(default_directory()) as stage:
            _tell(console, stage, exit_after=exit_after, replay=replay, record=record)
    except KeyboardInterrupt:
        console.print("Stopped; everything the demo started is gone.")
    except (DemoFailed, StageError, ApiError, OSError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}", highlight=False)
        return 1
    return 0


def _tell(console: Console, stage: Stage, *, exit_after: bool, replay: bool, record: Path | None) -> None:
    began = time.monotonic()
    with _step(console, "Starting the aggregator (SQLite)"):
        api = stage.start_aggregator()
    findings = Arrivals(api)
    acts = demo_acts.acts(stage.listen_port, stage.out_port)
    if replay:
        console.print("[bold yellow]REPLAY[/] of a recorded run: no kernel, no container, the same flow.")
        acts = demo_acts.recorded_acts()
        stage.start_agent(api, replay=RECORDING, record=None)
        _tell_replayed_acts(console, acts, findings)
    else:
        _tell_live_acts(console, stage, api, acts, findings, record)
    _tell_controls(console, api, len(acts))
    console.print(f"All {len(acts)} acts became findings, {time.monotonic() - began:.1f} s after the start.")
    if not exit_after:
        console.print(f"\nDashboard: [bold]{stage.api_url}[/]   token: [bold]{stage.token}[/]\nCtrl-C ends the demo.")
        while True:
            time.sleep(3600)


def _tell_live_acts(
    console: Console, stage: Stage, api: Api, acts: tuple[Act, ...], findings: Arrivals, record: Path | None
) -> None:
    with _step(console, "Starting a private containerd and making the image"):
        stage.start_shop()
    with _step(console, "Starting the agent") as status:
        seconds = stage.start_agent(api, replay=None, record=record)
        status.update(f"Agent started: capturing after {seconds:.2f} s")
    with _step(console, "Running the shop's container"):
        stage.run_shop()
    with _step(console, "Learning the shop") as status:
        status.update(learn(stage, api, status.update))
    with _step(console, "The agent enforces the profile on the node"):
        before = until(
            lambda: api.get("controls", profile="guide"), lambda r: _control(r, "CC6.1")["status"] == "pass", 10.0
        )
    console.print(controls_table(before, "Controls before", ROWS))
    console.print("\n[bold]The intruder[/] (through a hole in the shop's look-up)")
    for act in acts:
        demo_acts.visit(stage.shop_port, f"x; {act.injection}")
        _tell_finding(console, act, findings.wait_for(act, FINDING_SECONDS))
    findings.settle(1.0)
    _tell_others(console, acts, findings)


def _tell_replayed_acts(console: Console, acts: tuple[Act, ...], findings: Arrivals) -> None:
    for act in acts:
        _tell_finding(console, act, findings.wait_for(act, LEARNING_SECONDS), replayed=True)
    findings.settle(1.0)
    _tell_others(console, acts, findings)
    console.print("[dim]A replaying agent watches no node, so CC5.1 and CC7.5 (agent installed) fail below.[/]")


def learn(stage: Stage, api: Api, tell: Callable[[str], object]) -> str:
    """Visit the shop as customers do until the agent has learned what it does; returns what in words."""
    began = time.monotonic()
    while time.monotonic() - began < LEARNING_SECONDS:
        demo_acts.visit(stage.shop_port, "teapot")
        profile = _shop_profile(api)
        told = _counts(profile) if profile else "nothing yet"
        if profile and profile["state"] == "learned":
            return f"Learned in {time.monotonic() - began:.1f} s: {told}"
        tell(f"Learning the shop: {time.monotonic() - began:.0f} s, {told}")
        time.sleep(VISIT_EVERY)
    raise DemoFailed(f"the shop's profile was not learned within {LEARNING_SECONDS:.0f} s\n{stage.log_end('agent')}")


def _shop_profile(api: Api) -> dict[str, Any] | None:
    for profile in api.get("profiles")["profiles"]:
        key = profile["key"]
        if (key["namespace"], key["container"]) == (demo_acts.NAMESPACE, demo_acts.CONTAINER):
            found: dict[str, Any] = api.get(f"profiles/{profile['id']}")
            return found
    return None


def _counts(profile: dict[str, Any]) -> str:
    counts: dict[str, int] = {}
    for entry in profile["entries"]:
        name = entry["behaviour"]["behaviour_class"]
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no behaviours"


def _tell_finding(
    console: Console, act: Act, arrival: tuple[dict[str, Any], float] | None, *, replayed: bool = False
) -> None:
    """A replayed act happened long ago: its time is that of being taken from the recording."""
    if arrival is None:
        raise DemoFailed(f"the intruder {act.title}, and no finding came in time")
    finding, seen_at = arrival
    latency = (seen_at - finding["detected_at" if replayed else "occurred_at"]) * 1000
    since = "after the act was replayed" if replayed else "after the act"
    severity = finding["severity"]
    console.print(
        f"  [green]✓[/] {act.title:<24} [{STYLES[severity]}]{severity:<8}[/] {finding['title']}"
        f"  [dim]{latency:.0f} ms {since}[/]",
        highlight=False,
    )


def _tell_others(console: Console, acts: tuple[Act, ...], findings: Arrivals) -> None:
    others = [finding for finding in findings.all() if not any(act.found_by(finding) for act in acts)]
    for finding in others:
        console.print(f"    [dim]also: {finding['severity']}  {finding['title']}[/]", highlight=False)


def _tell_controls(console: Console, api: Api, expected: int) -> None:
    """Print the rows after the acts, and insist that CC6.1 and CC7.2 show the open findings."""
    report = until(
        lambda: api.get("controls", profile="guide"),
        lambda r: all(_control(r, name)["open_findings"] >= expected for name in ("CC6.1", "CC7.2")),
        5.0,
    )
    console.print()
    console.print(controls_table(report, "Controls after", ROWS))
    for name in ("CC6.1", "CC7.2"):
        shown = _control(report, name)["open_findings"]
        if shown < expected:
            raise DemoFailed(f"{name} shows {shown} open findings, not at least {expected}")


def _control(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(
        control
        for family in report["families"]
        for control in family["controls"]
        if control["id"] == name and control["scope"] == "workload"
    )


def until(ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: float) -> Any:
    """Ask until the answer is enough or the seconds are over; returns the last answer."""
    end = time.monotonic() + seconds
    answer = ask()
    while not enough(answer) and time.monotonic() < end:
        time.sleep(0.1)
        answer = ask()
    return answer


class Arrivals:
    """Findings as the API's event stream tells of them, each with the time it was read there."""

    def __init__(self, api: Api) -> None:
        self._queue: queue.Queue[tuple[dict[str, Any], float] | ApiError] = queue.Queue()
        self._seen: list[tuple[dict[str, Any], float]] = []
        self._api = api
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for topic, body in self._api.messages():
                if topic == "finding":
                    self._queue.put((body, time.time()))
        except (httpx.TransportError, msgspec.DecodeError) as error:
            self._queue.put(ApiError(f"the API's event stream ended: {error}"))

    def wait_for(self, act: Act, seconds: float) -> tuple[dict[str, Any], float] | None:
        until = time.monotonic() + seconds
        while True:
            for finding, at in self._seen:
                if act.found_by(finding):
                    return finding, at
            if not self._take(max(0.01, until - time.monotonic())):
                return None

    def settle(self, quiet_seconds: float) -> None:
        """Take in what still arrives until nothing came for ``quiet_seconds``."""
        while self._take(quiet_seconds):
            continue

    def _take(self, seconds: float) -> bool:
        try:
            arrival = self._queue.get(timeout=seconds)
        except queue.Empty:
            return False
        if isinstance(arrival, ApiError):
            raise arrival
        self._seen.append(arrival)
        return True

    def all(self) -> list[dict[str, Any]]:
        return list({finding["id"]: finding for finding, _ in self._seen}.values())


@contextmanager
def _step(console: Console, text: str) -> Iterator[Status]:
    began = time.monotonic()
    with console.status(text) as status:
        yield status
    console.print(f"[green]✓[/] {status.status} [dim]{time.monotonic() - began:.1f} s[/]", highlight=False)
