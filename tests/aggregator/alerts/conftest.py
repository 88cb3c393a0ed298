"""A real HTTP receiver on loopback whose answers a test chooses."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

Answer = tuple[int, dict[str, str]]


async def _until(condition: Callable[[], bool]) -> None:
    """Waits for what must come, however long the machine takes; fails after 20 seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - counters and a server's lists have no event to wait for
            await asyncio.sleep(0.005)


@dataclass
class Receiver:
    """``answers`` are given first, in order, then 200; ``gate``: answers wait for it."""

    answers: list[Answer] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server:
            self.server.close()
            self.server = None

    async def received(self, count: int) -> None:
        await _until(lambda: len(self.bodies) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        lowered = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(lowered["content-length"]))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.gate.wait()
        self.under_way -= 1
        self.times.append(asyncio.get_running_loop().time())
        self.headers.append(lowered)
        status, extra = self.answers.pop(0) if self.answers else (200, {})
        if status == 200:
            self.bodies.append(json.loads(body))
        lines = [f"HTTP/1.1 {status} X", "Content-Length: 2", *(f"{name}: {value}" for name, value in extra.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\nok").encode())
        await writer.drain()


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Receiver()
    made.gate.set()
    await made.start()
    yield made
    await made.stop()


Until = Callable[[Callable[[], bool]], Any]


@pytest.fixture
def until() -> Until:
    return _until
