"""Macros: their own trees put where their names stand. The same macro is the same object in every tree that uses it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from rules.expression import And, Expression, Macro, Not, Or
from rules.grammar import MAX_DEPTH

MAX_CHECKS = 100_000
"""Comparisons in one tree, those of macros counted as often as they are used."""


class Unresolved(ValueError):
    """The macros in a condition cannot be put in place; says which and why."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A tree without names of macros, how many levels it has, and how many comparisons."""

    tree: Expression
    depth: int = 1
    checks: int = 1


def names(tree: Expression) -> Iterator[str]:
    """The macros that a parsed condition names, in their order, as often as it does."""
    match tree:
        case Macro(name):
            yield name
        case And(operands) | Or(operands):
            for operand in operands:
                yield from names(operand)
        case Not(operand):
            yield from names(operand)


def resolve(tree: Expression, macros: Mapping[str, Resolved | str]) -> Resolved:
    """Puts macros in place; nothing is flattened where a macro begins. ``macros``: those seen from here, or why
    one of them has no tree. Raises Unresolved."""
    resolved = _resolve(tree, macros)
    if resolved.depth > MAX_DEPTH:
        raise Unresolved(f"more than {MAX_DEPTH} levels of and, or, not inside one another, macros included")
    if resolved.checks > MAX_CHECKS:
        raise Unresolved(f"more than {MAX_CHECKS} comparisons, macros included")
    return resolved


def _resolve(tree: Expression, macros: Mapping[str, Resolved | str]) -> Resolved:
    match tree:
        case Macro(name):
            found = macros.get(name, f"macro '{name}' is not defined, or only later")
            if isinstance(found, str):
                raise Unresolved(found)
            return found
        case And(operands) | Or(operands):
            parts = [_resolve(operand, macros) for operand in operands]
            trees = tuple(part.tree for part in parts)
            same = all(new is old for new, old in zip(trees, operands, strict=True))
            whole = tree if same else type(tree)(trees)
            return Resolved(whole, 1 + max(part.depth for part in parts), sum(part.checks for part in parts))
        case Not(operand):
            part = _resolve(operand, macros)
            return Resolved(tree if part.tree is operand else Not(part.tree), part.depth + 1, part.checks)
        case _:
            return Resolved(tree)


class Macros:
    """All macros, those they name put in place. ``trees``: as parsed, in the order in which their names were first
    defined; ``defined``: name -> (index, visibility), those with a condition in error included. ``errors``: why
    one of ``trees`` cannot be put in place."""

    def __init__(self, trees: Mapping[str, Expression], defined: Mapping[str, tuple[int, int]]) -> None:
        self.errors: dict[str, str] = {}
        self.used: set[str] = set()
        self._resolved: dict[str, Resolved | str] = {}
        self._trees = trees
        self._defined = defined
        for name in defined.keys() - trees.keys():
            self._resolved[name] = _in_error(name)
        for name in trees:
            self._settle(name)

    def in_place(self, tree: Expression) -> Resolved:
        """Of the condition of a rule, which sees every macro. Raises Unresolved."""
        self.used.update(names(tree))
        return resolve(tree, self._resolved)

    def _settle(self, name: str) -> None:
        """After those it names. They wait on a stack of our own: a chain of redefined macros may be long."""
        path = [] if name in self._resolved else [name]
        while path:
            current = path[-1]
            visible = self._visible(current)
            waiting = next((one for one in visible if one not in self._resolved), None)
            if waiting is None:
                self._finish(current, visible)
            elif waiting not in path:
                path.append(waiting)
                continue
            else:
                self._fail(current, f"macro '{waiting}' refers to itself")
            path.pop()

    def _visible(self, name: str) -> tuple[str, ...]:
        """Those it names that were first defined before it was last touched."""
        visibility = self._defined[name][1]
        named = (one for one in names(self._trees[name]) if one in self._defined)
        return tuple(one for one in named if self._defined[one][0] < visibility)

    def _finish(self, name: str, visible: Collection[str]) -> None:
        self.used.update(visible)
        try:
            self._resolved[name] = resolve(self._trees[name], {one: self._resolved[one] for one in visible})
        except Unresolved as error:
            self._fail(name, str(error))

    def _fail(self, name: str, reason: str) -> None:
        self.errors[name] = reason
        self._resolved[name] = _in_error(name)


def _in_error(name: str) -> str:
    return f"macro '{name}' has an error"
