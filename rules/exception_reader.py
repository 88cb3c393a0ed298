"""The ``exceptions`` of a rule, as written."""

from __future__ import annotations

from rules.documents import Malformed, Node, Scalar, Sequence, is_null
from rules.entries import Entries
from rules.items import ExceptionItem, ExceptionValue
from rules.problems import Code
from rules.report import Report


def read_exceptions(entries: Entries, report: Report, *, change: bool) -> tuple[ExceptionItem, ...]:
    """Of one item, in their order. ``change``: the item changes a rule, so that an exception without values is told to
    do nothing, and one without fields adds to an exception defined before. Raises Malformed."""
    if is_null(entries.node("exceptions")):
        return ()
    found: dict[str, ExceptionItem] = {}
    for written in entries.mappings("exceptions"):
        exception = _read_exception(written, report, change=change)
        if exception.name in found:
            raise Malformed(f"exception {exception.name} stands twice", written.line)
        found[exception.name] = exception
    return tuple(found.values())


def _read_exception(written: Entries, report: Report, *, change: bool) -> ExceptionItem:
    name = written.text("name")
    report.warn_unknown(written, ("name", "fields", "comps", "values"))
    if "fields" not in written and not change:
        raise Malformed(f"exception {name} has no fields", written.line)
    if "values" not in written and change:
        report.warn(Code.APPEND_NO_VALUES, f"exception {name} has no values", written.line)
    values = written.sequence("values").items if "values" in written else ()
    return ExceptionItem(
        name,
        _names(written, "fields"),
        _names(written, "comps"),
        tuple(_value(node) for node in values),
        report.place(written.line),
    )


def _names(written: Entries, key: str) -> str | tuple[str, ...]:
    """One name or several; none: ""."""
    if key not in written:
        return ""
    return written.texts(key) if isinstance(written.node(key), Sequence) else written.text(key)


def _value(node: Node) -> ExceptionValue:
    """A scalar, or a tuple whose items are scalars or lists of scalars."""
    if not isinstance(node, Sequence):
        return _scalar(node)
    return tuple(
        tuple(_scalar(inner) for inner in item.items) if isinstance(item, Sequence) else _scalar(item)
        for item in node.items
    )


def _scalar(node: Node) -> str:
    if not isinstance(node, Scalar) or node.is_null or not node.text:
        raise Malformed("a value of an exception is empty or not a scalar", node.line)
    return node.text
