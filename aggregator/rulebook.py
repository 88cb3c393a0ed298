"""Rule files as loaded: which rules they hold, from which source, and what is wrong with them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import yaml

from rules.problems import Problem, Severity
from watchkeeper.policies import RuleFile

SYSCALL = "syscall"  # the only source that agents serve


@dataclass(frozen=True, slots=True)
class KnownRule:
    """A rule that the files hold. ``compiles``: it can be in force; else ``problems`` say why not.
    ``event_types``: those it can match; empty where its source has only one."""

    name: str
    source: str
    priority: str
    description: str = ""
    tags: tuple[str, ...] = ()
    file: str = ""
    compiles: bool = True
    problems: tuple[str, ...] = ()
    event_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """``files`` in the order in which they are loaded; ``rules`` by name."""

    files: tuple[RuleFile, ...] = ()
    rules: Mapping[str, KnownRule] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {file.name: hashlib.sha256(file.content.encode()).hexdigest() for file in self.files}

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    def files_for(self, source: str) -> tuple[RuleFile, ...]:
        """The files without which rules of ``source`` would not be what they are here."""
        contents = [_content(file) for file in self.files]
        sources = {name: each for content in contents for name, each in content.defined.items()}
        kept = [content for content in contents if content.concerns(source, sources)]
        while more := [content for content in contents if content not in kept and content.is_needed(kept)]:
            kept += more
        return tuple(content.file for content in contents if content in kept)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file holds. ``defined``: the source of each rule; ``changed``: rules defined elsewhere; ``names``: of
    lists and macros; ``words``: all that could refer to one."""

    file: RuleFile
    defined: Mapping[str, str]
    changed: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]

    def concerns(self, source: str, sources: Mapping[str, str]) -> bool:
        """It has a rule of this source, or none at all: then its lists and macros are there for others."""
        rules = self.defined.keys() | self.changed
        return not rules or any(sources.get(rule, SYSCALL) == source for rule in rules)

    def is_needed(self, kept: Iterable[_Content]) -> bool:
        """Files that are kept change its rules, or refer to its lists or macros, or define them, too."""
        return any(self.defined.keys() & each.changed or self.names & each.words for each in kept)


def _content(file: RuleFile) -> _Content:
    items = [item for item in _items(file.content) if isinstance(item, dict)]
    rules = [item for item in items if "rule" in item]
    return _Content(
        file,
        {str(item["rule"]): str(item.get("source", SYSCALL)) for item in rules if _defines(item)},
        frozenset(str(item["rule"]) for item in rules if not _defines(item)),
        frozenset(str(item[kind]) for item in items for kind in ("list", "macro") if kind in item),
        frozenset(_WORD.findall(file.content)),
    )


_WORD = re.compile(r"[A-Za-z0-9_.\-]+")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _items(content: str) -> Iterable[object]:
    try:
        found = yaml.load(content, _LOADER)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.YAMLError:
        return ()
    return found if isinstance(found, list) else ()


def _defines(item: Mapping[str, object]) -> bool:
    """Not a mere change (append, override, enabled) of a rule that is defined elsewhere."""
    return "condition" in item and not item.get("append") and "override" not in item
