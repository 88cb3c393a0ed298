"""YAML with lines, and its limits."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.documents import MAX_CHARACTERS, MAX_LEVELS, MAX_NODES, Malformed, Mapping, Scalar, Sequence, read_documents

LOADERS = [pytest.param(yaml.SafeLoader, id="python")]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(pytest.param(yaml.CSafeLoader, id="libyaml"))


@pytest.mark.parametrize("loader", LOADERS)
def test_scalars_stay_as_written(loader: Any) -> None:
    """Versions, numbers and yes stay text; quotes tell a null from a text that looks like one."""
    documents = read_documents("- [1.0, yes, 0x10, 'null', ~, ]\n- a: |\n    x\n    y\n", loader)
    items = tuple(Scalar(text, 1, plain) for text, plain in [("1.0", True), ("yes", True), ("0x10", True)])
    items += (Scalar("null", 1, False), Scalar("~", 1, True))
    mapping = Mapping(((Scalar("a", 2), Scalar("x\ny\n", 2, False)),), 2)
    assert documents == (Sequence((Sequence(items, 1), mapping), 1),)
    assert [item.is_null for item in items] == [False, False, False, False, True]


@pytest.mark.parametrize("loader", LOADERS)
def test_empty_documents_are_left_out(loader: Any) -> None:
    """A file may hold several documents, and empty ones."""
    assert read_documents("", loader) == ()
    assert read_documents("---\n---\n- a\n---\n~\n---\n- b\n", loader) == (
        Sequence((Scalar("a", 3),), 3),
        Sequence((Scalar("b", 7),), 7),
    )


@pytest.mark.parametrize("loader", LOADERS)
def test_aliases_stand_for_what_is_complete(loader: Any) -> None:
    """An alias repeats its node; one that stands in its own node, or for nothing, is refused."""
    (document,) = read_documents("- &a [x]\n- *a\n", loader)
    assert isinstance(document, Sequence)
    assert document.items[0] is document.items[1]
    for content in ("- &a [*a]\n", "- *b\n", "- &a x\n---\n- *a\n"):
        with pytest.raises(Malformed, match=r"stands for nothing|not YAML"):
            read_documents(content, loader)


@pytest.mark.parametrize("loader", LOADERS)
def test_alias_bombs_are_refused(loader: Any) -> None:
    """What aliases would grow to is counted, not built."""
    lines = ["- &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    with pytest.raises(Malformed, match=f"more than {MAX_NODES} nodes"):
        read_documents("\n".join(lines), loader)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("content", ["[" * 5000, "- " * 5000 + "a", "? " * 5000, "{a: " * 5000])
def test_levels_are_limited(content: str, loader: Any) -> None:
    """Deep nesting is refused before it costs anything."""
    with pytest.raises(Malformed, match=f"more than {MAX_LEVELS} levels"):
        read_documents(content, loader)


def test_large_files_are_refused() -> None:
    """A file beyond the limit is not even parsed."""
    with pytest.raises(Malformed, match=f"more than {MAX_CHARACTERS} characters"):
        read_documents(" " * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize("loader", LOADERS)
def test_errors_tell_the_line(loader: Any) -> None:
    """What is no YAML is told in one line of text, with the line of the file."""
    with pytest.raises(Malformed) as raised:
        read_documents("- a: b\n- c: [d\n- e: f\n", loader)
    assert raised.value.message.startswith("not YAML: while parsing a flow sequence, ")
    assert "\n" not in raised.value.message
    assert raised.value.line == 3


@pytest.mark.parametrize(
    "content", ["\ud800", "- \x01", "- !!python/object:os.system x", "%YAML 9\n---\n", "\ufeff- a"]
)
@pytest.mark.parametrize("loader", LOADERS)
def test_odd_content_constructs_nothing(content: str, loader: Any) -> None:
    """Text that is no Unicode, control characters and tags give nodes or Malformed."""
    with contextlib.suppress(Malformed):
        read_documents(content, loader)


PIECES = [
    "- ",
    "a",
    ": ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "'",
    '"',
    "|",
    ">",
    "#",
    "!!x ",
    "---\n",
    "~",
    "?",
    "\t",
]


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join), st.sampled_from(LOADERS))
def test_any_text_gives_nodes_or_malformed(content: str, loader: Any) -> None:
    """Nothing but Malformed comes out."""
    with contextlib.suppress(Malformed):
        read_documents(content, *loader.values)
