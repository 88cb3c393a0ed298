"""Bytes that may be compressed with gzip, as a stream that never inflates to more than it is allowed."""

from __future__ import annotations

import gzip
import io
from typing import IO, Any, cast

_MAGIC = b"\x1f\x8b"


class TooLargeError(Exception):
    """It inflates to more than allowed; what came before was right."""


def inflated(data: bytes | IO[bytes], maximum_bytes: int) -> io.BufferedReader:
    """The bytes as they are, or inflated when they begin as gzip does.

    Reading raises TooLargeError past ``maximum_bytes``, and EOFError, zlib.error, gzip.BadGzipFile for broken data.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    reader = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    if not reader.peek(len(_MAGIC)).startswith(_MAGIC):
        return reader
    return io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=reader), maximum_bytes), buffer_size=1 << 16)


class _Bounded(io.RawIOBase):
    def __init__(self, stream: gzip.GzipFile, maximum: int) -> None:
        self._stream = stream
        self._maximum = maximum
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._maximum - self._read
        data = self._stream.read(min(len(buffer), left) or 1)
        if data and not left:
            raise TooLargeError(f"it inflates to more than {self._maximum} bytes")
        self._read += len(data)
        buffer[: len(data)] = data
        return len(data)
