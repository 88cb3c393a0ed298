"""All that tells findings outside, as configured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aggregator.alerts.alert import alert, is_wanted, priority
from aggregator.alerts.file import FileSink
from aggregator.alerts.http import HttpSink, Receiver
from aggregator.alerts.outbox import Counters, Outbox, Patience
from aggregator.alerts.sink import Sink
from aggregator.alerts.stdout import StdoutSink
from aggregator.config import AlertsSettings
from rules.rule import Priority
from watchkeeper.findings import Finding


class Alerts:
    """``offer`` belongs to the event loop's thread and never waits. Without a sink nothing is told."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        minimum: Priority = Priority.DEBUG,
        capacity: int = 10_000,
        patience: Patience | None = None,
    ) -> None:
        self._minimum = minimum
        self._outboxes = [Outbox(sink, capacity, patience or Patience()) for sink in sinks]

    @property
    def counters(self) -> Mapping[str, Counters]:
        """By the sink's name."""
        return {outbox.sink.name: outbox.counters for outbox in self._outboxes}

    def offer(self, finding: Finding) -> None:
        """Tell this finding, unless its priority is below the configured one or its policies ask for no alert."""
        if not self._outboxes or priority(finding) > self._minimum or not is_wanted(finding):
            return
        told = alert(finding)
        for outbox in self._outboxes:
            outbox.offer(told)

    async def run(self) -> None:
        """Delivers until it is cancelled; then what waits, for a bounded time. Raises what broke a sink."""
        running = [asyncio.create_task(outbox.run()) for outbox in self._outboxes]
        try:
            if not running:
                await asyncio.Event().wait()
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)


def configured(settings: AlertsSettings) -> Alerts:
    """AlertsError when a file that it names can not be used."""
    patience = Patience(give_up=settings.give_up_seconds)
    minimum = Priority[settings.minimum_priority.upper()]
    return Alerts(list(_sinks(settings)), minimum, settings.queue, patience)


def _sinks(settings: AlertsSettings) -> Iterator[Sink]:
    if settings.stdout:
        yield StdoutSink()
    if settings.file:
        yield FileSink(Path(settings.file))
    if settings.http_url:
        yield HttpSink(
            Receiver(
                settings.http_url,
                Path(settings.http_headers_file) if settings.http_headers_file else None,
                Path(settings.http_ca_file) if settings.http_ca_file else None,
                settings.http_timeout_seconds,
                settings.http_concurrency,
            )
        )
