"""What was recorded is what is played; a damaged recording never passes for a short one."""

from __future__ import annotations

import dataclasses
import select
import types
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.probe.recording import Recorder
from agent.probe.replay import ReplaySource
from agent.probe.source import ClassCounters, ProbeError
from watchkeeper import events

BASIC: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**64 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(),
    bool: st.booleans(),
    bytes: st.binary(),
}
ANY_EVENT = st.one_of(
    *(
        st.deferred(lambda kind=kind: st.builds(kind, **{f.name: of(f.type) for f in msgspec.structs.fields(kind)}))
        for kind in typing.get_args(events.AnyEvent)
    )
)
SAME_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


def of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in BASIC:
        return BASIC[kind]
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if parts[-1] is Ellipsis:
            return st.lists(of(parts[0]), max_size=3).map(tuple)
        return st.tuples(*(of(part) for part in parts))
    if isinstance(kind, types.UnionType):
        return st.one_of(*(st.none() if part is type(None) else of(part) for part in typing.get_args(kind)))
    if typing.get_origin(kind) is dict:
        keys, values = typing.get_args(kind)
        return st.dictionaries(of(keys), of(values), max_size=3)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: of(field.type) for field in msgspec.structs.fields(kind)})
    assert dataclasses.is_dataclass(kind), kind
    return st.builds(kind, **{name: of(hint) for name, hint in typing.get_type_hints(kind).items()})


def record(path: Path, found: list[Any]) -> None:
    path.unlink(missing_ok=True)
    recorder = Recorder(path)
    for event in found:
        recorder.write(event)
    recorder.close()


def play(source: ReplaySource, limit: int = 4096) -> list[Any]:
    found: list[Any] = []
    while not source.finished:
        found += [told.event for told in source.read(limit)]
    return found


@SAME_FILE
@given(found=st.lists(ANY_EVENT, max_size=12), limit=st.integers(1, 5))
def test_playing_gives_back_what_was_recorded(tmp_path, found, limit):
    """Any events come back equal, in order, however they are read."""
    record(tmp_path / "recording", found)
    source = ReplaySource(tmp_path / "recording")
    assert play(source, limit) == found
    assert sum(count.decoded for count in source.counters()) == len(found)
    source.close()


@SAME_FILE
@given(found=st.lists(ANY_EVENT, min_size=1, max_size=8), data=st.data())
def test_bad_line_is_named_after_all_before_it(tmp_path, found, data):
    """Events before a damaged line are given; then the line's number is told, every time it is asked."""
    record(tmp_path / "recording", found)
    lines = (tmp_path / "recording").read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines)))
    bad = data.draw(st.sampled_from([b"\n", b"{}\n", b"nonsense\n", b'{"type":"other"}\n', b"\xff\n", lines[0][:-3]]))
    (tmp_path / "recording").write_bytes(b"".join(lines[:place]) + bad.rstrip(b"\n") + b"\n" + b"".join(lines[place:]))
    source = ReplaySource(tmp_path / "recording")
    given_back: list[Any] = []
    for _ in range(2):
        with pytest.raises(ProbeError, match=f"line {place + 1}: not an event"):
            while not source.finished:
                given_back += [told.event for told in source.read(3)]
    assert given_back == found[:place]
    source.close()


def test_recording_appends_and_survives_being_cut(tmp_path):
    """A recording goes on where it ended; a last line cut by a crash is an error, not the end."""
    path = tmp_path / "recording"
    task = events.Task(1, 2, 3, 4, 5, 6, -1, 7, "comm")
    for port in (80, 81):
        recorder = Recorder(path)
        recorder.write(events.Listen(at=1.5, task=task, address="::", port=port))
        recorder.close()
    source = ReplaySource(path)
    assert [event.port for event in play(source)] == [80, 81]
    assert source.counters() == [ClassCounters("listen", seen=2, submitted=2, decoded=2)]
    source.close()
    path.write_bytes(path.read_bytes()[:-5])
    cut = ReplaySource(path)
    with pytest.raises(ProbeError, match="line 2: not an event"):
        play(cut)
    cut.close()


def test_source_can_be_waited_on_and_has_a_canary(tmp_path):
    """A recording is always readable for epoll, and its canary returns at once."""
    (tmp_path / "recording").touch()
    source = ReplaySource(tmp_path / "recording")
    poll = select.epoll()
    poll.register(source, select.EPOLLIN)
    assert poll.poll(0) == [(source.fileno(), select.EPOLLIN)]
    source.play_canary()
    assert (source.canary_at > 0, source.state, source.missing_hooks) == (True, "replay", ())
    assert (source.read(), source.finished) == ([], True)
    poll.close()
    source.close()
    source.close()
