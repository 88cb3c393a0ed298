"""Operators: what each says about a value, and what each type of field allows."""

from __future__ import annotations

import ctypes
import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compiler import compile_bucket
from rules.expression import Compare, Exists, Literal, Not, Transformed
from rules.folding import Graph
from rules.patterns import glob
from rules.values import ConditionError
from tests.rules.toy import Toy, check, exists, transformed

FOUR = ipaddress.ip_address("10.1.2.3")
SIX = ipaddress.ip_address("fe80::1")


def matches(condition: Compare | Exists | Not, event: dict[str, Any]) -> bool:
    graph = Graph(Toy())
    return list(compile_bucket(graph, [graph.add(condition)])(event)) == [0]


def refusal(condition: Compare | Exists) -> str:
    with pytest.raises(ConditionError) as refused:
        Graph(Toy()).add(condition)
    return str(refused.value)


@pytest.mark.parametrize(
    ("operator", "literals", "held", "not_held"),
    [
        ("=", ["curl"], ["curl", "curl\0tail"], ["CURL", "curl ", ""]),
        ("!=", ["curl"], ["CURL", ""], ["curl"]),
        ("=", ["curl\0tail"], ["curl"], ["curl t"]),
        ("in", ["a", "b"], ["a", "b"], ["c", "", "ab"]),
        ("in", [], [], ["", "a"]),
        ("intersects", ["a", "b"], ["a"], ["ab"]),
        ("contains", ["ur"], ["curl"], ["CURL", "u", "c\0ur"]),
        ("icontains", ["Ur"], ["curl", "CURL"], ["u"]),
        ("icontains", ["k"], ["K"], ["\u212a"]),
        ("startswith", ["cu"], ["curl", "cu"], ["Curl", "c"]),
        ("endswith", ["rl"], ["curl"], ["rly", "l"]),
        ("glob", ["/etc/*"], ["/etc/a", "/etc/a/b", "/etc/.x"], ["/etc", "/ETC/a"]),
        ("glob", ["[!a]?"], ["bc", "/."], ["ab", "b"]),
        ("glob", ["[^a]"], ["b"], ["a"]),
        ("glob", ["\\*"], ["*"], ["a", "\\*"]),
        ("glob", ["a\\"], [], ["a", "a\\"]),
        ("iglob", ["/ETC/*"], ["/etc/a", "/Etc/A"], ["/et"]),
        ("regex", ["curl.*"], ["curl", "curl x"], ["a curl", "CURL", "curl\nx"]),
        ("regex", ["(a|ab)(c|bcd)"], ["abcd", "ac"], ["abcdx"]),
        ("regex", ["[[:space:]]."], [" \udc80"], ["x"]),
        (
            "pmatch",
            ["/var/run", "/etc/*/a"],
            ["/var/run", "/var/run/x", "//var//run/", "/etc/q/a/b"],
            ["/var", "/var/runx"],
        ),
        ("pmatch", ["/"], ["/", "/a", ""], []),
        ("pmatch", ["/o/di[!r]", "/o/d?/s"], ["/o/dit/x", "/o/dx/s"], ["/o/dir", "/o/d/s"]),
        ("<", ["b"], ["a", "B", "aé"], ["b", "c", "é"]),
        (">=", ["7"], ["7", "8"], ["14"]),
    ],
)
def test_operators_on_text(operator: str, literals: list[str], held: list[str], not_held: list[str]) -> None:
    """They mean what C's functions mean: case-sensitive but for two, and texts end at a NUL."""
    condition = check("t.string", operator, *literals)
    assert [text for text in (*held, *not_held) if matches(condition, {"t.string": text})] == held


