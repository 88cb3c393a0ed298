"""Reading a ring buffer through its window, over a file that is laid out as the kernel lays out the map."""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.probe.ring import WINDOW, Ring

PAGE = mmap.PAGESIZE
BUSY, DISCARDED = 1 << 31, 1 << 30
SIZES = (PAGE, 4 * PAGE, 4 * WINDOW)


class Kernel:
    """Writes records as the kernel does: header, bytes, filled up to eight; the data twice in a row."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("ring")
        os.truncate(self.descriptor, 2 * PAGE + 2 * size)
        self._produced = 0

    def write(self, content: bytes, flags: int = 0) -> bool:
        """False when there is no room."""
        record = struct.pack("@II", len(content) | flags, 0) + content
        record += bytes(-len(record) % 8)
        (consumed,) = struct.unpack("@Q", os.pread(self.descriptor, 8, 0))
        if self._produced - consumed + len(record) > self.size:
            return False
        at = self._produced % self.size
        for start in (at - self.size, at, at + self.size):
            first, end = max(start, 0), min(start + len(record), 2 * self.size)
            if first < end:
                os.pwrite(self.descriptor, record[first - start : end - start], 2 * PAGE + first)
        self._produced += len(record)
        os.pwrite(self.descriptor, struct.pack("@Q", self._produced), PAGE)
        return True


@pytest.fixture(params=SIZES)
def kernel(request) -> Iterator[Kernel]:
    yield Kernel(request.param)


@pytest.mark.parametrize("size", SIZES)
@given(steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 17_408), st.integers(1, 9)), max_size=60))
@settings(deadline=None)
def test_what_is_written_is_read(size: int, steps: list[tuple[int, int, int]]) -> None:
    """Every record comes once, in order and whole, wherever window and ring end; discarded ones do not come."""
    kernel = Kernel(size)
    ring, waiting = Ring(kernel.descriptor, size), deque[bytes]()
    for number, (discarded, length, limit) in enumerate(steps):
        content = bytes([number % 251]) * min(length, size // 3)
        if kernel.write(content, DISCARDED * discarded) and not discarded:
            waiting.append(content)
        if limit > 6:
            for record in ring.read(limit):
                assert bytes(record) == waiting.popleft()
    assert [bytes(record) for record in ring.read(1_000)] == list(waiting)
    ring.close()


def test_every_place_of_the_ring_is_read(kernel: Kernel) -> None:
    """Several times around, with records that do not divide the window."""
    ring = Ring(kernel.descriptor, kernel.size)
    length = min(1_001, kernel.size // 4)
    for number in range(4 * kernel.size // length):
        assert kernel.write(struct.pack("@I", number) * (length // 4))
        assert [bytes(each[-4:]) for each in ring.read(9)] == [struct.pack("@I", number)]
    ring.close()


def test_record_under_way_is_waited_for(kernel: Kernel) -> None:
    """What comes after it comes later, too."""
    ring = Ring(kernel.descriptor, kernel.size)
    kernel.write(b"first")
    kernel.write(b"busy", BUSY)
    kernel.write(b"last")
    assert [bytes(each) for each in ring.read(9)] == [b"first"]
    os.pwrite(kernel.descriptor, struct.pack("@I", 4), 2 * PAGE + 16)
    assert [bytes(each) for each in ring.read(9)] == [b"busy", b"last"]
    ring.close()


def test_view_of_an_older_window_stays_what_it_was(kernel: Kernel) -> None:
    """The window moves on while a record of it is still being looked at."""
    ring = Ring(kernel.descriptor, kernel.size)
    length = kernel.size // 4
    for number in range(3):
        kernel.write(bytes([number]) * length)
    held = next(ring.read(1))
    assert {bytes(each)[:1] for each in ring.read(9)} <= {b"\0", b"\1", b"\2"}
    assert held[:1] == b"\0"
    held.release()
    ring.close()
