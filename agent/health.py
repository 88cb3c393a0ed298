"""What the agent says about itself: the heartbeat, and findings about what it lost."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import msgspec
import psutil

from agent.config import Settings
from agent.drift import canary_detected
from agent.findings import Findings
from agent.novelty import Find, Novelties, called, messages
from agent.probe.source import ClassCounters, Source
from agent.profiles import Profiles
from agent.storms import INTERVAL_SECONDS, Storm, Storms
from watchkeeper import wire
from watchkeeper.findings import ProfileKey, Severity
from watchkeeper.v1 import uplink_pb2 as pb

TOLERABLE_GAP_SECONDS = 1.0
UNDER_WAY = 100  # events that may be between two counts while these are read
MOST_LOSERS = 10


class SpoolFigures(Protocol):
    """What health reads of agent.spool.Spool."""

    @property
    def records(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def discarded(self) -> dict[str, int]: ...


class RuleFigures(Protocol):
    """What health reads of agent.enforcement.Enforcement."""

    problems: tuple[str, ...]

    @property
    def hash(self) -> str: ...

    @property
    def rules(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def last_failure(self) -> str: ...


class Unwatched(Protocol):
    """What health reads of agent.succession.Gap: a time (unix seconds) in which nobody watched, and why."""

    @property
    def since(self) -> float: ...

    @property
    def until(self) -> float: ...

    @property
    def reason(self) -> str: ...


@dataclass(slots=True)
class _Told:
    """The figures that findings already spoke of."""

    lost: int = 0
    discarded: int = 0
    unsaved: int = 0
    forgotten: int = 0
    missing_hooks: tuple[str, ...] = ()
    rule_problems: tuple[str, ...] = ()
    unjudged: int = 0
    unaccounted: int = 0
    gap: bool = False


class Health:
    """``started_at``: unix seconds. ``find``: which container a cgroup belongs to, None: the host's. ``gap``: before
    this agent began to watch, None: none is known."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        spool: SpoolFigures,
        profiles: Profiles,
        rules: RuleFigures,
        started_at: float,
        find: Find = lambda cgroup: None,
        gap: Unwatched | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._spool = spool
        self._profiles = profiles
        self._rules = rules
        self._started_at = started_at
        self._process = psutil.Process()
        self._rule_set_hash = rule_set_hash(settings)
        self._told = _Told()
        self._gap = gap
        self._novelties = Novelties(find)
        self._storms = Storms(started_at)
        self._judged_at = started_at
        self._looked_at = 0.0  # when a loss last made us look

    def heartbeat(self, running: Counter[ProfileKey], containers: int, now: float) -> pb.Heartbeat:
        """``running``: how many containers run with each profile; ``containers``: how many run at all."""
        self._novelties.take(self._source.novelties())
        knowledge = self._source.knowledge()
        with self._process.oneshot():
            resident = self._process.memory_info().rss
            cpu = self._process.cpu_times()
        return pb.Heartbeat(
            at=now,
            started_at=self._started_at,
            probe_state=self._source.state,
            missing_hooks=self._source.missing_hooks,
            counters=[_counters(each) for each in self._source.counters()],
            rule_set_hash=self._rule_set_hash,
            detection_hash=self._rules.hash,
            detection_problems=self._rules.problems,
            rules_in_force=self._rules.rules,
            resident_bytes=resident,
            cpu_seconds=cpu.user + cpu.system,
            spool_records=self._spool.records,
            spool_bytes=self._spool.bytes,
            discarded=self._spool.discarded,
            profiles=[self._profile(key, count, now) for key, count in sorted(running.items())],
            canary_at=self._source.canary_at,
            containers=containers,
            novelty=messages(self._novelties.each()),
            knowledge=pb.Knowledge(
                entries=knowledge.entries, capacity=knowledge.capacity, generation=knowledge.generation
            ),
            last_gap=_gap(self._gap) if self._gap else None,
        )

    def report(self, findings: Findings, forgotten: int, now: float) -> None:
        """Findings about losses that grew since the last report. ``forgotten``: processes the table had no room for."""
        self._unwatched(findings, now)
        if not 0 <= now - self._judged_at < INTERVAL_SECONDS:
            self._judge_storms(findings, now)
        counters = self._source.counters()
        self._lost_events(counters, findings, now)
        self._unaccounted(counters, findings, now)
        self._unsaved(findings, now)
        self._hooks(findings, now)
        self._unjudged(findings, now)
        if forgotten > self._told.forgotten:
            self._told.forgotten = forgotten
            title = "More processes run than the agent can remember"
            findings.health("processes", title, Severity.MEDIUM, {"forgotten": str(forgotten)}, now)

    def _unwatched(self, findings: Findings, now: float) -> None:
        gap = self._gap
        if gap is None or self._told.gap or gap.until - gap.since <= TOLERABLE_GAP_SECONDS:
            return
        self._told.gap = True
        title = f"Nobody watched this node for {gap.until - gap.since:.1f} s before this agent started: {gap.reason}"
        fields = {"since": f"{gap.since:.3f}", "until": f"{gap.until:.3f}", "reason": gap.reason}
        findings.health("unwatched", title, Severity.MEDIUM, fields, now)

    def _judge_storms(self, findings: Findings, now: float) -> None:
        self._judged_at = now
        self._novelties.take(self._source.novelties())
        for storm in self._storms.judge(self._novelties.each(), now):
            name = called(storm.container)
            subjects = [f"storm {name}", f"storm withheld {name}"]
            if storm.ended:
                for subject in subjects:
                    findings.over(subject)
                continue
            title = (
                f"Novelty storm in {name}: {storm.rate:,.0f} new behaviours a second; "
                "what it does beyond its share is counted and dropped"
            )
            severity = Severity.HIGH if storm.withheld else Severity.MEDIUM
            findings.health(subjects[storm.withheld], title, severity, _storm_fields(storm), now, storm.container)

    def _lost_events(self, counters: list[ClassCounters], findings: Findings, now: float) -> None:
        lost = {
            each.event_class: each.dropped + each.lost_in_user_space
            for each in counters
            if each.dropped or each.lost_in_user_space
        }
        if (count := sum(lost.values())) <= self._told.lost:
            return
        self._told.lost = count
        if not 0 <= now - self._looked_at < INTERVAL_SECONDS:
            self._looked_at = now
            self._novelties.take(self._source.novelties())
        fields = {f"lost_{event_class}": str(number) for event_class, number in lost.items()}
        if whose := self._losers():
            fields["lost_by_container"] = whose
        title = (
            "Events were lost between kernel and agent; "
            "raise probe.bulk_ring_bytes or probe.critical_ring_bytes if it goes on"
        )
        findings.health("events_lost", title, Severity.HIGH, fields, now)

    def _losers(self) -> str:
        """One a line, those that lost most first: ``shop/web-1/web: 17 (withheld: 12)``."""
        found = [(novelty.total, novelty) for novelty in self._novelties.each()]
        found.sort(key=lambda each: each[0].dropped, reverse=True)
        return "\n".join(
            (called(novelty.container) if novelty.whose != "others" else "others")
            + f": {counts.dropped}"
            + (f" (withheld: {counts.withheld})" if counts.withheld else "")
            for counts, novelty in found[:MOST_LOSERS]
            if counts.dropped
        )

    def _unaccounted(self, counters: list[ClassCounters], findings: Findings, now: float) -> None:
        wrong = {each.event_class: _unaccounted(each) for each in counters}
        wrong = {event_class: number for event_class, number in wrong.items() if number > UNDER_WAY}
        if (count := sum(wrong.values())) > self._told.unaccounted:
            self._told.unaccounted = count
            title = "Events are not accounted for: what was seen is not what was suppressed, submitted and dropped"
            fields = {f"unaccounted_{event_class}": str(number) for event_class, number in wrong.items()}
            findings.health("events_unaccounted", title, Severity.HIGH, fields, now)

    def _unsaved(self, findings: Findings, now: float) -> None:
        discarded = self._spool.discarded
        if (count := sum(discarded.values())) > self._told.discarded:
            self._told.discarded = count
            counts = {f"discarded_{kind}": str(number) for kind, number in discarded.items()}
            title = "Records were discarded: the spool is full or can not be written"
            findings.health("records_discarded", title, Severity.HIGH, counts, now)
        if self._profiles.failures > self._told.unsaved:
            self._told.unsaved = self._profiles.failures
            title = "Profiles can not be saved: what is learned now would not survive a restart"
            findings.health("profiles", title, Severity.MEDIUM, {"reason": self._profiles.last_error}, now)

    def _hooks(self, findings: Findings, now: float) -> None:
        if self._source.missing_hooks != self._told.missing_hooks:
            self._told.missing_hooks = self._source.missing_hooks
            hooks = ", ".join(self._told.missing_hooks) or "none"
            title = f"The kernel does not offer every hook; missing: {hooks}"
            findings.health("missing_hooks", title, Severity.MEDIUM, {"missing_hooks": hooks}, now)

    def _unjudged(self, findings: Findings, now: float) -> None:
        told = self._told
        if self._rules.failures > told.unjudged:
            told.unjudged = self._rules.failures
            title = "Events could not be judged by the rules: please report this as a fault of Watchkeeper"
            fields = {"events": str(told.unjudged), "last": self._rules.last_failure}
            findings.health("rules_failed", title, Severity.HIGH, fields, now)
        if self._rules.problems != told.rule_problems:
            told.rule_problems = self._rules.problems
            if told.rule_problems:
                title = f"Not every rule asked for is in force: {told.rule_problems[0]}"
                findings.health("rules", title, Severity.MEDIUM, {"problems": "\n".join(told.rule_problems)}, now)

    def _profile(self, key: ProfileKey, count: int, now: float) -> pb.ProfileState:
        profile = self._profiles.of(key)
        return pb.ProfileState(
            key=wire.profile_key_message(key),
            state=profile.state,
            hash=profile.hash,
            running=count,
            canary_detected=canary_detected(profile, now),
        )


