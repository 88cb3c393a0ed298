"""Reading audit events and CloudTrail records from whatever they come in."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.sources.json_event import JsonEvent
from rules.sources.json_input import InputProblem, events

SAMPLES = Path(__file__).parents[4] / "shared" / "falco" / "audit-samples"


def audit(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Event", "auditID": name, "stageTimestamp": "2026-02-03T04:05:06.000001Z", **more}


A, B, C = audit("a"), audit("b"), audit("c")
LINE = json.dumps


def read(data: bytes, source: str = "k8s_audit", **options: Any) -> list[Any]:
    """Identities of the events, and problems as text."""
    return [
        found.document.get("auditID", found.document.get("eventID")) if isinstance(found, JsonEvent) else str(found)
        for found in events(source, data, **options)
    ]


@pytest.mark.parametrize(
    ("text", "identities"),
    [
        (LINE(A), ["a"]),
        (LINE(A, indent=2), ["a"]),
        (f"{LINE(A)}\n{LINE(B)}\n\n{LINE(C)}", ["a", "b", "c"]),
        (LINE([A, B]), ["a", "b"]),
        (LINE([A, B], indent=1), ["a", "b"]),
        (f"[\n{LINE(A)},\n{LINE(B)}\n]", ["a", "b"]),
        (LINE({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [A, B]}), ["a", "b"]),
        (LINE({"kind": "EventList", "items": [A]}) + "\n" + LINE({"kind": "EventList", "items": [B]}), ["a", "b"]),
        (LINE({"kind": "EventList", "items": None}), []),
        (LINE([[A], {"kind": "EventList", "items": [B]}]), ["a", "b"]),
        ("", []),
        ("\n \n", []),
        ("\n" + LINE(A), ["a"]),
    ],
)
def test_events_are_found_in_every_form(text: str, identities: list[str]) -> None:
    """One document, lines, arrays and lists, compact or indented, also compressed."""
    assert read(text.encode()) == identities
    assert read(gzip.compress(text.encode())) == identities


def test_cloudtrail_files_have_records() -> None:
    """CloudTrail's files hold their records in one object, compressed."""
    records = {"Records": [{"eventID": "1", "eventTime": "2026-02-03T04:05:06Z"}, {"eventID": "2", "eventTime": "x"}]}
    assert read(gzip.compress(LINE(records).encode()), "aws_cloudtrail") == [
        "1",
        'line 1: Records[1]: "x" is not a time like 2026-01-31T12:00:00Z',
    ]


def test_an_event_carries_its_own_bytes_number_and_time() -> None:
    """An event of a list is no different from one that came alone."""
    listed = list(events("k8s_audit", LINE({"items": [A, B]}).encode(), first_number=10))
    assert listed == [
        JsonEvent(A, LINE(A).encode(), 10, 1770091506000001000),
        JsonEvent(B, LINE(B).encode(), 11, 1770091506000001000),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'{LINE(A)}\n{{"broken\n{LINE(B)}', ["a", "line 2: JSON is malformed: invalid character", "b"]),
        (f'{{"broken\n{LINE(A)}\n{LINE(B)}', ["line 1: JSON is malformed: invalid character", "a", "b"]),
        (
            f"{LINE(A)}\n{LINE(A)[:-1]},}}\n{LINE(B)}",
            ["a", "line 2: JSON is malformed: trailing comma in object", "b"],
        ),
        ('{\n "a": 1,\n "b": ?\n}', ["line 3: JSON is malformed: invalid character"]),
        ("7", ["line 1: an event must be an object"]),
        ('{"kind": "Pod"}', ["line 1: no event of k8s_audit: it has no stageTimestamp"]),
        (
            LINE([A, None, 7, B]),
            ["a", "line 1: [1]: an event must be an object", "line 1: [2]: an event must be an object", "b"],
        ),
        ("this is no JSON\nat all\n", ["line 1: JSON is malformed: invalid character"]),
    ],
)
def test_a_broken_part_does_not_lose_the_others(text: str, expected: list[str]) -> None:
    """Each broken line or item is told with its place, and the rest is read."""
    assert read(text.encode()) == expected


def test_times_of_other_stages_serve_when_the_stage_has_none() -> None:
    """Old versions of the audit API have other names for the time."""
    event = {"kind": "Event", "auditID": "o", "timestamp": "2018-10-25T13:58:49Z"}
    assert [found.time_ns for found in events("k8s_audit", LINE(event).encode())] == [1540475929000000000]


@pytest.mark.parametrize("length", [199, 100_000])
def test_a_bomb_is_told_and_what_came_before_is_kept(length: int) -> None:
    """Compressed data may inflate only so far."""
    line = LINE(A).encode() + b"\n"
    bomb = gzip.compress(line + b" " * length + b"\n" + line)
    assert read(bomb, maximum_bytes=200) == ["a", "it inflates to more than 200 bytes"]


def test_a_line_that_is_too_long_does_not_lose_the_next() -> None:
    """The long line is told, and the lines around it are read."""
    text = f"{LINE(A)}\n{LINE(audit('long', x='x' * 1000))}\n{LINE(B)}\n"
    assert read(text.encode(), maximum_bytes=200) == ["a", "line 2: longer than 200 bytes", "b"]


def test_a_document_that_is_too_long_is_told() -> None:
    """A document over many lines may not be longer than allowed."""
    assert read(LINE([A] * 9, indent=1).encode(), maximum_bytes=200) == ["line 1: longer than 200 bytes"]


def test_a_long_stream_with_a_broken_first_line_is_read_by_lines() -> None:
    """More than fits at once is still read line by line to its end."""
    text = '{"broken\n' + f"{LINE(A)}\n" * 9
    assert read(text.encode(), maximum_bytes=200) == ["line 1: JSON is malformed: invalid character"] + ["a"] * 9


@pytest.mark.parametrize("cut", [5, 40])
def test_truncated_gzip_is_told(cut: int) -> None:
    """Compressed data that ends too early is a problem, not an exception."""
    data = gzip.compress(LINE(A).encode())[:cut]
    assert [found for found in read(data) if found.startswith("the gzip data is broken")]


def test_files_are_read_as_they_are() -> None:
    """A stream that can not be rewound is enough."""

    class Once(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert [found.number for found in events("k8s_audit", Once(f"{LINE(A)}\n{LINE(B)}".encode()))] == [1, 2]


def test_an_unknown_source_is_an_error() -> None:
    """Only the JSON sources are read."""
    with pytest.raises(KeyError):
        list(events("syscall", b"{}"))


@given(st.binary(max_size=200))
def test_any_bytes_give_events_or_problems(data: bytes) -> None:
    """No input raises."""
    for source in ("k8s_audit", "aws_cloudtrail"):
        assert all(isinstance(found, JsonEvent | InputProblem) for found in events(source, data))
        list(events(source, b"\x1f\x8b" + data, maximum_bytes=1000))


def test_recorded_events_are_read() -> None:
    """Each recording of an API server gives one event."""
    if not SAMPLES.is_dir():
        pytest.skip(f"{SAMPLES} is not there")
    for path in sorted(SAMPLES.glob("*.json")):
        with path.open("rb") as stream:
            assert [type(found) for found in events("k8s_audit", stream)] == [JsonEvent]
