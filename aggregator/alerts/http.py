"""Alerts posted to an HTTP receiver, one JSON object a request, as Falcosidekick takes them."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from aggregator.alerts.sink import AlertsError, RefusedError, UnavailableError

_ANSWER_BYTES = 1 << 16  # read to use the connection again; a longer answer costs the connection
_DENIED = (401, 403)
_BUSY = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Receiver:
    """``headers_file``: lines of "Name: value", read again when the receiver denies them, so that a token may be
    renewed in place; ``ca_file``: PEM; both may be None."""

    url: str
    headers_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: float = 10.0
    concurrency: int = 4


class HttpSink:
    """Certificates are verified and redirects are not followed. No message holds the URL or a header."""

    name = "http"

    def __init__(self, receiver: Receiver) -> None:
        # It would tell every URL, which may hold a secret.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._receiver = receiver
        self._headers = read_headers(receiver.headers_file)
        self._client = httpx.AsyncClient(
            verify=_trusted(receiver.ca_file),
            timeout=receiver.timeout_seconds,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=receiver.concurrency, max_keepalive_connections=receiver.concurrency),
            headers={"User-Agent": "watchkeeper", "Content-Type": "application/json"},
        )

    @property
    def concurrency(self) -> int:
        return self._receiver.concurrency

    async def deliver(self, alert: bytes) -> None:
        try:
            async with asyncio.timeout(self._receiver.timeout_seconds):  # for the whole, however it drips
                await self._post(alert)
        except (httpx.HTTPError, TimeoutError) as error:
            raise UnavailableError(f"the receiver can not be reached: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, alert: bytes) -> None:
        async with self._client.stream("POST", self._receiver.url, content=alert, headers=self._headers) as response:
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > _ANSWER_BYTES:
                    break
        self._judge(response)

    def _judge(self, response: httpx.Response) -> None:
        status, reason = response.status_code, f"the receiver answered {response.status_code}"
        if response.is_success:
            return
        if status in _DENIED and self._receiver.headers_file:
            self._headers = self._headers_again(reason)
            raise UnavailableError(reason)
        if status in _BUSY or status >= 500:
            raise UnavailableError(reason, retry_after(response.headers.get("Retry-After", ""), time.time()))
        raise RefusedError(reason)

    def _headers_again(self, reason: str) -> dict[str, str]:
        try:
            return read_headers(self._receiver.headers_file)
        except AlertsError as error:
            raise UnavailableError(f"{reason}; {error}") from error


def read_headers(path: Path | None) -> dict[str, str]:
    """The headers of a file with lines of "Name: value"; AlertsError names the line that is none, not what it says."""
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise AlertsError(f"alerts.http_headers_file: {path}: {reason}") from error
    headers = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not (
            colon and name.isascii() and name.replace("-", "").isalnum() and value.isprintable() and value.isascii()
        ):
            raise AlertsError(f'alerts.http_headers_file: {path}: line {number} must be "Name: value"')
        headers[name] = value
    return headers


def retry_after(value: str, now: float) -> float:
    """Seconds to wait, of a Retry-After header in seconds or as a date; 0.0 for anything else. ``now``: unix time."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise AlertsError(f"alerts.http_ca_file: {ca_file}: {error.strerror or error}") from error
