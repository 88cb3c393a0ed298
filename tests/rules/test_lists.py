"""Lists in lists, and lists in the text of conditions."""

from __future__ import annotations

import pytest

from rules.lists import MAX_ITEMS, MAX_TEXT, List, TooLong, expand, put_in_place
from rules.rule import Place


@pytest.mark.parametrize(
    ("text", "items", "result"),
    [
        ("x.y in (l)", ("a", "b"), "x.y in ( a, b )"),
        ("x.y in ( l )", ("a",), "x.y in ( a )"),
        ("x.y in (c,l,d)", ("a",), "x.y in (c, a ,d)"),
        ("x.y in (l, l)", ("a",), "x.y in ( a , a )"),
        ("x.y=l", ("a",), "x.y= a "),
        ("l", ("a", "b"), "a, b "),
        ("x.y = 'see l now'", ("a",), "x.y = 'see a now'"),
        ("x.y in (ll, l.l, xl, l-l, 'l')", ("a",), "x.y in (ll, l.l, xl, l-l, 'l')"),
        ("x.y in (l)", ("a b", '"c d"', "'e f'", "g"), 'x.y in ( "a b", "c d", \'e f\', g )'),
        ("x.y in (l)", (), "x.y in (  )"),
        ("x.y in (c, l)", (), "x.y in (c  )"),
        ("x.y in (l, c)", (), "x.y in (   c)"),
        ("x.y in (c, l, d)", (), "x.y in (c  , d)"),
        ("x.y in (l, l, c)", (), "x.y in (   c)"),
        ("x.y in (l)", ("l", "a"), "x.y in ( l, a )"),
        ("x.y in\n(\tl\r\n)", ("a",), "x.y in\n( a )"),
    ],
)
def test_names_give_way_to_items(text: str, items: tuple[str, ...], result: str) -> None:
    """Between delimiters, in quotes too; items with a space get quotes; an empty list takes a comma with it."""
    assert put_in_place(text, "l", items) == (result, text != result)


def test_conditions_do_not_grow_without_end() -> None:
    """A condition that lists would blow up is refused."""
    with pytest.raises(TooLong, match=f"more than {MAX_TEXT} characters"):
        put_in_place("x.y in (l)", "l", ("a" * MAX_TEXT,))


def made(name: str, index: int, visibility: int, *items: str) -> List:
    return List(name, items, index, visibility, Place("f"))


def test_lists_in_lists() -> None:
    """A list defined before gives its items, with those it has itself; one defined later stays a name."""
    lists = {
        one.name: one
        for one in (
            made("a", 0, 0, "x", "late"),
            made("b", 1, 1, "a", "y"),
            made("c", 2, 2, "b"),
            made("late", 3, 3, "z"),
        )
    }
    expanded: dict[str, tuple[str, ...]] = {}
    for name, list_ in lists.items():
        expanded[name] = expand(list_, lists, expanded)
    assert expanded == {"a": ("x", "late"), "b": ("x", "late", "y"), "c": ("x", "late", "y"), "late": ("z",)}


def test_a_list_touched_again_sees_what_was_defined_between() -> None:
    """Visibility is where it was last appended to, not where it began; a list in itself gives its items once."""
    lists = {"a": made("a", 0, 9, "b", "a"), "b": made("b", 5, 5, "x")}
    assert expand(lists["a"], lists, {}) == ("x", "b", "a")


def test_lists_do_not_grow_without_end() -> None:
    """Lists that double each other are refused."""
    lists = {"l0": made("l0", 0, 0, "x")}
    expanded: dict[str, tuple[str, ...]] = {"l0": ("x",)}
    with pytest.raises(TooLong, match=f"more than {MAX_ITEMS} items"):
        for number in range(1, 40):
            name = f"l{number}"
            lists[name] = made(name, number, number, *[f"l{number - 1}"] * 2)
            expanded[name] = expand(lists[name], lists, expanded)
