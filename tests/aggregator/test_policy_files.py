"""Policy files: what is read, and what is wrong told by file, policy and key."""

from __future__ import annotations

import pytest

from aggregator.policies import StatedPolicy, effective, problems
from aggregator.policy_files import Written, read
from aggregator.records import PolicyChange
from aggregator.rulebook import KnownRule, Rulebook
from watchkeeper.findings import Severity
from watchkeeper.policies import Policy, RuleFile, Scope

WHOLE = """
- name: Files
  enabled: true
  description: >
    What must not
    be written
  scope: {clusters: [prod-*], namespaces: [shop], labels: {tier: front, app: web},
          accounts: ["123456789012"], regions: [eu-*]}
  rules: [Write below etc, "Attach/Exec Pod"]
  actions: [alert]
  severity: high
- {name: Plain, rules: [r]}
"""


def one(text: str, name: str = "site.yaml") -> Written:
    return read([(RuleFile(name, text), "file")])


def test_a_policy_is_read_whole() -> None:
    """Every key; what is left out has its default: disabled, everywhere, alerting."""
    written = one(WHOLE)
    assert written.problems == ()
    assert dict(written.policies) == {
        "Files": Policy(
            "Files", True, ("Write below etc", "Attach/Exec Pod"), "What must not be written",
            Scope(("prod-*",), ("shop",), (("app", "web"), ("tier", "front")), ("123456789012",), ("eu-*",)),
            ("alert",), Severity.HIGH, "file",
        ),
        "Plain": Policy("Plain", False, ("r",), origin="file"),
    }  # fmt: skip


def test_a_mapping_with_policies_is_the_same() -> None:
    """Both forms are files of policies; an empty one has none."""
    assert one("policies:\n- {name: P, rules: [r]}").policies == one("- {name: P, rules: [r]}").policies
    assert one("").policies == one("policies:").policies == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: P, rules: [r], enabld: true}", 'policy "P": Object contains unknown field `enabld`'),
        (
            "- {name: P, rules: [r], scope: {cluster: x}}",
            'policy "P": Object contains unknown field `cluster` - at `$.scope`',
        ),
        ("- {name: P}", 'policy "P": Object missing required field `rules`'),
        ("- {rules: [r]}", "Object missing required field `name`"),
        ("- just text", "Expected `object`, got `str`"),
        ("- {name: P, rules: []}", 'policy "P": rules: names no rule'),
        ("- {name: P, rules: [r, r]}", 'policy "P": rules: names "r" twice'),
        ("- {name: P, rules: [r], actions: [kill]}", 'policy "P": actions: "kill" is none of alert'),
        ("- {name: P, rules: [r], severity: urgent}", "policy \"P\": Invalid enum value 'urgent' - at `$.severity`"),
        ("- {name: P, rules: [r], scope: {clusters: ['']}}", 'policy "P": scope.clusters: "" can not match anything'),
        ("- {name: P, rules: [r], scope: {namespaces: [a b]}}", 'scope.namespaces: "a b" can not match anything'),
        ("- {name: P, rules: [r], scope: {accounts: [prod]}}", 'scope.accounts: "prod" can not match anything'),
        ("- {name: P, rules: [r], scope: {regions: [EU]}}", 'scope.regions: "EU" can not match anything'),
        ("- {name: a/b, rules: [r]}", "name: must be 1 to 100 characters"),
        ("- {name: P, rules: [r]}\n- {name: P, rules: [s]}", 'policy "P": is in this file twice'),
        ("{policy: []}", "policy: is no key of a policy file"),
        ("policies: 7", "policies: must be a list of policies"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    """File, policy and key."""
    found = [str(problem) for problem in one(text).problems]
    assert len(found) == 1
    assert found[0].startswith("site.yaml: error:")
    assert told in found[0]


def test_one_wrong_policy_does_not_silence_the_others() -> None:
    """They are read all the same."""
    written = one("- {name: A, rulez: []}\n- {name: B, rules: [r]}")
    assert (list(written.policies), len(written.problems)) == (["B"], 1)


def test_the_later_file_counts() -> None:
    """A site's own file replaces a shipped policy of the same name."""
    written = read([
        (RuleFile("policies.yaml", "- {name: A, rules: [r]}\n- {name: B, rules: [r]}"), "shipped"),
        (RuleFile("site.yaml", "- {name: A, rules: [s], enabled: true}"), "file"),
    ])  # fmt: skip
    assert {name: (p.rules, p.origin) for name, p in written.policies.items()} == {
        "A": (("s",), "file"), "B": (("r",), "shipped"),
    }  # fmt: skip
    assert written.files == {"A": "site.yaml", "B": "policies.yaml"}


def test_changes_lie_over_what_files_say() -> None:
    """A switch keeps following its file, a replacement does not; a switch of what is gone counts no more."""
    written = {"A": Policy("A", False, ("new",), origin="shipped"), "B": Policy("B", True, ("r",), origin="shipped")}
    own, other = Policy("B", True, ("mine",)), Policy("C", True, ("c",))
    switch = PolicyChange("A", True, "ada", "audit", 1.0)
    replaced = PolicyChange("B", False, "ada", "noise", 2.0, own)
    made, gone = PolicyChange("C", True, "ada", "new", 3.0, other), PolicyChange("D", True, "ada", "?", 4.0)
    assert effective(written, [switch, replaced, made, gone]) == {
        "A": StatedPolicy(Policy("A", True, ("new",), origin="shipped"), written["A"], switch),
        "B": StatedPolicy(Policy("B", False, ("mine",)), written["B"], replaced),
        "C": StatedPolicy(other, None, made),
    }


def test_unknown_rules_are_an_error_where_they_matter() -> None:
    """Of a disabled policy they are a warning; the file and the policy are named."""
    written = one("- {name: A, rules: [known, lost], enabled: true}\n- {name: B, rules: [lost]}")
    rulebook = Rulebook(rules={"known": KnownRule("known", "syscall", "Error")})
    assert [str(p) for p in problems(written, effective(written.policies, []), rulebook)] == [
        'site.yaml: error: policy "A": rules: no rule file holds "lost" (LOAD_ERR_VALIDATE)',
        'site.yaml: warning: policy "B": rules: no rule file holds "lost" (LOAD_ERR_VALIDATE)',
    ]
