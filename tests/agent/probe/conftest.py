"""The real kernel as the tests' subject: small programs act, and what the probe told of them is returned."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from agent.cgroups import Hierarchy, detect
from agent.probe import bpfmap
from agent.probe.bpfmap import Map
from agent.probe.loader import KernelSource, start
from agent.probe.sizes import Sizes
from agent.probe.source import ProbeError, Told
from watchkeeper.events import AnyEvent, Exit, Open, Syscall

SIZES = Sizes()
SENSITIVE = ("shadow", ".ssh", "watched-name", "a-name-as-long-as-the-map-can-hold-and-more")
PATIENCE = float(os.environ.get("WATCHKEEPER_TEST_PATIENCE", "20"))  # seconds


class Watch:
    """A source, and everything it told so far: the events, and the same with their tickets."""

    def __init__(self, source: KernelSource) -> None:
        self.source = source
        self.seen: list[AnyEvent] = []
        self.told: list[Told] = []

    def read(self) -> bool:
        """Take what waits; False when nothing did."""
        told = self.source.read()
        self.told += told
        self.seen += [each.event for each in told]
        return bool(told)

    def settle(self, told: Sequence[Told], subject: int = 0) -> None:
        """Nothing of all that is to be told again, however the caller words it."""
        for each in told:
            assert each.ticket is not None, each.event
            self.source.settle(each.ticket, subject, by_object=True)
        self.source.remember()

    def until(self, wanted: Callable[[AnyEvent], bool]) -> AnyEvent:
        """The first event that fits, waiting for it if need be."""
        checked = 0
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for event in self.seen[checked:]:
                if wanted(event):
                    return event
            checked = len(self.seen)
            select.select([self.source], [], [], 0.2)
            self.read()
        raise AssertionError("the kernel did not tell of it in time")

    def run(self, code: str, *arguments: str, program: Sequence[str] = (sys.executable, "-IS", "-c")) -> list[AnyEvent]:
        """Run Python code in a process of its own; what the probe told of that process, in order."""
        with subprocess.Popen([*program, code, *arguments]) as process:
            assert process.wait() == 0
        pid = process.pid
        self.until(lambda event: isinstance(event, Exit) and event.task.pid == pid)
        return [event for event in self.seen if event.task.pid == pid]


STEPS = """
import ctypes, errno, fcntl, json, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
home = os.open(sys.argv[1], os.O_DIRECTORY)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def child(code):
    pid = os.fork()
    if not pid:
        try:
            exec(code, globals())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, code
print("begun", flush=True)
for line in sys.stdin:
    number, code = json.loads(line)
    exec(code, globals())
    os.close(os.open(str(number), os.O_WRONLY | os.O_CREAT, dir_fd=home))
    print(number, flush=True)
"""
PYTHON = (sys.executable, "-IS", "-c")
JOIN = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


class Actor:
    """A process in a cgroup of its own that takes its steps one by one, as Python code: what it does in one step comes
    from the same process as what it did in the step before. Nobody but it and its children is in the cgroup.

    Each step ends with the making of a file in ``home``: who was told of that was told of all before.
    """

    def __init__(self, watch: Watch, cgroup: Path, home: Path, steps: IO[str], answers: IO[str]) -> None:
        self.watch = watch
        self.cgroup = cgroup.stat().st_ino
        self.directory = cgroup
        self.home = home
        self._steps = steps
        self._answers = answers
        self._number = 0
        self._spawned: list[Actor] = []

    def do(self, code: str = "", read: bool = True) -> list[Told]:
        """What was told of the step. ``read``: False leaves everything in the rings, and returns nothing."""
        begun = len(self.watch.told)
        self._begin(code)
        self._await(str(self._number), read)
        if not read:
            return []
        deadline = time.monotonic() + PATIENCE
        while not self._is_told(begun):  # the step may have left no room for its end
            assert time.monotonic() < deadline, "the end of the step was not told in time"
            self._begin("")
            self._await(str(self._number), read)
        told = [told for told in self.watch.told[begun:] if told.event.task.cgroup == self.cgroup]
        return [each for each in told if not _opened(each.event).startswith(str(self.home))]

    def told(self, code: str, wanted: Callable[[AnyEvent], bool]) -> list[Told]:
        """Those told of the step that fit."""
        return [told for told in self.do(code) if wanted(told.event)]

    def judge(self, code: str, wanted: Callable[[AnyEvent], bool], subject: int = 0) -> list[Told]:
        """Have what the step does judged: it is told, settled, and no more told when it is repeated."""
        told = self.told(code, wanted)
        assert told, "nothing was told"
        self.watch.settle(told, subject)
        assert self.told(code, wanted) == []
        return told

    def become(self, *program: str, read: bool = True) -> None:
        """Execute another Python, which takes the steps from now on."""
        self._begin(f"os.execv({program[0]!r}, {[*program, STEPS, str(self.home)]!r})")
        self.begun(read)

    def begun(self, read: bool = True) -> None:
        """Wait for the program to take steps."""
        self._await("begun", read)

    def spawn(self, name: str, read: bool = True) -> Actor:
        """A child in the same cgroup that takes steps of its own, until ``leave``. It is to be waited for by a step."""
        steps, answers, home = (self.home / f"{name}-{what}" for what in ("steps", "answers", "home"))
        os.mkfifo(steps)
        os.mkfifo(answers)
        home.mkdir()
        self._begin(f"""
