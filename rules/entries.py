"""Typed access to one mapping of a rule file."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rules.documents import Malformed, Mapping, Node, Scalar, Sequence, is_null

_YES = ("y", "yes", "true", "on")
_NO = ("n", "no", "false", "off")


class Entries:
    """A mapping by its keys. Raises Malformed, with the line, for a repeated key, one that is no scalar, and whenever a
    value is not of the type asked for."""

    def __init__(self, mapping: Mapping) -> None:
        self.line = mapping.line
        self._values: dict[str, Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in mapping.entries:
            if not isinstance(key, Scalar):
                raise Malformed("a key is not a scalar", key.line)
            if key.text in self._values:
                raise Malformed(f"key '{key.text}' stands twice", key.line)
            self._values[key.text] = value
            self._lines[key.text] = key.line

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def unknown(self, known: Collection[str]) -> tuple[tuple[str, int], ...]:
        """Keys, and their lines, that are none of these."""
        return tuple((key, line) for key, line in self._lines.items() if key not in known)

    def node(self, key: str) -> Node:
        if key not in self._values:
            raise Malformed(f"key '{key}' is missing", self.line)
        return self._values[key]

    def scalar(self, key: str) -> Scalar:
        """Not empty."""
        node = self.node(key)
        if is_null(node):
            raise Malformed(f"'{key}' is empty", node.line)
        if not isinstance(node, Scalar):
            raise Malformed(f"'{key}' is not a scalar", node.line)
        if not node.text:
            raise Malformed(f"'{key}' is empty", node.line)
        return node

    def text(self, key: str) -> str:
        return self.scalar(key).text

    def flag(self, key: str) -> bool:
        """As YAML 1.1 has them: true, yes, on, y and their contraries, in small letters, capitals or capitalized."""
        scalar = self.scalar(key)
        small = scalar.text.lower()
        if scalar.text not in (small, small.upper(), small.capitalize()) or small not in (*_YES, *_NO):
            raise Malformed(f"'{key}' is neither true nor false", scalar.line)
        return small in _YES

    def sequence(self, key: str) -> Sequence:
        node = self.node(key)
        if not isinstance(node, Sequence):
            raise Malformed(f"'{key}' is not a sequence", node.line)
        return node

    def texts(self, key: str) -> tuple[str, ...]:
        """A sequence of scalars, as they are written."""
        return tuple(_text(node, key) for node in self.sequence(key).items)

    def mappings(self, key: str) -> tuple[Entries, ...]:
        """A sequence of mappings."""
        return tuple(_entries(node, key) for node in self.sequence(key).items)

    def mapping(self, key: str) -> Entries:
        return _entries(self.node(key), key)


def _text(node: Node, key: str) -> str:
    if not isinstance(node, Scalar) or node.is_null:
        raise Malformed(f"an item of '{key}' is not a scalar, or a null without quotes", node.line)
    return node.text


def _entries(node: Node, key: str) -> Entries:
    if not isinstance(node, Mapping):
        raise Malformed(f"'{key}' holds something that is not a mapping", node.line)
    return Entries(node)