@pytest.mark.parametrize(
    ("name", "operator", "literals", "held", "not_held"),
    [
        ("t.integer", "=", ["0x10"], [16], [10]),
        ("t.integer", "<=", ["-1"], [-1, -(2**70)], [0]),
        ("t.integer", "in", ["1", "0x2"], [1, 2], [3]),
        ("t.duration", ">", ["5"], [6], [5]),
        ("t.time", "!=", ["5"], [6], [5]),
        ("t.port", "=", ["http"], [80], [443]),
        ("t.port", "in", ["https", "22"], [443, 22], [80]),
        ("t.boolean", "=", ["true"], [True], [False]),
        ("t.boolean", "!=", ["true"], [False], [True]),
        ("t.address", "=", ["10.1.2.3"], [FOUR], [SIX, ipaddress.ip_address("::a01:203")]),
        ("t.address", "!=", ["10.1.2.3"], [SIX], [FOUR]),
        ("t.address", "in", ["10.1.2.3", "fe80::1"], [FOUR, SIX], [ipaddress.ip_address("::1")]),
        ("t.network", "=", ["10.9.9.9/8"], [FOUR], [SIX]),
        ("t.network", "!=", ["10.0.0.0/8"], [SIX], [FOUR]),
        ("t.network", "=", ["fe80::/10"], [SIX], [FOUR]),
        ("t.network", "in", ["192.168.0.0/16", "::/0"], [SIX], [FOUR]),
        ("t.bytes", "bcontains", ["CaFe"], [b"\x00\xca\xfe"], [b"cafe"]),
        ("t.bytes", "bstartswith", ["00"], [b"\x00x"], [b"x\x00"]),
        ("t.bytes", "contains", ["é"], ["aé".encode()], [b"e"]),
        ("t.bytes", "=", ["a"], [b"a"], [b"a\0"]),
    ],
)
def test_operators_on_other_types(
    name: str, operator: str, literals: list[str], held: list[object], not_held: list[object]
) -> None:
    """Literals are read as the field's type; an address never is in a network of the other family."""
    condition = check(name, operator, *literals)
    assert [one for one in (*held, *not_held) if matches(condition, {name: one})] == held


@pytest.mark.parametrize(
    ("modifier", "held"), [("oneof", ["xb", "ax"]), ("anyof", ["xb", "ax", "ab"]), ("allof", ["ab"])]
)
def test_modifiers(modifier: str, held: list[str]) -> None:
    """One, any, or all of the alternatives must hold; none of no alternatives does."""
    condition = check("t.string", "glob", "a*", "*b", modifier=modifier)
    assert [text for text in ("xb", "ax", "ab", "x") if matches(condition, {"t.string": text})] == held
    assert not matches(check("t.string", "glob", modifier=modifier), {"t.string": "ab"})


@pytest.mark.parametrize("operator", ["=", "!=", "<", "in", "glob", "pmatch", "regex", "icontains"])
def test_nothing_holds_for_a_missing_value(operator: str) -> None:
    """A missing value fails every comparison, ``!=`` too, so its negation holds."""
    condition = check("t.string", operator, "a")
    assert not matches(condition, {})
    assert matches(Not(condition), {})
    assert not matches(exists("t.string"), {})
    assert matches(exists("t.string"), {"t.string": ""})


def test_lists_must_be_within_the_literals_or_meet_them() -> None:
    """``in`` asks for all values of a list, ``intersects`` for one; an empty list is a missing value."""
    inside, meeting = check("t.strings", "in", "a", "b"), check("t.strings", "intersects", "a", "b")
    lists: list[tuple[str, ...]] = [("a",), ("b", "a"), ("a", "c"), ("c",), ()]
    assert [one for one in lists if matches(inside, {"t.strings": one})] == [("a",), ("b", "a")]
    assert [one for one in lists if matches(meeting, {"t.strings": one})] == [("a",), ("b", "a"), ("a", "c")]
    assert [one for one in lists if matches(exists("t.strings"), {"t.strings": one})] == lists[:-1]
    assert matches(check("t.networks", "in", "10.0.0.0/8"), {"t.networks": (FOUR, FOUR)})
    assert not matches(check("t.addresss", "in", "10.1.2.3"), {"t.addresss": (FOUR, SIX)})


def test_fields_that_stand_for_several_values() -> None:
    """Of a process's ancestors any may fulfil any operator; of two ends both must differ for ``!=``."""
    names = {"t.names": ("sh", "init")}
    assert matches(check("t.names", "in", "init", "x"), names)
    assert matches(check("t.names", "!=", "init"), names)
    assert matches(check("t.names", "startswith", "s"), names)
    assert matches(check("t.names[1]", "=", "init"), names)
    assert not matches(check("t.names[2]", "!=", "init"), names)
    ends = {"t.ends": (FOUR, SIX), "t.endports": (1000, 80)}
    assert matches(check("t.ends", "=", "fe80::1"), ends)
    assert not matches(check("t.ends", "!=", "fe80::1"), ends)
    assert matches(check("t.ends", "!=", "fe80::2"), ends)
    assert matches(check("t.endports", "in", "http", "22"), ends)
    assert matches(check("t.endports", "<", "100"), ends)


def test_a_field_brings_its_own_comparison() -> None:
    """Where it does not, the usual one counts."""
    assert matches(check("t.special", "=", "3"), {"t.special": "abc"})
    assert matches(check("t.special", "!=", "3"), {"t.special": "abc"})
    assert matches(check("t.special", "=", "3", "4", modifier="anyof"), {"t.special": "abc"})


