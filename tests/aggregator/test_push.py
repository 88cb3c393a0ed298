"""Rules and policies on their way to the nodes, over a real stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from aggregator.detection import Detection
from aggregator.policies import StatedPolicy
from aggregator.push import chunks
from aggregator.rulebook import KnownRule, Rulebook
from tests.rig_transport import CLUSTER, Agent, Aggregator, aggregator, until
from watchkeeper import wire
from watchkeeper.policies import DetectionSet, Policy, RuleFile, Scope
from watchkeeper.v1 import uplink_pb2 as pb

FILE = RuleFile("files.yaml", "- rule: Write below etc\n  condition: evt.type = openat\n")
FILES = Policy("Files", True, ("Write below etc",), origin="shipped")


def detection(*policies: Policy) -> Detection:
    rules = {"Write below etc": KnownRule("Write below etc", "syscall", "Error")}
    return Detection(Rulebook((FILE,), rules), {policy.name: StatedPolicy(policy) for policy in policies})


async def _next(call: Any) -> pb.AggregatorMessage:
    async with asyncio.timeout(20):
        message: pb.AggregatorMessage = await call.read()
    return message


def use(served: Aggregator, *policies: Policy) -> None:
    served.detection = detection(*policies)
    served.servicer.push.detection_changed()


async def test_a_node_gets_its_rules_with_the_welcome(tmp_path: Path) -> None:
    """Whole, so that it computes the hash that is expected of it."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        served.detection = detection(FILES)
        welcome = await served.greet(call)
        received = wire.detection_set(welcome.configuration.detection)
    assert received == DetectionSet((FILE,), (FILES,))
    assert received.hash == served.detection.hash_for(CLUSTER)


async def test_a_change_is_pushed_once_for_many(tmp_path: Path) -> None:
    """Three changes in a row are one message with the last one; what changes back is not sent at all."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        await served.greet(call)
        for description in ("a", "b", "c"):
            use(served, replace(FILES, description=description))
        pushed = await _next(call)
        assert wire.detection_set(pushed.configuration.detection).policies[0].description == "c"
        use(served)
        use(served, replace(FILES, description="c"))
        await asyncio.sleep(1.5)
        use(served)
        assert wire.detection_set((await _next(call)).configuration.detection) == DetectionSet()


async def test_only_clusters_for_which_it_differs_are_told(tmp_path: Path) -> None:
    """A policy for another cluster is nothing new here; what comes next shows that nothing came before."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        await served.greet(call)
        use(served, replace(FILES, scope=Scope(clusters=("other",))))
        await asyncio.sleep(1.5)
        use(served, FILES)
        assert [p.name for p in (await _next(call)).configuration.detection.policies] == ["Files"]


async def test_nodes_that_came_before_and_after_a_change_run_the_same(tmp_path: Path) -> None:
    """One is welcomed between the change and its push: the other, older one is told all the same."""
    async with aggregator(tmp_path) as served:
        first, second = await served.token("n1"), await served.token("n2")
        async with served.raw(first) as old, served.raw(second) as new:
            await served.greet(old)
            use(served, FILES)
            welcome = await served.greet(new, "n2")
            assert [p.name for p in welcome.configuration.detection.policies] == ["Files"]
            assert (await _next(old)).configuration.detection == welcome.configuration.detection


async def test_heartbeats_tell_what_a_node_runs(tmp_path: Path) -> None:
    """Hash, count and problems are kept, the latter bounded in number and length; a new hash has checks judged soon."""
    async with aggregator(tmp_path) as served, served.raw(await served.token()) as call:
        judged: list[int] = []
        served.servicer.committed = lambda: judged.append(1)
        await served.greet(call)
        beat = pb.Heartbeat(
            at=1.0, detection_hash="ab" * 32, rules_in_force=7, detection_problems=["x" * 5000] + ["y"] * 500
        )
        for _ in range(2):
            await call.write(pb.AgentMessage(heartbeat=beat).SerializeToString())

        async def beaten() -> bool:
            return bool((await served.store.call("nodes"))[0].rules_in_force)

        await until(beaten)
        assert judged == [1]
        (node,) = await served.store.call("nodes")
    assert (node.detection_hash, node.rules_in_force) == ("ab" * 32, 7)
    assert node.detection_problems == ("x" * 1024, *["y"] * 63)


async def test_a_real_uplink_takes_it_in(tmp_path: Path) -> None:
    """The agent's own stream hands on the first set and the changed one, in order."""
    async with aggregator(tmp_path / "aggregator") as served:
        served.detection = detection(FILES)
        agent = Agent(served.agent_settings(token=await served.token()), tmp_path / "agent")

        def sets() -> list[DetectionSet]:
            told = (each for each in agent.configurations if each.HasField("detection"))
            return [wire.detection_set(each.detection) for each in told]

        async with agent.running():
            await until(lambda: len(sets()) == 1)
            use(served)
            await until(lambda: len(sets()) == 2)
    assert [len(each.policies) for each in sets()] == [1, 0]


def test_rules_are_in_the_first_of_several_messages() -> None:
    """The others only go on with profiles; without news there are none in it."""
    profiles = [pb.Profile(inherited_from="x" * 600_000) for _ in range(3)]
    made = wire.detection_set_message(DetectionSet((FILE,), (FILES,)))
    assert [(each.HasField("detection"), len(each.profiles)) for each in chunks(profiles, made)] == [
        (True, 1), (False, 1), (False, 1),
    ]  # fmt: skip
    assert [each.HasField("detection") for each in chunks(())] == [False]
