"""Exceptions of rules as conditions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.exceptions import checked, condition_with, extended
from rules.items import ExceptionItem, ExceptionValue
from rules.parser import parse
from rules.rule import Place

Names = str | tuple[str, ...]


def exception(fields: Names, comparisons: Names, *values: ExceptionValue, name: str = "e") -> ExceptionItem:
    return ExceptionItem(name, fields, comparisons, values, Place("f"))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (exception("a.b", "", "v", "v w"), 'a.b in (v, "v w")'),
        (exception("a.b", "pmatch", "/v"), "a.b pmatch (/v)"),
        (exception("a.b", "intersects", "l", '"q r"'), 'a.b intersects (l, "q r")'),
        (exception("a.b", "startswith oneof", "v"), "a.b startswith oneof (v)"),
        (exception(("a.b", "c.d"), "", ("v", "w x")), '(a.b = v and c.d = "w x")'),
        (exception(("a.b",), "", ("v",), ("w",)), "(a.b = v) or (a.b = w)"),
        (
            exception(("a.b", "c.d", "e.f"), ("in", "contains anyof", "in"), (("v", "w x"), "y", "(l, m)")),
            '(a.b in (v, "w x") and c.d contains anyof (y) and e.f in (l, m))',
        ),
    ],
)
def test_an_exception_is_a_negated_condition(written: ExceptionItem, text: str) -> None:
    """The rule's condition keeps together, whatever stands in it, and the text is of the grammar."""
    condition = condition_with("m or n", [checked(written)])
    assert condition == f"(m or n) and not ({text})"
    parse(condition)


def test_exceptions_without_values_do_nothing() -> None:
    """Those with values follow one another."""
    items = [
        checked(exception("a.b", "")),
        checked(exception("a.b", "", "v")),
        checked(exception(("c.d",), "", ("w",))),
    ]
    assert condition_with("m", []) == "m"
    assert condition_with("m", items) == "(m) and not (a.b in (v)) and not ((c.d = w))"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (exception("", ""), "it has no fields"),
        (exception((), ""), "it has no fields"),
        (exception("a.b", ("in",)), "fields is one field, but comps is a list"),
        (
            exception("a.b", "="),
            "'=' does not go with a single field: in, pmatch, intersects, or an operator on text with oneof, anyof or"
            " allof",
        ),
        (exception(("a.b", "c.d"), ("=",)), "fields and comps differ in length"),
        (exception(("a.b",), "="), "fields and comps differ in length"),
        (exception(("a.b",), ("like",)), "'like' is not an operator"),
        (exception(("a.b",), ("in oneof",)), "'in oneof' is not an operator"),
    ],
)
def test_fields_and_comparisons_must_go_together(written: ExceptionItem, reason: str) -> None:
    """What was written wrong is told."""
    with pytest.raises(ValueError) as raised:
        checked(written)
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (exception("a.b", "", ("v",)), "exception e: a value for a single field is a list"),
        (exception(("a.b", "c.d"), "", ("v",)), "exception e: fields and values differ in length"),
        (exception(("a.b",), "", "v"), "exception e: fields and values differ in length"),
    ],
)
def test_values_must_go_with_fields(written: ExceptionItem, reason: str) -> None:
    """A tuple has a value for each field."""
    with pytest.raises(ValueError) as raised:
        condition_with("m", [checked(written)])
    assert str(raised.value) == reason


def test_an_appended_exception_is_new_or_adds_values() -> None:
    """Its name tells which; fields cannot change."""
    first = checked(exception("a.b", "", "v"))
    new = exception(("c.d",), "", ("x",), name="n")
    assert extended((first,), exception("", "", "w")) == (replace(first, values=("v", "w")),)
    assert extended((first,), new) == (first, checked(new))
    with pytest.raises(ValueError, match="only values can be added"):
        extended((first,), exception("a.b", "", "w"))
    with pytest.raises(ValueError, match="it has no values"):
        extended((first,), exception("a.b", "", name="n"))
    with pytest.raises(ValueError, match="it has no fields"):
        extended((first,), exception("", "", "v", name="n"))
