"""Rule files into a rulebook, through the rule engine. Takes a second or so for all shipped rules: use a thread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from aggregator.rulebook import KnownRule, Rulebook
from rules.collector import collect
from rules.problems import Problem, Severity
from rules.rule import Rule
from rules.ruleset import CompiledRule, load
from rules.sources import registry
from watchkeeper.policies import RuleFile

_RULE = re.compile(r'rule "(.*)"')


def make(files: Sequence[RuleFile]) -> Rulebook:
    """Load ``files``. One wrong rule does not silence the others: what is wrong is among the ``problems``.

    Whether a file disables a rule does not matter: a policy that names it is what counts.
    """
    sources = {name: registry.source(name) for name in registry.NAMES}
    texts = [(file.name, file.content) for file in files]
    collected = {rule.name: rule for rule in collect(texts, sources).rules}
    ruleset = load(texts, sources, only=collected.keys())
    compiled = {rule.name: rule for rule in ruleset.rules}
    wrong = _wrong(ruleset.problems)
    known = {name: _known(rule, compiled.get(name), wrong.get(name, ())) for name, rule in collected.items()}
    lost = {name: KnownRule(name, "", "", compiles=False, problems=wrong[name]) for name in wrong.keys() - known.keys()}
    return Rulebook(tuple(files), known | dict(sorted(lost.items())), ruleset.problems)


def _known(rule: Rule, compiled: CompiledRule | None, problems: tuple[str, ...]) -> KnownRule:
    return KnownRule(
        rule.name,
        rule.source,
        rule.priority.label,
        " ".join(rule.description.split()),
        rule.tags,
        rule.place.file,
        compiled is not None,
        problems,
        compiled.event_types if compiled and len(compiled.graph.source.event_types) > 1 else frozenset(),
    )


def _wrong(problems: Sequence[Problem]) -> Mapping[str, tuple[str, ...]]:
    """By rule, the errors in it."""
    found: dict[str, tuple[str, ...]] = {}
    for problem in problems:
        if problem.severity is Severity.ERROR and (named := _RULE.fullmatch(problem.item)):
            found[named[1]] = (*found.get(named[1], ()), problem.message)
    return found
