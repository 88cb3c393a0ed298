"""A rule that can be evaluated, and what is known of it before any event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.expression import Field
from rules.fields import Value
from rules.folding import EVENT_TYPE, Graph, Pair, Test
from rules.possibility import Possibility
from rules.rule import Priority, Rule
from rules.template import Template

FieldUse = tuple[str, str | None]
"""A field's name and argument."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """``fields``: read by the condition, ``output_fields``: by the output. ``event_types``: those it can match."""

    rule: Rule
    fields: frozenset[FieldUse]
    output_fields: frozenset[FieldUse]
    event_types: frozenset[str]
    template: Template = field(repr=False)
    graph: Graph = field(repr=False)
    node: int = field(repr=False)

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def priority(self) -> Priority:
        return self.rule.priority

    @property
    def source(self) -> str:
        return self.rule.source

    def fields_of(self, event_type: str) -> frozenset[FieldUse]:
        """Read by the condition of events of this type."""
        return _read(self.graph, self.graph.specialised([self.node], event_type)[0])

    def may_match(self, assumed: Mapping[str, Value | None]) -> bool:
        """False only if it can not match an event with these fields, by name like ``proc.aname[2]`` (None: the event
        does not have it), whatever its others are."""
        return may_hold(self.graph, [self.node], assumed)


def compiled(rule: Rule, graph: Graph, node: int, template: Template) -> CompiledRule:
    """``node``: the rule's condition in the graph."""
    return CompiledRule(
        rule=rule,
        fields=_read(graph, node),
        output_fields=_uses(template.fields),
        event_types=graph.event_types(node),
        template=template,
        graph=graph,
        node=node,
    )


def may_hold(graph: Graph, nodes: list[int], assumed: Mapping[str, Value | None]) -> bool:
    """Whether any of the conditions can hold with these fields."""
    event_type = assumed.get(EVENT_TYPE.name)
    roots = graph.specialised(nodes, event_type) if isinstance(event_type, str) else nodes
    return Possibility(graph, roots, frozenset(assumed)).may_hold(assumed)


def _read(graph: Graph, node: int) -> frozenset[FieldUse]:
    return _uses(frozenset(one for test in graph.tests(node) for one in _fields(test)))


def _fields(test: Test | Pair) -> frozenset[Field]:
    return test.taken.fields if isinstance(test, Test) else test.left.fields | test.right.fields


def _uses(fields: frozenset[Field]) -> frozenset[FieldUse]:
    return frozenset((one.name, one.argument) for one in fields)
