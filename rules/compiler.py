"""Conditions to Python code: one function for all rules that events of one type can match.

The function keeps a list of slots for its event: values taken out of it and parts of conditions that are needed in
several places, each filled when first needed. What is built is a syntax tree (``ast``), in which literals are
constants: no text of a rule is ever read as Python.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rules.expression import Field, Transformed
from rules.folding import Constant, Graph, Junction, Negation, Pair, Test
from rules.operators import TEXT, Comparison, Kind
from rules.values import Taken, normal

Bucket = Callable[[Any], Sequence[int]]
"""Of an event: which of the bucket's conditions hold, in order."""

DEEPEST_INLINE = 20  # deeper parts become functions of their own: Python's compiler is recursive
_EVENT, _SLOTS, _HITS, _FOUND, _LEFT, _RIGHT = "event", "slots", "hits", "found", "left", "right"
_COMPARES: dict[Kind, type[ast.cmpop]] = {
    Kind.EQUAL: ast.Eq,
    Kind.UNEQUAL: ast.NotEq,
    Kind.MEMBER: ast.In,
    Kind.LESS: ast.Lt,
    Kind.LESS_EQUAL: ast.LtE,
    Kind.GREATER: ast.Gt,
    Kind.GREATER_EQUAL: ast.GtE,
}
_METHODS = {Kind.STARTS: "startswith", Kind.ENDS: "endswith"}
_MERGED = {Kind.EQUAL: Kind.MEMBER, Kind.MEMBER: Kind.MEMBER, Kind.STARTS: Kind.STARTS, Kind.ENDS: Kind.ENDS}

Known = frozenset[int]
"""Slots that are certainly filled at a place of the code."""


def compile_bucket(graph: Graph, roots: Sequence[int], match_all: bool = True) -> Bucket:
    """A function that gives the positions in ``roots`` of the conditions that hold for an event; without ``match_all``
    the first one only."""
    return _Writer(graph, roots).bucket(roots, match_all)


