"""What takes alerts out, and how it says that it can not."""

from __future__ import annotations

from typing import Protocol


class AlertsError(Exception):
    """Alerts can not be told as configured; the message names the key and the remedy."""


class UnavailableError(Exception):
    """Not now: try again, no sooner than after ``retry_after`` seconds. The message holds no secret."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """Never: another try would end the same. The message holds no secret."""


class Sink(Protocol):
    @property
    def name(self) -> str:
        """For counters and messages: stdout, file, http."""
        ...

    @property
    def concurrency(self) -> int:
        """How many alerts it may be given at once."""
        ...

    async def deliver(self, alert: bytes) -> None:
        """Returns when the alert (one JSON object, no line break) is out. UnavailableError, RefusedError."""
        ...

    async def close(self) -> None: ...