if not os.fork():
    os.dup2(os.open({str(steps)!r}, os.O_RDONLY), 0)
    os.dup2(os.open({str(answers)!r}, os.O_WRONLY), 1)
    os.execv({PYTHON[0]!r}, {[*PYTHON, STEPS, str(home)]!r})
""")
        spawned = Actor(self.watch, self.directory, home, steps.open("w"), answers.open())
        self._spawned.append(spawned)
        self._await(str(self._number), read)
        spawned.begun(read)
        return spawned

    def leave(self) -> None:
        """There are no more steps, nor for those it spawned; the process ends."""
        for spawned in self._spawned:
            spawned.leave()
        self._steps.close()
        self._answers.close()

    def _is_told(self, begun: int) -> bool:
        while self.watch.read():
            pass
        end = str(self.home / str(self._number))
        return any(isinstance(each.event, Open) and each.event.path == end for each in self.watch.told[begun:])

    def _begin(self, code: str) -> None:
        self._number += 1
        self._steps.write(json.dumps([self._number, code]) + "\n")
        self._steps.flush()

    def _await(self, answer: str, read: bool) -> None:
        waits = [self._answers, self.watch.source] if read else [self._answers]
        deadline = time.monotonic() + 3 * PATIENCE
        while self._answers not in select.select(waits, [], [], 0.2)[0]:
            assert time.monotonic() < deadline, "the step did not end in time"
            if read:
                self.watch.read()
        assert self._answers.readline() == f"{answer}\n", "the step failed"


def _opened(event: AnyEvent) -> str:
    match event:
        case Open():
            return event.path
        case Syscall():
            return event.resolved.get("name", "")
    return ""


class Stage:
    """Makes actors, each in a new cgroup of the given name, and removes them."""

    def __init__(self, root: Path, homes: Path) -> None:
        self._root = root
        self._homes = homes
        self._playing: list[tuple[Actor, subprocess.Popen[str], Path]] = []

    def actor(self, watch: Watch, name: str = "one") -> Actor:
        cgroup = self._root / f"watchkeeper-test-{os.getpid()}-{name}"
        cgroup.mkdir()
        home = self._homes / str(cgroup.stat().st_ino)
        home.mkdir()
        while watch.read():  # what the machine did meanwhile must not keep the actor's own start from being told
            pass
        process = subprocess.Popen(
            ["/bin/sh", "-c", JOIN, str(cgroup), *PYTHON, STEPS, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin and process.stdout
        made = Actor(watch, cgroup, home, process.stdin, process.stdout)
        self._playing.append((made, process, cgroup))
        made.begun()
        return made

    def end(self) -> None:
        """All leave, and their cgroups are removed."""
        for actor, process, cgroup in self._playing:
            actor.leave()
            process.wait(PATIENCE)
            _remove(cgroup)
        self._playing.clear()


def _remove(cgroup: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            cgroup.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # its last process is about to end


def begin(sizes: Sizes = SIZES, sensitive: Sequence[str] = SENSITIVE) -> KernelSource:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    try:
        return start(sizes, os.getpid(), detect(), sensitive)
    except ProbeError as error:
        if "python3-bpfcc" in str(error) or "BTF" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """One attached probe for all tests of a module."""
    source = begin()
    yield Watch(source)
    source.close()


@pytest.fixture
def fresh() -> Iterator[Callable[..., Watch]]:
    """Makes probes of the test's own."""
    made: list[KernelSource] = []

    def make(**options: int) -> Watch:
        made.append(begin(**options))
        return Watch(made[-1])

    yield make
    for source in made:
        source.close()


@pytest.fixture
def cgroup() -> Iterator[tuple[Hierarchy, Path]]:
    """An empty cgroup of the chosen hierarchy."""
    hierarchy = detect()
    directory = hierarchy.mount / f"watchkeeper-test-{os.getpid()}"
    directory.mkdir()
    yield hierarchy, directory
    directory.rmdir()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Makes processes that act step by step, each in its own cgroup."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    homes = tmp_path / "homes"
    homes.mkdir()
    made = Stage(detect().mount, homes)
    yield made
    made.end()


@pytest.fixture
def new_map() -> Iterator[Callable[..., Map]]:
    """Makes BPF maps: hash tables, or arrays."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made: list[Map] = []

    def make(key_size: int, value_size: int, entries: int, array: bool = False) -> Map:
        request = bpfmap.attributes("@IIII", 2 if array else 1, key_size, value_size, entries)
        made.append(Map(bpfmap.call(0, request), value_size))
        return made[-1]

    yield make
    for each in made:
        each.close()
