"""Conditions without what varies between events of one behaviour: whether they may hold for any of these events.

A comparison that varies counts as true, and so does its negation; the others are exact. So where the relaxed form is
false of one event the condition is false of every event of its behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence

from rules.fields import Variation, Where
from rules.folding import FALSE, TRUE, Graph, Junction, Negation, Pair, Test

Bounds = tuple[int, int]
"""Two nodes of the graph: holds for an event if the condition may hold, and if it surely holds, for every event of the
same behaviour. Both are the condition itself where nothing in it varies."""


class Relaxing:
    """Relaxed conditions of a graph for events of one type, made of nodes of the same graph. ``worded``: what depends
    on how the caller worded the name of the object counts as varying, too."""

    def __init__(self, graph: Graph, event_type: str, worded: bool = False) -> None:
        self._graph = graph
        self._event_type = event_type
        self._worded = worded
        self._bounds: dict[int, Bounds] = {}

    def relaxed(self, roots: Sequence[int]) -> list[int]:
        """Of each condition what holds if it may hold for an event of the same behaviour."""
        for number in self._graph.reachable(roots):
            self._bounds[number] = self._bounds_of(number)
        return [self._bounds[root][0] for root in roots]

    def _bounds_of(self, number: int) -> Bounds:
        match self._graph.nodes[number]:
            case Test() | Pair() as test:
                return self._of_comparison(number, test)
            case Negation(operand):
                may, surely = self._bounds[operand]
                return self._graph.negation(surely), self._graph.negation(may)
            case Junction(every, operands):
                parts = [self._bounds[operand] for operand in operands]
                if parts == [(operand, operand) for operand in operands]:
                    return number, number
                may = self._graph.junction(every, [part[0] for part in parts])
                return may, self._graph.junction(every, [part[1] for part in parts])
            case _:
                return number, number

    def _of_comparison(self, number: int, test: Test | Pair) -> Bounds:
        variations = {self._of_this_type(each) for each in test.variations}
        if True in variations or (self._worded and self._is_worded(test)):
            return TRUE, FALSE
        places = [each for each in variations if isinstance(each, Where)]
        if not places:
            return number, number
        differs = self._graph.junction(False, [self._graph.asked(each.differ) for each in places])
        if isinstance(test, Test) and test.taken.info is not None and places[0].otherwise is not None:
            holds = test.comparison.predicate(places[0].otherwise)
            return (TRUE, self._graph.negation(differs)) if holds else (differs, FALSE)
        return (
            self._graph.junction(False, (number, differs)),
            self._graph.junction(True, (number, self._graph.negation(differs))),
        )

    def _of_this_type(self, variation: Variation) -> Variation:
        if isinstance(variation, Where) and not variation.of_type(self._event_type):
            return variation.elsewhere
        return variation

    def _is_worded(self, test: Test | Pair) -> bool:
        fields = test.taken.fields if isinstance(test, Test) else test.left.fields | test.right.fields
        worded = self._graph.source.is_worded
        return any(worded(self._event_type, field.name, field.argument) for field in fields)
