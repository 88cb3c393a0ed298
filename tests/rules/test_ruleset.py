"""Rule files to rules that can be evaluated."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from rules.problems import Code, Severity
from rules.ruleset import Ruleset, load
from rules.sources.registry import NAMES, source
from tests.rules.toy import Toy

UPSTREAM = Path(__file__).parents[3] / "shared" / "falco" / "rules"
TOY = {"toy": Toy()}


def rule(name: str, condition: str, **more: str) -> str:
    keys = {"desc": "d", "condition": condition, "output": "hit", "priority": "INFO", "source": "toy", **more}
    lines = "".join(f"  {key.replace('_', '-')}: {value}\n" for key, value in keys.items())
    return f"- rule: {name}\n{lines}"


def loaded(*rules: str, **options: Any) -> Ruleset:
    return load([("a.yaml", "".join(rules))], TOY, **options)


def matched(ruleset: Ruleset, event: dict[str, Any]) -> list[str]:
    return [each.name for each in ruleset.for_source("toy").matches(event)]


def told(ruleset: Ruleset) -> list[tuple[Severity, Code, str, int, str]]:
    return [(one.severity, one.code, one.item, one.place.line, one.message) for one in ruleset.problems]


OPENED = rule("Opened", "evt.type in (open, openat) and t.path startswith /etc")
STARTED = rule("Started", "evt.type = execve and t.string = sh")
NAMED = rule("Named", "evt.type = open and t.string exists")


def test_all_matching_rules_or_the_first() -> None:
    """In load order, by the event's type."""
    event = {"evt.type": "open", "t.path": "/etc/passwd", "t.string": "sh"}
    assert matched(loaded(OPENED, STARTED, NAMED), event) == ["Opened", "Named"]
    assert matched(loaded(OPENED, STARTED, NAMED, match_all=False), event) == ["Opened"]
    assert matched(loaded(OPENED, STARTED, NAMED), {"evt.type": "execve", "t.string": "sh"}) == ["Started"]
    assert matched(loaded(OPENED, STARTED, NAMED), {"evt.type": "connect"}) == []


def test_an_event_of_a_type_that_nobody_declared() -> None:
    """Meets the rules that do not ask for the type, or ask that it is another."""
    rules = loaded(OPENED, rule("Other", "evt.type != open and t.string = sh"), rule("Any", "t.string = sh"))
    assert matched(rules, {"evt.type": "clone7", "t.string": "sh", "t.path": "/etc/x"}) == ["Other", "Any"]


def test_what_is_known_of_a_rule() -> None:
    """Fields of condition and output, and event types."""
    (first, second) = loaded(
        rule(
            "One",
            "evt.type = open and t.names[1] = a and tolower(t.key[b]) = x",
            output="'%t.other of %len(t.strings)'",
        ),
        rule("Two", "evt.type = openat and (t.string = a or t.varying = b)"),
    ).rules
    assert first.fields == {("evt.type", None), ("t.names", "1"), ("t.key", "b")}
    assert first.output_fields == {("t.other", None), ("t.strings", None)}
    assert first.event_types == {"open"}
    assert second.event_types == {"openat"}


def test_what_is_known_of_a_sources_rules() -> None:
    """Together."""
    rules = loaded(OPENED, STARTED).for_source("toy")
    assert rules.event_types == {"open", "openat", "execve"}
    assert rules.fields == {("evt.type", None), ("t.path", None), ("t.string", None)}
    assert [one.name for one in rules.rules] == ["Opened", "Started"]


@pytest.mark.parametrize(
    ("assumed", "possible"),
    [
        ({}, True),
        ({"evt.type": "open"}, True),
        ({"evt.type": "connect"}, False),
        ({"evt.type": "open", "t.path": "/etc/x"}, True),
        ({"evt.type": "open", "t.path": "/usr"}, False),
        ({"evt.type": "open", "t.path": None}, False),
        ({"evt.type": "execve", "t.path": "/usr"}, True),
        ({"evt.type": "execve", "t.string": "bash"}, False),
        ({"t.path": None, "t.string": None}, False),
        ({"evt.type": "openat", "t.integer": 3}, True),
        ({"evt.type": "openat", "t.integer": -2}, False),
        ({"evt.type": "connect", "t.other": "A"}, False),
    ],
)
def test_may_match_with_some_fields_known(assumed: dict[str, Any], possible: bool) -> None:
    """False only if no rule can match, whatever the other fields are."""
    rules = loaded(OPENED, STARTED).for_source("toy")
    if "t.integer" in assumed:
        rules = loaded(rule("R", "evt.type = openat and not t.integer < 0 and t.string = a")).for_source("toy")
    assert rules.may_match(assumed) is possible
    assert any(one.may_match(assumed) for one in rules.rules) is possible


def test_may_match_with_transformed_fields() -> None:
    """What is made of a missing field is missing; of a known one nothing is claimed."""
    rules = loaded(rule("R", "tolower(t.string) = a and t.other = val(t.path)")).for_source("toy")
    assert rules.may_match({"t.string": "b"})
    assert not rules.may_match({"t.string": None})
    assert not rules.may_match({"t.path": None})