class _Writer:
    """Writes one bucket's functions. ``_shared``: nodes that have a slot and a function; by node, after which slots are
    filled when it was true, and when it was false."""

    def __init__(self, graph: Graph, roots: Sequence[int]) -> None:
        self._graph = graph
        self._names: dict[str, Any] = {}
        self._value_slots: dict[Field | Transformed, int] = {}
        self._slots = 0
        self._shared: dict[int, tuple[int, Known, Known]] = {}
        self._functions: list[ast.stmt] = []
        for number in self._to_share(roots):
            self._share(number)

    def bucket(self, roots: Sequence[int], match_all: bool) -> Bucket:
        known: Known = frozenset()
        statements: list[ast.stmt] = []
        for position, root in enumerate(roots):
            condition, true, false = self._condition(root, known)
            known = true & false if match_all else false
            found = _append(position) if match_all else ast.Return(_constant((position,)))
            statements.append(ast.If(condition, [found], []))
        blank = ast.BinOp(ast.List([_constant(...)], ast.Load()), ast.Mult(), _constant(self._slots))
        body = [_assign(_SLOTS, blank), *statements, ast.Return(_constant(()))]
        if match_all:
            body = [_assign(_HITS, ast.List([], ast.Load())), *body[:-1], ast.Return(_load(_HITS))]
        self._functions.append(_function("bucket", [_EVENT], body))
        module = ast.fix_missing_locations(ast.Module(self._functions, []))
        exec(compile(module, "<rules>", "exec"), self._names)  # noqa: S102 built above, without foreign text
        result: Bucket = self._names["bucket"]
        return result

    def _to_share(self, roots: Sequence[int]) -> list[int]:
        """Parts needed in several places that cost more than looking into a slot, and those too deep; parts first."""
        reachable = self._graph.reachable(roots)
        uses = Counter(roots)
        depths: dict[int, int] = {}
        for number in reachable:
            uses.update(self._graph.operands(number))
        chosen = []
        for number in reachable:
            depths[number] = 1 + max((depths[part] for part in self._graph.operands(number)), default=0)
            if depths[number] > DEEPEST_INLINE or (uses[number] > 1 and _is_dear(self._graph, number)):
                chosen.append(number)
                depths[number] = 0
        return chosen

    def _share(self, number: int) -> None:
        """Write the function that computes the part and fills its slot."""
        condition, true, false = self._condition(number, frozenset())
        slot = self._slot()
        store = ast.Assign([_load(_FOUND, ast.Store()), _slot(slot, ast.Store())], condition)
        self._functions.append(_function(_part_name(slot), [_EVENT, _SLOTS], [store, ast.Return(_load(_FOUND))]))
        filled = frozenset([slot])
        self._shared[number] = slot, true | filled, false | filled

    def _slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    def _condition(self, number: int, known: Known) -> tuple[ast.expr, Known, Known]:
        """Code for a node where ``known`` slots are filled; and which are when it was true, and when it was false."""
        if number in self._shared:
            slot, true, false = self._shared[number]
            return _filled(slot, _part_name(slot), known), known | true, known | false
        match self._graph.nodes[number]:
            case Constant(holds):
                return _constant(holds), known, known
            case Negation(operand):
                inner, true, false = self._condition(operand, known)
                return ast.UnaryOp(ast.Not(), inner), false, true
            case Junction(every, operands):
                return self._junction(every, self._flat(every, operands), known)
            case Test(taken, compared):
                code, after = self._test(taken, compared, known)
                return code, after, after
            case Pair() as pair:
                return self._pair(pair, known)

    def _junction(self, every: bool, operands: Sequence[int], known: Known) -> tuple[ast.expr, Known, Known]:
        """In an and, each operand is reached when those before were true; it ends early when one was false."""
        codes: list[ast.expr] = []
        ends: Known | None = None
        rest, groups = self._merged(every, operands)
        for taken, compared in groups:
            code, known = self._test(taken, compared, known)
            codes.append(ast.UnaryOp(ast.Not(), code) if every else code)
            ends = known if ends is None else ends & known
        for operand in rest:
            code, true, false = self._condition(operand, known)
            codes.append(code)
            known, end = (true, false) if every else (false, true)
            ends = end if ends is None else ends & end
        whole = codes[0] if len(codes) == 1 else ast.BoolOp(ast.And() if every else ast.Or(), codes)
        assert ends is not None
        return (whole, known, ends) if every else (whole, ends, known)

    def _flat(self, every: bool, operands: Sequence[int]) -> list[int]:
        """With the operands of inner junctions of the same kind, and cheap comparisons first: nothing here has side
        effects, so order is free."""
        flat: list[int] = []
        for operand in operands:
            node = self._graph.nodes[operand]
            if isinstance(node, Junction) and node.every is every and operand not in self._shared:
                flat += self._flat(every, node.operands)
            else:
                flat.append(operand)
        return sorted(dict.fromkeys(flat), key=lambda operand: not _is_cheap(self._graph.nodes[operand]))

    def _merged(self, every: bool, operands: Sequence[int]) -> tuple[list[int], list[tuple[Taken, Comparison]]]:
        """Alternatives of one value as one comparison: of an or the comparisons, of an and the negated ones (which then
        must be negated). The other operands stay as they are."""
        groups: dict[tuple[Field | Transformed, Kind], list[tuple[int, Test]]] = {}
        for operand in operands:
            node = self._graph.nodes[operand]
            test = self._graph.nodes[node.operand] if every and isinstance(node, Negation) else node
            wanted = isinstance(node, Negation) if every else True
            if wanted and isinstance(test, Test) and test.comparison.kind in _MERGED:
                groups.setdefault((test.taken.key, _MERGED[test.comparison.kind]), []).append((operand, test))
        several = {key: tests for key, tests in groups.items() if len(tests) > 1}
        gone = {operand for tests in several.values() for operand, _ in tests}
        merged = [
            (tests[0][1].taken, _union(kind, [test for _, test in tests])) for (_, kind), tests in several.items()
        ]
        return [operand for operand in operands if operand not in gone], merged

    def _test(self, taken: Taken, compared: Comparison, known: Known) -> tuple[ast.expr, Known]:
        value, known = self._value(taken, known)
        kind, constant = compared.kind, compared.constant
        if kind is Kind.EXISTS:
            return _is_there(value), known
        if kind in (Kind.EQUAL, Kind.MEMBER):  # a missing value equals nothing
            return ast.Compare(value, [_COMPARES[kind]()], [_constant(constant)]), known
        left = _load(_LEFT)
        if kind in _COMPARES:
            holds: ast.expr = ast.Compare(left, [_COMPARES[kind]()], [_constant(constant)])
        elif kind in _METHODS:
            holds = _call(ast.Attribute(left, _METHODS[kind], ast.Load()), _constant(constant))
        elif kind is Kind.CONTAINS:
            holds = ast.Compare(_constant(constant), [ast.In()], [left])
        else:
            holds = _call(_load(self._name(constant)), left)
        return ast.BoolOp(ast.And(), [_is_there(_named(_LEFT, value)), holds]), known

    def _pair(self, pair: Pair, known: Known) -> tuple[ast.expr, Known, Known]:
        left, early = self._value(pair.left, known)
        right, known = self._value(pair.right, early)
        holds = _call(_load(self._name(pair.relation)), _load(_LEFT), _load(_RIGHT))
        there = [_is_there(_named(_LEFT, left)), _is_there(_named(_RIGHT, right))]
        return ast.BoolOp(ast.And(), [*there, holds]), known, early

    def _value(self, taken: Taken, known: Known) -> tuple[ast.expr, Known]:
        slot = self._value_slots.get(taken.key)
        if slot is None:
            slot = self._value_slots[taken.key] = self._slot()
            self._names[_value_name(slot)] = _reader(slot, taken)
        return _filled(slot, _value_name(slot), known), known | {slot}

    def _name(self, function: Callable[..., object]) -> str:
        name = f"call{len(self._names)}"
        self._names[name] = function
        return name


