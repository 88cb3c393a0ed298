"""The stream to the aggregator: sends what the spool holds, forgets what is acknowledged, connects again for ever."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

import grpc

from agent.config import Settings
from agent.credentials import CredentialError, credentials, explain, metadata
from agent.spool import OVERHEAD, Spool
from watchkeeper.v1 import uplink_pb2 as pb
from watchkeeper.v1.uplink_pb2_grpc import UplinkStub

log = logging.getLogger(__name__)

FIRST_DELAY = 0.25  # seconds before the second attempt
DELAY_GROWTH = 1.5  # an aggregator that comes back is found within half the time it was away
LONGEST_DELAY = 30.0
STEADY_SECONDS = 5.0  # a stream that lived so long was no failed attempt
ANSWER_SECONDS = 15.0  # for connecting, and for the answer to Hello
BATCH_RECORDS = 500
BATCH_BYTES = 1 << 20
WINDOW_RECORDS = 2000  # sent and not yet acknowledged
LARGEST_CONFIGURATION = 64 << 20
DEFAULT_MESSAGE_BYTES = 4 << 20
SMALLEST_MESSAGE_BYTES = 1 << 16  # the aggregator takes at least these
ENVELOPE = 1024  # bytes of a message beside its records

_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_CONFIGURATION),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.enable_retries", 0),
)


class UplinkError(Exception):
    """The stream can not go on; the message says why."""


class Uplink:
    """Runs until cancelled. ``last_error`` is empty while connected, else why not; it is logged when it changes."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        hello: pb.Hello,
        heartbeat: Callable[[], pb.Heartbeat],
        on_configuration: Callable[[pb.Configuration], None],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._hello = hello
        self._heartbeat = heartbeat
        self._on_configuration = on_configuration
        self._news = asyncio.Event()
        self._ceiling = DEFAULT_MESSAGE_BYTES  # lowered when something on the way takes less than the aggregator says
        self._logged = ""
        self.connected = False
        self.last_error = ""
        self.refused = 0

    def wake(self) -> None:
        """There is something new in the spool."""
        self._news.set()

    async def run(self) -> None:
        delay = FIRST_DELAY
        while True:
            stream = _Stream(self._spool, self._ceiling)
            try:
                await self._session(stream)
            except (UplinkError, CredentialError) as error:
                self._fail(str(error))
            except grpc.aio.AioRpcError as error:
                self._fail(self._judge(error, stream))
            finally:
                self.connected = False
            if stream.was_steady:
                self._logged, delay = "", FIRST_DELAY
            # A fleet whose aggregator restarts must not come back at one moment.
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - no secret
            delay = min(delay * DELAY_GROWTH, LONGEST_DELAY)

    async def _session(self, stream: _Stream) -> None:
        uplink = self._settings.uplink
        options: list[tuple[str, str | int]] = list(_OPTIONS)
        if uplink.server_name:
            options.append(("grpc.ssl_target_name_override", uplink.server_name))
        proof = metadata(uplink)
        async with grpc.aio.secure_channel(uplink.address, credentials(uplink), options=options) as channel:
            call: Any = UplinkStub(channel).Stream(metadata=proof)  # type: ignore[no-untyped-call]
            try:
                await self._greet(call, stream)
                await self._talk(call, stream)
            finally:
                call.cancel()

    async def _greet(self, call: Any, stream: _Stream) -> None:
        address = self._settings.uplink.address
        hello = pb.Hello()
        hello.CopyFrom(self._hello)
        hello.spool_id = stream.spool_id
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _write(call, pb.AgentMessage(hello=hello))
                answer = await _read(call)
        except TimeoutError:
            raise UplinkError(f"{address}: did not answer within {ANSWER_SECONDS:.0f} s") from None
        if answer.WhichOneof("body") != "welcome":
            raise UplinkError(f"{address}: did not answer Hello with Welcome")
        if answer.welcome.acknowledged_sequence > self._spool.last_sequence:
            self._spool.renew()
            raise UplinkError(f"{address}: knows more records than this spool ever held, it is sealed anew")
        stream.welcome(answer.welcome)
        self._on_configuration(answer.welcome.configuration)
        self.connected, self.last_error = True, ""
        log.info("connected to %s", address)

    async def _talk(self, call: Any, stream: _Stream) -> None:
        receiver = asyncio.create_task(self._receive(call, stream))
        sender = asyncio.create_task(self._send(call, stream))
        try:
            await asyncio.wait((receiver, sender), return_when=asyncio.FIRST_COMPLETED)
            if not receiver.done():  # it will soon know with which status the stream ended
                await asyncio.wait((receiver,), timeout=1)
        finally:
            receiver.cancel()
            sender.cancel()
            outcomes = await asyncio.gather(receiver, sender, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _receive(self, call: Any, stream: _Stream) -> None:
        while True:  # no name for the message here, or it would stay, with all profiles, until the next one comes
            self._take(await _read(call), stream)

    def _take(self, message: pb.AggregatorMessage, stream: _Stream) -> None:
        match message.WhichOneof("body"):
            case "acknowledgement":
                stream.acknowledge(message.acknowledgement.sequence)
                self._news.set()
            case "configuration":
                self._on_configuration(message.configuration)
            case "refusal":
                self.refused += 1
                log.error("record %d was refused: %s", message.refusal.sequence, message.refusal.reason)

    async def _send(self, call: Any, stream: _Stream) -> None:
        beat_at = time.monotonic()
        while True:
            self._news.clear()
            if time.monotonic() >= beat_at:
                await _write(call, pb.AgentMessage(heartbeat=self._heartbeat()))
                beat_at += self._settings.heartbeat_seconds
            while batch := stream.next_batch():
                await self._sync()
                await _write(call, pb.AgentMessage(batch=batch))
            try:
                async with asyncio.timeout(max(0.0, beat_at - time.monotonic())):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._spool.sync)
        except OSError as error:
            raise UplinkError(f"the spool can not be made durable: {error.strerror}") from error

    def _judge(self, error: grpc.aio.AioRpcError, stream: _Stream) -> str:
        """Why the stream ended, in words; does what makes the next attempt better."""
        code, details = error.code(), error.details() or ""
        address = self._settings.uplink.address
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self._ceiling = max(SMALLEST_MESSAGE_BYTES, min(self._ceiling, stream.largest) // 2)
            return f"{address}: a message was too large ({details}); from now on at most {self._ceiling} bytes"
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            self._spool.renew()
            return f"{address}: can not continue this spool, it is sealed anew: {details}"
        return explain(code, details, address)

    def _fail(self, reason: str) -> None:
        self.last_error = reason
        if reason != self._logged:
            self._logged = reason
            log.warning("not connected: %s", reason)


class _Stream:
    """How far one stream got: what was sent, acknowledged, and how large a message may be."""

    def __init__(self, spool: Spool, ceiling: int) -> None:
        self._spool = spool
        self._ceiling = ceiling
        self._limit = ceiling - ENVELOPE
        self._sent = 0
        self._acknowledged = 0
        self._withheld: dict[int, str] = {}  # sequence -> kind
        self._welcomed_at = 0.0
        self._progressed = False
        self.spool_id = spool.spool_id
        self.largest = 0

    @property
    def was_steady(self) -> bool:
        """Whether the stream was of use: it lived for a while, or records were acknowledged."""
        lived = time.monotonic() - self._welcomed_at if self._welcomed_at else 0.0
        return self._progressed or lived >= STEADY_SECONDS

    def welcome(self, welcome: pb.Welcome) -> None:
        self._welcomed_at = time.monotonic()
        self._limit = min(self._ceiling, welcome.maximum_message_bytes or DEFAULT_MESSAGE_BYTES) - ENVELOPE
        self._sent = self._acknowledged = welcome.acknowledged_sequence
        self._spool.acknowledge(welcome.acknowledged_sequence)

    def acknowledge(self, sequence: int) -> None:
        self._check_spool()
        sequence = min(sequence, self._sent)
        for withheld in [each for each in self._withheld if each <= sequence]:
            self._spool.discard(self._withheld.pop(withheld))
        self._spool.acknowledge(sequence)
        self._progressed |= sequence > self._acknowledged
        self._acknowledged = sequence

    def next_batch(self) -> pb.Batch | None:
        """What to send now; None when nothing waits or enough is under way."""
        room = WINDOW_RECORDS - (self._sent - self._acknowledged)
        if room <= 0:
            return None
        records = self._spool.pending(self._sent, min(room, BATCH_RECORDS), min(self._limit, BATCH_BYTES))
        self._check_spool()
        if not records:
            return None
        batch = pb.Batch(records=[self._fitting(record) for record in records])
        self._sent = records[-1].sequence
        self.largest = max(self.largest, batch.ByteSize())
        return batch

    def _check_spool(self) -> None:
        """Sequence numbers mean something only within the spool this stream said Hello for."""
        if self._spool.spool_id != self.spool_id:
            raise UplinkError("the spool was begun anew")

    def _fitting(self, record: pb.Record) -> pb.Record:
        """The record, or its place in the chain only when it is larger than any message may be."""
        size = len(record.payload) + OVERHEAD
        if size <= self._limit:
            return record
        self._withheld[record.sequence] = record.kind
        log.error("record %d (%s) has %d bytes, more than can be sent: discarded", record.sequence, record.kind, size)
        return pb.Record(
            sequence=record.sequence,
            previous_hash=record.previous_hash,
            hash=record.hash,
            kind=record.kind,
            withheld=f"{size} bytes are more than the {self._limit} that fit into a message",
        )


async def _read(call: Any) -> pb.AggregatorMessage:
    message = await call.read()
    if message is grpc.aio.EOF:
        raise UplinkError("the aggregator ended the stream")
    assert isinstance(message, pb.AggregatorMessage)
    return message


async def _write(call: Any, message: pb.AgentMessage) -> None:
    try:
        await call.write(message)
    except asyncio.InvalidStateError as error:
        raise UplinkError("the stream ended while it was written to") from error
