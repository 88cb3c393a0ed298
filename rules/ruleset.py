"""Rule files to rules that can be evaluated: the last stage."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rules.collector import collect
from rules.compiled_rule import CompiledRule, FieldUse, compiled
from rules.fields import Source, Value
from rules.folding import EVENT_TYPE, FALSE, Graph, Pair
from rules.judging import RulesOfType, Verdict
from rules.possibility import Possibility
from rules.problems import Code, Problem, Severity
from rules.relaxing import Relaxing
from rules.rule import Rule
from rules.template import template
from rules.values import ConditionError, Taken

__all__ = ["CompiledRule", "Ruleset", "SourceRules", "Verdict", "load"]

Roots = tuple[tuple[int, int], ...]
"""Positions of rules, and what is left of their conditions."""


class SourceRules:
    """The rules in force for one source. ``event_types``: those that any rule can match; ``fields``: those that any
    rule reads, in its condition or output."""

    def __init__(self, source: Source, graph: Graph, rules: Sequence[CompiledRule], match_all: bool = True) -> None:
        self.source = source
        self.rules = tuple(rules)
        self.event_types = frozenset[str]().union(*(rule.event_types for rule in rules))
        self.fields: frozenset[FieldUse] = frozenset[FieldUse]().union(
            *(rule.fields | rule.output_fields for rule in rules)
        )
        self._graph = graph
        self._match_all = match_all
        self._judges: dict[str, RulesOfType] = {}
        self._written: dict[tuple[Roots, tuple[int, ...], tuple[int, ...]], RulesOfType] = {}
        self._roots: dict[str, Roots] = {}
        self._possible: dict[tuple[str | None, frozenset[str]], Possibility] = {}

    def matches(self, event: Any) -> Sequence[CompiledRule]:
        """The rules that the event matches, in load order (the first one only, if so loaded)."""
        return self._rules_for(event).hits(event)

    def judge(self, event: Any) -> Verdict:
        """The same, and the rules that another event of the same behaviour might match."""
        return self._rules_for(event).verdict(event)

    def _rules_for(self, event: Any) -> RulesOfType:
        event_type = self.source.event_type(event)
        return self._judges.get(event_type) or self._of_new_type(event_type)

    def may_match(self, assumed: Mapping[str, Value | None]) -> bool:
        """False only if no rule can match an event with these fields, by name like ``proc.aname[2]`` (None: the event
        does not have it), whatever its others are. Asking again for the same fields is cheap."""
        event_type = assumed.get(EVENT_TYPE.name)
        known = event_type if isinstance(event_type, str) else None
        key = known, frozenset(assumed)
        question = self._possible.get(key)
        if question is None:
            roots = [rule.node for rule in self.rules] if known is None else [node for _, node in self._of_type(known)]
            question = self._possible[key] = Possibility(self._graph, roots, key[1])
        return question.may_hold(assumed)

    def _of_new_type(self, event_type: str) -> RulesOfType:
        """Made when the first event of a type comes; types that mean the same to all rules share one."""
        roots = self._of_type(event_type)
        exact = [node for _, node in roots]
        relaxed = Relaxing(self._graph, event_type).relaxed(exact)
        loosest = Relaxing(self._graph, event_type, worded=True).relaxed(exact)
        key = roots, tuple(relaxed), tuple(loosest)
        if key not in self._written:
            rules = [self.rules[position] for position, _ in roots]
            self._written[key] = RulesOfType(self._graph, rules, exact, relaxed, loosest, self._match_all)
        self._judges[event_type] = self._written[key]
        return self._judges[event_type]

    def _of_type(self, event_type: str) -> Roots:
        """Positions of the rules that can match events of this type, and what is left of their conditions."""
        if event_type not in self._roots:
            nodes = self._graph.specialised([rule.node for rule in self.rules], event_type)
            self._roots[event_type] = tuple(pair for pair in enumerate(nodes) if pair[1] != FALSE)
        return self._roots[event_type]


class Ruleset:
    """``rules``: those in force, in load order. ``problems``: of the files, whether or not a rule is in force."""

    def __init__(
        self, rules: Sequence[CompiledRule], problems: Sequence[Problem], sources: Mapping[str, SourceRules]
    ) -> None:
        self.rules = tuple(rules)
        self.problems = tuple(problems)
        self._sources = sources

    def for_source(self, name: str) -> SourceRules:
        """KeyError: the set was loaded without this source."""
        return self._sources[name]


def load(
    files: Sequence[tuple[str, str]],
    sources: Mapping[str, Source],
    *,
    only: Collection[str] | None = None,
    match_all: bool = True,
) -> Ruleset:
    """Compile rule files, (name, content) each, in their order. Nothing is raised for a bad rule or file: it is told
    among the problems, and the others are in force.

    ``only``: the names of the rules to compile and put in force, whether or not a file disables them; None: all are
    compiled, and those put in force that no file disables. ``match_all`` False: of the rules that an event matches only
    the first counts.
    """
    collected = collect(files, sources)
    graphs = {name: Graph(source) for name, source in sources.items()}
    problems = list(collected.problems)
    rules = []
    for rule in collected.rules:
        if rule.source in graphs and (only is None or rule.name in only):
            made, reasons = _compiled(rule, graphs[rule.source])
            problems += reasons
            if made is not None and (only is not None or rule.enabled):
                rules.append(made)
    per_source = {
        name: SourceRules(source, graphs[name], [rule for rule in rules if rule.source == name], match_all)
        for name, source in sources.items()
    }
    return Ruleset(rules, problems, per_source)


def _compiled(rule: Rule, graph: Graph) -> tuple[CompiledRule | None, list[Problem]]:
    try:
        node = graph.add(rule.condition)
    except ConditionError as error:
        return None, [_failure(rule, error, Code.COMPILE_CONDITION)]
    try:
        output = template(rule.output, graph.source, graph.take)
    except ConditionError as error:
        return None, [_failure(rule, error, Code.COMPILE_OUTPUT)]
    made = compiled(rule, graph, node, output)
    return made, list(_warnings(made))


def _failure(rule: Rule, error: ConditionError, code: Code) -> Problem:
    if error.unknown and rule.skip_if_unknown_filter:
        return Problem(Severity.WARNING, Code.UNKNOWN_FILTER, f"{error}; the rule is skipped", rule.place, _item(rule))
    return Problem(Severity.ERROR, code, str(error), rule.place, _item(rule))


def _warnings(made: CompiledRule) -> Iterator[Problem]:
    rule, types = made.rule, made.graph.source.event_types
    if rule.warn_event_types and len(types) > 1 and made.event_types == types:
        reason = "the condition names no event type, so the rule is evaluated for every event"
        yield Problem(Severity.WARNING, Code.NO_EVENT_TYPE, reason, rule.place, _item(rule))
    deprecated = {
        field.name: info.deprecated for taken in _taken(made) for field, info in taken.infos if info.deprecated
    }
    for name, reason in sorted(deprecated.items()):
        yield Problem(
            Severity.WARNING, Code.DEPRECATED_ITEM, f"field {name} is deprecated: {reason}", rule.place, _item(rule)
        )


def _taken(made: CompiledRule) -> Iterator[Taken]:
    for test in made.graph.tests(made.node):
        yield from (test.left, test.right) if isinstance(test, Pair) else (test.taken,)
    yield from (piece.taken for piece in made.template.pieces if not isinstance(piece, str))


def _item(rule: Rule) -> str:
    return f'rule "{rule.name}"'
