"""The parser over generated conditions and arbitrary text."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from rules.expression import And, Compare, Exists, Expression, Field, Literal, Macro, Not, Or, Transformed
from rules.grammar import FUNCTIONS, IDENTIFIER, MODIFIERS, SETS, WORDS
from rules.parser import ParseError, parse

# A quote behind a backslash never closes, so text that ends in a backslash cannot be quoted.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(
    lambda t: not t.endswith("\\")
)
IDENTIFIERS = st.from_regex(IDENTIFIER, fullmatch=True).filter(lambda name: name not in ("and", "or", "not"))
FIELDS = st.builds(
    Field,
    st.lists(IDENTIFIERS, min_size=2, max_size=3).map(".".join),
    st.none() | TEXTS,
)
LITERALS = TEXTS.map(Literal)
NUMBERS = st.from_regex(r"\A(0x[0-9A-F]{1,8}|[+-]?[0-9]{1,9}(\.[0-9]{1,3})?(e[+-][0-9])?)\Z").map(Literal)
LISTS = st.lists(LITERALS, max_size=4).map(tuple)


def transformers(operands: st.SearchStrategy[Field | Transformed]) -> st.SearchStrategy[Transformed]:
    listed = st.lists(operands | LITERALS, max_size=3).map(lambda items: Transformed("list", tuple(items)))
    arguments = st.lists(operands | LITERALS | listed, min_size=1, max_size=3).map(tuple)
    return st.builds(Transformed, st.sampled_from(FUNCTIONS), arguments, st.none() | TEXTS)


TRANSFORMERS = st.builds(Transformed, st.just("val"), st.tuples(FIELDS)) | transformers(FIELDS | transformers(FIELDS))
LEFTS = FIELDS | TRANSFORMERS
CHECKS: st.SearchStrategy[Expression] = st.one_of(
    IDENTIFIERS.map(Macro),
    st.builds(Exists, LEFTS),
    st.builds(Compare, LEFTS, st.sampled_from(["<", "<=", ">", ">="]), NUMBERS | TRANSFORMERS),
    st.builds(Compare, LEFTS, st.sampled_from(["=", "!=", *WORDS]), LITERALS | TRANSFORMERS),
    st.builds(Compare, LEFTS, st.sampled_from(["=", "!=", *WORDS]), LISTS, st.sampled_from(MODIFIERS)),
    st.builds(Compare, LEFTS, st.sampled_from(SETS), LISTS | TRANSFORMERS),
)


def flat(kind: type[And] | type[Or], operands: list[Expression]) -> Expression:
    """As the parser builds it: no And in an And, no Or in an Or."""
    found: list[Expression] = []
    for operand in operands:
        found.extend(operand.operands if isinstance(operand, kind) else (operand,))
    return kind(tuple(found))


def extend(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        several.map(lambda operands: flat(And, operands)),
        several.map(lambda operands: flat(Or, operands)),
        inner.map(lambda operand: operand.operand if isinstance(operand, Not) else Not(operand)),
    )


TREES = st.recursive(CHECKS, extend, max_leaves=12)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


def printed(tree: object) -> str:
    """The text of a tree, brackets around every and, or, not."""
    match tree:
        case And(operands):
            return "(" + " and ".join(map(printed, operands)) + ")"
        case Or(operands):
            return "(" + " or ".join(map(printed, operands)) + ")"
        case Not(operand):
            return f"not({printed(operand)})"
        case Macro(name):
            return name
        case Exists(left):
            return f"{printed(left)} exists"
        case Compare(left, operator, Literal(text), "") if operator[0] in "<>":
            return f"{printed(left)} {operator} {text}"
        case Compare(left, operator, right, modifier):
            return f"{printed(left)} {operator} {modifier} {printed(right)}"
        case Transformed("list", arguments):
            return printed(arguments)
        case Transformed(function, arguments, argument):
            return function + printed(arguments) + ("" if argument is None else f"[{quoted(argument)}]")
        case Field(name, argument):
            return name + ("" if argument is None else f"[{quoted(argument)}]")
        case Literal(text):
            return quoted(text)
        case tuple():
            return "(" + ", ".join(map(printed, tree)) + ")"
    raise AssertionError(tree)


@given(TREES)
def test_what_is_printed_is_parsed_again(tree: Expression) -> None:
    """Every tree has a text, and the text gives the tree."""
    assert parse(printed(tree)) == tree


WORDS_OF_CONDITIONS = [
    *("and", "or", "not", "not(", "(", ")", " ", "\n", ",", "x.y", "x.y[", "]", "a", "=", "!=", "<=", "in", "exists"),
    *("oneof", "tolower(", "val(", "join(", '"', "'", "\\", "\0", "5", "0x", "startswith "),
]


@given(st.text() | st.lists(st.sampled_from(WORDS_OF_CONDITIONS), max_size=40).map("".join))
def test_any_text_gives_a_tree_or_a_parse_error(text: str) -> None:
    """Nothing but ParseError comes out of the parser."""
    with contextlib.suppress(ParseError):
        parse(text)


@given(TREES, st.data())
def test_a_damaged_condition_gives_a_tree_or_a_parse_error(tree: Expression, data: st.DataObject) -> None:
    """Nor for conditions that have lost, or gained, a piece somewhere."""
    text = printed(tree)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    with contextlib.suppress(ParseError):
        parse(text[:start] + data.draw(st.text(max_size=3)) + text[end:])
