"""A process of this machine, told by its id."""

from __future__ import annotations

from pathlib import Path


def start_time(pid: int) -> str:
    """Start of a process in clock ticks since boot, empty when it has ended. Source: /proc/PID/stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