def test_one_bad_rule_does_not_silence_the_others() -> None:
    """It is told with file, line, rule and reason."""
    rules = loaded(
        rule("Bad field", "t.nothing = 1"),
        rule("Bad type", "evt.type = openn"),
        rule("Bad operator", "evt.type = open and t.integer contains 1"),
        rule("Bad output", "evt.type = open", output='"%t.nothing"'),
        OPENED,
    )
    assert [one.name for one in rules.rules] == ["Opened"]
    assert told(rules) == [
        (
            Severity.ERROR,
            Code.COMPILE_CONDITION,
            'rule "Bad field"',
            1,
            "filter_check called with nonexistent field t.nothing",
        ),
        (Severity.ERROR, Code.COMPILE_CONDITION, 'rule "Bad type"', 7, "unknown event type openn"),
        (
            Severity.ERROR,
            Code.COMPILE_CONDITION,
            'rule "Bad operator"',
            13,
            "t.integer contains: 'contains' operator not supported for numeric filters",
        ),
        (Severity.ERROR, Code.COMPILE_OUTPUT, 'rule "Bad output"', 19, "invalid formatting token t.nothing"),
    ]


def test_a_rule_of_unknown_fields_may_ask_to_be_skipped() -> None:
    """Then it is a warning; other mistakes stay errors."""
    rules = loaded(
        rule("Field", "t.nothing = 1", skip_if_unknown_filter="true"),
        rule("Type", "evt.type = openn", skip_if_unknown_filter="true"),
        rule("Operator", "evt.type = open and t.integer contains 1", skip_if_unknown_filter="true"),
    )
    assert [one.name for one in rules.rules] == []
    assert [(one.severity, one.code) for one in rules.problems] == [
        (Severity.WARNING, Code.UNKNOWN_FILTER),
        (Severity.WARNING, Code.UNKNOWN_FILTER),
        (Severity.ERROR, Code.COMPILE_CONDITION),
    ]


def test_warnings_of_rules_in_force() -> None:
    """No event type, unless the rule does not want to hear it; deprecated fields."""
    rules = loaded(
        rule("Any", "t.string = a"),
        rule("Any, knowingly", "t.string = a", warn_evttypes="false").replace("warn-", "warn_"),
        rule("Old", "evt.type = open and t.old = a", output='"%t.old"'),
    )
    assert told(rules) == [
        (
            Severity.WARNING,
            Code.NO_EVENT_TYPE,
            'rule "Any"',
            1,
            "the condition names no event type, so the rule is evaluated for every event",
        ),
        (Severity.WARNING, Code.DEPRECATED_ITEM, 'rule "Old"', 14, "field t.old is deprecated: nobody needs it"),
    ]
    assert [one.name for one in rules.rules] == ["Any", "Any, knowingly", "Old"]


def test_disabled_rules_are_in_force_when_they_are_asked_for_by_name() -> None:
    """``only`` decides alone; without it the files do."""
    files = (OPENED, rule("Off", "evt.type = open and t.string = a", enabled="false"), STARTED)
    assert [one.name for one in loaded(*files).rules] == ["Opened", "Started"]
    assert [one.name for one in loaded(*files, only={"Off", "Started", "Nowhere"}).rules] == ["Off", "Started"]
    assert [one.name for one in loaded(*files, only=()).rules] == []


def test_a_disabled_rule_is_checked_all_the_same() -> None:
    """It may be enabled any time."""
    assert [one.code for one in loaded(rule("Off", "t.nothing = a", enabled="false")).problems] == [
        Code.COMPILE_CONDITION
    ]


def test_rules_of_other_sources_are_left_out() -> None:
    """A set is loaded for the sources given."""
    rules = loaded(rule("Else", "ka.verb = get", source="k8s_audit"), OPENED)
    assert [one.name for one in rules.rules] == ["Opened"]
    with pytest.raises(KeyError):
        rules.for_source("k8s_audit")


def test_macros_and_lists_reach_the_compiler() -> None:
    """Through all stages."""
    files = textwrap.dedent("""
        - list: shells
          items: [sh, bash]
        - macro: shell
          condition: (t.string in (shells))
        """)
    rules = load([("lists.yaml", files), ("a.yaml", rule("Shell", "evt.type = execve and shell"))], TOY)
    assert matched(rules, {"evt.type": "execve", "t.string": "bash"}) == ["Shell"]
    assert rules.problems == ()


def test_the_upstream_files_load_and_compile() -> None:
    """All rules of all sources, without an error."""
    if not UPSTREAM.is_dir():
        pytest.skip("the upstream rule files are not beside the repository")
    files = [(path.name, path.read_text()) for path in sorted(UPSTREAM.glob("*.yaml"))]
    names = {
        line.split(":", 1)[1].strip() for _, text in files for line in text.splitlines() if line.startswith("- rule:")
    }
    sources = {name: source(name) for name in NAMES}
    rules = load(files, sources, only=names)
    assert [str(one) for one in rules.problems if one.severity is Severity.ERROR] == []
    assert {name: len(rules.for_source(name).rules) for name in NAMES} == {
        "syscall": 93,
        "k8s_audit": 48,
        "aws_cloudtrail": 22,
    }
