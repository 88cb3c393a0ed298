"""Names of users and groups as a container, or the host, knows them: from its etc/passwd and etc/group.

They are read through the root directory of one of its processes, when somebody asks for a name and at most every few
seconds, and again only when they changed. What a container puts there is not trusted: no link is followed (it could
lead out of the container), nothing but plain files of a bounded size is read, and opening never waits.
"""

from __future__ import annotations

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from watchkeeper.findings import Container

CONTAINERS = 512  # whose names are remembered
FRESH_SECONDS = 10.0
LARGEST = 1024 * 1024  # bytes of a file that are read
MOST = 16_384  # names of one container

_Stamp = tuple[int, int, int]  # inode, size, modification: another one means a changed file


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    home: str
    shell: str


_NOBODY = _User("", "", "")


@dataclass(slots=True)
class _Names:
    """``pid``: the process whose root is read next; each event of the container brings one that is alive."""

    root: Callable[[int], str]
    clock: Callable[[], float]
    pid: int
    read_at: float = float("-inf")
    stamps: dict[str, _Stamp] = field(default_factory=dict)
    users: dict[int, _User] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)

    def user(self, uid: int) -> str:
        return self._user(uid).name

    def home(self, uid: int) -> str:
        return self._user(uid).home

    def shell(self, uid: int) -> str:
        return self._user(uid).shell

    def group(self, gid: int) -> str:
        self._refresh()
        return self.groups.get(gid, "")

    def _user(self, uid: int) -> _User:
        self._refresh()
        return self.users.get(uid, _NOBODY)

    def _refresh(self) -> None:
        """A root that can not be read leaves what is known: the process may have ended."""
        now = self.clock()
        if now < self.read_at + FRESH_SECONDS:
            return
        self.read_at = now
        try:
            with _directory(self.root(self.pid)) as etc:
                if content := self._changed(etc, "passwd"):
                    self.users = _users(content)
                if content := self._changed(etc, "group"):
                    self.groups = _groups(content)
        except OSError:
            return

    def _changed(self, etc: int, name: str) -> bytes | None:
        """The file's content; None: it is none to read, or as it was."""
        try:
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=etc)
        except OSError:
            return None
        with os.fdopen(opened, "rb") as file:
            found = os.fstat(opened)
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if not stat.S_ISREG(found.st_mode) or self.stamps.get(name) == stamp:
                return None
            self.stamps[name] = stamp
            return file.read(LARGEST)


class Accounts:
    """Call it with a container (None: the host) and a process of it: the answer has the names its users go by."""

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._host = _Names(self._host_root, clock, 1)
        self._containers: OrderedDict[str, _Names] = OrderedDict()

    def __call__(self, container: Container | None, pid: int) -> _Names:
        if container is None:
            return self._host
        names = self._containers.get(container.id)
        if names is None:
            names = self._containers[container.id] = _Names(self._root, self._clock, pid)
            if len(self._containers) > CONTAINERS:
                self._containers.popitem(last=False)
        names.pid = pid
        return names

    def __len__(self) -> int:
        """Containers whose names are remembered."""
        return len(self._containers)

    def _root(self, pid: int) -> str:
        return f"{self._proc}/{pid}/root"

    def _host_root(self, pid: int) -> str:
        """Its first process's, which an agent without privileges can not look into; then its own."""
        root = self._root(pid)
        return root if os.access(f"{root}/etc", os.R_OK | os.X_OK) else "/"


@contextmanager
def _directory(root: str) -> Iterator[int]:
    """A descriptor of the root's etc. OSError: there is none that could be opened."""
    opened = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        etc = os.open("etc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened)
    finally:
        os.close(opened)
    try:
        yield etc
    finally:
        os.close(etc)


def _users(content: bytes) -> dict[int, _User]:
    """By id; of two with one id the first counts, as for getpwuid(3)."""
    found: dict[int, _User] = {}
    for parts in _lines(content, 7):
        if parts[2].isascii() and parts[2].isdecimal() and len(found) < MOST:
            found.setdefault(int(parts[2]), _User(parts[0], parts[5], parts[6]))
    return found


def _groups(content: bytes) -> dict[int, str]:
    found: dict[int, str] = {}
    for parts in _lines(content, 3):
        if parts[2].isascii() and parts[2].isdecimal() and len(found) < MOST:
            found.setdefault(int(parts[2]), parts[0])
    return found


def _lines(content: bytes, parts: int) -> Iterator[list[str]]:
    """Those with so many parts at least."""
    for line in content.decode("utf-8", "replace").splitlines():
        split = line.split(":")
        if len(split) >= parts and len(line) < 1024 and not line.startswith("#"):
            yield split
