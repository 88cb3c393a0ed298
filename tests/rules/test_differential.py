"""The compiled form of random conditions against the plain interpreter, over random events."""

from __future__ import annotations

import ipaddress
import os
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.compiler import compile_bucket
from rules.expression import And, Compare, Exists, Expression, Literal, Not, Or, Transformed
from rules.fields import Type
from rules.folding import FALSE, Graph
from rules.possibility import Possibility
from tests.rules.interpreter import holds, value
from tests.rules.toy import Toy, check, exists, field, transformed

CASES = int(os.environ.get("WATCHKEEPER_TEST_DIFFERENTIAL_CASES", "2000"))
EVENTS = 20  # for each set of conditions
CONDITIONS = 4  # most in one set; a case is one condition with one event
SOURCE = Toy()

TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "abc",
    "/a",
    "/a/b",
    "/a/b/c",
    "/ab",
    "a*b",
    "é",
    "x\0y",
    "\udc80",
    "-ax",
    "YWI=",
)
PATTERNS = (*TEXTS, "*", "a*", "*b", "?", "[ab]?", "[!a]*", "/*/b", "\\a", "/a/*")
REGEXES = ("a", "a.*", ".*b", "[[:alpha:]]+", "(a|ab)(c|bcd)?", "^a$", "")
NUMBERS = ("0", "1", "80", "-1", "0x50", "443")
PORTS = ("0", "80", "443", "http", "https")
ADDRESSES = ("10.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fe80::1")
NETWORKS = ("10.0.0.0/8", "10.0.0.1/24", "192.168.0.0/16", "0.0.0.0/0", "::/0", "fe80::/10")
BOOLEANS = ("true", "false")
HEX = ("61", "6162", "00", "")
LITERALS: dict[Type, Sequence[str]] = {
    Type.STRING: TEXTS,
    Type.PATH: TEXTS,
    Type.INTEGER: NUMBERS,
    Type.BOOLEAN: BOOLEANS,
    Type.PORT: PORTS,
    Type.ADDRESS: ADDRESSES,
    Type.NETWORK: NETWORKS,
    Type.BYTES: ("", "a", "ab", "b"),
    Type.TIME: NUMBERS,
    Type.DURATION: NUMBERS,
}
EQUALITY = ("=", "!=")
ORDER = ("<", "<=", ">", ">=")
TEXTUAL = (*EQUALITY, *ORDER, "contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex")
OPERATORS: dict[Type, Sequence[str]] = {
    Type.STRING: TEXTUAL,
    Type.PATH: TEXTUAL,
    Type.BYTES: (*EQUALITY, "contains", "startswith", "endswith", "bcontains", "bstartswith"),
    Type.BOOLEAN: EQUALITY,
    Type.ADDRESS: EQUALITY,
    Type.NETWORK: EQUALITY,
}
SINGLE = {f"t.{kind.value}": kind for kind in Type} | {
    "t.other": Type.STRING,
    "t.names": Type.STRING,
    "t.names[1]": Type.STRING,
    "t.key[a]": Type.STRING,
    "t.varying": Type.STRING,
    "t.ends": Type.ADDRESS,
    "t.endports": Type.PORT,
    "t.endnets": Type.NETWORK,
}
LISTS = {f"t.{kind.value}s": kind for kind in Type if kind is not Type.BYTES}
PLAIN_TEXTS = ("t.string", "t.path", "t.other", "t.key[a]")
KNOWN = ("evt.type", "t.string", "t.integer", "t.ends", "t.strings", "t.names[1]")
TEXT_LISTS = ("t.strings", "t.paths")


def literals(kind: Type, operator: str) -> st.SearchStrategy[str]:
    if operator in ("bcontains", "bstartswith"):
        return st.sampled_from(HEX)
    if operator == "regex":
        return st.sampled_from(REGEXES)
    if operator in ("glob", "iglob", "pmatch"):
        return st.sampled_from(PATTERNS)
    return st.sampled_from(LITERALS[kind])


