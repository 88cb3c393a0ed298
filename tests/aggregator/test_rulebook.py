"""Rule files as loaded: what they hold, and which of them a source needs."""

from __future__ import annotations

from aggregator import rule_loader
from aggregator.definition_files import DefinitionFiles
from aggregator.detection import NOTHING, Detection
from aggregator.policies import StatedPolicy
from aggregator.rulebook import KnownRule, Rulebook
from watchkeeper.policies import Policy, RuleFile, Scope

SYSCALL = RuleFile(
    "a.yaml", "- rule: S\n  desc: d\n  condition: evt.type = open and mine\n  output: o\n  priority: ERROR"
)
AUDIT = RuleFile(
    "b.yaml", "- rule: K\n  desc: d\n  condition: ka.verb = get\n  output: o\n  priority: NOTICE\n  source: k8s_audit"
)
MACROS = RuleFile("0.yaml", "- macro: mine\n  condition: fd.name = /x\n")


def names(*files: RuleFile) -> list[str]:
    return [file.name for file in Rulebook(files).files_for("syscall")]


def test_files_of_other_sources_stay_behind() -> None:
    """Agents get rules of system calls, and what has no rules at all."""
    assert names(MACROS, SYSCALL, AUDIT) == ["0.yaml", "a.yaml"]


def test_a_file_that_kept_ones_refer_to_goes_along() -> None:
    """Its list is used, or defined again, by a file that is kept."""
    lists = RuleFile("b.yaml", AUDIT.content + "\n- list: shells\n  items: [sh]\n")
    user = RuleFile("c.yaml", SYSCALL.content.replace("mine", "proc.name in (shells)"))
    assert names(lists, user) == ["b.yaml", "c.yaml"]
    assert names(lists, SYSCALL) == ["a.yaml"]


def test_changes_of_a_rule_belong_to_its_source() -> None:
    """A file that only changes audit rules stays behind with them; one that changes both brings its base along."""
    change = RuleFile("c.yaml", "- rule: K\n  enabled: false\n")
    both = RuleFile("d.yaml", "- rule: K\n  condition: and x\n  append: true\n- rule: S\n  enabled: true\n")
    assert names(MACROS, SYSCALL, AUDIT, change) == ["0.yaml", "a.yaml"]
    assert names(MACROS, SYSCALL, AUDIT, both) == ["0.yaml", "a.yaml", "b.yaml", "d.yaml"]


def test_rules_are_known_with_what_is_wrong_with_them() -> None:
    """One that does not compile, one that can not be read, one that a file disables: all are known."""
    broken = RuleFile("c.yaml", AUDIT.content.replace("K", "Broken").replace("ka.verb", "ka.nothing"))
    unread = RuleFile("d.yaml", AUDIT.content.replace("K", "Unread").replace("ka.verb = get", "ka.verb = ("))
    off = RuleFile("e.yaml", AUDIT.content.replace("K", "Off") + "\n  enabled: false\n")
    book = rule_loader.make([MACROS, SYSCALL, AUDIT, broken, unread, off])
    assert {name: (rule.source, rule.compiles) for name, rule in book.rules.items()} == {
        "S": ("syscall", True), "K": ("k8s_audit", True), "Broken": ("k8s_audit", False), "Off": ("k8s_audit", True),
        "Unread": (book.rules["Unread"].source, False),
    }  # fmt: skip
    assert book.rules["S"] == KnownRule("S", "syscall", "Error", "d", (), "a.yaml", event_types=frozenset({"open"}))
    assert "ka.nothing" in book.rules["Broken"].problems[0]
    assert book.rules["Unread"].problems
    assert {problem.place.file for problem in book.errors} == {"c.yaml", "d.yaml"}


def _detection(*policies: Policy) -> Detection:
    return Detection(
        rule_loader.make([MACROS, SYSCALL, AUDIT]), {policy.name: StatedPolicy(policy) for policy in policies}
    )


def test_a_cluster_gets_what_covers_it() -> None:
    """Enabled policies with rules of system calls whose scope covers it, without their other rules."""
    detection = _detection(
        Policy("Both", True, ("S", "K")),
        Policy("Off", False, ("S",)),
        Policy("Audit", True, ("K",)),
        Policy("Else", True, ("S",), scope=Scope(clusters=("test",))),
        Policy("Part", True, ("S", "lost"), scope=Scope(clusters=("p*",), namespaces=("shop",))),
    )
    found = detection.set_for("prod")
    assert [(policy.name, policy.rules) for policy in found.policies] == [("Both", ("S",)), ("Part", ("S",))]
    assert [file.name for file in found.files] == ["0.yaml", "a.yaml"]
    assert detection.hash_for("prod") == found.hash != detection.hash_for("test")
    assert [rule.name for rule in detection.in_force] == ["S", "K"]


def test_nothing_to_run_needs_no_files() -> None:
    """And an agent that runs nothing has acknowledged it, whether it says so by hash or by none."""
    detection = _detection(Policy("Audit", True, ("K",)))
    assert detection.set_for("prod") == NOTHING
    assert detection.is_acknowledged("prod", "")
    assert detection.is_acknowledged("prod", NOTHING.hash)
    assert not detection.is_acknowledged("prod", "other")
    assert not _detection(Policy("P", True, ("S",))).is_acknowledged("prod", "")


def test_shipped_rules_and_policies_are_right() -> None:
    """No error, and an agent gets nothing but rules of its source."""
    contents = DefinitionFiles().read()
    book = rule_loader.make(contents.rules)
    assert book.errors == contents.problems == ()
    assert not any(file.name.startswith(("aws", "k8s")) for file in book.files_for("syscall"))
