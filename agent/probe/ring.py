"""The reading end of a BPF ring buffer, mapped into this process: no library, no callback per record."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

_BUSY, _DISCARDED = 1 << 31, 1 << 30
_HEADER = struct.Struct("@II")


class Ring:
    """Owns the map's descriptor, which is also what to wait on (readable: records wait)."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._size = size
        self._consumer = mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # the kernel offers the data twice in a row, so that no record is in two pieces; mapping it once and joining
        # the rare one that wraps around saves the ring's size in resident memory
        self._shared = mmap.mmap(
            descriptor, mmap.PAGESIZE + size, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE
        )
        self._view = memoryview(self._shared)
        # positions go through 64-bit views: one load or store each, never byte by byte
        self._consumed = memoryview(self._consumer)[:8].cast("Q")
        self._produced = self._view[:8].cast("Q")

    def read(self, limit: int) -> Iterator[memoryview | bytes]:
        """Up to ``limit`` records. Each view is valid until the next one is asked for; the space is given back to the
        kernel as the iteration goes on, so that a slow reader frees room early."""
        position = self._consumed[0]
        data = self._view[mmap.PAGESIZE :]
        mask = self._size - 1
        while limit and position < self._produced[0]:
            at = position & mask
            length, _ = _HEADER.unpack_from(data, at)
            if length & _BUSY:
                return  # still being written; the descriptor becomes readable again
            kept = not length & _DISCARDED
            length &= ~_DISCARDED
            if kept:
                limit -= 1
                end = at + 8 + length
                if end <= self._size:
                    yield data[at + 8 : end]
                else:
                    yield bytes(data[at + 8 :]) + bytes(data[: end - self._size])
            position += (length + 8 + 7) & ~7
            self._consumed[0] = position

    def close(self) -> None:
        for view in (self._consumed, self._produced, self._view):
            view.release()
        self._consumer.close()
        self._shared.close()
        os.close(self.descriptor)
