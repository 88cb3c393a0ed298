"""What of a condition holds for any event of a behaviour: never less than the condition itself."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.compiler import compile_bucket
from rules.expression import And, Expression, Not, Or
from rules.folding import TRUE, Graph
from rules.relaxing import Relaxing
from tests.rules.interpreter import holds
from tests.rules.test_differential import conditions, random_event
from tests.rules.toy import Toy, check, exists, transformed

SOURCE = Toy()
FIXED = check("t.string", "=", "a")
VARYING = check("t.varying", "=", "a")
PARTLY = check("t.partly", "=", "a")
MOSTLY, NOT_MOSTLY = check("t.mostly", "=", "a"), check("t.mostly", "=", "b")


def relaxed(condition: Expression, event: dict[str, Any]) -> bool:
    graph = Graph(SOURCE)
    nodes = graph.specialised([graph.add(condition)], event["evt.type"])
    return bool(compile_bucket(graph, Relaxing(graph, event["evt.type"]).relaxed(nodes))(event))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (VARYING, True),
        (Not(VARYING), True),
        (And((FIXED, VARYING)), False),
        (And((Not(FIXED), VARYING)), True),
        (And((Not(FIXED), Not(VARYING))), True),
        (Not(And((FIXED, VARYING))), True),
        (Not(Or((VARYING, Not(FIXED)))), False),
        (Not(And((VARYING, Not(FIXED)))), True),
        (Or((FIXED, Not(Or((Not(VARYING), FIXED))))), True),
        (exists("t.varying"), True),
        (check(transformed("tolower", "t.varying"), "=", "a"), True),
        (check("t.string", "=", transformed("val", "t.varying")), True),
        (check(transformed("concat", "t.other", "t.string"), "=", "a"), False),
    ],
)
def test_a_varying_comparison_counts_as_true_and_so_does_its_negation(condition: Expression, expected: bool) -> None:
    """Whatever stands around it; what does not vary stays exact. The event is without any field."""
    assert relaxed(condition, {"evt.type": "open"}) is expected


@pytest.mark.parametrize(
    ("condition", "event", "expected"),
    [
        (PARTLY, {"evt.type": "openat"}, False),
        (PARTLY, {"evt.type": "openat", "t.partly": "a"}, True),
        (PARTLY, {"evt.type": "openat", "loose": 1}, True),
        (PARTLY, {"evt.type": "open", "loose": 1}, False),
        (Not(PARTLY), {"evt.type": "openat", "t.partly": "a"}, False),
        (Not(PARTLY), {"evt.type": "openat", "t.partly": "a", "loose": 1}, True),
        (Not(PARTLY), {"evt.type": "open", "t.partly": "a", "loose": 1}, False),
        (MOSTLY, {"evt.type": "open"}, True),
        (Not(MOSTLY), {"evt.type": "open"}, False),
        (Not(MOSTLY), {"evt.type": "open", "loose": 1}, True),
        (NOT_MOSTLY, {"evt.type": "open"}, False),
        (NOT_MOSTLY, {"evt.type": "open", "loose": 1}, True),
        (Not(NOT_MOSTLY), {"evt.type": "open", "loose": 1}, True),
        (check("t.string", "=", transformed("val", "t.partly")), {"evt.type": "openat", "loose": 1}, True),
        (check("t.string", "=", transformed("val", "t.partly")), {"evt.type": "openat"}, False),
    ],
)
def test_a_comparison_may_vary_for_some_events_only(
    condition: Expression, event: dict[str, Any], expected: bool
) -> None:
    """Where the field says that it does not, by type or by event, it is exact."""
    assert relaxed(condition, event) is expected


def test_what_does_not_vary_is_the_condition_itself() -> None:
    """Not a copy, so that it costs nothing more; what varies altogether is nothing at all."""
    graph = Graph(SOURCE)
    fixed, varying = And((FIXED, Not(check("t.integer", ">", "1")))), Or((VARYING, FIXED))
    nodes = [graph.add(each) for each in (fixed, varying, PARTLY)]
    assert Relaxing(graph, "open").relaxed(nodes) == [nodes[0], TRUE, nodes[2]]


def test_a_condition_of_the_greatest_depth_can_be_relaxed() -> None:
    """The limit is for what is written, not for what is made of it."""
    condition: Expression = And((FIXED, PARTLY))
    for _ in range(499):
        condition = And((FIXED, Not(condition)))
    assert relaxed(condition, {"evt.type": "openat", "loose": 1, "t.string": "a"})


@st.composite
def varying_conditions(draw: st.DrawFn) -> list[Expression]:
    """Random conditions, some of whose comparisons vary always or where the event says so."""
    found = []
    for condition in draw(conditions()):
        extra = draw(
            st.lists(st.sampled_from((VARYING, PARTLY, MOSTLY, NOT_MOSTLY, Not(VARYING), Not(PARTLY))), max_size=2)
        )
        joined = And((condition, *extra)) if draw(st.booleans()) else Or((condition, *extra))
        found.append(Not(joined) if draw(st.booleans()) else joined)
    return found


def _again(event: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Another event of the behaviour."""
    other = dict(event)
    names = ["t.varying"]
    if event.get("loose") and event["evt.type"] != "open":
        names.append("t.partly")
    if event.get("loose"):
        names.append("t.mostly")
    for name in names:
        other.pop(name, None)
        if chance.random() < 0.8:
            other[name] = chance.choice(("a", "b", ""))
    return other


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(varying_conditions(), st.integers(0, 2**32))
def test_where_the_relaxed_form_is_false_no_event_of_the_behaviour_matches(wanted: list[Expression], seed: int) -> None:
    """By the plain interpreter, over random events; and it says the same of all of them."""
    graph, chance = Graph(SOURCE), random.Random(seed)
    nodes = [graph.add(condition) for condition in wanted]
    buckets = {}
    for event_type in SOURCE.event_types:
        exact = graph.specialised(nodes, event_type)
        buckets[event_type] = compile_bucket(graph, Relaxing(graph, event_type).relaxed(exact))
    for _ in range(20):
        event = random_event(chance) | {"loose": chance.random() < 0.5, "t.partly": chance.choice(("a", "b"))}
        event["t.mostly"] = chance.choice(("a", "b"))
        possible = set(buckets[event["evt.type"]](event))
        for other in (event, *(_again(event, chance) for _ in range(4))):
            matched = {index for index, condition in enumerate(wanted) if holds(condition, other, SOURCE)}
            assert matched <= possible
            assert set(buckets[event["evt.type"]](other)) == possible