def rule_set_hash(settings: Settings) -> str:
    """Of everything that decides what becomes a finding on this node."""
    decisive = msgspec.json.encode((settings.learning, settings.drift), order="sorted")
    return hashlib.sha256(decisive).hexdigest()


def _counters(counters: ClassCounters) -> pb.ClassCounters:
    return pb.ClassCounters(
        event_class=counters.event_class,
        seen=counters.seen,
        suppressed=counters.suppressed,
        submitted=counters.submitted,
        dropped=counters.dropped,
        decoded=counters.decoded,
        lost_in_user_space=counters.lost_in_user_space,
        known=counters.known,
    )


def _gap(gap: Unwatched) -> pb.Gap:
    return pb.Gap(since=gap.since, until=gap.until, reason=wire.cut(gap.reason))


def _unaccounted(counters: ClassCounters) -> int:
    return abs(counters.seen - counters.suppressed - counters.submitted - counters.dropped)


def _storm_fields(storm: Storm) -> dict[str, str]:
    """What the interval brought, by class, without zeros."""
    found = {"rate": f"{storm.rate:.0f}"}
    for event_class, counts in storm.classes.items():
        for name in ("submitted", "dropped", "withheld", "unlisted", "expired", "evicted"):
            if number := getattr(counts, name):
                found[f"{name}_{event_class}"] = str(number)
    return found