@st.composite
def texts(draw: st.DrawFn) -> str | Transformed:
    """What is one text."""
    choice = draw(st.integers(0, 7))
    if choice < 3:
        return draw(st.sampled_from(PLAIN_TEXTS))
    if choice == 3:
        return transformed("join", Literal(draw(st.sampled_from(("", "-")))), draw(lists()))
    if choice == 4:
        return transformed("concat", draw(st.sampled_from(PLAIN_TEXTS)), Literal("x"), draw(texts()))
    if choice == 5:
        return transformed("getopt", draw(lists()), Literal(draw(st.sampled_from(("ax", "a:b", ":ab:")))), index="a")
    return transformed(draw(st.sampled_from(("tolower", "toupper", "basename", "b64", "val"))), draw(texts()))


@st.composite
def lists(draw: st.DrawFn) -> str | Transformed:
    """What is a list of texts."""
    choice = draw(st.integers(0, 5))
    if choice == 0:
        return transformed(draw(st.sampled_from(("tolower", "basename", "b64"))), draw(st.sampled_from(TEXT_LISTS)))
    if choice == 1:
        return transformed("getopt", draw(st.sampled_from(TEXT_LISTS)), Literal("ab:"))
    if choice == 2:
        return transformed("list", draw(st.sampled_from(PLAIN_TEXTS)), Literal("a"))
    return draw(st.sampled_from(TEXT_LISTS))


@st.composite
def of_event_type(draw: st.DrawFn) -> Compare:
    types = sorted(SOURCE.event_types)
    if draw(st.booleans()):
        return check("evt.type", "in", *draw(st.lists(st.sampled_from(types), max_size=3)))
    operator = draw(st.sampled_from(("=", "!=", "startswith")))
    return check("evt.type", operator, draw(st.sampled_from(types)))


@st.composite
def of_fields(draw: st.DrawFn) -> Compare:
    name = draw(st.sampled_from(sorted(SINGLE)))
    kind = SINGLE[name]
    operator = draw(st.sampled_from((*OPERATORS.get(kind, (*EQUALITY, *ORDER)), "in", "intersects")))
    if kind in (Type.STRING, Type.PATH) and draw(st.integers(0, 7)) == 0:
        operator = "pmatch"
    values = draw(st.lists(literals(kind, operator), min_size=1, max_size=3))
    if operator in ("in", "intersects", "pmatch"):
        return check(name, operator, *values)
    modifier = draw(st.sampled_from(("", "", "oneof", "anyof", "allof")))
    return check(name, operator, *values, modifier=modifier)


@st.composite
def of_lists(draw: st.DrawFn) -> Compare:
    operator = draw(st.sampled_from(("in", "intersects")))
    if draw(st.booleans()):
        return check(draw(lists()), operator, *draw(st.lists(st.sampled_from(TEXTS), max_size=4)))
    name = draw(st.sampled_from(sorted(LISTS)))
    return check(name, operator, *draw(st.lists(literals(LISTS[name], operator), max_size=4)))


@st.composite
def of_transformed(draw: st.DrawFn) -> Compare:
    if draw(st.booleans()):
        length = transformed("len", draw(st.one_of(texts(), lists(), st.just("t.bytes"))))
        return check(length, draw(st.sampled_from((*EQUALITY, *ORDER))), draw(st.sampled_from(("0", "1", "2", "3"))))
    operator = draw(st.sampled_from(TEXTUAL))
    return check(draw(texts()), operator, draw(literals(Type.STRING, operator)))


@st.composite
def of_two_sides(draw: st.DrawFn) -> Compare:
    operator = draw(st.sampled_from((*TEXTUAL[:-1], "in", "intersects")))
    if draw(st.booleans()):
        return check(draw(texts()), operator, transformed("val", draw(texts())))
    operator = draw(st.sampled_from(("in", "intersects")))
    return check(draw(lists()), operator, transformed("val", draw(lists())))


