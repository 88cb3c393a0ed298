"""Lists, macros and rules as they stand after all items: defined, defined again, appended to, overridden."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from rules.exceptions import checked, extended
from rules.items import (
    EngineVersionItem,
    ExceptionItem,
    Item,
    ListItem,
    MacroItem,
    PluginVersionItem,
    RuleChange,
    RuleItem,
    RuleParts,
    RuleSwitch,
    Written,
)
from rules.lists import List
from rules.problems import Code, Problem, Severity
from rules.rule import Place
from rules.versions import check_engine, check_plugin

_REST = "; the rest of the file is left out"


@dataclass(frozen=True, slots=True)
class MacroDefinition:
    """``index`` and ``visibility`` as of a list."""

    name: str
    condition: Written
    index: int
    visibility: int
    place: Place


@dataclass(frozen=True, slots=True)
class RuleDefinition:
    """``parts``: all of a definition, exceptions checked. Its source may be one we do not have."""

    name: str
    source: str
    parts: RuleParts
    place: Place


class Refused(Exception):
    """An item cannot be taken. ``whole_file``: nor can what follows it in its file."""

    def __init__(self, message: str, place: Place, item: str, *, whole_file: bool = False) -> None:
        super().__init__(message)
        self.problem = Problem(Severity.ERROR, Code.VALIDATE, message, place, item)
        self.whole_file = whole_file


class Definitions:
    """By name, in the order in which the names were first defined: a name defined again keeps its turn."""

    def __init__(self, sources: Collection[str]) -> None:
        self.lists: dict[str, List] = {}
        self.macros: dict[str, MacroDefinition] = {}
        self.rules: dict[str, RuleDefinition] = {}
        self.warnings: list[Problem] = []
        self._sources = sources
        self._next = 0

    def take(self, item: Item) -> None:
        """Raises Refused; nothing has changed then."""
        match item:
            case EngineVersionItem(version, place):
                with _refusing(place, "required_engine_version", suffix=_REST, whole_file=True):
                    check_engine(version)
            case PluginVersionItem(alternatives, place):
                with _refusing(place, "required_plugin_versions", suffix=_REST, whole_file=True):
                    check_plugin(alternatives)
            case ListItem():
                self._take_list(item)
            case MacroItem():
                self._take_macro(item)
            case RuleItem():
                self._define_rule(item)
            case RuleChange():
                self._change_rule(item)
            case RuleSwitch(name, enabled, place):
                rule = self._rule(name, place)
                self.rules[name] = replace(rule, parts=replace(rule.parts, enabled=enabled))

    def has_source(self, rule: RuleDefinition) -> bool:
        return rule.source in self._sources

    def _turn(self) -> int:
        self._next += 1
        return self._next - 1

    def _take_list(self, item: ListItem) -> None:
        previous = self.lists.get(item.name)
        if item.append and previous is None:
            raise Refused("there is no list of this name to append to", item.place, f"list {item.name}")
        turn = self._turn()
        index = turn if previous is None else previous.index
        if item.append and previous is not None:
            self.lists[item.name] = replace(previous, items=(*previous.items, *item.items), visibility=turn)
        else:
            self.lists[item.name] = List(item.name, item.items, index, turn, item.place)

    def _take_macro(self, item: MacroItem) -> None:
        previous = self.macros.get(item.name)
        if item.append and previous is None:
            raise Refused("there is no macro of this name to append to", item.place, f"macro {item.name}")
        turn = self._turn()
        index = turn if previous is None else previous.index
        if item.append and previous is not None:
            condition = f"{previous.condition.text} {item.condition.text}"
            written = Written(condition, previous.condition.place)
            self.macros[item.name] = replace(previous, condition=written, visibility=turn)
        else:
            self.macros[item.name] = MacroDefinition(item.name, item.condition, index, turn, item.place)

    def _define_rule(self, item: RuleItem) -> None:
        about = f'rule "{item.name}"'
        source = item.parts.source or "syscall"
        previous = self.rules.get(item.name)
        if previous is not None and previous.source != source:
            raise Refused(f"defined again with another source: {previous.source}, now {source}", item.place, about)
        exceptions = _all_checked(item.parts.exceptions or (), about)
        self._turn()
        self.rules[item.name] = RuleDefinition(
            item.name, source, replace(item.parts, exceptions=exceptions), item.place
        )
        if source not in self._sources:
            message = f"unknown source {source}: the rule is left out"
            self.warnings.append(Problem(Severity.WARNING, Code.UNKNOWN_SOURCE, message, item.place, about))

    def _change_rule(self, item: RuleChange) -> None:
        rule = self._rule(item.name, item.place)
        parts = rule.parts
        about = f'rule "{item.name}"'
        if item.append is not None:
            parts = _appended(parts, item.append, about)
        if item.replace is not None:
            parts = _replaced(parts, item.replace, about)
        self._turn()
        self.rules[item.name] = replace(rule, parts=parts)

    def _rule(self, name: str, place: Place) -> RuleDefinition:
        if name not in self.rules:
            raise Refused("there is no rule of this name to change", place, f'rule "{name}"')
        return self.rules[name]


@contextmanager
def _refusing(
    place: Place, item: str, *, prefix: str = "", suffix: str = "", whole_file: bool = False
) -> Iterator[None]:
    """A ValueError inside becomes Refused."""
    try:
        yield
    except ValueError as error:
        raise Refused(f"{prefix}{error}{suffix}", place, item, whole_file=whole_file) from error


def _appended(parts: RuleParts, added: RuleParts, about: str) -> RuleParts:
    exceptions = parts.exceptions or ()
    for exception in added.exceptions or ():
        with _refusing(exception.place, about, prefix=f"exception {exception.name}: "):
            exceptions = extended(exceptions, exception)
    return replace(
        parts,
        condition=_longer(parts.condition, added.condition),
        output=_joined(parts.output, added.output),
        description=_joined(parts.description, added.description),
        tags=(*(parts.tags or ()), *(added.tags or ())),
        exceptions=exceptions,
    )


def _replaced(parts: RuleParts, new: RuleParts, about: str) -> RuleParts:
    if new.exceptions is not None:
        new = replace(new, exceptions=_all_checked(new.exceptions, about))
    values = {one.name: getattr(new, one.name) for one in fields(RuleParts)}
    return replace(parts, **{name: value for name, value in values.items() if value is not None})


def _all_checked(exceptions: Collection[ExceptionItem], about: str) -> tuple[ExceptionItem, ...]:
    result = []
    for exception in exceptions:
        with _refusing(exception.place, about, prefix=f"exception {exception.name}: "):
            result.append(checked(exception))
    return tuple(result)


def _longer(condition: Written | None, added: Written | None) -> Written | None:
    if condition is None or added is None:
        return condition
    return Written(f"{condition.text} {added.text}", condition.place)


def _joined(text: str | None, added: str | None) -> str | None:
    return " ".join(part for part in (text, added) if part) or None
