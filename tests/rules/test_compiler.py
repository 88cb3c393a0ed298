"""Conditions as code: what is evaluated when, and that no condition and no value upsets it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compiler import compile_bucket
from rules.expression import And, Compare, Expression, Literal, Macro, Not, Or
from rules.fields import FieldInfo, Type
from rules.folding import DEEPEST, FALSE, TRUE, Graph
from rules.values import DEEPEST_TRANSFORMER, ConditionError
from tests.rules.toy import Event, Toy, check, exists, transformed

OPEN, EXECVE = check("evt.type", "=", "open"), check("evt.type", "=", "execve")
A, B = check("t.string", "=", "a"), check("t.other", "glob", "b*")


class Counting(Toy):
    """Counts how often each field is taken out of an event."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()
        self.fields = {name: self._counted(info) for name, info in self.fields.items()}

    def _counted(self, info: FieldInfo) -> FieldInfo:
        def extractor(argument: str | None) -> Any:
            get = info.extractor(argument)

            def counted(event: Event) -> Any:
                self.taken[info.name] += 1
                return get(event)

            return counted

        return replace(info, extractor=extractor)


def hits(conditions: list[Expression], event: Event, *, match_all: bool = True) -> list[int]:
    graph = Graph(Toy())
    return list(compile_bucket(graph, [graph.add(each) for each in conditions], match_all)(event))


def test_all_matching_conditions_are_told_in_order_or_the_first_only() -> None:
    """By their positions."""
    event = {"t.string": "a", "t.other": "bb"}
    conditions: list[Expression] = [Not(A), A, And((A, B)), B]
    assert hits(conditions, event) == [1, 2, 3]
    assert hits(conditions, event, match_all=False) == [1]
    assert hits(conditions, {"t.string": "b"}) == [0]
    assert hits([], event) == []


def test_a_field_is_taken_once_an_event_and_only_when_it_is_needed() -> None:
    """However many conditions ask for it."""
    source = Counting()
    graph = Graph(source)
    conditions = [And((A, B)), And((A, Not(B))), Or((A, check("t.path", "startswith", "/"))), B]
    bucket = compile_bucket(graph, [graph.add(each) for each in conditions])
    bucket({"t.string": "a", "t.other": "b"})
    assert source.taken == {"t.string": 1, "t.other": 1}
    bucket({})
    assert source.taken == {"t.string": 2, "t.other": 2, "t.path": 1}


def test_a_missing_field_too_is_taken_once() -> None:
    """That it is missing is remembered."""
    source = Counting()
    graph = Graph(source)
    compile_bucket(graph, [graph.add(each) for each in (A, Not(A), exists("t.string"))])({})
    assert source.taken == {"t.string": 1}


def test_a_shared_part_is_evaluated_once() -> None:
    """A macro's tree that stands in several conditions, or equal parts that came apart."""
    evaluated: Counter[str] = Counter()
    source = Toy()

    def predicate(_value: str) -> bool:
        evaluated["special"] += 1
        return True

    source.fields["t.special"] = replace(source.fields["t.special"], match=lambda _operator, _literals: predicate)
    graph = Graph(source)
    shared = And((exists("t.string"), check("t.special", "=", "x")))
    same = And((exists("t.string"), check("t.special", "=", "x")))
    conditions = [And((shared, A)), And((shared, B)), Not(shared), Or((same, B))]
    bucket = compile_bucket(graph, [graph.add(each) for each in conditions])
    assert list(bucket({"t.string": "a", "t.special": "", "t.other": "b"})) == [0, 1, 3]
    assert evaluated == {"special": 1}


def test_alternatives_of_one_field_are_one_comparison() -> None:
    """Equality, membership, and starts and ends of texts; negated ones under an and."""
    starts = Or(tuple(check("t.string", "startswith", text) for text in ("/a", "/b", "/c")))
    names = Or((check("t.string", "=", "x"), check("t.string", "in", "y", "z"), exists("t.other")))
    none = And((Not(check("t.string", "endswith", "1")), Not(check("t.string", "endswith", "2")), exists("t.other")))
    event = {"t.string": "/b1", "t.other": ""}
    assert [hits([each], event) for each in (starts, names, none)] == [[0], [0], []]
    assert [hits([each], {"t.string": "z"}) for each in (starts, names, none)] == [[], [0], []]
    assert [hits([each], {"t.other": "z"}) for each in (starts, names, none)] == [[], [0], [0]]


