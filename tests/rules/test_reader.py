"""Rule files to items, and what is told of those that are wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.items import (
    EngineVersionItem,
    ExceptionItem,
    ListItem,
    MacroItem,
    PluginVersionItem,
    RuleChange,
    RuleItem,
    RuleParts,
    RuleSwitch,
    Written,
)
from rules.problems import Code, Problem, Severity
from rules.reader import Reading, read
from rules.rule import Place, Priority

RULE = "- rule: R\n  desc: d\n  condition: x.y=1\n  output: o\n  priority: INFO\n"


def at(line: int) -> Place:
    return Place("f", line)


def messages(content: str) -> list[str]:
    return [str(problem) for problem in read("f", content).problems]


def test_every_kind_of_item() -> None:
    """Values stay as written, and every item knows its line."""
    content = """
- required_engine_version: 0.57.0
- required_plugin_versions:
    - name: k8saudit
      version: 0.18.0
      alternatives:
        - name: k8saudit-eks
          version: 0.12.0
    - name: json
      version: 0.7.0
-
- list: numbers
  items: [1.0, yes, 0x10, 'a b', "", 5]
- macro: m
  condition: >
    x.y = 1
    and z
- rule: Read/Write a file
  desc: >
    Of all.
  condition: m
  output: "  It did %x.y\\n"
  priority: Informational
  source: k8s_audit
  enabled: no
  warn_evttypes: False
  skip-if-unknown-filter: TRUE
  capture: true
  capture_duration: 5000
  tags: [b, a, 1.0]
"""
    parts = RuleParts(
        condition=Written("m", at(21)),
        output="It did %x.y",
        description="Of all.",
        priority=Priority.INFORMATIONAL,
        source="k8s_audit",
        enabled=False,
        warn_event_types=False,
        skip_if_unknown_filter=True,
        tags=("b", "a", "1.0"),
    )
    assert read("f", content) == Reading(
        (
            EngineVersionItem("0.57.0", at(2)),
            PluginVersionItem((("k8saudit", "0.18.0"), ("k8saudit-eks", "0.12.0")), at(4)),
            PluginVersionItem((("json", "0.7.0"),), at(9)),
            ListItem("numbers", ("1.0", "yes", "0x10", "a b", "", "5"), False, at(12)),
            MacroItem("m", Written("x.y = 1 and z\n", at(15)), False, at(14)),
            RuleItem("Read/Write a file", parts, at(18)),
        ),
        (),
    )


def test_changes_of_rules() -> None:
    """Overrides say what is appended and what replaced; enabled alone is a switch."""
    content = """
- rule: R
  condition: and a
  tags: [t]
  priority: DEBUG
  enabled: true
  override: {condition: append, tags: append, priority: replace, enabled: replace}
- list: l
  items: [b]
  override: {items: append}
- macro: m
  condition: b
  override: {condition: replace}
"""
    assert read("f", content) == Reading(
        (
            RuleChange(
                "R",
                RuleParts(condition=Written("and a", at(3)), tags=("t",)),
                RuleParts(priority=Priority.DEBUG, enabled=True),
                at(2),
            ),
            ListItem("l", ("b",), True, at(8)),
            MacroItem("m", Written("b", at(12)), False, at(11)),
        ),
        (),
    )


def test_deprecated_ways_to_change() -> None:
    """`append: true` and `enabled` alone do as ever, with a warning."""
    content = (
        "- list: l\n  items: [b]\n  append: true\n"
        "- rule: R\n  append: true\n  condition: and a\n"
        "- rule: S\n  enabled: false\n"
    )
    reading = read("f", content)
    assert reading.items == (
        ListItem("l", ("b",), True, at(1)),
        RuleChange("R", RuleParts(condition=Written("and a", at(6))), None, at(4)),
        RuleSwitch("S", False, at(7)),
    )
    assert [(problem.severity, problem.code, problem.item) for problem in reading.problems] == [
        (Severity.WARNING, Code.DEPRECATED_ITEM, "list l"),
        (Severity.WARNING, Code.DEPRECATED_ITEM, 'rule "R"'),
        (Severity.WARNING, Code.DEPRECATED_ITEM, 'rule "S"'),
    ]


def test_exceptions_as_written() -> None:
    """One field or several, values or tuples of them, lists in tuples."""
    content = (
        RULE
        + """
  exceptions:
    - name: one
      fields: a.b
      values: [v, 1]
    - name: two
      fields: [a.b, c.d]
      comps: [in, =]
      values:
        - [[v, w], x]
        - [v, x]
    - name: none
      fields: [a.b]
