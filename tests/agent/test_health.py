"""What the agent says about itself, on a source whose counts the test sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings
from agent.findings import Findings
from agent.health import Health
from agent.probe.replay import ReplaySource
from agent.probe.source import ClassCounters, Knowledge, NoveltyCounters
from agent.profiles import Profiles
from watchkeeper.findings import Container, Finding, FindingRepeat, Severity
from watchkeeper.v1 import uplink_pb2 as pb

START = 1_000_000.0
WEB = 7
CONTAINER = Container("c" * 64, "web", pod_name="web-1", pod_namespace="shop")


class Source(ReplaySource):
    """An empty recording with counts of its own. ``read_at``: how often novelties were read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.state = "attached"
        self.counted: list[ClassCounters] = []
        self.novel: list[NoveltyCounters] = []
        self.known = Knowledge()
        self.readings = 0

    def counters(self) -> list[ClassCounters]:
        return self.counted

    def novelties(self) -> list[NoveltyCounters]:
        self.readings += 1
        return self.novel

    def knowledge(self) -> Knowledge:
        return self.known


class Spool:
    records = 0
    bytes = 0

    def __init__(self) -> None:
        self.discarded: dict[str, int] = {}


class Rules:
    problems: tuple[str, ...] = ()
    hash = ""
    rules = 0
    failures = 0
    last_failure = ""


@dataclass(frozen=True)
class Gap:
    since: float
    until: float
    reason: str


class Rig:
    def __init__(self, directory: Path, **named: Any) -> None:
        recording = directory / "recording"
        recording.write_bytes(b"")
        self.source = Source(recording)
        self.told: list[Finding | FindingRepeat] = []
        self.findings = Findings("node-1", self.told.append)
        self.profiles = Profiles(directory)
        settings = Settings(node="node-1", cluster="prod", state_directory=str(directory))
        find = {WEB: CONTAINER}.get
        self.health = Health(settings, self.source, Spool(), self.profiles, Rules(), START, find, **named)

    def report(self, seconds: float) -> list[tuple[str, Severity]]:
        """What is told that many seconds after the start; repeats are told by their count alone."""
        before = len(self.told)
        self.health.report(self.findings, 0, START + seconds)
        self.findings.flush(START + seconds, force=True)
        return [(each.title, each.severity) if isinstance(each, Finding) else (f"{each.count} more", Severity.INFO)
                for each in self.told[before:]]  # fmt: skip

    def heartbeat(self) -> pb.Heartbeat:
        return self.health.heartbeat(Counter(), 1, START)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.profiles.close()
    rig.source.close()


def test_the_heartbeat_tells_what_the_kernel_knows_and_what_was_new(rig: Rig) -> None:
    """Known behaviours by class, novelty by container, how full the memory is; no gap where none is known."""
    rig.source.counted = [ClassCounters("open", seen=9, suppressed=7, submitted=1, dropped=1, decoded=1, known=6)]
    rig.source.novel = [NoveltyCounters(WEB, "open", 1, 1, 1), NoveltyCounters(1, "exec", 2)]
    rig.source.known = Knowledge(entries=12, capacity=65536, generation=3)
    beat = rig.heartbeat()
    assert (beat.counters[0].known, beat.HasField("last_gap")) == (6, False)
    assert list(beat.novelty) == [
        pb.NoveltyCounters(whose="host", event_class="exec", submitted=2),
        pb.NoveltyCounters(
            whose="container", container_id="c" * 64, container_name="web", pod_namespace="shop", pod_name="web-1",
            event_class="open", submitted=1, dropped=1, withheld=1,
        ),
    ]  # fmt: skip
    assert beat.knowledge == pb.Knowledge(entries=12, capacity=65536, generation=3)


def test_nothing_known_is_told_as_zero_not_left_out(rig: Rig) -> None:
    """So that the aggregator can tell it from an agent that does not say."""
    rig.source.counted = [ClassCounters("open")]
    beat = rig.heartbeat()
    assert (beat.HasField("knowledge"), beat.counters[0].HasField("known")) == (True, True)


