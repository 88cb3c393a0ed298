"""Exceptions of rules: checking what was written, and the condition with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rules.grammar import OPERATORS, has_modifier, takes_list
from rules.items import ExceptionItem
from rules.quoting import quoted_if_blank


def checked(exception: ExceptionItem) -> ExceptionItem:
    """With its comparisons filled in: "in" for one field, "=" for each of several. ValueError: what is wrong."""
    fields, comparisons = exception.fields, exception.comparisons
    if not fields:
        raise ValueError("it has no fields")
    if isinstance(fields, str):
        comparisons = comparisons or "in"
        if not isinstance(comparisons, str):
            raise ValueError("fields is one field, but comps is a list")
        if not takes_list(comparisons):
            raise ValueError(
                f"'{comparisons}' does not go with a single field: in, pmatch, intersects, or an operator on text with"
                " oneof, anyof or allof"
            )
        return replace(exception, comparisons=comparisons)
    comparisons = comparisons or ("=",) * len(fields)
    if isinstance(comparisons, str) or len(comparisons) != len(fields):
        raise ValueError("fields and comps differ in length")
    for comparison in comparisons:
        if comparison not in OPERATORS and not has_modifier(comparison):
            raise ValueError(f"'{comparison}' is not an operator")
    return replace(exception, comparisons=comparisons)


def extended(exceptions: Sequence[ExceptionItem], added: ExceptionItem) -> tuple[ExceptionItem, ...]:
    """With one more, or with the values of that added to its namesake. Raises ValueError with the reason."""
    for position, exception in enumerate(exceptions):
        if exception.name == added.name:
            if added.fields or added.comparisons:
                raise ValueError("it is defined already: only values can be added to it")
            grown = replace(exception, values=(*exception.values, *added.values))
            return (*exceptions[:position], grown, *exceptions[position + 1 :])
    if added.fields and not added.values:
        raise ValueError("it has no values")
    return (*exceptions, checked(added))


def condition_with(condition: str, exceptions: Sequence[ExceptionItem]) -> str:
    """The text of the condition and of its exceptions. Raises ValueError, naming the exception, for values that do not
    go with the fields."""
    if not exceptions:
        return condition
    parts = [f"({condition})"]
    for exception in exceptions:
        if exception.values:
            parts.append(_single(exception) if isinstance(exception.fields, str) else _several(exception))
    return " and not ".join(parts)


def _single(exception: ExceptionItem) -> str:
    values = []
    for value in exception.values:
        if not isinstance(value, str):
            raise ValueError(f"exception {exception.name}: a value for a single field is a list")
        values.append(quoted_if_blank(value))
    return f"({exception.fields} {exception.comparisons} ({', '.join(values)}))"


def _several(exception: ExceptionItem) -> str:
    tuples = []
    for values in exception.values:
        if isinstance(values, str) or len(values) != len(exception.fields):
            raise ValueError(f"exception {exception.name}: fields and values differ in length")
        checks = [
            f"{field} {comparison} {_value(value, comparison)}"
            for field, comparison, value in zip(exception.fields, exception.comparisons, values, strict=True)
        ]
        tuples.append(f"({' and '.join(checks)})")
    return f"({' or '.join(tuples)})"


def _value(value: str | tuple[str, ...], comparison: str) -> str:
    if not isinstance(value, str):
        return f"({', '.join(quoted_if_blank(item) for item in value)})"
    if takes_list(comparison):
        return value if value.startswith("(") else f"({value})"
    return quoted_if_blank(value)