"""
    )
    (rule,) = read("f", content).items
    assert isinstance(rule, RuleItem)
    assert rule.parts.exceptions == (
        ExceptionItem("one", "a.b", "", ("v", "1"), at(8)),
        ExceptionItem("two", ("a.b", "c.d"), ("in", "="), ((("v", "w"), "x"), ("v", "x")), at(11)),
        ExceptionItem("none", ("a.b",), "", (), at(17)),
    )
    assert messages("- rule: R\n  exceptions: [{name: e}]\n  override: {exceptions: append}\n") == [
        'f:2: warning: rule "R": exception e has no values (LOAD_APPEND_NO_VALUES)'
    ]


R = "- rule: R\n  condition: a\n"
E = RULE + "  exceptions: "


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a: b", 1, "a rule file is a sequence of items"),
        ("- 5", 1, "an item is not a mapping"),
        ("- - a", 1, "an item is not a mapping"),
        ("- {list: a, items: [b], list: c}", 1, "key 'list' stands twice"),
        ("- {[a]: b}", 1, "a key is not a scalar"),
        ("- list: l", 1, "key 'items' is missing"),
        ("- list:\n  items: []", 1, "'list' is empty"),
        ("- list: l\n  items: a", 2, "'items' is not a sequence"),
        ("- list: l\n  items: [[a]]", 2, "an item of 'items' is not a scalar, or a null without quotes"),
        ("- list: l\n  items: [a,\n   ~]", 3, "an item of 'items' is not a scalar, or a null without quotes"),
        ("- macro: m-n\n  condition: a", 1, "the name of a macro has the form [a-zA-Z]+[a-zA-Z0-9_]*"),
        ("- macro: m\n  condition: [a]", 2, "'condition' is not a scalar"),
        ("- macro: m\n  condition: ''", 2, "'condition' is empty"),
        ("- macro: m\n  condition: a\n  append: maybe", 3, "'append' is neither true nor false"),
        ("- rule: R\n  desc: d", 1, "key 'condition' is missing"),
        ("- rule: R\n  tags: [a]", 1, "key 'enabled' is missing"),
        (RULE + "  enabled: yES", 6, "'enabled' is neither true nor false"),
        (E + "{}", 6, "'exceptions' is not a sequence"),
        (E + "[{fields: a.b}]", 6, "key 'name' is missing"),
        (E + "[{name: e}]", 6, "exception e has no fields"),
        (E + "[{name: e, fields: a.b},\n   {name: e, fields: a.b}]", 7, "exception e stands twice"),
        (E + "[{name: e, fields: a.b, values: v}]", 6, "'values' is not a sequence"),
        (E + "[{name: e, fields: a.b, values: [{}]}]", 6, "a value of an exception is empty or not a scalar"),
        (E + "[{name: e, fields: a.b, values: [[[[v]]]]}]", 6, "a value of an exception is empty or not a scalar"),
        ("- rule: R\n  append: true", 1, "nothing to append: neither condition nor exceptions"),
        (
            R + "  append: true\n  override: {condition: append}",
            1,
            "'append: true' and 'override' exclude each other",
        ),
        (R + "  override: [condition]", 3, "'override' holds something that is not a mapping"),
        (
            R + "  override: {condition: prepend}",
            3,
            "'condition' can't be overridden with 'prepend', only append or replace",
        ),
        (
            "- rule: R\n  priority: INFO\n  override: {priority: append}",
            3,
            "'priority' can't be overridden with 'append', only replace",
        ),
        (
            R + "  source: s\n  override: {source: replace}",
            4,
            "'source' can't be overridden with 'replace', only not at all",
        ),
        ("- rule: R\n  override: {condition: append}", 2, "the override of 'condition' has no 'condition' beside it"),
        (
            R + "  output: o\n  override: {condition: append}",
            4,
            "'output' stands beside 'override', which does not say what to do with it",
        ),
        ("- required_plugin_versions: json", 1, "'required_plugin_versions' is not a sequence"),
        ("- required_plugin_versions: [{name: json}]", 1, "key 'version' is missing"),
        ("- required_engine_version:", 1, "'required_engine_version' is empty"),
        ("- a: b\n  - c", 2, "not YAML: did not find expected '-' indicator"),
    ],
)
def test_what_is_wrong_is_told(content: str, line: int, message: str) -> None:
    """With the line and the reason; and nothing is read of it."""
    reading = read("f", content)
    assert reading.items == ()
    (problem,) = (problem for problem in reading.problems if problem.severity is Severity.ERROR)
    assert problem.place == at(line)
    if message.startswith("not YAML"):  # the reason is libyaml's or PyYAML's
        assert problem.message.startswith("not YAML: ")
    else:
        assert problem.message == message


def test_problems_name_the_item() -> None:
    """As text they have file, line, kind, item, reason and Falco's code."""
    assert messages("- list: l\n- macro: m\n" + RULE.replace("INFO", "SOME")) == [
        "f:1: error: list l: key 'items' is missing (LOAD_ERR_YAML_VALIDATE)",
        "f:2: error: macro m: key 'condition' is missing (LOAD_ERR_YAML_VALIDATE)",
        "f:7: error: rule \"R\": 'SOME' is no priority: emergency, alert, critical, error, warning, notice,"
        " informational, debug, info (LOAD_ERR_YAML_VALIDATE)",
    ]


