"""What agents stream in, committed and acknowledged.

A record is acknowledged after its commit, counted by its sequence number within the node's spool, and skipped
when it comes again: at least once on the wire is exactly once in the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import grpc

from aggregator.authority import Authority
from aggregator.batch import Batch, ChainError, Link, checks_of, judge
from aggregator.committer import Committer
from aggregator.config import DeadlinesSettings, Settings
from aggregator.detection import Detection
from aggregator.heartbeat import beaten, enrolled
from aggregator.identity import Identity, IdentityError
from aggregator.live import Live
from aggregator.push import Push, chunks
from aggregator.records import Node, NodeInventory
from aggregator.store.protocol import Ingest
from aggregator.store.thread import StoreThread
from watchkeeper import __version__, wire
from watchkeeper.findings import Finding, FindingRepeat, Inventory, ProfileDelta, ProfileKey, Severity
from watchkeeper.v1 import uplink_pb2 as pb

log = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
MAX_SPOOL_ID = 64

Call = grpc.aio.ServicerContext[bytes, pb.AggregatorMessage]


class IngestError(Exception):
    """The address for agents can not be opened; the message names it and the remedy."""


class _Ended(Exception):
    """The stream must end with this status."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class UplinkServicer:
    """Serves watchkeeper.v1.Uplink. ``committed`` is called after each commit of findings, deltas or inventories, and
    when a node runs other rules; ``found`` with each finding committed; ``detection`` gives the rules and policies in
    force now."""

    def __init__(
        self,
        store: StoreThread,
        identity: Identity,
        live: Live,
        settings: Settings,
        committed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        *,
        detection: Callable[[], Detection] = Detection,
        found: Callable[[Finding], None] = lambda _finding: None,
    ) -> None:
        self.store = store
        self.live = live
        self.settings = settings
        self.committed = committed
        self.found = found
        self.clock = clock
        self.committer = Committer(store)
        self._identity = identity
        self._streams: dict[str, _Stream] = {}
        self.push = Push(store, live, self._streams.values, detection)
        # The store keeps sequence numbers only; for spools seen since our start the hash is known, too.
        self.ends: dict[str, tuple[str, Link]] = {}

    @property
    def connected(self) -> frozenset[str]:
        """Names of the nodes that are connected now."""
        return frozenset(self._streams)

    async def push_profile(self, key: ProfileKey) -> None:
        """Send this profile to the nodes of its cluster if it changed."""
        await self.push.now(key)

    async def close(self) -> None:
        """Forget what waits to be pushed; commit what waits to be committed."""
        self.push.close()
        await self.committer.close()

    async def Stream(self, _requests: object, call: Call) -> None:
        try:
            node = await self._identity.of(call)
            hello = await self._hello(call, node)
            await self._serve(_Stream(self, call, hello))
        except IdentityError as error:
            await call.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except wire.WireError as error:
            await call.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except _Ended as error:
            await call.abort(error.code, str(error))

    async def _hello(self, call: Call, node: str) -> pb.Hello:
        try:
            first = await asyncio.wait_for(_read(call), HELLO_SECONDS)
        except TimeoutError:
            raise _Ended(grpc.StatusCode.DEADLINE_EXCEEDED, "no Hello came") from None
        if first is None or first.WhichOneof("body") != "hello":
            raise wire.WireError("the first message must be Hello")
        hello = first.hello
        if hello.node != node:
            reason = f"this credential is for node {node!r}, but Hello says {hello.node[:253]!r}"
            raise _Ended(grpc.StatusCode.PERMISSION_DENIED, reason)
        if not hello.cluster or not hello.spool_id or len(hello.spool_id) > MAX_SPOOL_ID:
            raise wire.WireError("Hello must name a cluster and a spool_id")
        return hello

    async def _serve(self, stream: _Stream) -> None:
        name = stream.node.name
        if older := self._streams.get(name):
            older.replace()
        self._streams[name] = stream
        try:
            await stream.run()
        finally:
            stream.close()
            if self._streams.get(name) is stream:
                del self._streams[name]
                self.live.publish("node", {"name": name, "connected": False})


