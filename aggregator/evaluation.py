"""Evaluation: facts from the store are judged, kept as sealed observations, and told as statuses of controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aggregator.checks.check import Check, Explanation
from aggregator.checks.facts import Facts, Thresholds
from aggregator.checks.registry import CHECKS
from aggregator.controls.catalogue import Catalogue, CheckEntry, ControlEntry
from aggregator.controls.status import (
    Population,
    aged,
    check_status,
    control_status,
    measure,
    passed,
)
from aggregator.detection import Detection
from aggregator.profiles import profile_hash
from aggregator.records import JudgedResource, MergedProfile, Observation, Outcome, Status
from aggregator.store.protocol import Store
from watchkeeper.findings import ProfileKey

__all__ = ["Changes", "ControlReport", "ControlsReport", "Evaluation", "Thresholds", "UnknownProfileError"]

_REAFFIRM_AFTER = 24 * 3600.0  # an unchanged observation is sealed again this often
_GAP = 120.0  # seconds without judgement after which nobody knows what was in between
_SHOWN = 50  # resources of a check shown with their evidence


class UnknownProfileError(Exception):
    """The catalogue has no such profile; the message names those it has."""


@dataclass(frozen=True, slots=True)
class ControlSummary:
    id: str
    scope: str
    title: str
    status: Status
    checks_passed: int
    checks_total: int
    open_findings: int
    overdue_findings: int


@dataclass(frozen=True, slots=True)
class FamilyReport:
    id: str
    title: str
    controls: tuple[ControlSummary, ...]

    @property
    def controls_passed(self) -> int:
        return passed(control.status for control in self.controls)


@dataclass(frozen=True, slots=True)
class ControlsReport:
    """As GET /api/v1/controls answers; times are unix seconds."""

    profile: str
    generated_at: float
    families: tuple[FamilyReport, ...]


@dataclass(frozen=True, slots=True)
class EvidenceLink:
    """What one resource was found to be, and the sealed record that proves it."""

    resource: str
    outcome: Outcome
    reason: str
    at: float
    stream: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """``reason`` says why a check that is not assessed is not. Of a rule's check: ``rule``, its ``source``, and the
    ``policies`` that have it."""

    id: str
    title: str
    status: Status
    what: str
    how: str
    remediation: tuple[str, ...]
    evidence: tuple[EvidenceLink, ...]
    population: Population
    type: str
    reason: str
    open_findings: int
    overdue_findings: int
    rule: str = ""
    source: str = ""
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlReport:
    """As GET /api/v1/controls/{id} answers."""

    profile: str
    generated_at: float
    id: str
    scope: str
    title: str
    status: Status
    checks_passed: int
    checks_total: int
    open_findings: int
    overdue_findings: int
    what: str
    how: str
    checks: tuple[CheckReport, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What one run changed: subjects whose status did, and profiles that lost an acceptance which ended."""

    statuses: tuple[str, ...] = ()
    profiles: tuple[ProfileKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: Status
    population: Population
    open: int
    overdue: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the last run found: the population of each check, and its newest observations, by key."""

    populations: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    observations: Mapping[str, tuple[Observation, ...]] = field(default_factory=dict)


class Evaluation:
    """Used on the store's thread only. ``population_nodes`` empty: the nodes that ever enrolled are expected.
    ``detection`` gives the rules and policies in force now."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        population_nodes: Sequence[str] = (),
        thresholds: Thresholds | None = None,
        checks: Mapping[str, Check] = CHECKS,
        detection: Callable[[], Detection] = Detection,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._population_nodes = tuple(population_nodes)
        self._thresholds = thresholds or Thresholds()
        self._checks = _keyed(catalogue, checks)
        self._detection = detection
        self._hashes: dict[ProfileKey, tuple[MergedProfile, str]] = {}
        self._judged: _Judged | None = None

    def run(self, now: float) -> Changes:
        """Judge every live check now; keep observations and the statuses that follow."""
        expired = self._store.expire_acceptances(now)
        facts = self._facts()
        self._judged = _Judged(
            {name: check.population(facts, now) for name, check in self._checks.items()},
            {name: tuple(check.judge(facts, now)) for name, check in self._checks.items()},
        )
        observations = [one for of_check in self._judged.observations.values() for one in of_check]
        self._store.observe(observations, _REAFFIRM_AFTER)
        self._store.forget_observations([(one.check, one.resource) for one in observations])
        return Changes(tuple(self._record(now)), tuple(expired))

    def controls(self, profile: str, now: float) -> ControlsReport:
        """Every control of a catalogue profile. Raises UnknownProfileError."""
        verdicts = self._verdicts(now)
        findings = self._store.open_by_checks(now)
        controls = [self._summary(control, verdicts, findings) for control in self._of(profile)]
        families = tuple(
            FamilyReport(
                family.id,
                family.title,
                tuple(control for control in controls if control.id.partition(".")[0] == family.id),
            )
            for family in self._catalogue.families
        )
        return ControlsReport(profile, now, tuple(family for family in families if family.controls))

    def control(self, profile: str, control_id: str, scope: str, now: float) -> ControlReport | None:
        """One control with its checks; None when the profile has no such control. Raises UnknownProfileError."""
        for entry in self._of(profile):
            if (entry.id, entry.scope) == (control_id, scope):
                return self._report(profile, entry, now)
        return None

    def _report(self, profile: str, entry: ControlEntry, now: float) -> ControlReport:
        verdicts = self._verdicts(now)
        summary = self._summary(entry, verdicts, self._store.open_by_checks(now))
        return ControlReport(
            profile,
            now,
            summary.id,
            summary.scope,
            summary.title,
            summary.status,
            summary.checks_passed,
            summary.checks_total,
            summary.open_findings,
            summary.overdue_findings,
            entry.what,
            entry.how,
            tuple(self._check(check, verdicts[check.key], now) for check in entry.checks),
        )

    def _check(self, entry: CheckEntry, verdict: _Verdict, now: float) -> CheckReport:
        check = self._checks[entry.key]
        links = tuple(self._link(judged, check, now) for judged in self._store.judged(entry.key, _SHOWN))
        told = Explanation(check.missing.get(entry.source, ""), entry.remediation)
        if check.explain:
            told = check.explain(self._detection(), verdict.status)
        return CheckReport(
            entry.id, entry.title, verdict.status, entry.what, entry.how, told.remediation, links,
            verdict.population, entry.type, told.reason or _why(verdict), verdict.open, verdict.overdue,
            entry.rule, entry.source, told.policies,
        )  # fmt: skip

    def _link(self, judged: JudgedResource, check: Check, now: float) -> EvidenceLink:
        shown = aged(judged.observation, now, check.ttl)
        return EvidenceLink(
            shown.resource, shown.outcome, shown.reason, judged.sealed_at, judged.stream, judged.sequence, judged.hash
        )

    def _summary(
        self,
        entry: ControlEntry,
        verdicts: Mapping[str, _Verdict],
        findings: Mapping[tuple[str, ...], tuple[int, int]],
    ) -> ControlSummary:
        statuses = [verdicts[check.key].status for check in entry.checks]
        keys = {check.key for check in entry.checks}
        concerned = [counts for checks, counts in findings.items() if keys.intersection(checks)]
        return ControlSummary(
            entry.id,
            entry.scope,
            entry.title,
            control_status(statuses),
            passed(statuses),
            len(statuses),
            sum(count for count, _ in concerned),
            sum(overdue for _, overdue in concerned),
        )

    def _verdicts(self, now: float) -> Mapping[str, _Verdict]:
        """One for each key: wherever a type, or a rule, appears it is judged once."""
        judged = self._judged or self._remembered(now)
        findings = self._store.open_findings(now)
        excepted: dict[str, set[str]] = {}
        for exception in self._store.exceptions(now):
            excepted.setdefault(exception.check, set()).add(exception.resource)
        return {
            name: _verdict(check, judged, excepted.get(name, set()), findings.get(name, (0, 0)), now)
            for name, check in self._checks.items()
        }

    def _remembered(self, now: float) -> _Judged:
        """Before the first run: what an earlier process observed, over the population known now."""
        facts = self._facts()
        observations: dict[str, list[Observation]] = {}
        for observation in self._store.observations():
            observations.setdefault(observation.check, []).append(observation)
        return _Judged(
            {name: check.population(facts, now) for name, check in self._checks.items()},
            {name: tuple(of_check) for name, of_check in observations.items()},
        )

    def _record(self, now: float) -> Iterable[str]:
        """Statuses into history. What happened while nothing was judged nobody knows, and it is kept so."""
        statuses = self._statuses(now)
        last = self._store.last_judged()
        if last and now - last > _GAP:
            self._store.record_statuses(dict.fromkeys(statuses, Status.NOT_ASSESSED), last)
        return self._store.record_statuses(statuses, now)

    def _statuses(self, now: float) -> dict[str, str]:
        verdicts = self._verdicts(now)
        statuses: dict[str, str] = {}
        for profile in self._catalogue.profiles:
            for control in self._catalogue.controls(profile):
                of_checks = {check.id: verdicts[check.key].status for check in control.checks}
                statuses[f"control:{control.id}:{control.scope}:{profile}"] = control_status(of_checks.values())
                statuses |= {f"check:{name}": status for name, status in of_checks.items()}
        return statuses

    def _of(self, profile: str) -> Iterable[ControlEntry]:
        if profile not in self._catalogue.profiles:
            raise UnknownProfileError(f"no profile {profile!r}; there are {', '.join(self._catalogue.profiles)}")
        return self._catalogue.controls(profile)

    def _facts(self) -> Facts:
        profiles = tuple(self._store.profiles())
        return Facts(
            tuple(self._store.nodes()),
            tuple(self._store.inventories()),
            profiles,
            self._population_nodes,
            {profile.key: self._hash(profile) for profile in profiles},
            self._thresholds,
            self._detection(),
        )

    def _hash(self, profile: MergedProfile) -> str:
        """Computed once for each version of a profile: hashing thousands each few seconds would be the main work."""
        known = self._hashes.get(profile.key)
        if known is None or known[0] is not profile:
            known = (profile, profile_hash(profile))
            self._hashes[profile.key] = known
        return known[1]


def _keyed(catalogue: Catalogue, checks: Mapping[str, Check]) -> dict[str, Check]:
    """Every check of the catalogue by its key."""
    keyed: dict[str, Check] = {}
    for entry in (entry for control in catalogue.all_controls for entry in control.checks):
        check = checks[entry.type]
        keyed[entry.key] = check.of_rule(entry.source, entry.rule) if check.of_rule else check
    return keyed


def _verdict(check: Check, judged: _Judged, excepted: set[str], findings: tuple[int, int], now: float) -> _Verdict:
    population = judged.populations.get(check.type)
    outcomes = {
        observation.resource: aged(observation, now, check.ttl, excepted=observation.resource in excepted).outcome
        for observation in judged.observations.get(check.type, ())
    }
    status = check_status(population, outcomes, excepted, check.requirement, findings[1])
    return _Verdict(status, measure(population, outcomes, excepted), *findings)


def _why(verdict: _Verdict) -> str:
    population = verdict.population
    match verdict.status:
        case Status.FAIL if verdict.overdue and not population.failed:
            return f"{verdict.overdue} findings are past their deadline without a decision"
        case Status.FAIL:
            return f"{population.failed} of {population.assessed} resources fail"
        case Status.NOT_ASSESSED if population.expected is None:
            return "nobody knows yet what must be assessed"
        case Status.NOT_ASSESSED:
            return f"none of {population.expected} resources could be assessed"
        case Status.PARTIAL:
            return f"{population.assessed} of {population.expected} resources were assessed"
        case Status.NOT_APPLICABLE:
            return "there is nothing to assess"
    return ""
