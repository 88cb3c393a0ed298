"""Lists: items that are lists themselves, and the names of lists in the text of a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.quoting import quoted_if_blank
from rules.rule import Place

MAX_ITEMS = 100_000
"""In one list, after the lists in it are put in place."""
MAX_TEXT = 1024 * 1024
"""Characters of a condition in which the lists are put in place."""

_BLANKS = " \t\n\r"
_DELIMITERS = frozenset(_BLANKS + "(),=")


class TooLong(ValueError):
    """Lists in lists grow beyond the limits."""


@dataclass(frozen=True, slots=True)
class List:
    """``index``: when its name was first defined, among all definitions; ``visibility``: when it was last touched."""

    name: str
    items: tuple[str, ...]
    index: int
    visibility: int
    place: Place


def expand(list_: List, lists: Mapping[str, List], expanded: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Its items, those that name a list defined before replaced by that list's items, as ``expanded`` has them already.
    Raises TooLong."""
    items: list[str] = []
    for item in list_.items:
        inner = lists.get(item)
        if inner is None or inner.index >= list_.visibility:
            items.append(item)
        else:
            items.extend(expanded.get(item, inner.items))
        if len(items) > MAX_ITEMS:
            raise TooLong(f"more than {MAX_ITEMS} items with the lists in it put in place")
    return tuple(items)


def put_in_place(text: str, name: str, items: tuple[str, ...]) -> tuple[str, bool]:
    """The text with the list's items wherever its name stands between blanks, brackets, commas, equal signs or the
    ends, quoted text included; and whether it stood anywhere. A list without items takes a comma beside it away.
    Raises TooLong."""
    start = text.find(name)
    if start < 0:
        return text, False
    values = ", ".join(quoted_if_blank(item) for item in items)
    found = False
    while start >= 0:
        if _stands_alone(text, start, start + len(name)):
            found = True
            before, after = _around(text, start, start + len(name), comma=not values)
            text = f"{before} {values} {after}" if before else f"{values} {after}"
            start = len(before) + len(values) + 1
            if len(text) > MAX_TEXT:
                raise TooLong(f"more than {MAX_TEXT} characters with lists put in place")
        start = text.find(name, start + 1)
    return text, found


def _stands_alone(text: str, start: int, end: int) -> bool:
    return (start == 0 or text[start - 1] in _DELIMITERS) and (end == len(text) or text[end] in _DELIMITERS)


def _around(text: str, start: int, end: int, *, comma: bool) -> tuple[str, str]:
    """What stands before and behind, without the blanks and, if ``comma``, without one comma."""
    before, after = text[:start].rstrip(_BLANKS), text[end:].lstrip(_BLANKS)
    if comma and before.endswith(","):
        return before[:-1], after
    return before, after.removeprefix(",") if comma else after
