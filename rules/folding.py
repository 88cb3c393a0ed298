"""The conditions of one source as one graph in which equal parts exist once, and what of them remains for events of
one type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.expression import And, Compare, Exists, Expression, Field, Literal, Macro, Not, Or, Transformed
from rules.fields import Quantifier, Source, Type, Variation
from rules.operators import Comparison, Kind, Shape, comparison, modified, relation
from rules.values import ConditionError, Taken, take

EVENT_TYPE = Field("evt.type")
DEEPEST = 1000  # levels of and, or, not: as Falco


@dataclass(frozen=True, slots=True)
class Constant:
    holds: bool


@dataclass(frozen=True, slots=True)
class Test:
    """``literals``: as written, for who asks what the comparison depends on."""

    taken: Taken
    comparison: Comparison
    operator: str
    literals: tuple[str, ...]

    @property
    def variations(self) -> frozenset[Variation]:
        """In what it varies between events of one behaviour."""
        return self.taken.variations(self.operator, self.literals)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values of the event compared with each other."""

    left: Taken
    relation: Callable[[Any, Any], object]
    right: Taken
    operator: str

    @property
    def variations(self) -> frozenset[Variation]:
        return self.left.variations() | self.right.variations()


@dataclass(frozen=True, slots=True)
class Junction:
    """``every``: and; else or."""

    every: bool
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    operand: int


Node = Constant | Test | Pair | Junction | Negation
FALSE, TRUE = 0, 1


