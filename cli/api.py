"""A small client of the aggregator's REST API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec


class ApiError(Exception):
    """The API could not be asked; the message names the address and the remedy."""


class Api:
    """Answers are the API's JSON as it is. ``ca_file`` is needed for an https address with our own CA."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None, timeout: float = 10) -> None:
        verify: Any = str(ca_file) if ca_file else True
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=self.url, headers=headers, verify=verify, timeout=timeout)

    def get(self, path: str, **query: Any) -> Any:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask("POST", path, json=body or {})

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("PUT", path, json=body)

    def ready(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Server-sent events as (topic, body), for as long as the stream lives."""
        with self._client.stream("GET", "/api/v1/events", timeout=None) as response:
            topic = "message"
            for line in response.iter_lines():
                if line.startswith("event:"):
                    topic = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    yield topic, msgspec.json.decode(line.removeprefix("data:").strip())

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._client.request(method, f"/api/v1/{path}", **request)
        except httpx.TransportError as error:
            raise ApiError(f"{self.url}: no answer ({error}). Is the aggregator running there?") from error
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ApiError(f"{self.url}: the token is not valid there. Give the right one with --token-file.")
        if response.is_error:
            raise ApiError(f"{method} {response.url}: {response.status_code} {response.text[:500]}")
        return response.json()

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
