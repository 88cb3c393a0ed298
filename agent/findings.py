"""Findings on their way out: the first occurrence at once, later ones counted and told now and then.

A finding is folded by its fingerprint and behaviour. The table is bounded; a profile that deviates in ever
new ways fills its own share and then becomes one finding that says so.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.drift import Deviation, fingerprint
from watchkeeper.findings import Container, Finding, FindingRepeat, Process, ProfileKey, Severity

FLUSH_SECONDS = 10.0
FRESH_SECONDS = 3600.0  # a fold this old begins anew, so that what was triaged meanwhile is told in full again
FOLDS = 8_192
SHARE = 2_000  # different deviations of one profile within FRESH_SECONDS, and as many different hits of rules

Emit = Callable[[Finding | FindingRepeat], None]
_Share = tuple[ProfileKey, str]  # the profile, and what it is filled with: drift, rule
_Fold = tuple[_Share | None, str, str]


@dataclass(slots=True)
class _Folded:
    id: str
    first_at: float
    last_at: float
    count: int = 0


class Findings:
    """Makes and folds findings of one node; ``emit`` takes each one out. Times are unix seconds passed in."""

    def __init__(self, node: str, emit: Emit) -> None:
        self.node = node
        self._emit = emit
        self._folded: OrderedDict[_Fold, _Folded] = OrderedDict()
        self._waiting: set[_Fold] = set()
        self._filled: Counter[_Share] = Counter()
        self._flushed_at = 0.0

    def drift(
        self,
        deviation: Deviation,
        key: ProfileKey,
        inherited_from: str,
        container: Container,
        process: Process | None,
        occurred_at: float,
        now: float,
    ) -> None:
        """A deviation of a profile."""
        behaviour = deviation.behaviour
        words = "\0".join((behaviour.behaviour_class, behaviour.process, behaviour.object))
        share = (key, "drift")
        fold: _Fold = (share, deviation.fingerprint, words)
        fields = (("inherited_from", inherited_from), ("review", "rollout")) if deviation.review else ()
        finding = Finding(
            id="",
            node=self.node,
            source="drift",
            title=deviation.title,
            severity=deviation.severity,
            fingerprint=deviation.fingerprint,
            occurred_at=occurred_at,
            detected_at=now,
            profile=key,
            behaviour=behaviour,
            container=container,
            process=process,
            fields=fields,
        )
        if fold not in self._folded and self._filled[share] >= SHARE:
            fold, finding = self._flood(finding, share, "deviations")
        self._occurred(fold, occurred_at, now, lambda: finding)

    def rule(
        self, mark: str, key: ProfileKey | None, occurred_at: float, now: float, make: Callable[[], Finding]
    ) -> None:
        """A rule's hit. ``mark``: the fingerprint by which hits are folded; ``make`` is called for the first of them
        only, as telling a hit in words costs more than finding it. ``key`` None: on the host itself."""
        share = (key, "rule") if key is not None else None
        fold: _Fold = (share, mark, "")
        if share is not None and fold not in self._folded and self._filled[share] >= SHARE:
            fold, flood = self._flood(make(), share, "hits of rules")
            self._occurred(fold, occurred_at, now, lambda: flood)
            return
        self._occurred(fold, occurred_at, now, make)

    def health(
        self,
        subject: str,
        title: str,
        severity: Severity,
        fields: dict[str, str],
        now: float,
        container: Container | None = None,
    ) -> None:
        """Something about the agent itself, or how ``container`` burdens it; ``subject`` tells kinds apart."""
        fold = self._health_fold(subject)
        finding = Finding(
            id="",
            node=self.node,
            source="health",
            title=title,
            severity=severity,
            fingerprint=fold[1],
            occurred_at=now,
            detected_at=now,
            container=container,
            fields=tuple(sorted(fields.items())),
        )
        self._occurred(fold, now, now, lambda: finding)

    def over(self, subject: str) -> None:
        """What ``health`` told of ``subject`` has ended: should it begin again, it is told in full."""
        fold = self._health_fold(subject)
        if fold in self._folded:
            self._forget(fold)

    def flush(self, now: float, force: bool = False) -> None:
        """Tell repeats that wait, every FLUSH_SECONDS, and forget what began long ago."""
        if not force and 0 <= now - self._flushed_at < FLUSH_SECONDS:
            return
        self._flushed_at = now
        for fold in list(self._waiting):
            self._tell_repeats(fold)
        while self._folded and now - next(iter(self._folded.values())).first_at >= FRESH_SECONDS:
            self._forget(next(iter(self._folded)))

    def forget(self, key: ProfileKey) -> None:
        """Fold the profile's findings anew: what it accepts has changed."""
        for fold in [fold for fold in self._folded if fold[0] == (key, "drift")]:
            self._forget(fold)

    def unsent(self, finding_id: str) -> None:
        """The finding could not be kept: its next occurrence is told in full again."""
        for fold in [fold for fold, folded in self._folded.items() if folded.id == finding_id]:
            self._waiting.discard(fold)
            self._forget(fold)

    def __len__(self) -> int:
        return len(self._folded)

    def _health_fold(self, subject: str) -> _Fold:
        return None, fingerprint(ProfileKey("", "", self.node, "", ""), "health", subject), subject

    def _occurred(self, fold: _Fold, at: float, now: float, make: Callable[[], Finding]) -> None:
        folded = self._folded.get(fold)
        if folded is not None and now - folded.first_at < FRESH_SECONDS:
            folded.count += 1
            folded.last_at = max(folded.last_at, at)
            self._waiting.add(fold)
            return
        if folded is not None:
            self._forget(fold)
        if len(self._folded) >= FOLDS:
            self._forget(next(iter(self._folded)))
        new = _Folded(secrets.token_hex(16), now, at)
        self._folded[fold] = new
        if fold[0] is not None:
            self._filled[fold[0]] += 1
        self._emit(replace(make(), id=new.id, node=self.node))

    def _flood(self, finding: Finding, share: _Share, what: str) -> tuple[_Fold, Finding]:
        mark = fingerprint(share[0], "flood", share[1])
        title = f"More than {SHARE} different {what} in an hour; further ones are only counted"
        flood = replace(finding, title=title, severity=Severity.HIGH, fingerprint=mark, behaviour=None, fields=())
        return (share, mark, ""), flood

    def _tell_repeats(self, fold: _Fold) -> None:
        self._waiting.discard(fold)
        folded = self._folded[fold]
        self._emit(FindingRepeat(folded.id, folded.count, folded.last_at))
        folded.count = 0

    def _forget(self, fold: _Fold) -> None:
        if fold in self._waiting:
            self._tell_repeats(fold)
        del self._folded[fold]
        if fold[0] is not None:
            self._filled[fold[0]] -= 1
            if not self._filled[fold[0]]:
                del self._filled[fold[0]]
