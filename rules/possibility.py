"""Whether conditions can hold at all when some fields are known and all others may be anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.expression import Field
from rules.fields import Value
from rules.folding import Constant, Graph, Junction, Negation, Pair, Test
from rules.values import Taken, normal

Outcomes = tuple[bool, bool]
"""Of a node: whether it can be true, and whether it can be false."""
EITHER: Outcomes = (True, True)


class Possibility:
    """The question for some conditions of a graph and some fields, by name (``proc.aname[2]``), to be asked for many
    values of these fields."""

    def __init__(self, graph: Graph, roots: Sequence[int], fields: frozenset[str]) -> None:
        self._graph = graph
        self._roots = tuple(roots)
        self._relevant: list[int] = []
        relevant: set[int] = set()
        for number in graph.reachable(roots):
            if _names(graph, number) & fields or not relevant.isdisjoint(graph.operands(number)):
                relevant.add(number)
                self._relevant.append(number)

    def may_hold(self, assumed: Mapping[str, Value | None]) -> bool:
        """False only if no condition can hold for an event with these fields (None: missing)."""
        possible: dict[int, Outcomes] = {0: (False, True), 1: (True, False)}
        for number in self._relevant:
            possible[number] = self._outcomes(number, assumed, possible)
        return any(possible.get(root, EITHER)[0] for root in self._roots)

    def _outcomes(self, number: int, assumed: Mapping[str, Value | None], possible: Mapping[int, Outcomes]) -> Outcomes:
        match self._graph.nodes[number]:
            case Constant(holds):
                return holds, not holds
            case Junction(every, operands):
                parts = [possible.get(operand, EITHER) for operand in operands]
                true, false = [part[0] for part in parts], [part[1] for part in parts]
                return (all(true), any(false)) if every else (any(true), all(false))
            case Negation(operand):
                true_, false_ = possible.get(operand, EITHER)
                return false_, true_
            case Test(taken, compared) if isinstance(taken.key, Field):
                value = normal(assumed[str(taken.key)])
                holds = value is not None and bool(compared.predicate(value))
                return holds, not holds
            case Test(taken):
                return not _missing(taken, assumed), True
            case Pair(left, _, right):
                return not (_missing(left, assumed) or _missing(right, assumed)), True


def _names(graph: Graph, number: int) -> frozenset[str]:
    match graph.nodes[number]:
        case Test(taken):
            return frozenset(str(field) for field in taken.fields)
        case Pair(left, _, right):
            return frozenset(str(field) for field in left.fields | right.fields)
        case _:
            return frozenset()


def _missing(taken: Taken, assumed: Mapping[str, Any]) -> bool:
    """A value is missing where a field that it is made of is."""
    return any(str(field) in assumed and normal(assumed[str(field)]) is None for field in taken.fields)
