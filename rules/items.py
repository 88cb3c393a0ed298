"""What a rule file holds, item by item, before the items of all files are put together."""

from __future__ import annotations

from dataclasses import dataclass

from rules.rule import Place, Priority


@dataclass(frozen=True, slots=True)
class Written:
    """A condition and where it begins."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class EngineVersionItem:
    version: str
    place: Place


@dataclass(frozen=True, slots=True)
class PluginVersionItem:
    """One plugin that the file needs, or another that serves as well: (name, version)."""

    alternatives: tuple[tuple[str, str], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class ListItem:
    """``append``: to the items of the list of this name."""

    name: str
    items: tuple[str, ...]
    append: bool
    place: Place


@dataclass(frozen=True, slots=True)
class MacroItem:
    """``append``: to the condition of the macro of this name."""

    name: str
    condition: Written
    append: bool
    place: Place


ExceptionValue = str | tuple[str | tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ExceptionItem:
    """As written: one field with values, or several with tuples of values. Empty: not given."""

    name: str
    fields: str | tuple[str, ...]
    comparisons: str | tuple[str, ...]
    values: tuple[ExceptionValue, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class RuleParts:
    """Keys of a rule; None: not given. Defaults come where the rule is put together."""

    condition: Written | None = None
    output: str | None = None
    description: str | None = None
    priority: Priority | None = None
    source: str | None = None
    enabled: bool | None = None
    warn_event_types: bool | None = None
    skip_if_unknown_filter: bool | None = None
    tags: tuple[str, ...] | None = None
    exceptions: tuple[ExceptionItem, ...] | None = None


@dataclass(frozen=True, slots=True)
class RuleItem:
    """A definition: condition, output, description and priority are there."""

    name: str
    parts: RuleParts
    place: Place


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Of a rule defined before: ``append: true``, or what ``override`` says; None: nothing of this kind."""

    name: str
    append: RuleParts | None
    replace: RuleParts | None
    place: Place


@dataclass(frozen=True, slots=True)
class RuleSwitch:
    """``enabled`` alone."""

    name: str
    enabled: bool
    place: Place


Item = EngineVersionItem | PluginVersionItem | ListItem | MacroItem | RuleItem | RuleChange | RuleSwitch