def test_comparisons_of_the_event_type_are_decided_before_any_event() -> None:
    """A condition is specialised for a type; one that can not hold for it is gone, and so is what always holds."""
    graph = Graph(Toy())
    nodes = [graph.add(each) for each in (And((OPEN, A)), And((Not(OPEN), A)), Or((OPEN, A)), A)]
    just_a = nodes[3]
    assert graph.specialised(nodes, "open") == [just_a, FALSE, TRUE, just_a]
    assert graph.specialised(nodes, "execve") == [FALSE, just_a, just_a, just_a]


@pytest.mark.parametrize(
    ("condition", "types"),
    [
        (OPEN, {"open"}),
        (And((OPEN, A)), {"open"}),
        (Or((OPEN, EXECVE)), {"open", "execve"}),
        (Or((OPEN, A)), Toy.event_types),
        (Not(OPEN), Toy.event_types - {"open"}),
        (Not(And((OPEN, A))), Toy.event_types),
        (And((OPEN, EXECVE)), set()),
        (And((Or((And((OPEN, A)), EXECVE)), Not(EXECVE))), {"open"}),
        (check("evt.type", "startswith", "open"), {"open", "openat"}),
        (check("evt.type", "in", "connect", "openat"), {"connect", "openat"}),
        (check("evt.type", "!=", "open"), Toy.event_types - {"open"}),
        (exists("evt.type"), Toy.event_types),
        (A, Toy.event_types),
    ],
)
def test_the_event_types_of_a_condition(condition: Expression, types: set[str]) -> None:
    """Those for which it can hold."""
    graph = Graph(Toy())
    assert graph.event_types(graph.add(condition)) == types


@pytest.mark.parametrize(
    "text",
    ["'", '"', "\\", "\n", "\0", "\udc80", "{}", "%s", "__import__('os')", "event", "slots", "None", "é" * 1000, ""],
)
def test_text_of_rules_is_never_code(text: str) -> None:
    """Whatever it is, it is compared with and nothing else."""
    for operator in ("=", "in", "startswith", "contains", "icontains", "pmatch"):
        assert hits([check("t.string", operator, text)], {"t.string": text.partition("\0")[0]}) == [0]


def test_an_empty_list_holds_for_nothing_and_asks_for_nothing() -> None:
    """Lists left for others to fill neither cost nor count; but an empty result is within an empty list."""
    graph = Graph(Toy())
    empty = graph.add(check("t.varying", "in"))
    assert empty == FALSE
    assert graph.add(Or((A, check("t.strings", "intersects")))) == graph.add(A)
    options = transformed("getopt", "t.strings", Literal("a"))
    assert hits([check(options, "in"), check(options, "intersects")], {"t.strings": ("x",)}) == [0]


def nested(levels: int) -> Expression:
    """And, or and not in turn, so that nothing can be flattened: true for every event without t.string."""
    tree: Expression = Not(A)
    for level in range(levels):
        tree = And((Not(Or((Not(tree), A))), Not(check("t.integer", "=", str(level)))))
    return tree


def test_deep_conditions() -> None:
    """Up to a thousand levels are compiled and evaluated; deeper ones are refused."""
    assert hits([nested(150)], {}) == [0]
    assert hits([nested(150)], {"t.integer": 3}) == []
    with pytest.raises(ConditionError, match=f"nested deeper than {DEEPEST} levels"):
        Graph(Toy()).add(nested(5000))


def test_wide_conditions() -> None:
    """Thousands of alternatives."""
    condition = Or(tuple(check("t.string", "glob", f"x{number}*") for number in range(3000)))
    assert hits([condition], {"t.string": "x2999"}) == [0]


def test_trees_that_share_much_stay_small() -> None:
    """Fifty levels, each used twice by the next: as a tree it would have 2 to the 50th parts."""
    tree: Expression = A
    for level in range(50):
        tree = And((Or((tree, check("t.integer", "=", str(level)))), Or((tree, B))))
    assert hits([tree], {"t.string": "a"}) == [0]
    assert hits([tree], {"t.string": "b"}) == []


