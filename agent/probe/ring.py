"""The reading end of a BPF ring buffer, mapped into this process: no library, no callback per record."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

WINDOW = 128 * 1024  # bytes of the data that are mapped at once: all of them would count as this process's memory

_BUSY, _DISCARDED = 1 << 31, 1 << 30
_HEADER = struct.Struct("@II")


class Ring:
    """Owns the map's descriptor, which is also what to wait on (readable: records wait). ``size``: of its data."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._mask = size - 1
        self._width = min(WINDOW, size) + mmap.PAGESIZE  # a record that begins in the first page ends in the window
        consumer = mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        producer = mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE)
        # positions go through 64-bit views: one load or store each, never byte by byte
        self._consumed = memoryview(consumer)[:8].cast("Q")
        self._produced = memoryview(producer)[:8].cast("Q")
        self._begin = 0
        self._window = self._map(0)

    def read(self, limit: int) -> Iterator[memoryview]:
        """Up to ``limit`` records. Each view is valid until the next one is asked for; the space is given back to the
        kernel as the iteration goes on, so that a slow reader frees room early."""
        position = self._consumed[0]
        while limit and position < self._produced[0]:
            at = position & self._mask
            length = self._length_at(at)
            if length & _BUSY:
                return  # still being written; the descriptor becomes readable again
            kept = not length & _DISCARDED
            length &= ~_DISCARDED
            if kept:
                limit -= 1
                if at - self._begin + 8 + length > self._width:
                    self._move(at)
                begin = at - self._begin + 8
                yield self._window[begin : begin + length]
            position += (length + 8 + 7) & ~7
            self._consumed[0] = position

    def close(self) -> None:
        for view in (self._consumed, self._produced, self._window):
            view.release()
        os.close(self.descriptor)

    def _length_at(self, at: int) -> int:
        """And flags, of the record there."""
        if not 0 <= at - self._begin < self._width:
            self._move(at)
        length: int = _HEADER.unpack_from(self._window, at - self._begin)[0]
        return length

    def _move(self, at: int) -> None:
        """Have the window begin with the page that holds ``at``. The old one goes with the last view of it."""
        self._begin = at & -mmap.PAGESIZE
        self._window = self._map(self._begin)

    def _map(self, begin: int) -> memoryview:
        """The kernel offers the data twice in a row, so that no record is in two pieces."""
        offset = 2 * mmap.PAGESIZE + begin
        return memoryview(mmap.mmap(self.descriptor, self._width, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset))
