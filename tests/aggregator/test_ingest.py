"""What the aggregator takes from the wire, and what it answers to what it does not."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import grpc
import pytest

from aggregator.ingest import IngestError, UplinkServicer, serve
from tests.rig_transport import Aggregator, aggregator, batch, chain, finding, hello
from watchkeeper import wire
from watchkeeper.findings import Container, FindingRepeat, Inventory, ProfileDelta, ProfileKey, ProfileState
from watchkeeper.v1 import uplink_pb2 as pb


async def status(call: Any) -> tuple[grpc.StatusCode, str]:
    return await call.code(), await call.details()


async def until_acknowledged(call: Any, sequence: int) -> list[pb.AggregatorMessage]:
    """What comes before the acknowledgement of ``sequence``."""
    before = []
    async with asyncio.timeout(20):
        while (message := await call.read()).acknowledgement.sequence != sequence:
            before.append(message)
    return before


async def test_records_are_acknowledged_after_the_commit(tmp_path: Path) -> None:
    """When the acknowledgement is there, findings, repeats, inventories and deltas are in the store."""
    key = ProfileKey("c1", "ns", "Deployment/web", "web", "sha256:1")
    inventory = Inventory(3.0, (Container("a" * 64, "web"),))
    nouns: list[wire.Noun] = [
        finding(1),
        FindingRepeat(finding(1).id, 4, 9.0),
        inventory,
        ProfileDelta(key, ProfileState.LEARNING, 5.0),
    ]
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        welcome = await served.greet(call)
        assert (welcome.acknowledged_sequence, welcome.maximum_message_bytes) == (0, 4 << 20)
        await call.write(batch(chain([wire.pack(noun) for noun in nouns])))
        assert await until_acknowledged(call, 4) == []
        stored = await served.store.call("finding", finding(1).id)
        (kept,) = await served.store.call("inventories")
        assert (stored.finding, stored.count, stored.checks) == (
            finding(1), 5, ("profiling_policy", "profiling_enabled"),
        )  # fmt: skip
        assert stored.due_at - stored.stored_at == pytest.approx(24 * 3600, abs=60)
        assert (kept.node, kept.containers) == ("n1", inventory.containers)
        assert (await served.store.call("profile", key)).observed_seconds == 5.0


async def test_what_comes_again_is_not_doubled(tmp_path: Path) -> None:
    """The same records on a second stream, after a restart, change nothing."""
    records = chain([wire.pack(finding(1)), wire.pack(FindingRepeat(finding(1).id, 2, 9.0))])
    async with aggregator(tmp_path) as served:
        token = await served.token()
        for _ in range(2):
            async with served.raw(token) as call:
                await served.greet(call)
                await call.write(batch(records))
                await until_acknowledged(call, 2)
            await served.stop()
            await served.start()
        assert (await served.store.call("finding", finding(1).id)).count == 3
        async with served.raw(token) as call:
            assert (await served.greet(call)).acknowledged_sequence == 2


async def test_a_record_that_is_wrong_is_refused_and_the_others_are_kept(tmp_path: Path) -> None:
    """Each refusal says why, is sealed as evidence, and counts as acknowledged."""
    key = ProfileKey("other", "ns", "w", "c", "d")
    records = chain(
        [
            wire.pack(finding(1)),
            wire.pack(finding(2, node="n2")),
            ("finding", b"\xff\xff"),
            ("song", b""),
            wire.pack(ProfileDelta(key, ProfileState.LEARNED, 1.0)),
            wire.pack(finding(3, profile=key)),
            wire.pack(finding(4, source="hearsay")),
            wire.pack(finding(5)),
        ]
    )
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        await served.greet(call)
        await call.write(batch(records))
        refusals = {m.refusal.sequence: m.refusal.reason for m in await until_acknowledged(call, 8)}
        assert refusals == {
            2: "finding.node: is 'n2', but 'n1' sent it",
            3: "Finding: is not a protobuf message of that type",
            4: "kind: 'song' is none of finding, finding_repeat, profile_delta, inventory",
            5: "delta.key.cluster: is 'other', but the node belongs to 'c1'",
            6: "finding.profile.cluster: is 'other', but the node belongs to 'c1'",
            7: "finding.source: 'hearsay' is none of drift, health, rule",
        }
        assert await served.titles() == ["finding 1", "finding 5"]
        evidence = await served.evidence("refused")
        assert len(evidence) == 6
        assert "finding.node: is 'n2', but 'n1' sent it" in evidence[0]


@pytest.mark.parametrize("fault", ["gap", "hash", "previous"])
async def test_a_broken_chain_ends_the_stream(tmp_path: Path, fault: str) -> None:
    """Nothing of the batch is kept, and the reason names the record."""
    first, second, third = chain([wire.pack(finding(number)) for number in (1, 2, 3)])
    match fault:
        case "gap":
            sent, reason = [first, third], "record 3 came after record 1: those between are missing"
        case "hash":
            second.payload += b" "
            sent, reason = [first, second], "record 2 does not match its hash"
        case _:
            (second,) = chain([wire.pack(finding(2))], after=1, head=bytes(range(32)))
            sent = [first, second]
            reason = "record 2 does not continue record 1: its previous_hash differs"
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        await served.greet(call)
        await call.write(batch(sent))
        assert await status(call) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert await served.titles() == []
        (evidence,) = await served.evidence("refused")
        assert reason in evidence


async def test_the_chain_is_checked_across_streams(tmp_path: Path) -> None:
    """The hash of the last committed record is remembered when the node connects again."""
    records = chain([wire.pack(finding(1))])
    async with aggregator(tmp_path) as served:
        token = await served.token()
        async with served.raw(token) as call:
            await served.greet(call)
            await call.write(batch(records))
            await until_acknowledged(call, 1)
        async with served.raw(token) as call:
            await served.greet(call)
            await call.write(batch(chain([wire.pack(finding(2))], after=1)))
            code, reason = await status(call)
        assert (code, reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "record 2 does not continue record 1: its previous_hash differs",
        )


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        (b"\xff", grpc.StatusCode.INVALID_ARGUMENT, "AgentMessage: is not a protobuf message of that type"),
        (pb.AgentMessage().SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Hello"),
        (batch([]), grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Hello"),
        (
            pb.AgentMessage(hello=pb.Hello(node="n1")).SerializeToString(),
            grpc.StatusCode.INVALID_ARGUMENT,
            "Hello must name a cluster and a spool_id",
        ),
        (
            pb.AgentMessage(hello=hello("n2")).SerializeToString(),
            grpc.StatusCode.PERMISSION_DENIED,
            "this credential is for node 'n1', but Hello says 'n2'",
        ),
    ],
)
async def test_a_wrong_hello_is_told_why(tmp_path: Path, first: bytes, code: grpc.StatusCode, reason: str) -> None:
    """Each way to begin wrongly ends the stream with its own reason."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        await call.write(first)
        assert await status(call) == (code, reason)


