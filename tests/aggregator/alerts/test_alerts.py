"""Alerts as a whole: queues, retries, and the end, over real receivers."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aggregator.alerts.alerts import Alerts, configured
from aggregator.alerts.file import FileSink
from aggregator.alerts.http import HttpSink, Receiver
from aggregator.alerts.outbox import Counters, Patience
from aggregator.alerts.sink import AlertsError
from aggregator.config import AlertsSettings
from rules.rule import Priority
from watchkeeper.findings import Finding, Severity

QUICK = Patience(first_wait=0.005, longest_wait=0.02, give_up=60.0, drain=5.0)


def finding(number: int, severity: Severity = Severity.HIGH) -> Finding:
    return Finding(f"f{number}", "n", "health", "t", severity, "p", 0.0, 0.0)


@asynccontextmanager
async def running(alerts: Alerts) -> AsyncIterator[Alerts]:
    task = asyncio.create_task(alerts.run())
    await asyncio.sleep(0)
    try:
        yield alerts
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def over_http(
    receiver: Any, patience: Patience = QUICK, capacity: int = 100, concurrency: int = 4, **more: Any
) -> Alerts:
    sink = HttpSink(Receiver(receiver.url, concurrency=concurrency, timeout_seconds=more.pop("timeout", 5.0)))
    return Alerts([sink], capacity=capacity, patience=patience, **more)


def identities(receiver: Any) -> list[str]:
    return sorted(body["uuid"] for body in receiver.bodies)


async def test_a_failing_receiver_gets_every_alert_once_in_the_end(receiver: Any) -> None:
    """Errors are tried again until they pass."""
    receiver.answers = [(500, {}), (502, {}), (503, {}), (429, {})]
    async with running(over_http(receiver)) as alerts:
        for number in range(3):
            alerts.offer(finding(number))
        await receiver.received(3)
    assert identities(receiver) == ["f0", "f1", "f2"]
    assert alerts.counters == {"http": Counters(delivered=3, retried=4)}


async def test_a_busy_receiver_is_left_alone_as_long_as_it_asks(receiver: Any) -> None:
    """Retry-After is longer than any other wait here, and is kept."""
    receiver.answers = [(429, {"Retry-After": "1"})]
    async with running(over_http(receiver)) as alerts:
        alerts.offer(finding(1))
        await receiver.received(1)
    assert receiver.times[1] - receiver.times[0] >= 0.95
    assert alerts.counters == {"http": Counters(delivered=1, retried=1)}


async def test_a_receiver_that_comes_back_gets_what_waited(receiver: Any, until: Any) -> None:
    """While nobody listens alerts wait; offering them never does."""
    await receiver.stop()
    async with running(over_http(receiver)) as alerts:
        for number in range(20):
            alerts.offer(finding(number))
        await until(lambda: alerts.counters["http"].retried >= 4)
        assert alerts.counters["http"].waiting == 20
        await receiver.start()
        await receiver.received(20)
    assert identities(receiver) == sorted(f"f{number}" for number in range(20))
    assert alerts.counters["http"].delivered == 20


async def test_what_does_not_fit_is_dropped_and_counted(receiver: Any, until: Any) -> None:
    """A slow receiver has at most so many requests under way and so many alerts waiting."""
    receiver.gate.clear()
    async with running(over_http(receiver, capacity=3, concurrency=2)) as alerts:
        for number in range(2):
            alerts.offer(finding(number))
        await until(lambda: receiver.under_way == 2)
        for number in range(2, 9):
            alerts.offer(finding(number))
        assert alerts.counters == {"http": Counters(dropped=4, waiting=5)}
        receiver.gate.set()
        await receiver.received(5)
    assert identities(receiver) == ["f0", "f1", "f2", "f3", "f4"]
    assert receiver.most_under_way == 2


async def test_an_alert_is_given_up_in_the_end(receiver: Any, until: Any) -> None:
    """After the configured time it is counted as failed, and the next ones are tried."""
    await receiver.stop()
    patience = Patience(first_wait=0.005, longest_wait=0.02, give_up=0.2)
    async with running(over_http(receiver, patience)) as alerts:
        alerts.offer(finding(1))
        await until(lambda: alerts.counters["http"].failed == 1)
        await receiver.start()
        alerts.offer(finding(2))
        await receiver.received(1)
    assert identities(receiver) == ["f2"]


async def test_a_refused_alert_does_not_hold_up_the_next(receiver: Any) -> None:
    """What the receiver will never take is counted once."""
    receiver.answers = [(400, {})]
    async with running(over_http(receiver, concurrency=1)) as alerts:
        alerts.offer(finding(1))
        alerts.offer(finding(2))
        await receiver.received(1)
    assert identities(receiver) == ["f2"]
    assert alerts.counters == {"http": Counters(delivered=1, failed=1)}


async def test_the_end_delivers_what_waits(receiver: Any, until: Any) -> None:
    """Ending waits for what is under way and in the queue."""
    receiver.gate.clear()
    alerts = over_http(receiver, concurrency=1)
    task = asyncio.create_task(alerts.run())
    for number in range(5):
        alerts.offer(finding(number))
    await until(lambda: receiver.under_way == 1)
    task.cancel()
    receiver.gate.set()
    await asyncio.wait([task])
    assert identities(receiver) == ["f0", "f1", "f2", "f3", "f4"]
    assert alerts.counters == {"http": Counters(delivered=5)}


async def test_the_end_does_not_wait_for_ever(receiver: Any, until: Any) -> None:
    """What a silent receiver does not take in time is counted as dropped."""
    receiver.gate.clear()
    async with running(over_http(receiver, Patience(drain=0.1), concurrency=1)) as alerts:
        for number in range(3):
            alerts.offer(finding(number))
        await until(lambda: receiver.under_way == 1)
    assert alerts.counters == {"http": Counters(dropped=3)}
    receiver.gate.set()


async def test_one_output_that_fails_does_not_hold_up_another(receiver: Any, until: Any, tmp_path: Path) -> None:
    """Each output has a queue of its own."""
    await receiver.stop()
    path = tmp_path / "alerts"
    sinks = [HttpSink(Receiver(receiver.url)), FileSink(path)]
    async with running(Alerts(sinks, patience=Patience(drain=0.01))) as alerts:
        for number in range(10):
            alerts.offer(finding(number))
        await until(lambda: alerts.counters["file"].delivered == 10)
        assert alerts.counters["http"].delivered == 0
    assert [json.loads(line)["uuid"] for line in path.read_text().splitlines()] == [f"f{n}" for n in range(10)]


async def test_what_is_less_urgent_than_configured_is_not_told(tmp_path: Path, until: Any) -> None:
    """The minimum itself is told."""
    path = tmp_path / "alerts"
    async with running(Alerts([FileSink(path)], Priority.WARNING)) as alerts:
        for number, severity in enumerate(Severity):
            alerts.offer(finding(number, severity))
        await until(lambda: alerts.counters["file"].delivered == 3)
    assert [json.loads(line)["priority"] for line in path.read_text().splitlines()] == ["Critical", "Error", "Warning"]


async def test_a_failing_output_is_told_once_and_without_secrets(
    receiver: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says when it begins to fail and when it works again, and never a URL."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [(500, {})] * 3
    sink = HttpSink(Receiver(receiver.url + "?token=s3cret", concurrency=1))
    async with running(Alerts([sink], patience=QUICK)) as alerts:
        alerts.offer(finding(1))
        alerts.offer(finding(2))
        await receiver.received(2)
        await until(lambda: alerts.counters["http"].delivered == 2)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("aggregator")] == [
        "alerts to http: the receiver answered 500",
        "alerts to http: works again",
    ]
    assert not [record for record in caplog.records if "s3cret" in record.getMessage() and record.name == "httpx"]


async def test_a_broken_sink_ends_the_whole() -> None:
    """An error that is none of a sink's own comes out of run."""

    class Broken:
        name = "broken"
        concurrency = 1

        async def deliver(self, alert: bytes) -> None:
            raise ZeroDivisionError

        async def close(self) -> None:
            pass

    alerts = Alerts([Broken()], patience=Patience(drain=0.01))
    alerts.offer(finding(1))
    with pytest.raises(ZeroDivisionError):
        await alerts.run()


async def test_nothing_configured_tells_nothing_and_runs_on() -> None:
    """Without an output it waits for its end."""
    async with running(configured(AlertsSettings())) as alerts:
        alerts.offer(finding(1))
        assert alerts.counters == {}


async def test_outputs_are_made_as_configured(receiver: Any, tmp_path: Path) -> None:
    """Every output that has a key is there, with its file's headers."""
    headers = tmp_path / "headers"
    headers.write_text("X-Token: t")
    settings = AlertsSettings(
        file=str(tmp_path / "alerts"),
        http_url=receiver.url,
        http_headers_file=str(headers),
        minimum_priority="error",
    )
    async with running(configured(settings)) as alerts:
        alerts.offer(finding(1))
        alerts.offer(finding(2, Severity.LOW))
        await receiver.received(1)
    assert {name: counted.delivered for name, counted in alerts.counters.items()} == {"file": 1, "http": 1}
    assert receiver.headers[0]["x-token"] == "t"


def test_a_wrong_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    """What can not be read is known before anything runs."""
    settings = AlertsSettings(http_url="https://127.0.0.1/", http_ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(AlertsError, match=r"alerts\.http_ca_file"):
        configured(settings)