@pytest.mark.parametrize(
    ("condition", "event", "held"),
    [
        (check("t.string", "=", transformed("val", "t.other")), {"t.string": "a", "t.other": "a"}, True),
        (check("t.string", "!=", transformed("val", "t.other")), {"t.string": "a"}, False),
        (check("t.string", "startswith", transformed("val", "t.path")), {"t.string": "/ab", "t.path": "/a"}, True),
        (check("t.string", "glob", transformed("val", "t.other")), {"t.string": "abc", "t.other": "a*"}, True),
        (check("t.strings", "in", transformed("val", "t.paths")), {"t.strings": ("a",), "t.paths": ("b", "a")}, True),
        (check("t.string", "=", transformed("tolower", "t.other")), {"t.string": "É a", "t.other": "É A"}, True),
        (check("t.address", "=", transformed("val", "t.address")), {"t.address": FOUR}, True),
    ],
)
def test_fields_on_the_right_side(condition: Compare, event: dict[str, Any], held: bool) -> None:
    """Both sides come from the event; either missing, nothing holds."""
    assert matches(condition, event) is held


@pytest.mark.parametrize(
    ("left", "event", "value"),
    [
        (transformed("toupper", "t.string"), {"t.string": "aé"}, "Aé"),
        (transformed("basename", "t.path"), {"t.path": "/usr/bin/curl"}, "curl"),
        (transformed("basename", "t.path"), {"t.path": "/usr/"}, ""),
        (transformed("b64", "t.string"), {"t.string": "aGk="}, "hi"),
        (transformed("b64", "t.string"), {"t.string": "aGk"}, "hi"),
        (transformed("concat", "t.string", Literal("-"), "t.other"), {"t.string": "a", "t.other": "b"}, "a-b"),
        (transformed("join", Literal(","), "t.strings"), {"t.strings": ("a", "b")}, "a,b"),
        (transformed("join", Literal(","), transformed("tolower", "t.strings")), {"t.strings": ("A", "b")}, "a,b"),
        (transformed("join", Literal(":"), transformed("list", "t.string", Literal("x"))), {"t.string": "a"}, "a:x"),
        (transformed("getopt", "t.strings", Literal("ab:"), index="b"), {"t.strings": ("-ab", "v", "w")}, "v"),
        (transformed("getopt", "t.strings", Literal("ab:"), index="b"), {"t.strings": ("-bv", "-b")}, ""),
        (transformed("getopt", "t.strings", Literal("ab:"), index="a"), {"t.strings": ("--x", "-a")}, "a"),
        (
            transformed("join", Literal(" "), transformed("getopt", "t.strings", Literal("ab:"))),
            {"t.strings": ("-axb", "v", "word", "-a")},
            "a ? b v",
        ),
    ],
)
def test_transformers(left: Transformed, event: dict[str, Any], value: str) -> None:
    """They change letters of ASCII only; getopt ends at the first word that is no option."""
    assert matches(check(left, "=", value), event)


