"""What is kept of a heartbeat, whatever version of the agent sent it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from aggregator.heartbeat import beaten, enrolled
from aggregator.records import ClassCounters, Gap, Knowledge, Node, NoveltyCounters
from watchkeeper import wire
from watchkeeper.v1 import uplink_pb2 as pb

NODE = enrolled(pb.Hello(node="n1", cluster="c1", agent_version="0.1.0", heartbeat_seconds=10), 50.0)


def test_novelty_knowledge_and_the_gap_are_kept() -> None:
    """As they came, also through the store's JSON."""
    beat = pb.Heartbeat(
        at=99.0,
        counters=[
            pb.ClassCounters(event_class="open", seen=9, suppressed=6, submitted=2, dropped=1, decoded=2, known=5)
        ],
        novelty=[
            pb.NoveltyCounters(
                whose="container", container_id="c1", container_name="web", pod_namespace="shop", pod_name="web-1",
                event_class="open", submitted=2**64 - 1, dropped=1, withheld=2, unlisted=3, expired=4, evicted=5,
            )
        ],
        knowledge=pb.Knowledge(entries=12, capacity=64, generation=3),
        last_gap=pb.Gap(since=90.0, until=90.5, reason="update"),
    )  # fmt: skip
    kept = beaten(NODE, beat, 100.0)
    assert kept == replace(
        NODE,
        heartbeat_at=100.0,
        sent_at=99.0,
        counters=(ClassCounters("open", 9, 6, 2, 1, 2, 0, 5),),
        novelty=(NoveltyCounters("container", "c1", "web", "shop", "web-1", "open", 2**64 - 1, 1, 2, 3, 4, 5),),
        knowledge=Knowledge(12, 64, 3),
        last_gap=Gap(90.0, 90.5, "update"),
    )
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Node) == kept


def test_an_older_agent_tells_nothing_rather_than_zero() -> None:
    """Its heartbeats have no known behaviours, no memory and no gap."""
    kept = beaten(NODE, pb.Heartbeat(at=99.0, counters=[pb.ClassCounters(event_class="open", seen=9)]), 100.0)
    assert (kept.counters[0].known, kept.knowledge, kept.novelty, kept.last_gap) == (None, None, (), None)


def test_a_node_stored_by_an_older_aggregator_is_read() -> None:
    """What it did not keep is missing."""
    body = b"""{"name":"n1","cluster":"c1","agent_version":"0.1.0","kernel_release":"6","enrolled_at":50.0,"counters":
    [{"event_class":"open","seen":9,"suppressed":0,"submitted":9,"dropped":0,"decoded":9,"lost_in_user_space":0}]}"""
    read = msgspec.json.decode(body, type=Node)
    assert (read.counters, read.knowledge) == ((ClassCounters("open", 9, 0, 9, 0, 9, 0),), None)


def test_what_a_hostile_agent_sends_is_bounded() -> None:
    """Rows without end and names without end are cut."""
    row = pb.NoveltyCounters(whose="container", container_name="x" * 10_000, event_class="open")
    kept = beaten(NODE, pb.Heartbeat(novelty=[row] * 5000, knowledge=pb.Knowledge()), 100.0)
    assert (len(kept.novelty), len(kept.novelty[0].container_name)) == (wire.MAX_ITEMS, 256)


@pytest.mark.parametrize("until", [float("nan"), float("inf")])
def test_times_of_a_gap_that_are_none_are_refused(until: float) -> None:
    """The message names the field."""
    with pytest.raises(wire.WireError, match=r"heartbeat\.last_gap\.until"):
        beaten(NODE, pb.Heartbeat(last_gap=pb.Gap(since=1.0, until=until)), 100.0)