async def test_without_credential_nothing_is_read(tmp_path: Path) -> None:
    """A wrong token ends the stream before anything else."""
    async with aggregator(tmp_path) as served, served.raw("n1.guess") as call:
        code, reason = await status(call)
        assert (code, reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "the token is not valid: make a new one for this node and give it to its agent",
        )


async def test_random_bytes_never_hurt(tmp_path: Path) -> None:
    """After 200 streams of random or mangled bytes each ended cleanly, and the next agent is served."""
    chance = random.Random(5)
    good = batch(chain([wire.pack(finding(1))]))
    clean = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OK}
    async with aggregator(tmp_path) as served:
        token = await served.token()
        codes = set()
        for number in range(200):
            mangled = bytearray(good if number % 2 else os.urandom(chance.randrange(1, 200)))
            mangled[chance.randrange(len(mangled))] ^= 1 << chance.randrange(8)
            async with served.raw(token) as call:
                await served.greet(call, spool=f"s{number}")
                await call.write(bytes(mangled))
                await call.done_writing()
                codes.add(await call.code())
        assert codes <= clean
        assert grpc.StatusCode.INVALID_ARGUMENT in codes
        async with served.raw(token) as call:
            await served.greet(call, spool="last")
            await call.write(batch(chain([wire.pack(finding(77))])))
            await until_acknowledged(call, 1)
        assert "finding 77" in await served.titles()