def test_transformers_can_fail() -> None:
    """What is no base64, and an option that is not there, is a missing value; so is what is made of one."""
    assert not matches(exists(transformed("b64", "t.string")), {"t.string": "a*"})
    assert not matches(exists(transformed("b64", "t.strings")), {"t.strings": ("aGk=", "a")})
    assert not matches(exists(transformed("getopt", "t.strings", Literal("a"), index="a")), {"t.strings": ("x",)})
    assert not matches(exists(transformed("concat", "t.string", "t.other")), {"t.string": "a"})
    assert matches(check(transformed("len", "t.string"), "=", "2"), {"t.string": "é"})
    assert matches(check(transformed("len", "t.strings"), ">", "1"), {"t.strings": ("a", "b")})
    assert matches(check(transformed("len", "t.bytes"), "=", "3"), {"t.bytes": b"a\0b"})


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (check("t.port", "contains", "80"), "t.port contains: 'contains' operator not supported for numeric filters"),
        (check("t.boolean", "<", "1"), "t.boolean <: '<' operator not supported for boolean filters"),
        (
            check("t.address", "glob", "*"),
            "t.address glob: 'glob' operator not supported for ip address and network filters",
        ),
        (
            check("t.string", "bcontains", "00"),
            "t.string bcontains: 'bcontains' operator not supported for string filters",
        ),
        (check("t.bytes", "glob", "*"), "t.bytes glob: 'glob' operator not supported for buffer filters"),
        (check("t.strings", "=", "a"), "t.strings =: '=' operator not supported for list filters"),
        (check("t.integer", "=", "ten"), "t.integer =: ten is not a valid number"),
        (check("t.port", "=", "no-such-service"), "t.port =: unrecognized protocol no-such-service"),
        (check("t.boolean", "=", "yes"), "t.boolean =: unrecognized boolean value yes"),
        (check("t.address", "=", "10.0.0"), "t.address =: unrecognized IP address 10.0.0"),
        (check("t.network", "=", "10.0.0.1"), "t.network =: unrecognized IP network 10.0.0.1"),
        (check("t.network", "in", "10.0.0.0/33"), "t.network in: unrecognized IP network 10.0.0.0/33"),
        (check("t.bytes", "bcontains", "xy"), "t.bytes bcontains: xy is not a hexadecimal string"),
        (check("t.string", "regex", "ca\\d"), "t.string regex: invalid regex pattern: invalid escape sequence: \\d"),
        (check("t.string", "in", "a", modifier="anyof"), "t.string in: 'in' operator does not take 'anyof'"),
        (check("t.nothing", "=", "a"), "filter_check called with nonexistent field t.nothing"),
        (check("t.string[1]", "=", "a"), "field 't.string' does not take an argument"),
        (check("t.key", "=", "a"), "field 't.key' requires an argument"),
        (check("t.names[x]", "=", "a"), "field 't.names[x]': x is not a number"),
        (check("evt.type", "in", "open", "openin"), "unknown event type openin"),
        (
            check("t.string", "=", transformed("val", "t.integer")),
            "t.string = t.integer: the left-hand side has type 'string'"
            " while the right-hand side has incompatible type 'integer'",
        ),
        (
            check("t.string", "regex", transformed("val", "t.other")),
            "t.string regex t.other: operator 'regex' doesn't support right-hand side fields",
        ),
        (
            check("t.leftonly", "=", transformed("val", "t.other")),
            "field 't.leftonly' doesn't support right-hand side fields",
        ),
        (
            check("t.string", "=", transformed("val", "t.leftonly")),
            "field 't.leftonly' can't be used as a right-hand side field",
        ),
        (
            check("t.network", "=", transformed("val", "t.network")),
            "t.network = t.network: field type 'IPNET' doesn't support right-hand side fields",
        ),
        (exists(transformed("tolower", "t.integer")), "type 'integer' is not supported by 'tolower' transformer"),
        (
            exists(transformed("tolower", "t.names")),
            "'tolower' can't be applied: the field does not support transformers",
        ),
        (exists(transformed("len", "t.integer")), "type 'integer' is not supported by 'len' transformer"),
        (
            exists(transformed("tolower", "t.string", index="a")),
            "transformer 'tolower' does not support field arguments",
        ),
        (exists(transformed("concat", "t.string")), "concat() requires at least 2 arguments"),
        (exists(transformed("join", "t.string", "t.other")), "join() second argument must be a list of texts"),
        (
            exists(transformed("getopt", "t.strings", Literal("a"), index="ab")),
            "getopt() field argument must be a single option character",
        ),
        (exists(transformed("rot13", "t.string")), "unknown transformer 'rot13'"),
    ],
)
def test_what_can_not_be_compared_is_refused_with_the_reason(condition: Compare | Exists, reason: str) -> None:
    """When the rule is loaded, not when an event comes."""
    assert refusal(condition) == reason


ALPHABET = st.text(alphabet="ab/.-*?[]!^\\", max_size=8)
LIBC = ctypes.CDLL(None)


@settings(max_examples=500, deadline=None)
@given(ALPHABET, st.text(alphabet="ab/.-[]!^\\", max_size=6))
def test_globs_match_what_the_c_library_matches(pattern: str, text: str) -> None:
    """fnmatch(3) says the same, but for brackets that are broken off in a range or a collating symbol."""
    if "[." not in pattern and not pattern.endswith("-"):
        assert bool(glob(pattern)(text)) == (LIBC.fnmatch(pattern.encode(), text.encode(), 0) == 0)


@pytest.mark.parametrize(
    "name", ["alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "xdigit", "cntrl"]
)
def test_character_classes_are_those_of_the_c_library(name: str) -> None:
    """For every character of ASCII."""
    pattern = f"[[:{name}:]]"
    mine = {code for code in range(1, 128) if glob(pattern)(chr(code))}
    assert mine == {code for code in range(1, 128) if LIBC.fnmatch(pattern.encode(), bytes([code]), 0) == 0}


def test_no_glob_takes_long() -> None:
    """Many stars over a long text that does not match."""
    assert not glob("*a" * 30 + "b")("a" * 5000)
