"""The rules that events of one type can match, and what they say of an event and of its behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    varies; ``loosest``: without the wording of names either. Where the relaxed one is the same node a rule that is
    possible is hit, else it is looked at again. Without ``match_all`` only the first hit counts."""

    __slots__ = ("_exact", "_find_possible", "_graph", "_match_all", "_rules", "_second", "find_conceivable")

    def __init__(
        self,
        graph: Graph,
        rules: Sequence[CompiledRule],
        exact: Sequence[int],
        relaxed: Sequence[int],
        loosest: Sequence[int],
        match_all: bool,
    ) -> None:
        self.find_conceivable = compile_bucket(graph, loosest)
        self._find_possible = None if loosest == relaxed else compile_bucket(graph, relaxed)
        self._graph = graph
        self._rules = rules
        self._exact = [None if one == other else one for one, other in zip(exact, relaxed, strict=True)]
        self._second: dict[int, Bucket] = {}
        self._match_all = match_all

    def verdict(self, event: Any, conceivable: Sequence[int]) -> Verdict:
        """``conceivable``: what ``find_conceivable`` found for the event."""
        possible = conceivable if self._find_possible is None else self._find_possible(event)
        hits = [at for at in possible if (node := self._exact[at]) is None or self._holds(node, event)]
        if not self._match_all:
            hits = hits[:1]
        return Verdict(*([self._rules[at] for at in places] for places in (hits, possible, conceivable)))

    def _holds(self, node: int, event: Any) -> bool:
        """Compiled when first needed: most conditions never are."""
        bucket = self._second.get(node)
        if bucket is None:
            bucket = self._second[node] = compile_bucket(self._graph, [node])
        return bool(bucket(event))
