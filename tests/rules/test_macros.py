"""Macros put in place."""

from __future__ import annotations

import pytest

from rules.expression import And, Expression, Macro, Not, Or
from rules.grammar import MAX_DEPTH
from rules.macros import MAX_CHECKS, Macros, Unresolved
from rules.parser import parse

FIRST = parse("x.y = 1 or x.y = 2")


def macros(*definitions: tuple[str, str, int, int]) -> Macros:
    """Of (name, condition, index, visibility)."""
    trees: dict[str, Expression] = {name: parse(text) for name, text, _, _ in definitions}
    return Macros(trees, {name: (index, visibility) for name, _, index, visibility in definitions})


def test_a_macro_is_one_object_wherever_it_stands() -> None:
    """Its own tree is put in place, not flattened into what is around it."""
    given = Macros({"m": FIRST, "n": parse("m and not m")}, {"m": (0, 0), "n": (1, 1)})
    tree = given.in_place(parse("m or n or (x.y exists and n)")).tree
    assert isinstance(tree, Or)
    m, n, both = tree.operands
    assert m is FIRST
    assert n == And((FIRST, Not(FIRST)))
    assert isinstance(n, And)
    assert n.operands[0] is FIRST
    assert isinstance(both, And)
    assert both.operands[1] is n
    assert given.in_place(Macro("m")).tree is FIRST


def test_a_tree_without_macros_stays_itself() -> None:
    """Nothing is copied needlessly."""
    tree = parse("not (x.y = 1 and x.y = 2)")
    assert macros().in_place(tree).tree is tree


def test_a_macro_sees_those_defined_before_it() -> None:
    """Not those after it, nor itself; touched again, it sees what was defined between."""
    given = macros(("a", "b", 0, 0), ("b", "c", 1, 9), ("c", "x.y = 1", 5, 5))
    assert given.errors == {"a": "macro 'b' is not defined, or only later"}
    assert given.in_place(Macro("b")).tree == parse("x.y = 1")
    with pytest.raises(Unresolved, match="macro 'a' has an error"):
        given.in_place(parse("c and a"))
    with pytest.raises(Unresolved, match="macro 'd' is not defined, or only later"):
        given.in_place(parse("c and d"))


def test_loops_are_errors() -> None:
    """Redefinition can make a macro see itself."""
    given = macros(("a", "a or x.y = 1", 0, 1), ("b", "c", 2, 5), ("c", "b", 3, 4))
    assert given.errors == {
        "a": "macro 'a' refers to itself",
        "c": "macro 'b' refers to itself",
        "b": "macro 'c' has an error",
    }


def test_use_is_remembered() -> None:
    """By macros and by rules."""
    given = macros(("a", "x.y = 1", 0, 0), ("b", "a", 1, 1), ("c", "x.y = 1", 2, 2), ("d", "x.y = 1", 3, 3))
    given.in_place(Macro("d"))
    assert given.used == {"a", "d"}


def test_long_chains_resolve() -> None:
    """A chain of macros, each touched again at the end so that it sees the next, needs no stack of Python's."""
    length = 5000
    chain = [(f"m{number}", f"m{number + 1}", number, 2 * length) for number in range(length)]
    given = macros(*chain, (f"m{length}", "x.y = 1", length, length))
    assert given.errors == {}
    assert given.in_place(Macro("m0")).tree == parse("x.y = 1")


def test_macros_do_not_nest_without_end() -> None:
    """The levels of a condition and of its macros count together."""
    chain = [("m0", "x.y = 1", 0, 0), ("m1", "not m0", 1, 1)]
    chain += [
        (f"m{number}", f"m0 {word} m{number - 1}", number, number)
        for number in range(2, MAX_DEPTH + 1)
        for word in ["or" if number % 2 else "and"]
    ]
    given = macros(*chain)
    assert given.errors == {
        f"m{MAX_DEPTH}": f"more than {MAX_DEPTH} levels of and, or, not inside one another, macros included"
    }
    with pytest.raises(Unresolved, match=f"more than {MAX_DEPTH} levels"):
        given.in_place(parse(f"not m{MAX_DEPTH - 1}"))


def test_macros_do_not_multiply_without_end() -> None:
    """Macros that double each other are refused before they are too much for whoever walks the tree."""
    chain = [("m0", "x.y = 1", 0, 0)]
    chain += [(f"m{number}", f"m{number - 1} and not m{number - 1}", number, number) for number in range(1, 40)]
    assert next(iter(macros(*chain).errors.values())) == f"more than {MAX_CHECKS} comparisons, macros included"
