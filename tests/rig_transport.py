"""A real aggregator side (gRPC, TLS, SQLite) and a real agent side (spool, uplink) for tests of the transport."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from agent.config import Settings as AgentSettings
from agent.config import UplinkSettings
from agent.spool import Spool
from agent.uplink import Uplink
from aggregator.authority import Authority
from aggregator.config import IngestSettings, Settings
from aggregator.detection import Detection
from aggregator.identity import Identity, issue_token
from aggregator.ingest import UplinkServicer, serve
from aggregator.live import Live
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread
from watchkeeper import wire
from watchkeeper.findings import Finding, Severity
from watchkeeper.seal import GENESIS, record_hash
from watchkeeper.v1 import uplink_pb2 as pb

CLUSTER = "c1"
METHOD = "/watchkeeper.v1.Uplink/Stream"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def finding(number: int, node: str = "n1", **change: Any) -> Finding:
    fields: dict[str, Any] = {
        "id": f"{number:032x}", "node": node, "source": "drift", "title": f"finding {number}",
        "severity": Severity.HIGH, "fingerprint": f"f{number}", "occurred_at": 1.0, "detected_at": 2.0,
    }  # fmt: skip
    return Finding(**(fields | change))


def chain(payloads: list[tuple[str, bytes]], after: int = 0, head: bytes = GENESIS) -> list[pb.Record]:
    """Sealed records, the first with sequence number ``after`` + 1."""
    records = []
    for sequence, (kind, payload) in enumerate(payloads, after + 1):
        previous, head = head, record_hash(head, sequence, kind, payload)
        records.append(pb.Record(sequence=sequence, previous_hash=previous, hash=head, kind=kind, payload=payload))
    return records


class Aggregator:
    """Serves agents in this process; ``stop`` and ``start`` again keep ports and state."""

    def __init__(self, directory: Path, *, port: int = 0, server_days: float = 365, **ingest: Any) -> None:
        self.directory = directory
        self.port, self.mtls_port = port or free_port(), free_port()
        self.settings = Settings(
            state_directory=directory,
            ingest=IngestSettings(listen=f"127.0.0.1:{self.port}", listen_mtls=f"127.0.0.1:{self.mtls_port}", **ingest),
        )
        self.live = Live()
        self.detection = Detection()
        self.authority = Authority(directory, server_days)

    async def start(self) -> None:
        self.sqlite = SqliteStore(self.directory / "store.sqlite")
        self.store = StoreThread(self.sqlite)
        self.servicer = UplinkServicer(
            self.store, Identity(self.store), self.live, self.settings, detection=lambda: self.detection
        )
        self.server = await serve(self.settings, self.servicer, self.authority)

    async def stop(self) -> None:
        await self.server.stop(0)
        await self.servicer.close()
        await asyncio.to_thread(self.store.close)

    async def token(self, node: str = "n1") -> str:
        return await self.store.call(issue_token, node)

    async def titles(self) -> list[str]:
        found = await self.store.call("findings", limit=100_000)
        return sorted(stored.finding.title for stored in found)

    async def evidence(self, kind: str) -> list[str]:
        """Bodies of this kind of evidence about nodes."""
        sealed = await self.store.call("evidence", stream="nodes", limit=1000)
        return [each.body for each in sealed if each.kind == kind]

    def agent_settings(self, node: str = "n1", **uplink: Any) -> AgentSettings:
        known: dict[str, Any] = {"address": f"127.0.0.1:{self.port}", "ca_file": str(self.authority.ca_path)}
        return AgentSettings(node=node, cluster=CLUSTER, heartbeat_seconds=1, uplink=UplinkSettings(**(known | uplink)))

    @asynccontextmanager
    async def raw(self, token: str) -> AsyncIterator[Any]:
        """The stream as bytes in, messages out, to say what no agent would."""
        credentials = grpc.ssl_channel_credentials(self.authority.ca_pem)
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options) as channel:
            method: Any = channel.stream_stream(METHOD, response_deserializer=pb.AggregatorMessage.FromString)
            call = method(metadata=(("authorization", f"Bearer {token}"),))
            yield call
            call.cancel()

    async def greet(self, call: Any, node: str = "n1", spool: str = "s1") -> pb.Welcome:
        await call.write(pb.AgentMessage(hello=hello(node, spool)).SerializeToString())
        return (await call.read()).welcome


@asynccontextmanager
async def aggregator(directory: Path, **ingest: Any) -> AsyncIterator[Aggregator]:
    served = Aggregator(directory, **ingest)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


def hello(node: str = "n1", spool: str = "s1") -> pb.Hello:
    return pb.Hello(
        node=node, cluster=CLUSTER, agent_version="1", kernel_release="6", spool_id=spool, heartbeat_seconds=1
    )


def batch(records: list[pb.Record]) -> bytes:
    return pb.AgentMessage(batch=pb.Batch(records=records)).SerializeToString()


class Agent:
    """A spool and an uplink, without a pipeline."""

    def __init__(self, settings: AgentSettings, directory: Path, max_bytes: int = 64 << 20) -> None:
        self.spool = Spool(directory, max_bytes)
        self.configurations: list[pb.Configuration] = []
        self.uplink = Uplink(
            settings, self.spool, hello(settings.node), lambda: pb.Heartbeat(probe_state="attached"),
            self.configurations.append,
        )  # fmt: skip
        self.node = settings.node

    def append(self, *numbers: int) -> None:
        for number in numbers:
            assert self.spool.append(*wire.pack(finding(number, self.node)))
        self.uplink.wake()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        task = asyncio.create_task(self.uplink.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.spool.close()


async def until(happened: Callable[[], bool | Awaitable[bool]], seconds: float = 20) -> None:
    """Returns when it happened; an assertion error when it did not, far later than it should."""
    async with asyncio.timeout(seconds):
        while True:
            result = happened()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)