class _Stream:
    """One agent's stream from its Hello on."""

    def __init__(self, servicer: UplinkServicer, call: Call, hello: pb.Hello) -> None:
        self._servicer = servicer
        self._call = call
        self._spool = hello.spool_id
        self._writing = asyncio.Lock()
        self._task = asyncio.current_task()
        self._replaced = False
        self._offers: dict[bytes, pb.Profile] = {}
        self._detection: pb.DetectionSet | None = None
        self._welcomed = False
        self.detection_hash = ""
        self._sender: asyncio.Task[None] | None = None
        self._end = Link(0)
        self._seen_at = servicer.clock()
        self.node = enrolled(hello, self._seen_at)
        self.cluster = self.node.cluster

    def replace(self) -> None:
        """The node connected again: this stream is dead or an impostor's, and must end."""
        self._replaced = True
        if self._task:
            self._task.cancel()

    def close(self) -> None:
        if self._sender:
            self._sender.cancel()

    def offer(self, profile: pb.Profile) -> None:
        self._offers[profile.key.SerializeToString(deterministic=True)] = profile
        self._send_soon()

    def offer_detection(self, hash: str, detection: pb.DetectionSet) -> None:
        self.detection_hash, self._detection = hash, detection
        self._send_soon()

    async def run(self) -> None:
        try:
            await self._welcome()
            while message := await _read(self._call):
                await self._take(message)
        except asyncio.CancelledError:
            if not self._replaced or self._task is None:
                raise
            self._task.uncancel()
            reason = f"another agent connected as node {self.node.name!r}; each node runs one"
            raise _Ended(grpc.StatusCode.ABORTED, reason) from None

    async def _welcome(self) -> None:
        servicer, name = self._servicer, self.node.name
        await self._stored(servicer.store.call("enrol", self.node))
        # What an earlier stream of this node left with the committer comes before the question how far it got.
        await self._stored(servicer.committer.commit(lambda _ingest: None))
        sequence = await self._stored(servicer.store.call("acknowledged", name, self._spool))
        spool, end = servicer.ends.get(name, ("", Link(0)))
        self._end = end if spool == self._spool and end.sequence == sequence else Link(sequence)
        profiles = await self._stored(servicer.push.profiles(self.cluster))
        self.detection_hash, detection = servicer.push.detection(self.cluster)
        first, *others = chunks(profiles, detection)
        await self._send(
            pb.AggregatorMessage(
                welcome=pb.Welcome(
                    aggregator_version=__version__,
                    acknowledged_sequence=sequence,
                    configuration=first,
                    maximum_message_bytes=servicer.settings.ingest.maximum_message_bytes,
                )
            )
        )
        for chunk in others:
            await self._send(pb.AggregatorMessage(configuration=chunk))
        self._welcomed = True
        self._send_soon()
        servicer.live.publish("node", {"name": name, "connected": True})

    async def _take(self, message: pb.AgentMessage) -> None:
        match message.WhichOneof("body"):
            case "batch":
                await self._ingest(message.batch)
            case "heartbeat":
                self._beat(message.heartbeat)
            case "hello":
                raise wire.WireError("Hello came twice")
            case _:
                raise wire.WireError("the message is of a kind this aggregator does not know")

    def _beat(self, heartbeat: pb.Heartbeat) -> None:
        now, before = self._servicer.clock(), self.node.detection_hash
        self.node = beaten(self.node, heartbeat, now)
        self._servicer.committer.beat(self.node)
        if self.node.detection_hash != before:
            self._servicer.committed()  # other rules run there: their checks need not wait for the next round
        self._servicer.live.publish("node", {"name": self.node.name, "heartbeat_at": now})

    async def _ingest(self, message: pb.Batch) -> None:
        servicer, name, now = self._servicer, self.node.name, self._servicer.clock()
        try:
            batch = judge(message.records, self._end, name, self.cluster)
        except ChainError as error:
            body = {"node": name, "spool": self._spool, "reason": str(error)}
            await self._stored(servicer.store.call("seal", "nodes", "refused", now, body))
            raise _Ended(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error
        if batch.end.sequence > self._end.sequence:
            write = _Write(self.node, self._spool, batch, now, servicer.settings.deadlines)
            await self._stored(servicer.committer.commit(write))
            self._end = batch.end
            servicer.ends[name] = (self._spool, batch.end)
            self._tell(batch)
        for refused in batch.refused:
            refusal = pb.Refusal(sequence=refused.sequence, reason=refused.reason)
            await self._send(pb.AggregatorMessage(refusal=refusal))
        await self._send(pb.AggregatorMessage(acknowledgement=pb.Acknowledgement(sequence=self._end.sequence)))

    def _tell(self, batch: Batch) -> None:
        """Watchers, evaluation and the other nodes learn what was committed."""
        for noun in batch.nouns:
            match noun:
                case Finding() | FindingRepeat():
                    self._servicer.live.publish("finding", {"id": noun.id, "node": self.node.name})
                    if isinstance(noun, Finding):
                        self._servicer.found(noun)
        self._servicer.push.changed(noun.key for noun in batch.nouns if isinstance(noun, ProfileDelta))
        self._servicer.committed()

    async def _stored(self, work: Any) -> Any:
        """Await the store; the agent keeps its records and comes again when the store fails."""
        try:
            return await work
        except Exception as error:  # the boundary between store and network: one node's failure ends one stream
            log.error("node %s: its records could not be stored: %s", self.node.name, error)
            raise _Ended(grpc.StatusCode.UNAVAILABLE, f"the aggregator could not store this: {error}") from error

    def _send_soon(self) -> None:
        """Nothing may come before Welcome, which brings all that is known when it is made."""
        waits = self._offers or self._detection is not None
        if waits and self._welcomed and (self._sender is None or self._sender.done()):
            self._sender = asyncio.create_task(self._send_offers())

    async def _send_offers(self) -> None:
        while self._offers or self._detection is not None:
            offers, self._offers = self._offers, {}
            detection, self._detection = self._detection, None
            for chunk in chunks(offers.values(), detection):
                await self._send(pb.AggregatorMessage(configuration=chunk))

    async def _send(self, message: pb.AggregatorMessage) -> None:
        async with self._writing:
            await self._call.write(message)


class _Write:
    """Writes one batch; called on the store's thread."""

    def __init__(self, node: Node, spool: str, batch: Batch, now: float, deadlines: DeadlinesSettings) -> None:
        self._node = node
        self._spool = spool
        self._batch = batch
        self._now = now
        self._deadlines = deadlines

    def __call__(self, ingest: Ingest) -> None:
        for noun in self._batch.nouns:
            self._write(ingest, noun)
        for refused in self._batch.refused:
            body = {
                "node": self._node.name,
                "spool": self._spool,
                "sequence": refused.sequence,
                "kind": refused.kind,
                "reason": refused.reason,
            }
            ingest.seal("nodes", "refused", self._now, body)
        ingest.acknowledge(self._node.name, self._spool, self._batch.end.sequence)

    def _write(self, ingest: Ingest, noun: wire.Noun) -> None:
        name = self._node.name
        match noun:
            case Finding():
                ingest.finding(noun, self._now + _deadline(self._deadlines, noun.severity), checks_of(noun))
            case FindingRepeat():
                ingest.repeat(noun.id, noun.count, noun.last_at)
            case ProfileDelta():
                ingest.profile_delta(
                    name, noun.key, noun.state, noun.observed_seconds, noun.entries, noun.last_novelty_at
                )
            case Inventory():
                ingest.inventory(NodeInventory(name, noun.at, noun.containers))


async def serve(settings: Settings, servicer: UplinkServicer, authority: Authority) -> grpc.aio.Server:
    """Open the ports for agents and serve; raises IngestError. ``stop(grace)`` on the result ends it."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.ingest.maximum_message_bytes),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ]
    )
    # Requests stay bytes: what is not protobuf shall get a clear answer.
    method: Any = grpc.stream_stream_rpc_method_handler(
        servicer.Stream, response_serializer=pb.AggregatorMessage.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("watchkeeper.v1.Uplink", {"Stream": method}),)
    )
    certificate, key = authority.server_certificate(settings.ingest.server_names)
    _listen(server, settings.ingest.listen, grpc.ssl_server_credentials([(key, certificate)]))
    if settings.ingest.listen_mtls:
        mutual = grpc.ssl_server_credentials([(key, certificate)], authority.ca_pem, require_client_auth=True)
        _listen(server, settings.ingest.listen_mtls, mutual)
    await server.start()
    return server


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> None:
    try:
        server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise IngestError(f"{address}: agents can not be served here: {error}. Is the address in use?") from error


async def _read(call: Call) -> pb.AgentMessage | None:
    """The next message, None at the end of the stream; WireError when it is not one."""
    data: Any = await call.read()
    if data is grpc.aio.EOF:
        return None
    return wire.parse(pb.AgentMessage, data)


def _deadline(deadlines: DeadlinesSettings, severity: Severity) -> float:
    """Seconds within which a finding of this severity must be triaged."""
    match severity:
        case Severity.CRITICAL:
            hours = deadlines.critical_hours
        case Severity.HIGH:
            hours = deadlines.high_hours
        case Severity.MEDIUM:
            hours = deadlines.medium_hours
        case _:
            hours = deadlines.low_hours
    return hours * 3600