def test_a_storm_is_one_finding_with_repeats_and_a_new_one_after_it_ended(rig: Rig) -> None:
    """It names the container and its rate; while it goes on it is repeated, and after its end told in full again."""
    title = "Novelty storm in shop/web-1/web: {} new behaviours a second; "
    title += "what it does beyond its share is counted and dropped"
    told = []
    for seconds, submitted in ((10, 25_000), (20, 50_000), (30, 50_000), (40, 50_000), (50, 90_000)):
        rig.source.novel = [NoveltyCounters(WEB, "open", submitted)]
        told += rig.report(seconds)
    assert told == [
        (title.format("2,500"), Severity.MEDIUM),
        ("1 more", Severity.INFO),
        (title.format("4,000"), Severity.MEDIUM),
    ]


def test_what_is_withheld_makes_a_storm_grave(rig: Rig) -> None:
    """Its events were not seen: high, with the container and the counts by class, none of them zero."""
    rig.source.novel = [NoveltyCounters(WEB, "open", 30, 20, 10), NoveltyCounters(WEB, "exec", 5, unlisted=5)]
    title = "Novelty storm in shop/web-1/web: 6 new behaviours a second; "
    assert rig.report(10) == [(title + "what it does beyond its share is counted and dropped", Severity.HIGH)]
    [finding] = rig.told
    assert isinstance(finding, Finding)
    assert (finding.container, dict(finding.fields)) == (CONTAINER, {
        "rate": "6", "submitted_open": "30", "dropped_open": "20", "withheld_open": "10", "submitted_exec": "5",
        "unlisted_exec": "5",
    })  # fmt: skip


def test_a_storm_that_grows_grave_is_told_again(rig: Rig) -> None:
    """The first finding said medium; that events are withheld now is another one."""
    rig.source.novel = [NoveltyCounters(WEB, "open", 25_000)]
    first = rig.report(10)
    rig.source.novel = [NoveltyCounters(WEB, "open", 50_000, 9, 9)]
    assert [severity for _, severity in [*first, *rig.report(20)]] == [Severity.MEDIUM, Severity.HIGH]


def test_novelties_are_read_only_now_and_then(rig: Rig) -> None:
    """Every ten seconds, although reports come each half second."""
    for ticks in range(100):
        rig.report(ticks / 2)
    assert rig.source.readings == 4


def test_losses_are_told_by_container(rig: Rig) -> None:
    """Who lost most is first; a new loss makes the agent look at once, and not again for ten seconds."""
    rig.source.counted = [ClassCounters("open", seen=60, submitted=37, dropped=23)]
    rig.source.novel = [NoveltyCounters(1, "open", 1, 3), NoveltyCounters(WEB, "open", 1, 20, 12)]
    rig.report(1)
    [finding] = rig.told
    assert isinstance(finding, Finding)
    assert dict(finding.fields) == {
        "lost_open": "23",
        "lost_by_container": "shop/web-1/web: 20 (withheld: 12)\nthe host: 3",
    }
    rig.source.counted = [ClassCounters("open", seen=61, submitted=37, dropped=24)]
    assert (rig.report(2), rig.source.readings) == ([("1 more", Severity.INFO)], 1)


def test_counts_that_do_not_add_up_are_a_finding(rig: Rig) -> None:
    """Some events may be under way while counts are read; more are lost without anybody having counted them."""
    rig.source.counted = [ClassCounters("open", seen=1100, suppressed=900, submitted=60, dropped=40)]
    rig.source.novel = []
    titles = [title for title, _ in rig.report(1)]
    rig.source.counted = [ClassCounters("open", seen=1101, suppressed=900, submitted=60, dropped=40)]
    titles += [title for title, _ in rig.report(2)]
    assert [title.split(";")[0] for title in titles] == [
        "Events were lost between kernel and agent",
        "Events are not accounted for: what was seen is not what was suppressed, submitted and dropped",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(0.8, False), (1.0, False), (3.25, True)])
def test_a_gap_is_in_each_heartbeat_and_told_once_when_it_is_long(tmp_path: Path, seconds: float, told: bool) -> None:
    """An update of the agent may take a second."""
    rig = Rig(tmp_path, gap=Gap(START - 10, START - 10 + seconds, "the agent was updated"))
    title = "Nobody watched this node for 3.2 s before this agent started: the agent was updated"
    assert rig.report(0) + rig.report(1) == ([(title, Severity.MEDIUM)] if told else [])
    assert rig.heartbeat().last_gap == pb.Gap(
        since=START - 10, until=START - 10 + seconds, reason="the agent was updated"
    )
    rig.profiles.close()
    rig.source.close()
