"""Reading events of the JSON sources: one document, an array, JSON lines, the audit webhook's EventList, CloudTrail's
Records; each also compressed with gzip. What can not be read is told as a problem, and the rest is read on."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from rules.sources import timestamps
from rules.sources.aws_cloudtrail import SOURCE as AWS_CLOUDTRAIL
from rules.sources.inflating import TooLargeError, inflated
from rules.sources.json_document import MISSING, decode, member, slices
from rules.sources.json_event import JsonEvent, JsonSource
from rules.sources.k8s_audit import SOURCE as K8S_AUDIT

MAXIMUM_BYTES = 256 << 20

_SOURCES = {source.name: source for source in (K8S_AUDIT, AWS_CLOUDTRAIL)}
_PROBED_LINES = 100  # looked at to tell JSON lines of which some are broken from one broken document
_AT_BYTE = re.compile(r" ?\(byte ([0-9]+)\)")


@dataclass(frozen=True, slots=True)
class InputProblem:
    """``line``: from 1; 0 when it is about the input as a whole."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


@dataclass(frozen=True, slots=True)
class _Document:
    """A decoded document, the bytes it was taken from, and the line it begins on."""

    value: Any
    raw: bytes
    line: int


def events(
    source_name: str, data: bytes | IO[bytes], *, first_number: int = 1, maximum_bytes: int = MAXIMUM_BYTES
) -> Iterator[JsonEvent | InputProblem]:
    """All events in ``data``, numbered from ``first_number``, with a problem for each part that is none.

    Lines are read one by one, so that their number is not limited; a line, a document over many lines, and what gzip
    inflates to may have ``maximum_bytes``. KeyError for a source that is not a JSON one; OSError when reading fails.
    """
    source = _SOURCES[source_name]
    numbers = itertools.count(first_number)
    try:
        for found in _documents(inflated(data, maximum_bytes), maximum_bytes):
            if isinstance(found, InputProblem):
                yield found
            else:
                yield from _events(source, found.value, found.raw, found.line, numbers)
    except TooLargeError as error:
        yield InputProblem(0, str(error))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        yield InputProblem(0, f"the gzip data is broken: {error}")


def _documents(stream: io.BufferedReader, limit: int) -> Iterator[_Document | InputProblem]:
    line, first = 1, stream.readline(limit + 1)
    while first and not first.strip():
        line, first = line + 1, stream.readline(limit + 1)
    if not first:
        return
    try:
        value, raw = decode(first)
    except ValueError:
        yield from _whole_or_lines(first, stream, line, limit)
    else:
        yield _Document(value, raw, line)
        yield from _lines(stream, line + 1, limit)


def _whole_or_lines(
    first: bytes, stream: io.BufferedReader, line: int, limit: int
) -> Iterator[_Document | InputProblem]:
    """After a first line that is no document: one document over many lines, or lines of which some are broken."""
    whole = first + stream.read(limit + 1 - len(first))
    try:
        if len(whole) > limit:
            raise ValueError(f"longer than {limit} bytes")
        value, raw = decode(whole)
    except ValueError as error:
        if not any(_decodes(probed) for probed in itertools.islice(io.BytesIO(whole), _PROBED_LINES)):
            yield _problem(whole, error, line)
            return
        if len(whole) > limit:
            whole += stream.readline(limit)  # the rest of its last line
        yield from _lines(io.BytesIO(whole), line, limit)
        yield from _lines(stream, line + whole.count(b"\n"), limit)
    else:
        yield _Document(value, raw, line)


def _lines(stream: IO[bytes], line: int, limit: int) -> Iterator[_Document | InputProblem]:
    for number in itertools.count(line):
        raw = stream.readline(limit + 1)
        if not raw:
            return
        if len(raw) > limit:
            yield InputProblem(number, f"longer than {limit} bytes")
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(1 << 20)
        elif not raw.isspace():
            try:
                value, kept = decode(raw)
            except ValueError as error:
                yield _problem(raw, error, number)
            else:
                yield _Document(value, kept, number)


def _events(
    source: JsonSource, value: Any, raw: bytes, line: int, numbers: Iterator[int], place: str = ""
) -> Iterator[JsonEvent | InputProblem]:
    if type(value) is dict and source.list_key in value:
        key = source.list_key
        value, raw, place = value[key] or [], member(raw, key), f"{place}{key}"
    if type(value) is list:
        for index, (item, slice_) in enumerate(zip(value, slices(raw) if value else (), strict=True)):
            yield from _events(source, item, bytes(slice_), line, numbers, f"{place}[{index}]")
        return
    try:
        time_ns = _time(source, value)
    except ValueError as error:
        yield InputProblem(line, f"{place}: {error}" if place else str(error))
    else:
        yield JsonEvent(value, raw, next(numbers), time_ns)


def _time(source: JsonSource, value: Any) -> int:
    if type(value) is not dict:
        raise ValueError("an event must be an object")
    for key in source.time_keys:
        time = value.get(key, MISSING)
        if type(time) is str:
            return timestamps.parse(time)
    raise ValueError(f"no event of {source.name}: it has no {source.time_keys[0]}")


def _problem(raw: bytes, error: ValueError, line: int) -> InputProblem:
    """Of a document that begins on ``line``; the message's offset becomes a line of its own."""
    message = str(error)
    at = _AT_BYTE.search(message)
    if at:
        return InputProblem(line + raw.count(b"\n", 0, int(at[1])), _AT_BYTE.sub("", message))
    return InputProblem(line, message)


def _decodes(raw: bytes) -> bool:
    try:
        value, _raw = decode(raw)
    except ValueError:
        return False
    return type(value) in (dict, list) and bool(value)
