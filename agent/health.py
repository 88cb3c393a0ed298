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
from agent.probe.source import ClassCounters, Source
from agent.profiles import Profiles
from watchkeeper import wire
from watchkeeper.findings import ProfileKey, Severity
from watchkeeper.v1 import uplink_pb2 as pb


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


class Health:
    """``started_at``: unix seconds."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        spool: SpoolFigures,
        profiles: Profiles,
        rules: RuleFigures,
        started_at: float,
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

    def heartbeat(self, running: Counter[ProfileKey], containers: int, now: float) -> pb.Heartbeat:
        """``running``: how many containers run with each profile; ``containers``: how many run at all."""
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
        )

    def report(self, findings: Findings, forgotten: int, now: float) -> None:
        """Findings about losses that grew since the last report. ``forgotten``: processes the table had no room for."""
        told = self._told
        self._lost_events(findings, now)
        discarded = self._spool.discarded
        if (count := sum(discarded.values())) > told.discarded:
            told.discarded = count
            counts = {f"discarded_{kind}": str(number) for kind, number in discarded.items()}
            title = "Records were discarded: the spool is full or can not be written"
            findings.health("records_discarded", title, Severity.HIGH, counts, now)
        if self._profiles.failures > told.unsaved:
            told.unsaved = self._profiles.failures
            title = "Profiles can not be saved: what is learned now would not survive a restart"
            findings.health("profiles", title, Severity.MEDIUM, {"reason": self._profiles.last_error}, now)
        if forgotten > told.forgotten:
            told.forgotten = forgotten
            title = "More processes run than the agent can remember"
            findings.health("processes", title, Severity.MEDIUM, {"forgotten": str(forgotten)}, now)
        if self._source.missing_hooks != told.missing_hooks:
            told.missing_hooks = self._source.missing_hooks
            hooks = ", ".join(told.missing_hooks) or "none"
            title = f"The kernel does not offer every hook; missing: {hooks}"
            findings.health("missing_hooks", title, Severity.MEDIUM, {"missing_hooks": hooks}, now)

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

    def _lost_events(self, findings: Findings, now: float) -> None:
        lost = {
            each.event_class: each.dropped + each.lost_in_user_space
            for each in self._source.counters()
            if each.dropped or each.lost_in_user_space
        }
        if (count := sum(lost.values())) > self._told.lost:
            self._told.lost = count
            fields = {f"lost_{event_class}": str(number) for event_class, number in lost.items()}
            title = "Events were lost between kernel and agent; raise probe.ring_bytes if it goes on"
            findings.health("events_lost", title, Severity.HIGH, fields, now)

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
    )
