"""Alerts on standard output, one JSON object a line."""

from __future__ import annotations

import functools

from aggregator.alerts.sink import UnavailableError
from aggregator.alerts.writing import WritingThread, write_all


class StdoutSink:
    name = "stdout"
    concurrency = 1

    def __init__(self, descriptor: int = 1) -> None:
        self._thread = WritingThread(self.name, functools.partial(write_all, descriptor))

    async def deliver(self, alert: bytes) -> None:
        try:
            await self._thread.write(alert + b"\n")
        except OSError as error:
            raise UnavailableError(f"standard output: {error.strerror}") from error

    async def close(self) -> None:
        self._thread.close()