class Graph:
    """Nodes by number; those that a node is made of have lower numbers. ``add`` gives the node of a condition."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.types = sorted(source.event_types)
        self.nodes: list[Node] = [Constant(False), Constant(True)]
        self._every_type = (1 << len(self.types)) - 1
        self._true = [0, self._every_type]  # by node: bit n: it can be true for event type n
        self._false = [self._every_type, 0]
        self._typed = [False, False]  # by node: depends on the event type
        self._levels = [0, 0]
        self._numbers: dict[object, int] = {}
        self._taken: dict[Field | Transformed, Taken] = {}
        self._of: dict[int, tuple[Expression, int]] = {}  # by id(): macros are shared, whole trees too big to compare

    def add(self, expression: Expression) -> int:
        """ConditionError: the condition can not be compiled."""
        waiting = [expression]
        while waiting:
            current = waiting[-1]
            missing = [part for part in _parts(current) if id(part) not in self._of]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if id(current) not in self._of:
                number = self._number(current)
                if self._levels[number] > DEEPEST:
                    raise ConditionError(f"the condition is nested deeper than {DEEPEST} levels")
                self._of[id(current)] = (current, number)
        return self._of[id(expression)][1]

    def event_types(self, node: int) -> frozenset[str]:
        """For which it can hold."""
        possible = self._true[node]
        return frozenset(name for bit, name in enumerate(self.types) if possible >> bit & 1)

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """The roots and what they are made of, parts first."""
        seen: set[int] = set()
        waiting = list(roots)
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                waiting += self.operands(number)
        return sorted(seen)

    def operands(self, number: int) -> tuple[int, ...]:
        match self.nodes[number]:
            case Junction(_, operands):
                return operands
            case Negation(operand):
                return (operand,)
            case _:
                return ()

    def specialised(self, roots: Sequence[int], event_type: str) -> list[int]:
        """The roots for events of this type only: comparisons of evt.type are gone."""
        new: dict[int, int] = {}
        for number in self.reachable(roots):
            new[number] = self._specialised(number, event_type, new) if self._typed[number] else number
        return [new[root] for root in roots]

    def tests(self, root: int) -> Iterator[Test | Pair]:
        """All comparisons it is made of."""
        for number in self.reachable([root]):
            node = self.nodes[number]
            if isinstance(node, Test | Pair):
                yield node

    def take(self, key: Field | Transformed) -> Taken:
        if isinstance(key, Transformed):
            return take(key, self.source)
        if key not in self._taken:
            self._taken[key] = take(key, self.source)
        return self._taken[key]

    def junction(self, every: bool, operands: Sequence[int]) -> int:
        """The node of an and (``every``) or an or of nodes."""
        neutral = TRUE if every else FALSE
        kept = tuple(dict.fromkeys(operand for operand in operands if operand != neutral))
        if (FALSE if every else TRUE) in kept:
            return FALSE if every else TRUE
        if len(kept) < 2:
            return kept[0] if kept else neutral
        return self._intern((every, kept), lambda: Junction(every, kept))

    def negation(self, operand: int) -> int:
        match self.nodes[operand]:
            case Constant(holds):
                return FALSE if holds else TRUE
            case Negation(inner):
                return inner
        return self._intern(operand, lambda: Negation(operand))

    def asked(self, question: Callable[[Any], bool]) -> int:
        """The node of a question about the event that no condition can ask."""
        key = Field("", str(len(self.nodes)))
        taken = Taken(key, Shape(Type.BOOLEAN), (), question)
        return self._intern(question, lambda: Test(taken, Comparison(Kind.EQUAL, True), "=", ("true",)))

    def _number(self, expression: Expression) -> int:
        """The node of an expression whose parts have theirs."""
        match expression:
            case And(operands):
                return self.junction(True, [self._of[id(operand)][1] for operand in operands])
            case Or(operands):
                return self.junction(False, [self._of[id(operand)][1] for operand in operands])
            case Not(operand):
                return self.negation(self._of[id(operand)][1])
            case Exists() | Compare():
                return self._leaf(expression)
            case Macro(name):
                raise ConditionError(f"undefined macro '{name}'")

    def _leaf(self, expression: Exists | Compare) -> int:
        left = self.take(expression.left)
        if isinstance(expression, Exists):
            return self._intern((left.key, "exists"), lambda: _exists(left))
        if isinstance(expression.right, Transformed):
            right = self.take(expression.right)
            key = (left.key, expression.operator, expression.modifier, right.key)
            return self._intern(key, lambda: _pair(left, expression, right))
        literals = (expression.right,) if isinstance(expression.right, Literal) else expression.right
        texts = tuple(literal.text for literal in literals)
        if left.key == EVENT_TYPE:
            self._check_event_types(expression.operator, texts)
        if not texts and left.extract is not None:
            # An empty list, to be filled by whoever needs it: only a transformer's empty result is in it.
            _test(left, expression.operator, texts, expression.modifier)
            return FALSE
        written = (left.key, expression.operator, expression.modifier, texts)
        return self._intern(written, lambda: _test(left, expression.operator, texts, expression.modifier))

    def _check_event_types(self, operator: str, literals: Sequence[str]) -> None:
        if operator in ("=", "!=", "in", "intersects"):
            for literal in literals:
                if literal not in self.source.event_types:
                    raise ConditionError(f"unknown event type {literal}", unknown=True)

    def _intern(self, key: object, make: Callable[[], Node]) -> int:
        number = self._numbers.get(key)
        if number is None:
            node = make()
            number = self._append(node)
            self._numbers[key] = number
        return number

    def _append(self, node: Node) -> int:
        """Add a node with what is known of it."""
        true = false = self._every_type
        parts: tuple[int, ...] = ()
        match node:
            case Junction(every, operands):
                parts = operands
                true = _all_of(self._true, parts) if every else _any_of(self._true, parts)
                false = _any_of(self._false, parts) if every else _all_of(self._false, parts)
            case Negation(operand):
                parts = (operand,)
                true, false = self._false[operand], self._true[operand]
            case Test(taken, compared) if taken.key == EVENT_TYPE:
                predicate = compared.predicate
                true = sum(1 << bit for bit, name in enumerate(self.types) if predicate(name))
                false = self._every_type & ~true
        self.nodes.append(node)
        self._levels.append(1 + max((self._levels[part] for part in parts), default=0))
        self._true.append(true)
        self._false.append(false)
        typed = isinstance(node, Test) and node.taken.key == EVENT_TYPE
        self._typed.append(typed or any(self._typed[part] for part in parts))
        return len(self.nodes) - 1

    def _specialised(self, number: int, event_type: str, new: Mapping[int, int]) -> int:
        match self.nodes[number]:
            case Junction(every, operands):
                return self.junction(every, [new[operand] for operand in operands])
            case Negation(operand):
                return self.negation(new[operand])
            case Test(_, compared):
                return TRUE if compared.predicate(event_type) else FALSE
            case _:
                return number


def _all_of(masks: Sequence[int], parts: Sequence[int]) -> int:
    result = -1
    for part in parts:
        result &= masks[part]
    return result


def _any_of(masks: Sequence[int], parts: Sequence[int]) -> int:
    result = 0
    for part in parts:
        result |= masks[part]
    return result


def _parts(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case And(operands) | Or(operands):
            return operands
        case Not(operand):
            return (operand,)
        case _:
            return ()


def _exists(left: Taken) -> Test:
    special = left.info.match("exists", ()) if left.info is not None else None
    return Test(left, Comparison(Kind.CALL, special) if special else Comparison(Kind.EXISTS), "exists", ())


def _test(left: Taken, operator: str, literals: tuple[str, ...], modifier: str) -> Test:
    try:
        compared = _special(left, operator, literals, modifier)
        return Test(left, compared or comparison(left.shape, operator, literals, modifier), operator, literals)
    except ValueError as error:
        raise ConditionError(f"{left.key} {operator}: {error}") from error


def _special(left: Taken, operator: str, literals: tuple[str, ...], modifier: str) -> Comparison | None:
    """The comparison that the field brings itself, if it does; with a modifier it must for every literal."""
    if left.info is None:
        return None
    if not modifier:
        predicate = left.info.match(operator, literals)
        return Comparison(Kind.CALL, predicate) if predicate else None
    predicates = [left.info.match(operator, (literal,)) for literal in literals]
    own = [predicate for predicate in predicates if predicate is not None]
    return Comparison(Kind.CALL, modified(own, modifier)) if own and len(own) == len(literals) else None


def _pair(left: Taken, compared: Compare, right: Taken) -> Pair:
    for side, reason in (
        (left, "doesn't support right-hand side fields"),
        (right, "can't be used as a right-hand side field"),
    ):
        if side.info is not None and (not side.info.right_side or side.shape.quantifier is not Quantifier.ONE):
            raise ConditionError(f"field '{side.key}' {reason}")
    try:
        if compared.modifier:
            raise ValueError(f"'{compared.modifier}' needs a list of values")
        return Pair(left, relation(left.shape, compared.operator, right.shape), right, compared.operator)
    except ValueError as error:
        raise ConditionError(f"{left.key} {compared.operator} {right.key}: {error}") from error
