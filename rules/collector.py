"""All rule files to rules: definitions put together, lists and macros put in place, exceptions made conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.definitions import Definitions, Refused, RuleDefinition
from rules.exceptions import condition_with
from rules.expression import And, Compare, Expression, Field, Literal, Not, Or
from rules.items import Written
from rules.lists import TooLong, expand, put_in_place
from rules.macros import Macros
from rules.parser import ParseError, parse
from rules.problems import Code, Problem, Severity
from rules.reader import read
from rules.rule import Place, Rule

_UNSAFE_FIELDS = ("ka.", "jevt.")
_EQUALITIES = frozenset({"=", "!=", "in", "intersects", "pmatch"})
_NA = Literal("<NA>")
_NA_CHECK = "comparing with <NA> does not tell whether the field is there: use exists"


@dataclass(frozen=True, slots=True)
class Counts:
    """Names defined over all files; ``rules``: by source, those of Collected."""

    lists: int
    macros: int
    rules: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Collected:
    """``rules``: in the order in which their names were first defined, disabled ones included, those with an error not.
    A macro's tree is one object, whatever conditions it stands in."""

    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]
    counts: Counts


def collect(files: Sequence[tuple[str, str]], sources: Collection[str]) -> Collected:
    """Files are (name, content) in the order in which they are loaded. Never raises: what is wrong is a problem."""
    definitions, problems = _definitions(files, sources)
    resolution = _Resolution(definitions)
    rules = tuple(resolution.rules())
    resolution.warn_unused()
    counts = Counts(len(definitions.lists), len(definitions.macros), Counter(rule.source for rule in rules))
    return Collected(rules, (*problems, *definitions.warnings, *resolution.problems), counts)


def _definitions(files: Sequence[tuple[str, str]], sources: Collection[str]) -> tuple[Definitions, list[Problem]]:
    definitions = Definitions(sources)
    problems: list[Problem] = []
    for name, content in files:
        reading = read(name, content)
        problems += reading.problems
        for item in reading.items:
            try:
                definitions.take(item)
            except Refused as refused:
                problems.append(refused.problem)
                if refused.whole_file:
                    break
    return definitions, problems


class _Resolution:
    """What becomes of the definitions. ``problems``: of conditions, and what is used nowhere."""

    def __init__(self, definitions: Definitions) -> None:
        self.problems: list[Problem] = []
        self._definitions = definitions
        self._used_lists: set[str] = set()
        self._items = self._expanded_lists()
        self._macros = self._resolved_macros()

    def _expanded_lists(self) -> dict[str, tuple[str, ...]]:
        lists = self._definitions.lists
        result: dict[str, tuple[str, ...]] = {}
        for name, list_ in lists.items():
            inner = (lists[item] for item in list_.items if item in lists)
            self._used_lists.update(one.name for one in inner if one.index < list_.visibility)
            try:
                result[name] = expand(list_, lists, result)
            except TooLong as error:
                result[name] = ()
                self._tell(Code.VALIDATE, str(error), list_.place, f"list {name}")
        return result

    def _resolved_macros(self) -> Macros:
        trees: dict[str, Expression] = {}
        for name, macro in self._definitions.macros.items():
            parsed = self._parsed(macro.condition, f"macro {name}")
            if parsed is not None:
                trees[name] = parsed[1]
        order = {name: (macro.index, macro.visibility) for name, macro in self._definitions.macros.items()}
        macros = Macros(trees, order)
        for name, reason in macros.errors.items():
            place = self._definitions.macros[name].condition.place
            self._tell(Code.VALIDATE, reason, place, f"macro {name}")
        return macros

    def rules(self) -> Iterator[Rule]:
        for definition in self._definitions.rules.values():
            rule = self._rule(definition) if self._definitions.has_source(definition) else None
            if rule is not None:
                yield rule

    def _rule(self, definition: RuleDefinition) -> Rule | None:
        """None: it has an error, which was told."""
        parts = definition.parts
        resolved = self._condition(definition)
        if resolved is None:
            return None
        assert parts.priority is not None  # a definition has one
        return Rule(
            name=definition.name,
            condition=resolved[1],
            output=parts.output or "",
            priority=parts.priority,
            description=parts.description or "",
            source=definition.source,
            tags=tuple(sorted(set(parts.tags or ()))),
            enabled=parts.enabled is not False,
            warn_event_types=parts.warn_event_types is not False,
            skip_if_unknown_filter=parts.skip_if_unknown_filter is True,
            place=definition.place,
            text=resolved[0],
        )

    def _condition(self, definition: RuleDefinition) -> tuple[str, Expression] | None:
        """Its text and its tree, everything in place; None: it has an error, which was told."""
        written = definition.parts.condition
        assert written is not None  # a definition has one
        about = f'rule "{definition.name}"'
        try:
            text = condition_with(written.text, definition.parts.exceptions or ())
            parsed = self._parsed(Written(text, written.place), about)
            if parsed is None:
                return None
            tree = self._macros.in_place(parsed[1]).tree
        except ValueError as error:
            self._tell(Code.VALIDATE, str(error), written.place, about)
            return None
        if compares_with_na(tree):
            self._tell(Code.UNSAFE_NA_CHECK, _NA_CHECK, written.place, about, Severity.WARNING)
        return parsed[0], tree

    def warn_unused(self) -> None:
        """Call it when all rules were made."""
        for name, macro in self._definitions.macros.items():
            if name not in self._macros.used:
                self._tell(Code.UNUSED_MACRO, "used nowhere", macro.place, f"macro {name}", Severity.WARNING)
        for name, list_ in self._definitions.lists.items():
            if name not in self._used_lists:
                self._tell(Code.UNUSED_LIST, "used nowhere", list_.place, f"list {name}", Severity.WARNING)

    def _parsed(self, condition: Written, about: str) -> tuple[str, Expression] | None:
        """The text with lists in place, and its tree; None: it has an error, which was told."""
        text = condition.text
        try:
            for name, items in self._items.items():
                text, found = put_in_place(text, name, items)
                if found:
                    self._used_lists.add(name)
            return text, parse(text, condition.place)
        except TooLong as error:
            self._tell(Code.COMPILE_CONDITION, str(error), condition.place, about)
        except ParseError as error:
            where = f"line {error.line}, column {error.column} of the condition"
            self._tell(Code.COMPILE_CONDITION, f"{error.message} ({where})", condition.place, about)
        return None

    def _tell(self, code: Code, message: str, place: Place, about: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Problem(severity, code, message, place, about))


def compares_with_na(tree: Expression) -> bool:
    """Whether a field of an API server's audit event is compared with "<NA>", which says nothing about whether it is
    there."""
    match tree:
        case And(operands) | Or(operands):
            return any(compares_with_na(operand) for operand in operands)
        case Not(operand):
            return compares_with_na(operand)
        case Compare(Field(name), operator, right):
            literals = right if isinstance(right, tuple) else (right,)
            return name.startswith(_UNSAFE_FIELDS) and operator in _EQUALITIES and _NA in literals
        case _:
            return False
