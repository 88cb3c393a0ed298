"""A node as its Hello and its heartbeats describe it."""

from __future__ import annotations

from dataclasses import replace

from aggregator.records import ClassCounters, EnforcedProfile, Gap, Knowledge, Node, NoveltyCounters
from watchkeeper import wire
from watchkeeper.findings import ProfileState
from watchkeeper.v1 import uplink_pb2 as pb

MAX_TEXT = 256
MAX_PROBLEMS = 64
MAX_PROBLEM = 1024  # characters


def enrolled(hello: pb.Hello, now: float) -> Node:
    return Node(
        name=hello.node,
        cluster=hello.cluster[:MAX_TEXT],
        agent_version=hello.agent_version[:MAX_TEXT],
        kernel_release=hello.kernel_release[:MAX_TEXT],
        enrolled_at=now,
        heartbeat_seconds=min(max(hello.heartbeat_seconds, 1), 300),
    )


def beaten(node: Node, beat: pb.Heartbeat, now: float) -> Node:
    """``node`` with what ``beat`` says. ``now`` is our clock, not the node's. Raises WireError."""
    return replace(
        node,
        heartbeat_at=now,
        sent_at=wire.time_of("heartbeat.at", beat.at),
        started_at=wire.time_of("heartbeat.started_at", beat.started_at),
        probe_state=beat.probe_state[:MAX_TEXT],
        missing_hooks=tuple(hook[:MAX_TEXT] for hook in beat.missing_hooks[: wire.MAX_ITEMS]),
        counters=tuple(_counters(each) for each in beat.counters[: wire.MAX_ITEMS]),
        rule_set_hash=beat.rule_set_hash[:MAX_TEXT],
        resident_bytes=beat.resident_bytes,
        cpu_seconds=wire.time_of("heartbeat.cpu_seconds", beat.cpu_seconds),
        spool_records=beat.spool_records,
        spool_bytes=beat.spool_bytes,
        discarded=tuple(sorted((kind[:MAX_TEXT], count) for kind, count in beat.discarded.items())),
        profiles=tuple(_enforced(each) for each in beat.profiles),
        canary_at=wire.time_of("heartbeat.canary_at", beat.canary_at),
        containers=beat.containers,
        detection_hash=beat.detection_hash[:MAX_TEXT],
        detection_problems=tuple(each[:MAX_PROBLEM] for each in beat.detection_problems[:MAX_PROBLEMS]),
        rules_in_force=beat.rules_in_force,
        novelty=tuple(_novelty(each) for each in beat.novelty[: wire.MAX_ITEMS]),
        knowledge=_knowledge(beat.knowledge) if beat.HasField("knowledge") else None,
        last_gap=_gap(beat.last_gap) if beat.HasField("last_gap") else None,
    )


def _counters(message: pb.ClassCounters) -> ClassCounters:
    return ClassCounters(
        message.event_class[:MAX_TEXT],
        message.seen,
        message.suppressed,
        message.submitted,
        message.dropped,
        message.decoded,
        message.lost_in_user_space,
        message.known if message.HasField("known") else None,
    )


def _novelty(message: pb.NoveltyCounters) -> NoveltyCounters:
    return NoveltyCounters(
        message.whose[:MAX_TEXT],
        message.container_id[:MAX_TEXT],
        message.container_name[:MAX_TEXT],
        message.pod_namespace[:MAX_TEXT],
        message.pod_name[:MAX_TEXT],
        message.event_class[:MAX_TEXT],
        message.submitted,
        message.dropped,
        message.withheld,
        message.unlisted,
        message.expired,
        message.evicted,
    )


def _knowledge(message: pb.Knowledge) -> Knowledge:
    return Knowledge(message.entries, message.capacity, message.generation)


def _gap(message: pb.Gap) -> Gap:
    since = wire.time_of("heartbeat.last_gap.since", message.since)
    until = wire.time_of("heartbeat.last_gap.until", message.until)
    return Gap(since, until, message.reason[:MAX_TEXT])


def _enforced(message: pb.ProfileState) -> EnforcedProfile:
    try:
        state = ProfileState(message.state)
    except ValueError:
        raise wire.WireError(f"heartbeat.profiles.state: {message.state[:40]!r} is no state of a profile") from None
    key = wire.profile_key(message.key)
    return EnforcedProfile(key, state, message.hash[:MAX_TEXT], message.running, message.canary_detected)
