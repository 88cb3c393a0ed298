"""What a process costs: CPU time, memory, and the BPF programs it holds."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from cli.requirements import BPF_SYSCALL

BPF_PROG_GET_FD_BY_ID = 13
QUIET_SHARE = 0.2  # of a core; below it a process has nothing left to do
QUIET_STEP = 0.5
REST_SECONDS = 15.0
GONE_SECONDS = 60.0


class CostError(Exception):
    """Something did not go away."""


def cpu_seconds(pid: int) -> float:
    """CPU time of its threads, exact to the nanosecond where the kernel tells (schedstat), else to a tick."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def resident_file_bytes(pid: int) -> int:
    """Of them, pages of programs and libraries, which the kernel holds in its cache of files anyway."""
    return int(psutil.Process(pid).memory_info().shared)


def comes_to_rest(pid: int, longest: float = REST_SECONDS) -> bool:
    """Wait until it has worked off what lay in its buffers; False when it was still busy after ``longest``."""
    until = time.monotonic() + longest
    before = cpu_seconds(pid)
    while time.monotonic() < until:
        time.sleep(QUIET_STEP)
        after = cpu_seconds(pid)
        if after - before < QUIET_SHARE * QUIET_STEP:
            return True
        before = after
    return False


def bpf_programs(pid: int) -> frozenset[int]:
    """Ids of the BPF programs that the process holds, by descriptors of programs and links; none where it is gone, or
    is not for us to see."""
    found: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for descriptor in Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.update(_program_ids(descriptor.read_text()))
    return frozenset(found)


def _program_ids(text: str) -> Iterator[int]:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "prog_id":
            yield int(value)


def holders_of_programs(own: Iterable[int]) -> list[str]:
    """``name (pid)`` of other processes that hold BPF programs: what they trace is in every figure, on and off."""
    mine = set(own)
    return [
        f"{process.info['name']} ({process.pid})"
        for process in psutil.process_iter(["name"])
        if process.pid not in mine and bpf_programs(process.pid)
    ]


def wait_until_gone(programs: Iterable[int], longest: float = GONE_SECONDS) -> None:
    """Until the kernel has let go of these programs: it detaches some after their process has ended."""
    until = time.monotonic() + longest
    left = list(programs)
    while left := [number for number in left if _exists(number)]:
        if time.monotonic() > until:
            raise CostError(f"{len(left)} BPF programs are still there after {longest:.0f} s")
        time.sleep(0.05)


def _exists(program: int) -> bool:
    attributes = (ctypes.c_uint32 * 32)(program)
    libc = ctypes.CDLL(None, use_errno=True)
    number = BPF_SYSCALL[os.uname().machine]
    descriptor = libc.syscall(number, BPF_PROG_GET_FD_BY_ID, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True
