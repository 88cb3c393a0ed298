"""The hash chain finds every change of what was exported."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.evidence import FIRST, Broken, about, canonical, export_line, seal, verify
from aggregator.records import Sealed

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def chain(*bodies: object, stream: str = "findings") -> list[Sealed]:
    links: list[Sealed] = []
    for number, body in enumerate(bodies, start=1):
        head = links[-1].hash if links else FIRST
        links.append(seal(stream, number, head, "finding", 1700000000.25 + number, body))
    return links


def bundle(links: list[Sealed]) -> bytes:
    return "".join(export_line(link) + "\n" for link in links).encode()


SAMPLE = bundle(chain({"id": "a", "at": 1.0}, {"id": "b", "text": "é\u0001\\ /"}, {"id": "c", "n": [1e21, None]}))


@given(values)
def test_canonical_json_is_that_of_rfc_8785(value: object) -> None:
    """The quick way and the reference implementation write the same bytes."""
    assert canonical(value).encode() == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(
    st.dictionaries(st.text("abc:,[0.e", max_size=5), numbers | st.text('":,[]{}0123.e\\null', max_size=9), max_size=5)
)
def test_canonical_json_is_not_fooled_by_strings_that_look_like_numbers(value: dict[str, object]) -> None:
    """Numbers, and strings full of JSON, come out as the reference implementation writes them."""
    assert canonical(value).encode() == rfc8785.dumps(value)  # type: ignore[arg-type]


def test_numbers_json_cannot_carry_become_strings() -> None:
    """NaN, infinities and huge integers are sealed as text, not refused."""
    assert canonical({"n": float("nan"), "i": [2**60, float("inf")]}) == '{"i":["1152921504606846976","inf"],"n":"nan"}'


def test_nested_records_with_such_numbers_are_sealed() -> None:
    """Also where a dataclass holds them in a tuple."""
    broken = Sealed("s", 2**60, "k", float("nan"), "", "", "")
    assert canonical({"all": (broken,)}) == (
        '{"all":[{"at":"nan","body":"","hash":"","kind":"k","previous_hash":"","sequence":"1152921504606846976",'
        '"stream":"s"}]}'
    )


def test_a_chain_as_exported_holds() -> None:
    """An untouched bundle has no broken link, as bytes and as text."""
    assert verify(SAMPLE.splitlines(keepends=True)) is None
    assert verify(SAMPLE.decode().splitlines()) is None


@settings(max_examples=500)
@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255))
def test_any_changed_byte_is_found(position: int, byte: int) -> None:
    """Whatever byte changes to whatever other, the first broken link is told, at the line of the change or the next."""
    if SAMPLE[position] == byte:
        byte ^= 1
    changed = SAMPLE[:position] + bytes([byte]) + SAMPLE[position + 1 :]
    broken = verify(changed.removesuffix(b"\n").split(b"\n"))
    assert broken is not None
    assert broken.line <= SAMPLE[:position].count(b"\n") + 1


def test_every_single_byte_of_a_bundle_counts() -> None:
    """Each position in turn, flipped in its lowest bit, breaks the bundle."""
    for position in range(len(SAMPLE)):
        changed = SAMPLE[:position] + bytes([SAMPLE[position] ^ 1]) + SAMPLE[position + 1 :]
        assert verify(changed.removesuffix(b"\n").split(b"\n")) is not None, position


def test_removed_and_swapped_links_are_found() -> None:
    """A missing link, and two in the wrong order, break the chain where the order does."""
    first, second, third = bundle(chain({"n": 1}, {"n": 2}, {"n": 3})).decode().splitlines()
    assert verify([first, third]) == Broken(2, "findings", 3, "expected number 2 of its stream")
    assert verify([second, third]) == Broken(1, "findings", 2, "expected number 1 of its stream")
    assert verify([first, third, second]) is not None


def test_a_rewritten_link_with_a_right_hash_breaks_the_next() -> None:
    """Who recomputes one link's hash must recompute all that follow."""
    links = chain({"n": 1}, {"n": 2}, {"n": 3})
    forged = seal("findings", 2, links[0].hash, "finding", links[1].at, {"n": "forged"})
    broken = verify(export_line(link) for link in (links[0], forged, links[2]))
    assert broken == Broken(3, "findings", 3, "does not follow the link before it")


def test_streams_may_be_interleaved() -> None:
    """Each stream is its own chain."""
    one, other = chain({"n": 1}, {"n": 2}), chain({"n": 1}, {"n": 2}, stream="decisions")
    assert verify(export_line(link) for link in (one[0], other[0], other[1], one[1])) is None


@pytest.mark.parametrize("line", ["", "{}", "null", "[1]", '{"stream":"x"}', "\udcff", json.dumps({"a": "b" * 10})])
def test_what_is_no_link_is_told_as_such(line: str) -> None:
    """Rubbish is a broken link at its line, never an exception."""
    broken = verify([line])
    assert broken is not None
    assert broken.line == 1


def test_a_body_says_what_it_is_about() -> None:
    """One subject, several without doubles, or none."""
    assert about({"about": "x"}) == ("x",)
    assert about({"about": ["x", "y", "x"]}) == ("x", "y")
    assert about({"node": "n1", "reason": "x"}) == ("n1",)
    assert about({"id": "x"}) == ()