async def test_an_oversized_message_ends_its_stream_only(tmp_path: Path) -> None:
    """The status says too large; another stream goes on."""
    async with (
        aggregator(tmp_path, maximum_message_bytes=1 << 16) as served,
        served.raw(await served.token("n2")) as other,
        served.raw(await served.token()) as call,
    ):
        await served.greet(other, "n2")
        await served.greet(call)
        await call.write(batch(chain([("inventory", bytes(1 << 17))])))
        assert (await call.code()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        await other.write(batch(chain([wire.pack(finding(1, "n2"))])))
        await until_acknowledged(other, 1)


async def test_a_second_stream_replaces_the_first(tmp_path: Path) -> None:
    """The first is told; what it had sent is stored once."""
    records = chain([wire.pack(finding(1)), wire.pack(finding(2))])
    async with aggregator(tmp_path) as served:
        token = await served.token()
        async with served.raw(token) as first, served.raw(token) as second:
            await served.greet(first)
            await first.write(batch(records))
            await until_acknowledged(first, 2)
            assert (await served.greet(second)).acknowledged_sequence == 2
            assert await status(first) == (
                grpc.StatusCode.ABORTED,
                "another agent connected as node 'n1'; each node runs one",
            )
            assert served.servicer.connected == {"n1"}
        assert await served.titles() == ["finding 1", "finding 2"]


async def test_watchers_hear_of_findings_after_the_commit(tmp_path: Path) -> None:
    """The finding that a message names can be read from the store at once."""
    async with (
        aggregator(tmp_path) as served,
        served.live.subscribe() as messages,
        served.raw(await served.token()) as call,
    ):
        await served.greet(call)
        await call.write(batch(chain([wire.pack(finding(1))])))
        async for message in messages:
            if message.topic == "finding":
                break
        assert message.body == {"id": finding(1).id, "node": "n1"}
        assert await served.store.call("finding", finding(1).id)


async def test_findings_are_handed_on_after_the_commit(tmp_path: Path) -> None:
    """Each once, not its repeats, and not when it comes again; a rule's belongs to the check of its rule."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        handed: list[str] = []
        served.servicer.found = lambda found: handed.append(found.title)
        fields = (("rule", "Write below etc"), ("rule_source", "syscall"))
        nouns: list[wire.Noun] = [finding(1), FindingRepeat(finding(1).id, 2, 9.0)]
        records = chain([wire.pack(noun) for noun in (*nouns, finding(2, source="rule", fields=fields))])
        await served.greet(call)
        for _ in range(2):
            await call.write(batch(records))
            await until_acknowledged(call, 3)
        assert handed == ["finding 1", "finding 2"]
        stored = await served.store.call("finding", finding(2).id)
        assert stored.checks == ("runtime_rule:syscall:Write below etc",)


async def test_many_nodes_share_commits(tmp_path: Path) -> None:
    """50 nodes sending at once are all acknowledged, and everything is stored."""
    async with aggregator(tmp_path) as served:

        async def one(number: int) -> None:
            node = f"n{number}"
            async with served.raw(await served.token(node)) as call:
                await served.greet(call, node)
                nouns = [wire.pack(finding(number * 100 + each, node)) for each in range(20)]
                await call.write(batch(chain(nouns)))
                await until_acknowledged(call, 20)

        await asyncio.gather(*(one(number) for number in range(50)))
        assert len(await served.titles()) == 1000


async def test_a_failing_store_keeps_the_record_with_the_agent(tmp_path: Path) -> None:
    """The stream ends with the store's reason, nothing is acknowledged."""

    class Failing(Aggregator):
        def break_store(self) -> None:
            def ingest() -> Any:
                raise OSError("the disk is full")

            self.sqlite.ingest = ingest  # type: ignore[method-assign]

    served = Failing(tmp_path)
    await served.start()
    async with served.raw(await served.token()) as call:
        await served.greet(call)
        served.break_store()
        await call.write(batch(chain([wire.pack(finding(1))])))
        assert await status(call) == (
            grpc.StatusCode.UNAVAILABLE,
            "the aggregator could not store this: the disk is full",
        )
    await served.stop()


async def test_an_address_in_use_is_an_error(tmp_path: Path) -> None:
    """The message names the address."""
    async with aggregator(tmp_path) as served:
        again = UplinkServicer(served.store, served.servicer._identity, served.live, served.settings)
        with pytest.raises(IngestError, match=f"^127.0.0.1:{served.port}: agents can not be served here: "):
            await serve(served.settings, again, served.authority)