def _reader(slot: int, taken: Taken) -> Callable[[Any, list[Any]], Any]:
    """Takes the value out of the event and fills the slot."""
    extract = taken.extract
    if extract is None or not taken.is_single:

        def read(event: Any, slots: list[Any]) -> Any:
            value = slots[slot] = taken.value(event)
            return value

        return read
    if taken.shape.type in TEXT:

        def read_text(event: Any, slots: list[Any]) -> Any:
            value: Any = extract(event)
            if value is not None and "\0" in value:
                value = normal(value)
            slots[slot] = value
            return value

        return read_text

    def read_other(event: Any, slots: list[Any]) -> Any:
        value = slots[slot] = extract(event)
        return value

    return read_other


def _union(kind: Kind, tests: Sequence[Test]) -> Comparison:
    constants: list[Any] = []
    for test in tests:
        constant = test.comparison.constant
        constants += constant if isinstance(constant, tuple | frozenset) else [constant]
    return Comparison(kind, frozenset(constants) if kind is Kind.MEMBER else tuple(dict.fromkeys(constants)))


def _is_cheap(node: object) -> bool:
    return isinstance(node, Test) and node.comparison.kind in (Kind.EQUAL, Kind.MEMBER)


def _is_dear(graph: Graph, number: int) -> bool:
    node = graph.nodes[number]
    return isinstance(node, Junction | Pair) or (isinstance(node, Test) and node.comparison.kind is Kind.CALL)


def _part_name(slot: int) -> str:
    return f"part{slot}"


def _value_name(slot: int) -> str:
    return f"value{slot}"


def _filled(slot: int, name: str, known: Known) -> ast.expr:
    """What is in the slot. An empty one (if it is not known to be filled) the function ``name`` is called to fill."""
    if slot in known:
        return _slot(slot)
    full = ast.Compare(_named(_FOUND, _slot(slot)), [ast.IsNot()], [_constant(...)])
    return ast.IfExp(full, _load(_FOUND), _call(_load(name), _load(_EVENT), _load(_SLOTS)))


def _slot(slot: int, context: ast.expr_context | None = None) -> ast.expr:
    return ast.Subscript(_load(_SLOTS), _constant(slot), context or ast.Load())


def _load(name: str, context: ast.expr_context | None = None) -> ast.expr:
    return ast.Name(name, context or ast.Load())


def _named(name: str, value: ast.expr) -> ast.expr:
    return ast.NamedExpr(ast.Name(name, ast.Store()), value)


def _is_there(value: ast.expr) -> ast.expr:
    return ast.Compare(value, [ast.IsNot()], [_constant(None)])


def _constant(value: Any) -> ast.expr:
    return ast.Constant(value)


def _call(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    return ast.Call(function, list(arguments), [])


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _append(position: int) -> ast.stmt:
    return ast.Expr(_call(ast.Attribute(_load(_HITS), "append", ast.Load()), _constant(position)))


def _function(name: str, parameters: Sequence[str], body: Sequence[ast.stmt]) -> ast.stmt:
    arguments = ast.arguments([], [ast.arg(one) for one in parameters], None, [], [], None, [])
    return ast.FunctionDef(name, arguments, list(body), [])
