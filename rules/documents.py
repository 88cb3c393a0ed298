"""YAML of rule files as nodes that know their lines. Scalars stay text as written: a version, ``yes``, a number.

Built from YAML's events, so that nothing is constructed, no depth overflows a stack, and aliases are counted before
they are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 16 * 1024 * 1024
MAX_NODES = 1_000_000
"""In one file, aliases counted as often as they are used."""
MAX_LEVELS = 40

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml; it is slower then


@dataclass(frozen=True, slots=True)
class Scalar:
    """``plain``: without quotes, so that it may be a null."""

    text: str
    line: int
    plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in their order, repeated ones included."""

    entries: tuple[tuple[Node, Node], ...]
    line: int


Node = Scalar | Sequence | Mapping


class Malformed(Exception):
    """YAML, or an item in it, is not what a rule file holds. ``line``: from 1, 0 where unknown."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.is_null


def read_documents(content: str, loader: Any = LOADER) -> tuple[Node, ...]:
    """The documents of a file, empty ones left out. Raises Malformed for what is no YAML or beyond the limits above."""
    if len(content) > MAX_CHARACTERS:
        raise Malformed(f"the file has more than {MAX_CHARACTERS} characters", 0)
    builder = _Builder()
    try:
        for event in yaml.parse(content, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise Malformed(f"not YAML: {reason}", mark.line + 1 if mark else 0) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise Malformed(f"not YAML: {str(error).splitlines()[0]}", 0) from error
    return tuple(document for document in builder.documents if not is_null(document))


@dataclass(slots=True)
class _Open:
    """A sequence or mapping whose end has not come yet; ``first``: how many nodes there were before it."""

    is_mapping: bool
    anchor: str | None
    line: int
    first: int
    children: list[Node] = field(default_factory=list)


class _Builder:
    def __init__(self) -> None:
        self.documents: list[Node] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}
            case yaml.ScalarEvent():
                self._count(1, line)
                plain = not event.style and event.tag is None
                self._put(Scalar(event.value, line, plain), event.anchor, 1)
            case yaml.AliasEvent(anchor=str(anchor)):
                self._alias(anchor, line)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(self._open) >= MAX_LEVELS:
                    raise Malformed(f"more than {MAX_LEVELS} levels inside one another", line)
                self._count(1, line)
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                self._open.append(_Open(is_mapping, event.anchor, line, self._nodes - 1))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                closed = self._open.pop()
                self._put(_closed(closed), closed.anchor, self._nodes - closed.first)

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise Malformed(f"*{anchor} stands for nothing that is complete before it", line)
        node, size = self._anchors[anchor]
        self._count(size, line)
        self._put(node, None, size)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise Malformed(f"more than {MAX_NODES} nodes, counting aliases as often as they are used", line)

    def _put(self, node: Node, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = node, size
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.documents.append(node)


def _closed(opened: _Open) -> Sequence | Mapping:
    if not opened.is_mapping:
        return Sequence(tuple(opened.children), opened.line)
    return Mapping(tuple(_pairs(opened.children)), opened.line)


def _pairs(children: list[Node]) -> Iterator[tuple[Node, Node]]:
    return zip(children[::2], children[1::2], strict=True)
