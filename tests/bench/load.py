"""The loads that are timed with the tracing on and off."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.demo_stage import free_ports
from tests.bench.slice import Slice
from tests.bench.workshop import Workshop

MOST_FILES = 20_000
MOST_BYTES = 1 << 30
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class LoadError(Exception):
    """A load did not run; the message holds its own words."""


@dataclass(frozen=True, slots=True)
class Timing:
    """``wall``: in the load's unit; ``cpu``: seconds of CPU of the load's own processes, which what else runs on the
    machine changes less."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Load:
    """``times_itself``: it prints the nanoseconds of one act, else the whole command is timed in seconds. ``cold``: the
    kernel's caches are dropped before. ``runs``: in each block, of which the median counts. ``reach``: the most that
    its ratio of on to off should be, 0: no figure is set."""

    name: str
    command: tuple[str, ...]
    unit: str
    runs: int = 1
    times_itself: bool = False
    cold: bool = False
    reach: float = 0.0

    def run(self) -> Timing:
        """Do it once. Raises LoadError."""
        if self.cold:
            drop_caches()
        began, cpu = time.monotonic(), _cpu_of_children()
        printed = output(self.command)
        seconds = time.monotonic() - began
        return Timing(float(printed) if self.times_itself else seconds, _cpu_of_children() - cpu)

    def measure(self) -> Timing:
        """The medians of a block's runs."""
        timings = [self.run() for _ in range(self.runs)]
        return Timing(
            statistics.median(timing.wall for timing in timings), statistics.median(timing.cpu for timing in timings)
        )


def output(command: Sequence[str]) -> str:
    """Run it and return what it printed. Raises LoadError."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LoadError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def loads(workshop: Workshop, group: Slice, directory: Path) -> list[Load]:
    """``directory``: whose files find and cat read."""
    known, tiny, cpu = str(workshop.path("known")), str(workshop.path("nothing")), measured_cpu()
    [port] = free_ports(1)
    read_all = group.inside(("sh", "-c", 'find "$0" -xdev -type f -print0 | xargs -0 cat >/dev/null', str(directory)))
    build = group.inside(("sh", str(workshop.path("project") / "build.sh")))

    def own(program: str, *arguments: str) -> tuple[str, ...]:
        return group.inside((str(workshop.path(program)), *arguments, cpu))

    found = [
        Load("open+close of a known file", own("open_close", known, "100000"), "ns", 3, True, reach=1.20),
        Load("exec of a known program", own("exec", tiny, "500"), "ns", 3, True, reach=1.05),
        Load("connect to a known peer", own("connect", str(port), "5000"), "ns", 3, True, reach=1.05),
        Load("getpid", own("getpid", "1000000"), "ns", 3, True),
        Load("compile of a C project", build, "s"),
        Load("find | xargs cat, warm", read_all, "s"),
    ]
    if can_drop_caches():
        found.append(Load("find | xargs cat, cold", read_all, "s", cold=True))
    return found


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured_cpu() -> str:
    """The last CPU we may use: the first ones are where most interrupts go."""
    return str(max(os.sched_getaffinity(0)))


def can_drop_caches() -> bool:
    """In a container /proc/sys is often read-only, even for root."""
    try:
        with DROP_CACHES.open("w"):
            return True
    except OSError:
        return False


def drop_caches() -> None:
    os.sync()
    DROP_CACHES.write_text("3\n", encoding="ascii")


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory with how many regular files and bytes lie below it."""

    path: Path
    files: int
    bytes: int


def readable_tree(top: Path) -> Tree:
    """``top``, or where that holds too much the directory at most three levels below it that holds the most files and
    not too many. Raises LoadError when there is none."""
    trees = [tree for tree in _trees(top) if 0 < tree.files <= MOST_FILES and tree.bytes <= MOST_BYTES]
    if not trees:
        raise LoadError(f"{top} holds no directory of 1 to {MOST_FILES} files; name another one with --directory")
    return max(trees, key=lambda tree: (tree.files, -len(tree.path.parts), str(tree.path)))


def _trees(top: Path, depth: int = 3) -> Iterator[Tree]:
    """``top`` last, after what is below it, each with its sum."""
    files = size = 0
    device = top.stat().st_dev
    for entry in os.scandir(top):
        if entry.is_file(follow_symlinks=False):
            files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
        elif entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_dev == device:
            below = list(_trees(Path(entry.path), depth - 1))
            files, size = files + below[-1].files, size + below[-1].bytes
            yield from below if depth > 0 else ()
    yield Tree(top, files, size)
