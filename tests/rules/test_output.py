"""Outputs of rules, and hits in Falco's JSON form."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from rules.compiled_rule import CompiledRule, compiled
from rules.folding import Graph
from rules.output import falco_json
from rules.parser import parse
from rules.rule import Priority, Rule
from rules.template import template
from rules.values import ConditionError
from tests.rules.toy import Toy

TOY = Toy()
FOUR, SIX = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("fe80::1")


def made(output: str) -> CompiledRule:
    graph = Graph(TOY)
    condition = parse("t.string exists")
    rule = Rule("A rule", condition, output, Priority.WARNING, source="toy", tags=("b", "a", "b"))
    return compiled(rule, graph, graph.add(condition), template(output, TOY, graph.take))


def message(output: str, event: dict[str, Any]) -> str:
    return made(output).template.message(event)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("nothing", "nothing"),
        ("%t.string", "x y"),
        ("*a %t.string.", "a x y."),
        ("(%t.string:%t.integer)", "(x y:-3)"),
        ("%t.stringly", "x yly"),
        ("%t.string[0]", "x y[0]"),
        ("%t.missing=%t.other", None),
        ("<%t.other>", "<<NA>>"),
        ("%t.key[a/b] %t.key['a b']", "v w"),
        ("%t.names %t.names[1] %t.names[7]", "(sh,init) init <NA>"),
        ("%t.boolean %t.port %t.time %t.duration", "true 80 1700000000000000000 5"),
        ("%t.address %t.ends", "10.0.0.1 (10.0.0.1,fe80::1)"),
        ("%t.strings %t.path", "(a,b) <NA>"),
        ("%t.bytes", "a.b."),
        ("100%% %t.string%%", "100% x y%"),
        ("[%2t.string|%6t.string|]", "[x |x y   |]"),
        ("%toupper(t.string)!", "X Y!"),
        ("%concat(t.string, ')', tolower(t.string)) %len(t.strings)", "x y)x y 2"),
        ("%getopt(t.strings, 'a')[a]", "<NA>"),
    ],
)
def test_a_message(output: str, text: str | None) -> None:
    """Fields and transformers are put in place, <NA> where the event has no value; the rest is as it stands."""
    event = {
        "t.string": "x y",
        "t.integer": -3,
        "t.key[a/b]": "v",
        "t.key[a b]": "w",
        "t.names": ("sh", "init"),
        "t.boolean": True,
        "t.port": 80,
        "t.time": 1_700_000_000_000_000_000,
        "t.duration": 5,
        "t.address": FOUR,
        "t.ends": (FOUR, SIX),
        "t.strings": ("a", "b"),
        "t.bytes": b"a\0b\xff",
    }
    if text is None:
        with pytest.raises(ConditionError, match=r"invalid formatting token t\.missing"):
            message(output, event)
    else:
        assert message(output, event) == text


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a %", "invalid formatting syntax: formatting cannot end with a % or a number"),
        ("a %10", "invalid formatting syntax: formatting cannot end with a % or a number"),
        ("a % b", "invalid formatting token "),
        ("%nothing.at.all here", "invalid formatting token nothing.at.all"),
        ("%tolower(t.nothing)", "filter_check called with nonexistent field t.nothing"),
        ("%tolower(t.integer)", "type 'integer' is not supported by 'tolower' transformer"),
        ("%tolower(t.string", "invalid formatting token tolower(t.string"),
        ("%t.key", "field 't.key' requires an argument"),
    ],
)
def test_an_output_that_is_none(output: str, reason: str) -> None:
    """The reason says what."""
    with pytest.raises(ConditionError) as refused:
        made(output)
    assert str(refused.value) == reason


def test_falcos_json_form() -> None:
    """Typed fields, null for missing ones, those inside of transformers by themselves; tags sorted; times in UTC."""
    event = {
        "time": 1_540_475_611_726_060_287,
        "t.string": "x",
        "t.integer": 2**40,
        "t.boolean": False,
        "t.strings": ("a", "b"),
        "t.ends": (FOUR,),
        "t.bytes": b"a\xff",
    }
    output = "%t.string %t.integer %t.boolean %t.strings %t.other %t.ends %t.bytes %len(t.path) %t.names[1]"
    told = falco_json(made(output), event, TOY, "node-1")
    assert json.dumps(told) == json.dumps(
        {
            "hostname": "node-1",
            "output": "13:53:31.726060287: Warning x 1099511627776 false (a,b) <NA> (10.0.0.1) a. <NA> <NA>",
            "output_fields": {
                "evt.time": 1_540_475_611_726_060_287,
                "t.boolean": False,
                "t.bytes": "a.",
                "t.ends": ["10.0.0.1"],
                "t.integer": 1_099_511_627_776,
                "t.names[1]": None,
                "t.other": None,
                "t.path": None,
                "t.string": "x",
                "t.strings": ["a", "b"],
            },
            "priority": "Warning",
            "rule": "A rule",
            "source": "toy",
            "tags": ["a", "b"],
            "time": "2018-10-25T13:53:31.726060287Z",
        }
    )


def test_what_is_no_text_can_be_told_as_json() -> None:
    """Bytes that were no UTF-8 (lone surrogates here) and what can not be printed."""
    told = falco_json(made("%t.string %t.strings"), {"t.string": "a\udc80\n\x1b", "t.strings": ("\ud800",)}, TOY, "n")
    assert json.loads(json.dumps(told, ensure_ascii=False).encode())["output_fields"] == {
        "evt.time": 0,
        "t.string": "a\ufffd\n\x1b",
        "t.strings": ["\ufffd"],
    }


def test_times_of_the_event_are_numbers_in_json() -> None:
    """Text in the message, nanoseconds since 1970 in the fields, as Falco does."""
    source = Toy()
    source.fields["evt.time.iso8601"] = source.fields["t.string"]
    graph = Graph(source)
    parsed = template("%evt.time.iso8601", source, graph.take)
    assert parsed.message({"t.string": "2018-10-25"}) == "2018-10-25"
    assert parsed.values({"time": 7, "t.string": "2018-10-25"}, source) == {"evt.time.iso8601": 7}