def test_one_bad_item_does_not_stop_others() -> None:
    """Items before and behind it are read."""
    reading = read("f", "- list: a\n  items: []\n- list: b\n- 7\n- list: c\n  items: []\n")
    assert [item.name for item in reading.items if isinstance(item, ListItem)] == ["a", "c"]
    assert [problem.place for problem in reading.problems] == [at(3), at(4)]


def test_unknown_keys_are_warnings() -> None:
    """Wherever they stand."""
    content = (
        "- foo: bar\n"
        "- list: l\n  items: []\n  item: x\n"
        + RULE
        + "  priorty: INFO\n  exceptions: [{name: e, fields: a.b, value: [x]}]\n"
        "- required_plugin_versions: [{name: json, version: 0.7.0, color: red}]\n"
    )
    assert messages(content) == [
        "f:1: warning: unknown item with keys: foo (LOAD_UNKNOWN_ITEM)",
        "f:4: warning: list l: unknown key 'item' (LOAD_UNKNOWN_ITEM)",
        "f:10: warning: rule \"R\": unknown key 'priorty' (LOAD_UNKNOWN_ITEM)",
        "f:11: warning: rule \"R\": unknown key 'value' (LOAD_UNKNOWN_ITEM)",
        "f:12: warning: required_plugin_versions: unknown key 'color' (LOAD_UNKNOWN_ITEM)",
    ]


PIECES = [
    "- ",
    "rule: R\n",
    "  ",
    "macro: m\n",
    "list: l\n",
    "items: [a, b]\n",
    "condition: a\n",
    "append: true\n",
    "desc: d\n",
]
PIECES += [
    "output: o\n",
    "priority: INFO\n",
    "override: {condition: append}\n",
    "exceptions:\n",
    "name: e\n",
    "[",
    "\n",
    "x",
]


@given(
    st.text()
    | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
    | st.binary().map(lambda b: b.decode("latin-1"))
)
def test_any_text_gives_items_or_problems(content: str) -> None:
    """The reader never raises, and every problem names the file."""
    assert all(isinstance(problem, Problem) and problem.place.file == "f" for problem in read("f", content).problems)