def test_transformers_can_not_be_nested_without_end() -> None:
    """Too many are refused."""
    left = transformed("tolower", "t.string")
    for _ in range(DEEPEST_TRANSFORMER - 1):
        left = transformed("tolower", left)
    assert hits([check(left, "=", "a")], {"t.string": "A"}) == [0]
    for _ in range(20_000):
        left = transformed("tolower", left)
    with pytest.raises(ConditionError, match="transformers are nested deeper"):
        Graph(Toy()).add(exists(left))


def test_a_macro_must_be_resolved_before() -> None:
    """The compiler takes none."""
    with pytest.raises(ConditionError, match="undefined macro 'open_read'"):
        Graph(Toy()).add(And((A, Macro("open_read"))))


TEXTS = st.one_of(st.text(max_size=20), st.text(alphabet="\0\ud800\udc80a/", max_size=6))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "t.string": TEXTS,
    "t.path": TEXTS,
    "t.other": TEXTS,
    "t.integer": st.integers(),
    "t.port": st.integers(),
    "t.boolean": st.booleans(),
    "t.address": st.ip_addresses(),
    "t.network": st.ip_addresses(),
    "t.bytes": st.binary(max_size=20),
    "t.strings": st.lists(TEXTS, max_size=3).map(tuple),
    "t.names": st.lists(TEXTS, max_size=3).map(tuple),
    "t.ends": st.lists(st.ip_addresses(), max_size=3).map(tuple),
    "t.networks": st.lists(st.ip_addresses(), max_size=3).map(tuple),
}
TEXTUAL = (
    "=",
    "!=",
    "<",
    ">",
    "contains",
    "icontains",
    "startswith",
    "endswith",
    "glob",
    "iglob",
    "regex",
    "in",
    "pmatch",
)


def everything() -> list[Expression]:
    """Every operator for every type, and every transformer."""
    conditions: list[Compare] = [check(name, op, "a") for name in ("t.string", "t.path", "t.names") for op in TEXTUAL]
    conditions += [check(name, op, "1") for name in ("t.integer", "t.port") for op in ("=", "!=", "<", ">=", "in")]
    conditions += [check("t.boolean", op, "true") for op in ("=", "!=", "in")]
    conditions += [check(name, op, "::1") for name in ("t.address", "t.ends") for op in ("=", "!=", "in")]
    conditions += [
        check(name, op, "::/1", "0.0.0.0/1") for name in ("t.network", "t.networks") for op in ("in", "intersects")
    ]
    conditions += [check("t.bytes", op, "ab") for op in ("=", "contains", "startswith", "endswith", "bcontains", "in")]
    conditions += [check("t.strings", op, "a") for op in ("in", "intersects")]
    lefts = [transformed(name, "t.string") for name in ("tolower", "toupper", "basename", "b64")]
    lefts += [transformed("join", "t.other", "t.strings"), transformed("concat", "t.string", "t.other")]
    lefts += [
        transformed("getopt", "t.strings", "t.other", index="a"),
        transformed("b64", transformed("b64", "t.other")),
    ]
    conditions += [check(left, op, "a") for left in lefts for op in TEXTUAL]
    conditions += [check("t.string", op, transformed("val", "t.other")) for op in TEXTUAL[:-3]]
    conditions += [check(transformed("len", each), ">", "1") for each in ("t.string", "t.bytes", "t.strings")]
    conditions += [check(transformed("getopt", "t.strings", Literal("a:")), "in", "a")]
    return [*conditions, *(Not(each) for each in conditions)]


GRAPH = Graph(Toy())
EVERYTHING = compile_bucket(GRAPH, [GRAPH.add(each) for each in everything()])


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_evaluation_never_raises(event: dict[str, Any]) -> None:
    """Whatever the values; and of a comparison and its negation exactly one holds."""
    found = set(EVERYTHING(event))
    half = len(everything()) // 2
    assert {position % half for position in found} == set(range(half))
    assert len(found) == half


def test_every_type_of_field_is_tried_above() -> None:
    """But times, which are integers."""
    tried = {Toy().fields[name].type for name in VALUES}
    assert tried == set(Type) - {Type.TIME, Type.DURATION}
