"""The rules that events of one type can match, and what they say of an event and of its behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rules.compiled_rule import CompiledRule
from rules.compiler import Bucket, compile_bucket
from rules.folding import Graph


@dataclass(frozen=True, slots=True)
class Verdict:
    """``hits``: the rules that the event matches, in load order. ``possible``: those that some event of the same
    behaviour might match, the hits among them; a rule that is in neither matches none of these events.
    ``conceivable``: those that might match if only the caller had worded the object's name differently."""

    hits: Sequence[CompiledRule] = ()
    possible: Sequence[CompiledRule] = ()
    conceivable: Sequence[CompiledRule] = ()


NOTHING = Verdict()


class RulesOfType:
    """``exact``: what is left of the rules' conditions for events of one type; ``relaxed``: the same without what
    varies; ``loosest``: without the wording of names either. Only where a rule is possible whose relaxed condition is
    not the exact one, that is asked as well. Without ``match_all`` only the first hit counts.

    Each form is compiled when it is first asked: who only wants hits pays for nothing else."""

    def __init__(
        self,
        graph: Graph,
        rules: Sequence[CompiledRule],
        exact: Sequence[int],
        relaxed: Sequence[int],
        loosest: Sequence[int],
        match_all: bool,
    ) -> None:
        self._graph = graph
        self._rules = rules
        self._exact = exact
        self._relaxed = relaxed
        self._loosest = loosest
        self._match_all = match_all

    def hits(self, event: Any) -> Sequence[CompiledRule]:
        """The rules that the event matches, in load order."""
        hits = self._find_hits(event)
        return [self._rules[at] for at in hits] if hits else ()

    def verdict(self, event: Any) -> Verdict:
        conceivable = self._find_conceivable(event)
        if not conceivable:
            return NOTHING
        possible = conceivable if self._loosest == self._relaxed else self._find_possible(event)
        hits = self._find_hits(event) if self._differs.intersection(possible) else possible
        if not self._match_all:
            hits = hits[:1]
        return Verdict(*([self._rules[at] for at in places] for places in (hits, possible, conceivable)))

    @cached_property
    def _differs(self) -> frozenset[int]:
        """Places of the rules whose relaxed condition is not the exact one."""
        both = zip(self._exact, self._relaxed, strict=True)
        return frozenset(at for at, (exact, relaxed) in enumerate(both) if exact != relaxed)

    @cached_property
    def _find_hits(self) -> Bucket:
        return compile_bucket(self._graph, self._exact, self._match_all)

    @cached_property
    def _find_possible(self) -> Bucket:
        return compile_bucket(self._graph, self._relaxed)

    @cached_property
    def _find_conceivable(self) -> Bucket:
        return compile_bucket(self._graph, self._loosest)
