"""All files together: definitions, changes, and what is told of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.collector import Collected, Counts, collect
from rules.expression import Compare
from rules.parser import parse
from rules.problems import Code, Problem, Severity
from rules.rule import Place, Priority, Rule

SOURCES = ("syscall", "k8s_audit")


def rule(name: str, condition: str, more: str = "") -> str:
    return f"- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n{more}"


def collected(*contents: str) -> Collected:
    return collect([(f"f{number}", content) for number, content in enumerate(contents, 1)], SOURCES)


def texts(*contents: str) -> dict[str, str]:
    """The conditions of the rules of files that have no problem."""
    result = collected(*contents)
    assert [str(problem) for problem in result.problems] == []
    return {one.name: one.text for one in result.rules}


def told(*contents: str) -> list[str]:
    return [str(problem) for problem in collected(*contents).problems]


def test_a_rule_with_everything() -> None:
    """Lists are in the text, macros in the tree, the rest as written or as by default."""
    content = """
- list: l
  items: [a, b c]
- macro: m
  condition: x.y in (l) or x.z exists
- rule: R
  desc: >
    Why.
  condition: m and evt.type = open
  output: " %x.y is it \\n"
  priority: warning
  tags: [t, s, t]
  source: k8s_audit
  enabled: false
  warn_evttypes: false
  skip-if-unknown-filter: true
- rule: S
  desc: d
  condition: x.y in (l)
  output: o
  priority: INFO
"""
    assert collected(content) == Collected(
        (
            Rule(
                name="R",
                condition=parse('(x.y in (a, "b c") or x.z exists) and evt.type = open'),
                output="%x.y is it",
                priority=Priority.WARNING,
                description="Why.",
                source="k8s_audit",
                tags=("s", "t"),
                enabled=False,
                warn_event_types=False,
                skip_if_unknown_filter=True,
                place=Place("f1", 6),
                text="m and evt.type = open",
            ),
            Rule(
                name="S",
                condition=parse('x.y in (a, "b c")'),
                output="o",
                priority=Priority.INFORMATIONAL,
                description="d",
                place=Place("f1", 17),
                text='x.y in ( a, "b c" )',
            ),
        ),
        (),
        Counts(lists=1, macros=1, rules={"k8s_audit": 1, "syscall": 1}),
    )


def test_macros_keep_together() -> None:
    """An `or` in a macro does not leak into what stands beside its name."""
    (one,) = collected("- macro: m\n  condition: x.y=1 or x.y=2\n" + rule("R", "m and x.z=3")).rules
    assert one.condition == parse("(x.y=1 or x.y=2) and x.z=3")


def test_a_rule_defined_again_keeps_its_turn() -> None:
    """And is the new one altogether."""
    result = collected(rule("A", "x.y=1", "  tags: [t]\n") + rule("B", "x.y=2"), rule("A", "x.y=3"))
    assert [(one.name, one.text, one.tags, one.place) for one in result.rules] == [
        ("A", "x.y=3", (), Place("f2", 1)),
        ("B", "x.y=2", (), Place("f1", 7)),
    ]


def test_appending() -> None:
    """Conditions, outputs and descriptions grow by a blank and the new text; tags and exceptions by more of them."""
    change = """
- rule: R
  condition: or x.y=2
  output: and %x.z
  desc: too
  tags: [s, t]
  exceptions: [{name: e, fields: x.z, values: [v]}]
  override: {condition: append, output: append, desc: append, tags: append, exceptions: append}
- rule: R
  exceptions: [{name: e, values: [w]}]
  override: {exceptions: append}
"""
    (one,) = collected(rule("R", "x.y=1", "  tags: [t]\n"), change).rules
    assert (one.text, one.output, one.description, one.tags) == (
        "(x.y=1 or x.y=2) and not (x.z in (v, w))",
        "o and %x.z",
        "d too",
        ("s", "t"),
    )


def test_appending_to_macros_and_lists() -> None:
    """As text: `and` binds to the last part only; a later change gives earlier rules the new list, too."""
    base = "- list: l\n  items: [a]\n- macro: m\n  condition: x.y in (l) or x.z=1\n" + rule("R", "m")
    change = (
        "- list: l\n  items: [b]\n  override: {items: append}\n"
        "- macro: m\n  condition: and x.z=2\n  override: {condition: append}\n"
    )
    (one,) = collected(base, change).rules
    assert one.condition == parse("x.y in (a, b) or x.z=1 and x.z=2")


def test_replacing() -> None:
    """Every part that may be replaced, each alone."""
    change = """