SPECIAL = st.builds(check, st.just("t.special"), st.sampled_from(("=", "!=")), st.sampled_from(("0", "1", "2")))
EXISTING = st.builds(exists, st.one_of(st.sampled_from(sorted({**SINGLE, **LISTS})), texts(), lists()))
CHECKS: st.SearchStrategy[Compare | Exists] = st.one_of(
    of_event_type(), of_fields(), of_fields(), of_lists(), of_transformed(), of_two_sides(), SPECIAL, EXISTING
)


@st.composite
def conditions(draw: st.DrawFn) -> list[Expression]:
    """Some conditions that share subtrees, as those with macros do."""
    pool: list[Expression] = list(draw(st.lists(CHECKS, min_size=2, max_size=8)))
    for _ in range(draw(st.integers(0, 8))):
        chosen = draw(st.lists(st.sampled_from(range(len(pool))), min_size=1, max_size=4))
        operands = tuple(pool[index] for index in chosen)
        match draw(st.integers(0, 2)):
            case 0:
                pool.append(Not(operands[0]))
            case 1:
                pool.append(And(operands))
            case _:
                pool.append(Or(operands))
    return pool[-draw(st.integers(1, CONDITIONS)) :]


def random_event(chance: random.Random) -> dict[str, Any]:
    """Every field is missing now and then."""
    event: dict[str, Any] = {}
    for name, kind in {**SINGLE, "t.special": Type.STRING}.items():
        if chance.random() < 0.8:
            event[name] = _value(kind, chance)
    several = {
        **LISTS,
        "t.names": Type.STRING,
        "t.ends": Type.ADDRESS,
        "t.endports": Type.PORT,
        "t.endnets": Type.NETWORK,
    }
    for name, kind in several.items():
        if chance.random() < 0.8:
            event[name] = tuple(_value(kind, chance) for _ in range(chance.randint(0, 3)))
    return event | {"evt.type": chance.choice(sorted(SOURCE.event_types))}


def _value(kind: Type, chance: random.Random) -> Any:
    match kind:
        case Type.BOOLEAN:
            return chance.random() < 0.5
        case Type.ADDRESS | Type.NETWORK:
            return ipaddress.ip_address(chance.choice(ADDRESSES))
        case Type.BYTES:
            return chance.choice((b"", b"a", b"ab", b"abc", b"\x00a", b"\xff", b"YQ"))
        case Type.STRING | Type.PATH:
            return chance.choice(TEXTS) if chance.random() < 0.7 else chance.choice(TEXTS) + chance.choice(TEXTS)
    return chance.choice((0, 1, 80, 443, -1, 2**70))


@settings(
    max_examples=max(1, -(-CASES // (EVENTS * 2))),  # two conditions in a set on average, at least
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(conditions(), st.integers(0, 2**32))
def test_compiled_conditions_hold_exactly_when_the_interpreter_says_so(wanted: list[Expression], seed: int) -> None:
    """All of a bucket's rules match what the plain reading of their trees matches; the first-match form the first of
    them; and nothing that is said to be impossible happens."""
    graph = Graph(SOURCE)
    nodes = [graph.add(condition) for condition in wanted]
    special = {event_type: graph.specialised(nodes, event_type) for event_type in SOURCE.event_types}
    generic = compile_bucket(graph, nodes)
    every = {event_type: compile_bucket(graph, roots) for event_type, roots in special.items()}
    first = {event_type: compile_bucket(graph, roots, match_all=False) for event_type, roots in special.items()}
    chance = random.Random(seed)
    for _ in range(EVENTS):
        event = random_event(chance)
        event_type = event["evt.type"]
        expected = [index for index, condition in enumerate(wanted) if holds(condition, event, SOURCE)]
        assert list(generic(event)) == expected
        assert list(every[event_type](event)) == expected
        assert list(first[event_type](event)) == expected[:1]
        assert all(event_type in graph.event_types(nodes[index]) for index in expected)
        assert all(special[event_type][index] != FALSE for index in expected)
        known = {name: value(field(name), event, SOURCE) for name in KNOWN if chance.random() < 0.7}
        assert all(Possibility(graph, [nodes[index]], frozenset(known)).may_hold(known) for index in expected)
