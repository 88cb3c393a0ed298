"""How much the probe may hold in the kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Powers of two: bytes of both rings (a page at least), and how many judged behaviours the kernel remembers."""

    bulk_bytes: int = 1 << 21
    critical_bytes: int = 1 << 21
    known_entries: int = 1 << 16
