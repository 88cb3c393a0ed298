"""How little memory the process asks for, and what it gives back once it has started."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

# glibc's mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE = 128 * 1024  # bytes; glibc would raise this bound with each larger block that is freed

# asyncio and hashlib load OpenSSL when it is there, and take less when it is not: gRPC has a TLS of its own, and hashes
# are computed of records, not of files. _sha256 (_sha2 from 3.12 on) is what hashlib then computes with.
_OPENSSL = ("ssl", "_hashlib")
_HASHES = ("_sha256", "_sha2")

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ ([0-9]+)")


def be_frugal() -> None:
    """To be called before the first thread starts, and before asyncio and hashlib are imported."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc: an arena for each thread would keep what that thread once needed
        libc.mallopt(_ARENA_MAX, 1)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _LARGE)
    if any(name in sys.builtin_module_names for name in _HASHES):
        for name in _OPENSSL:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # documented: an import then finds nothing


def give_back() -> None:
    """Give the kernel what only starting, or putting rules into force, needed; takes some 50 ms.

    That is freed blocks, and the pages of programs and libraries: the kernel maps 64 KiB around each byte that is
    touched. Those that are used again come back one by one, from its cache of files.
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    for start, end in _unwritten(Path("/proc/self/smaps").read_text().splitlines()):
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _unwritten(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The mappings of files that can be read from their file again: private, not writable, and no page of them was
    written to before it became so, as the linker does with tables of addresses."""
    start = end = 0
    is_unwritable = False
    for line in smaps:
        if match := _MAPPING.match(line):
            start, end = int(match[1], 16), int(match[2], 16)
            is_unwritable = "w" not in match[3] and match[3].endswith("p") and match[4] != "0"
        elif is_unwritable and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield start, end