- rule: R
  condition: x.y=2
  output: new
  desc: e
  priority: ALERT
  tags: [s]
  enabled: false
  warn_evttypes: false
  skip-if-unknown-filter: true
  exceptions: [{name: f, fields: x.z, values: [w]}]
  override: {condition: replace, output: replace, desc: replace, priority: replace, tags: replace, enabled: replace,
    warn_evttypes: replace, skip-if-unknown-filter: replace, exceptions: replace}
"""
    exceptions = "  tags: [t]\n  exceptions: [{name: e, fields: x.y, values: [v]}]\n"
    assert collected(rule("R", "x.y=1", exceptions), change).rules == (
        Rule(
            name="R",
            condition=parse("x.y=2 and not x.z in (w)"),
            output="new",
            priority=Priority.ALERT,
            description="e",
            tags=("s",),
            enabled=False,
            warn_event_types=False,
            skip_if_unknown_filter=True,
            place=Place("f1", 1),
            text="(x.y=2) and not (x.z in (w))",
        ),
    )


def test_enabling_and_disabling() -> None:
    """With `enabled` alone, or by override; disabled rules are there."""
    first = rule("A", "x.y=1") + rule("B", "x.y=1", "  enabled: false\n")
    change = "- rule: A\n  enabled: false\n- rule: B\n  enabled: true\n  override: {enabled: replace}\n"
    assert [(one.name, one.enabled) for one in collected(first, change).rules] == [("A", False), ("B", True)]


def test_visibility_of_macros() -> None:
    """A macro sees those before it, a rule all of them."""
    later = rule("R", "m") + "- macro: m\n  condition: x.y=1\n"
    assert texts(later) == {"R": "m"}
    assert told("- macro: a\n  condition: b\n- macro: b\n  condition: x.y=1\n" + rule("R", "a and b")) == [
        "f1:2: error: macro a: macro 'b' is not defined, or only later (LOAD_ERR_VALIDATE)",
        "f1:7: error: rule \"R\": macro 'a' has an error (LOAD_ERR_VALIDATE)",
    ]


def test_lists_are_put_in_place_in_the_order_of_definition() -> None:
    """A list whose item names a later list gets its items, one that names an earlier one has them already."""
    content = "- list: b\n  items: [c, x]\n- list: a\n  items: [b]\n- list: c\n  items: [y]\n" + rule("R", "x.y in (a)")
    assert texts(content) == {"R": "x.y in ( y , x )"}


def test_changes_of_what_does_not_exist() -> None:
    """Are errors, and nothing else suffers."""
    content = (
        "- list: l\n  items: [a]\n  override: {items: append}\n"
        "- macro: m\n  condition: and a\n  override: {condition: append}\n"
        "- rule: N\n  condition: and a\n  override: {condition: append}\n"
        "- rule: O\n  enabled: true\n" + rule("R", "x.y=1")
    )
    result = collected(content)
    assert [one.name for one in result.rules] == ["R"]
    assert [str(one) for one in result.problems if one.severity is Severity.ERROR] == [
        "f1:1: error: list l: there is no list of this name to append to (LOAD_ERR_VALIDATE)",
        "f1:4: error: macro m: there is no macro of this name to append to (LOAD_ERR_VALIDATE)",
        'f1:7: error: rule "N": there is no rule of this name to change (LOAD_ERR_VALIDATE)',
        'f1:10: error: rule "O": there is no rule of this name to change (LOAD_ERR_VALIDATE)',
    ]


def test_one_bad_rule_does_not_stop_others() -> None:
    """Errors of conditions tell where in the condition, lists put in place; the others are there."""
    content = (
        rule("A", "x.y in (a b)")
        + rule("B", "x.y=1", "  exceptions: [{name: e, fields: [x.y, x.z], values: [[v]]}]\n")
        + rule("C", "x.y=1", "  exceptions: [{name: e, fields: x.y, comps: '='}]\n")
        + rule("D", "x.y=1")
    )
    result = collected(content, "- rule: D\n  source: s\n", rule("D", "x.y=1", "  source: k8s_audit\n"))
    assert [one.name for one in result.rules] == ["D"]
    assert [str(one) for one in result.problems] == [
        "f1:17: error: rule \"C\": exception e: '=' does not go with a single field: in, pmatch, intersects, or an"
        " operator on text with oneof, anyof or allof (LOAD_ERR_VALIDATE)",
        "f2:1: error: rule \"D\": key 'enabled' is missing (LOAD_ERR_YAML_VALIDATE)",
        'f3:1: error: rule "D": defined again with another source: syscall, now k8s_audit (LOAD_ERR_VALIDATE)',
        "f1:3: error: rule \"A\": expected the ')' that closes the list; here stands 'b)' (line 1, column 11 of the"
        " condition) (LOAD_ERR_COMPILE_CONDITION)",
        'f1:8: error: rule "B": exception e: fields and values differ in length (LOAD_ERR_VALIDATE)',
    ]


def test_unknown_sources_are_left_out() -> None:
    """With a warning, once; later changes of such a rule are no error."""
    content = rule("R", "x.y=1", "  source: okta\n") + "- rule: R\n  tags: [t]\n  override: {tags: append}\n"
    assert collected(content) == Collected(
        (),
        (
            Problem(
                Severity.WARNING,
                Code.UNKNOWN_SOURCE,
                "unknown source okta: the rule is left out",
                Place("f1", 1),
                'rule "R"',
            ),
        ),
        Counts(0, 0, {}),
    )


def test_what_is_used_nowhere_is_told() -> None:
    """Lists in lists and macros in macros are used."""
    content = (
        "- list: a\n  items: [x]\n- list: b\n  items: [a]\n- list: c\n  items: []\n"
        "- macro: m\n  condition: x.y in (b)\n- macro: n\n  condition: m\n"
    )
    assert told(content) == [
        "f1:9: warning: macro n: used nowhere (LOAD_UNUSED_MACRO)",
        "f1:5: warning: list c: used nowhere (LOAD_UNUSED_LIST)",
    ]


def test_comparing_with_na_is_unsafe() -> None:
    """For the fields of audit events, in macros, too."""
    content = "- macro: m\n  condition: not (x.y=1 or ka.user.name in (a, '<NA>'))\n"
    content += rule("A", "m") + rule("B", "jevt.value[/a] != <NA>") + rule("C", "x.y = <NA> and ka.a contains <NA>")
    assert [(one.code, one.item) for one in collected(content).problems] == [
        (Code.UNSAFE_NA_CHECK, 'rule "A"'),
        (Code.UNSAFE_NA_CHECK, 'rule "B"'),
    ]


def test_a_file_for_another_engine_is_left_out() -> None:
    """From the requirement on; other files are loaded."""
    engine = "- required_engine_version: 9.0.0\n" + rule("A", "x.y=1")
    plugin = "- required_plugin_versions: [{name: okta, version: 0.1.0}]\n" + rule("B", "x.y=1")
    result = collected(engine, plugin, "- required_engine_version: 8\n" + rule("C", "x.y=1"))
    assert [one.name for one in result.rules] == ["C"]
    assert [(one.severity, one.code, one.place, one.item) for one in result.problems] == [
        (Severity.ERROR, Code.VALIDATE, Place("f1", 1), "required_engine_version"),
        (Severity.ERROR, Code.VALIDATE, Place("f2", 1), "required_plugin_versions"),
    ]
    assert result.problems[0].message.endswith("; the rest of the file is left out")


def test_a_rule_may_be_a_macro_alone() -> None:
    """Its condition is then the macro's own tree, the same for every rule."""
    one, two = collected("- macro: m\n  condition: x.y=1\n" + rule("A", "m") + rule("B", "m")).rules
    assert isinstance(one.condition, Compare)
    assert one.condition is two.condition


PIECES = [
    *("- list: l\n  items: [", "a, l, m", "]\n", "- macro: m\n", "  condition: ", "m", " and ", "x.y in (l)", "\n"),
    *(
        rule("R", "m"),
        rule("S", "x.y=l"),
        "  override: {",
        "condition: append",
        "}\n",
        "- rule: R\n",
        "  append: true\n",
    ),
    *("  exceptions: [{name: e, fields: x.y, values: [l]}]\n", "- required_engine_version: 1\n", "---\n", "\t", "x"),
]


@given(st.lists(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=3))
def test_any_files_give_rules_and_problems(contents: list[str]) -> None:
    """Nothing is raised, and what is no rule is told."""
    result = collected(*contents)
    assert all(problem.message for problem in result.problems)
