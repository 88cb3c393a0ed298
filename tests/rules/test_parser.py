"""The parser of conditions: the grammar, text by text."""

from __future__ import annotations

import ast

import pytest

from rules.expression import And, Compare, Exists, Expression, Field, Literal, Macro, Not, Or, Transformed
from rules.grammar import MAX_BRACKETS, MAX_DEPTH, MAX_TRANSFORMERS
from rules.parser import ParseError, parse
from rules.rule import Place

A, B, C, D = (Macro(name) for name in "abcd")
X = Field("x.y")


def equals(text: str) -> Compare:
    return Compare(X, "=", Literal(text))


def listed(*texts: str) -> tuple[Literal, ...]:
    return tuple(Literal(text) for text in texts)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        (" \t\b\r\na\n", A),
        ("a and b and c", And((A, B, C))),
        ("a or b or c", Or((A, B, C))),
        ("a or b and c", Or((A, And((B, C))))),
        ("(a or b) and c", And((Or((A, B)), C))),
        ("a and (b and (c and d))", And((A, B, C, D))),
        ("(a or b) or c", Or((A, B, C))),
        ("((a))", A),
        ("not a", Not(A)),
        ("not not a", A),
        ("not(a)", Not(A)),
        ("not (a)", Not(A)),
        ("not not(not a)", Not(A)),
        ("not(not a and b)", Not(And((Not(A), B)))),
        ("not a and b", And((Not(A), B))),
        ("a and(b) or c", Or((And((A, B)), C))),
        ("a or(b and c)", Or((A, And((B, C))))),
        ("a or(b) or(c)", Or((A, B, C))),
        ("(a)and (b)or (c)", Or((And((A, B)), C))),
        ("a and not(b)", And((A, Not(B)))),
        ("notable", Macro("notable")),
        ("orange", Macro("orange")),
        ("tolower", Macro("tolower")),
    ],
)
def test_and_or_not(text: str, tree: Expression) -> None:
    """`and` binds closer than `or`, brackets group, chains are n-ary, double negations vanish."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x.y exists", Exists(X)),
        ("x.y=v", equals("v")),
        ("x.y == v", equals("v")),
        ("x.y != v", Compare(X, "!=", Literal("v"))),
        ("x.y = <", equals("<")),
        ("x.y = /a-b*.c:[d]", equals("/a-b*.c:[d]")),
        ("x.y = oneof", equals("oneof")),
        ("x.y = 'v w'", equals("v w")),
        ('x.y = ""', equals("")),
        ("x.y >= 0x1F", Compare(X, ">=", Literal("0x1F"))),
        ("x.y<-1.5e+3", Compare(X, "<", Literal("-1.5e+3"))),
        ("x.y <= 3", Compare(X, "<=", Literal("3"))),
        ("x.y > val(z.q)", Compare(X, ">", Transformed("val", (Field("z.q"),)))),
        ("x.y regex 'a.*'", Compare(X, "regex", Literal("a.*"))),
        ("x.y contains\nv", Compare(X, "contains", Literal("v"))),
        ("x.y in (a, 'b c',\n d)", Compare(X, "in", listed("a", "b c", "d"))),
        ("x.y in(a)", Compare(X, "in", listed("a"))),
        ("x.y in ( )", Compare(X, "in", ())),
        ("x.y in name", Compare(X, "in", listed("name"))),
        ("x.y intersects (a,b)", Compare(X, "intersects", listed("a", "b"))),
        ("x.y pmatch (/a, /b)", Compare(X, "pmatch", listed("/a", "/b"))),
        ("x.y startswith oneof (a, b)", Compare(X, "startswith", listed("a", "b"), "oneof")),
        ("x.y == anyof(a)", Compare(X, "=", listed("a"), "anyof")),
        ("x.y contains allof ()", Compare(X, "contains", (), "allof")),
    ],
)
def test_comparisons(text: str, tree: Expression) -> None:
    """Every kind of operator takes its kind of right side."""
    assert parse(text) == tree


@pytest.mark.parametrize("word", ["glob", "iglob", "icontains", "bcontains", "bstartswith", "endswith"])
def test_word_operators_need_a_blank(word: str) -> None:
    """Operators that are words stand before a blank."""
    assert parse(f"x.y {word} v") == Compare(X, word, Literal("v"))
    with pytest.raises(ParseError, match="expected an operator"):
        parse(f"x.y {word}(v)")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("x.y[2] exists", Field("x.y", "2")),
        ("x.y[/a/b~1.c] exists", Field("x.y", "/a/b~1.c")),
        ("x.y['a ]b'] exists", Field("x.y", "a ]b")),
        ('x.y_1.z["q\\"r"] exists', Field("x.y_1.z", 'q"r')),
    ],
)
def test_fields_have_arguments(text: str, field: Field) -> None:
    """Arguments are bare or quoted."""
    assert parse(text) == Exists(field)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("tolower(x.y)", Transformed("tolower", (X,))),
        ("b64( tolower( x.y[1] ) )", Transformed("b64", (Transformed("tolower", (Field("x.y", "1"),)),))),
        ("val(x.y)", Transformed("val", (X,))),
        ("concat(x.y, ':', 5)", Transformed("concat", (X, Literal(":"), Literal("5")))),
        ('getopt(x.y, "n:t")[t]', Transformed("getopt", (X, Literal("n:t")), "t")),
        ("join(',', x.y)", Transformed("join", (Literal(","), X))),
        ("join(',', (x.y, 'v'))", Transformed("join", (Literal(","), Transformed("list", (X, Literal("v")))))),
        ("join(',', ())", Transformed("join", (Literal(","), Transformed("list", ())))),
    ],
)
def test_transformers_stand_on_both_sides(text: str, left: Transformed) -> None:
    """A transformer may be compared, and compared with."""
    assert parse(f"{text} = v") == Compare(left, "=", Literal("v"))
    assert parse(f"x.y = {text}") == Compare(X, "=", left)
    assert parse(f"x.y in {text}") == Compare(X, "in", left)


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (r'"\b\f\n\r\t\\x\/"', "\b\f\n\r\t\\x/"),
        (r'"\" and \""', '" and "'),
        (r"'it\'s'", "it's"),
        (r'"it' + "'" + r's"', "it's"),
        (r'"a\ b"', "a\\b"),
        (r'"\xc3\xa9\x41"', "éA"),
        (r'"\xff"', "\udcff"),
    ],
)
def test_escapes(quoted: str, text: str) -> None:
    """Escapes mean what the grammar says; backslash and blank is a backslash."""
    assert parse(f"x.y = {quoted}") == equals(text)


@pytest.mark.parametrize(
    "quoted", [r'"\q"', r'"\d"', r"'\"'", r'"\x4"', r'"\u0041"', r'"a', r'"a\"', r'"a\\"', '"a\0"']
)
def test_other_escapes_and_unfinished_quotes_are_errors(quoted: str) -> None:
    """An escape that does not exist is an error, and so is text without its closing quote."""
    with pytest.raises(ParseError) as raised:
        parse(f"x.y = {quoted}")
    assert raised.value.offset == 6


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "a and", "a or", "and a", "a andb", "a orb", "(a", "a)", "()", "not(a", "5", '"a"'),
        *("x.y", "x.y =", "x.y = (a)", "x.y < abc", "x.y in (open openat)", "x.y in (a,)", "x.y in (,a)", "x.y in 5"),
        *("x.y in (tolower(x.y))", "x.y in oneof (a)", "x.y >= oneof (1)", "x.y = v w", "x.y = a'b"),
        *("x.y[] exists", "x.y[a b] exists", "x.y[a exists", "x.y [a] exists", "foo(x.y) = v", "tolower() = v"),
        *("tolower(x) = v", "val(tolower(x.y)) = v", "tolower(x.y = v", "a or(b) and c", "x.y = a\0"),
    ],
)
def test_what_is_not_of_the_grammar(text: str) -> None:
    """Anything else is an error."""
    with pytest.raises(ParseError):
        parse(text)


def test_an_error_tells_where_and_what() -> None:
    """The error has the message, the place of the text, and where in the text the parser stood."""
    with pytest.raises(ParseError) as raised:
        parse("a and\n  x.y ~ 5", Place("f.yaml", 7))
    error = raised.value
    assert (error.message, error.offset, error.line, error.column, error.place) == (
        "expected an operator; here stands '~ 5'",
        12,
        2,
        7,
        Place("f.yaml", 7),
    )


def test_brackets_that_only_nest_collapse() -> None:
    """A thousand brackets around a condition are no depth; one more is an error that names the limit."""
    assert parse("(" * MAX_BRACKETS + "a" + ")" * MAX_BRACKETS) == A
    assert parse("not(" * MAX_BRACKETS + "a" + ")" * MAX_BRACKETS) == A
    with pytest.raises(ParseError, match=f"more than {MAX_BRACKETS} brackets"):
        parse("(" * (MAX_BRACKETS + 1) + "a" + ")" * (MAX_BRACKETS + 1))


def alternating(depth: int) -> str:
    """`a and (a or (a and …))`, so many levels deep, the last one the comparison."""
    words = ["and" if level % 2 else "or" for level in range(1, depth)]
    return "".join(f"a {word} (" for word in words) + "a" + ")" * len(words)


def test_depth_that_python_compiles() -> None:
    """Python compiles the deepest tree allowed as one expression; a deeper one is an error that names the limit."""
    assert isinstance(parse(alternating(MAX_DEPTH)), And)
    a = True
    code = compile(ast.parse(alternating(MAX_DEPTH), mode="eval"), "condition", "eval")
    assert eval(code, {"a": a}) is True
    with pytest.raises(ParseError, match=f"more than {MAX_DEPTH} levels"):
        parse(alternating(MAX_DEPTH + 1))


def test_transformers_do_not_nest_without_end() -> None:
    """Transformers inside one another are limited, too."""
    parse("tolower(" * MAX_TRANSFORMERS + "x.y" + ")" * MAX_TRANSFORMERS + " exists")
    with pytest.raises(ParseError, match=f"more than {MAX_TRANSFORMERS} transformers"):
        parse("tolower(" * 5000 + "x.y" + ")" * 5000 + " exists")
    with pytest.raises(ParseError, match=f"more than {MAX_TRANSFORMERS} transformers"):
        parse("join(" + "(" * 5000)
