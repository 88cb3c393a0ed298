import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.sources.json_document import MISSING, Number, compact, decode, find, pointer, text

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def told(source: str, argument: str) -> str | None:
    document, raw = decode(source.encode())
    keys = pointer(argument)
    value = find(document, keys)
    return None if value is MISSING else text(raw, keys, value)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1e3", "1e3"),
        ("1.10", "1.10"),
        ("-0.0", "-0.0"),
        ("1E400", "1E400"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("7", "7"),
    ],
)
def test_numbers_keep_their_text(number: str, expected: str) -> None:
    """A number is told as it was written, however large or odd."""
    assert told(f'{{"n": {number}}}', "/n") == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("/a/b", "x"),
        ("a/b", "x"),
        ("/list/1", "two"),
        ("/list/01", "two"),
        ("/list/+1", "two"),
        ("/list/2", None),
        ("/list/-1", None),
        ("/list/one", None),
        ("/with~1slash", "s"),
        ("/with~0tilde", "t"),
        ("/null", "null"),
        ("/yes", "true"),
        ("/empty", ""),
        ("/absent", None),
        ("/a/b/c", None),
        ("/a", '{"b":"x"}'),
        ("/list", '["one","two"]'),
        ("/", None),
    ],
)
def test_pointers_lead_to_values(argument: str, expected: str | None) -> None:
    """Pointers follow RFC 6901, their first slash may be missing, and arrays take decimal keys."""
    source = '{"a": {"b": "x"}, "list": [ "one", "two" ], "with/slash": "s", "with~tilde": "t", '
    source += '"null": null, "yes": true, "empty": ""}'
    assert told(source, argument) == expected


def test_the_empty_pointer_is_the_whole_document() -> None:
    """Without any key the whole document is told, without blanks."""
    assert told('{ "a" : [ 1 , 2.50 ] }', "") == '{"a":[1,2.50]}'


def test_compact_json_keeps_order_and_escapes() -> None:
    """Keys stay in order and strings stay as they were written, only blanks between tokens go."""
    assert told('{"o": {"z": "a\\u0026b \\/ c", "a": [ {} , [] ]}}', "/o") == '{"z":"a\\u0026b \\/ c","a":[{},[]]}'


def test_elements_of_arrays_are_told_by_index() -> None:
    """A path goes through arrays by number, too."""
    _document, raw = decode(b'{"list": [{"a": 1}, {"a": [2, 3]}]}')
    assert compact(raw, ("list", 1, "a")) == "[2,3]"


@pytest.mark.parametrize(
    ("source", "document"),
    [
        (b'{"a": "x\xffy"}', {"a": "x�y"}),
        (b'{"a": "\\ud800!"}', {"a": "�!"}),
        (b'{"a": "\\ud83d\\ude00 \\\\ud800"}', {"a": "\U0001f600 \\ud800"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1.50}', {"a": Number("1.50")}),
    ],
)
def test_what_is_no_unicode_is_replaced(source: bytes, document: Any) -> None:
    """A bad byte, half a surrogate or a byte order mark does not lose the document."""
    assert decode(source)[0] == document


@pytest.mark.parametrize(
    "source", [b"", b"{", b'{"a":01}', b"NaN", b'{"a":1}{}', b"\xff", b'{"a":' + b"9" * 9000 + b"}"]
)
def test_broken_documents_are_refused(source: bytes) -> None:
    """What is no JSON is a ValueError."""
    with pytest.raises(ValueError):
        decode(source)


@pytest.mark.parametrize("depth", [301, 900, 100_000])
def test_documents_may_not_be_nested_without_end(depth: int) -> None:
    """More than 300 levels are refused, however many."""
    with pytest.raises(ValueError, match="nested deeper than 300"):
        decode(b'{"a":' * depth + b"1" + b"}" * depth)


def test_many_braces_are_not_many_levels() -> None:
    """A wide document is taken."""
    assert len(decode(b"[" + b",".join([b"{}"] * 1000) + b"]")[0]) == 1000


@given(VALUES)
def test_any_document_is_told_as_what_it_was(value: Any) -> None:
    """The text of an arbitrary document, read again, is the document."""
    source = json.dumps({"v": value}, indent=2)
    result = told(source, "/v")
    assert result is not None
    assert (result if isinstance(value, str) else json.loads(result)) == value


@given(VALUES, st.text(max_size=20))
def test_any_pointer_finds_something_or_nothing(value: Any, argument: str) -> None:
    """No pointer into any document raises."""
    found = told(json.dumps(value), argument)
    assert found is None or isinstance(found, str)
