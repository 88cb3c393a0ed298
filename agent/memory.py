"""How little memory the process asks for, and what of it it gives back once it has started."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# Of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 128 * 1024  # bytes; unless it is set, glibc raises it with each larger block that is freed

# asyncio and hashlib load OpenSSL where it is, and do without where it is not. Nothing here needs it: gRPC brings a TLS
# of its own, and what is hashed are records, not files.
_OPENSSL = ("ssl", "_hashlib")
_HASHES = frozenset({"_sha256", "_sha2"})  # what hashlib computes with instead; the latter from Python 3.12 on

_STARTING_SECONDS, _IDLE_SECONDS = 8.0, 300.0

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ ([0-9]+)")


def be_frugal() -> None:
    """To be called before the first thread starts, and before asyncio and hashlib are imported."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_ARENA_MAX, 1)  # else each thread has one, which keeps what that thread once needed
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _LARGE)
    if _HASHES & set(sys.builtin_module_names):
        for name in _OPENSSL:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # documented: its import then fails


async def keep_giving_back() -> None:
    """Soon after the start, and every few minutes: what a burst of events needed is not needed after it."""
    import asyncio  # not before be_frugal

    await asyncio.sleep(_STARTING_SECONDS)
    while True:
        give_back()
        await asyncio.sleep(_IDLE_SECONDS)


def give_back() -> None:
    """Give the kernel what only starting, or putting rules into force, needed; takes some 30 ms.

    That is free blocks, and pages of programs and libraries: of these the kernel maps 64 KiB around each byte that is
    touched. Those that are needed again come back from its cache of files.
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    for start, end in unwritten(Path("/proc/self/smaps").read_text().splitlines()):
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def unwritten(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Start and end of the mappings, by the lines of /proc/PID/smaps, that can be read from their files again: they are
    private, can not be written to, and were not before, as the tables are that the linker fills."""
    start = end = 0
    is_file = False
    for line in smaps:
        if match := _MAPPING.match(line):
            start, end = int(match[1], 16), int(match[2], 16)
            is_file = match[4] != "0" and match[3][1] == "-" and match[3][3] == "p"
        elif is_file and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield start, end
