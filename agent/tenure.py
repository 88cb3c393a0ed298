"""Whose turn it is: one agent holds the lock of its node's state directory for as long as it judges.

``agent.lock`` names its holder. Its modification time, set anew twice a second, is the time of events up to which the
holder has taken in everything: this is what a killed agent leaves. One that ends in order also leaves
``agent.handover``, which tells what it took in last one by one: two probes tell the same act with times that differ.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from watchkeeper.events import (
    AnyEvent,
    Bind,
    Capability,
    Chmod,
    Connect,
    Exec,
    Listen,
    Open,
    Rename,
    Syscall,
    Unlink,
)

LOCK, HANDOVER = "agent.lock", "agent.handover"
SKEW_SECONDS = 0.1  # at most, between the times that two probes give one event, and until a record is in the ring
LEAVING_SECONDS = 0.3  # how long one that leaves notes what it takes in; more than twice SKEW_SECONDS
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TenureError(Exception):
    """The lock can not be used; the message names the path and the remedy."""


@dataclass(frozen=True, slots=True)
class Holder:
    """``start``: of the process, in clock ticks since boot; ``since``: unix seconds at which it began to judge."""

    pid: int
    start: int
    version: str
    boot_id: str
    since: float


@dataclass(frozen=True, slots=True)
class Handover:
    """What an agent leaves that ends in order. Everything that happened up to ``settled`` was taken in; of what came
    later, what ``taken`` names. ``until``: unix seconds at which it took in the last of it."""

    pid: int
    start: int
    until: float
    settled: float
    taken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Predecessor:
    """Who had the turn before. ``holder`` None: its record can not be read. ``handover`` None: it ended otherwise than
    in order. ``until``: unix seconds up to which it has watched for sure."""

    holder: Holder | None
    until: float
    handover: Handover | None


class Tenure:
    """The turn of this process, or the wait for it. Belongs to one thread. Raises TenureError at the start only: what
    can not be written later makes the next agent believe in a longer gap, never in a shorter one."""

    def __init__(self, directory: Path, version: str) -> None:
        self._path = directory / LOCK
        self._handover = directory / HANDOVER
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TenureError(
                f"{self._path} can not be written: {error.strerror}. "
                "Make the directory writable for the agent or choose another state_directory."
            ) from error
        self._self = Holder(os.getpid(), started(os.getpid()), version, boot_id(), 0.0)
        self._taken: list[str] | None = None
        self._settled = 0.0
        self._held = False

    @property
    def directory(self) -> Path:
        return self._path.parent

    @property
    def holder(self) -> Holder | None:
        """Who holds the turn or held it last, as it says itself; None: nobody ever did, or it can not be read."""
        try:
            return msgspec.json.decode(os.pread(self.descriptor, 4096, 0), type=Holder)
        except msgspec.DecodeError:
            return None

    @property
    def mark(self) -> float:
        """The time of events (unix seconds) up to which that one has taken in everything."""
        return os.fstat(self.descriptor).st_mtime

    def take(self) -> bool:
        """Take the turn if nobody has it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._held = True
        return True

    def predecessor(self) -> Predecessor | None:
        """To be asked between ``take`` and ``begin``; None: this is the first agent in this directory."""
        if not os.fstat(self.descriptor).st_size:
            return None
        holder, handover = self.holder, self._read_handover()
        if holder is None or handover is None or (handover.pid, handover.start) != (holder.pid, holder.start):
            return Predecessor(holder, self.mark, None)
        return Predecessor(holder, handover.until, handover)

    def begin(self, until: float) -> None:
        """Judge from now on; what happened up to ``until`` has been taken in. OSError when that can not be written."""
        self._self = replace(self._self, since=time.time())
        record = msgspec.json.encode(self._self)
        os.pwrite(self.descriptor, record, 0)  # into the block the last record had, which a full disk still gives
        os.ftruncate(self.descriptor, len(record))
        self.renew(until)
        self._handover.unlink(missing_ok=True)

    def renew(self, until: float) -> None:
        """This process lives, and has taken in everything up to ``until``."""
        with contextlib.suppress(OSError):  # a disk that refuses is told of by the spool
            os.utime(self.descriptor, (until, until))

    def leaving(self) -> None:
        """From now on note what is taken in. To be called LEAVING_SECONDS before the end, at least."""
        self._taken, self._settled = [], time.time() + SKEW_SECONDS

    def took(self, events: Iterable[AnyEvent]) -> None:
        """These events were taken in."""
        if self._taken is not None:
            self._taken += filter(None, map(identity, events))

    def end(self, until: float) -> None:
        """Everything up to ``until`` is judged and written down. Leave word of it, and the turn to the next."""
        if self._taken is not None:
            left = Handover(self._self.pid, self._self.start, until, self._settled, tuple(self._taken))
            temporary = self._handover.with_suffix(".new")
            with contextlib.suppress(OSError):  # the next agent judges the last half second anew
                temporary.write_bytes(msgspec.json.encode(left))
                temporary.replace(self._handover)
        self.renew(until)
        self.close()

    def close(self) -> None:
        """Leave the turn, or stop to wait for it, without a word. May be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _read_handover(self) -> Handover | None:
        try:
            return msgspec.json.decode(self._handover.read_bytes(), type=Handover)
        except (OSError, msgspec.DecodeError):
            return None


class Judged:
    """Tells which events a predecessor has judged; to be asked once for each event, in their order."""

    def __init__(self, predecessor: Predecessor) -> None:
        handover = predecessor.handover
        self._settled = handover.settled if handover else predecessor.until
        self._until = predecessor.until + 5 * SKEW_SECONDS
        self._taken = Counter(handover.taken if handover else ())

    def __contains__(self, event: AnyEvent) -> bool:
        if event.at <= self._settled:
            return True
        if event.at > self._until or not self._taken[name := identity(event)]:
            return False
        self._taken[name] -= 1
        return True


def identity(event: AnyEvent) -> str:
    """A short name of the act, the same whichever agent was told of it; "" for what nothing is judged by.

    Made of few fields, so that agents of different versions agree. Acts that are alike have one name; they are counted.
    """
    match event:
        case Exec(executable=path) | Open(path=path) | Unlink(path=path) | Chmod(path=path):
            about = path
        case Rename(path=path, new_path=new_path):
            about = f"{path}\0{new_path}"
        case Listen(address=address, port=port) | Bind(address=address, port=port):
            about = f"{address}\0{port}"
        case Connect(protocol=protocol, address=address, port=port):
            about = f"{protocol}\0{address}\0{port}"
        case Capability(name=name):
            about = name
        case Syscall(name=name, result=result, resolved=resolved):
            about = "\0".join((name, str(event.task.thread), str(result), *sorted(resolved.values())))
        case _:
            return ""
    words = f"{type(event).__name__}\0{event.task.pid}\0{event.task.start}\0{about}"
    return hashlib.blake2b(words.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def started(pid: int) -> int:
    """Start of a process in clock ticks since boot, 0 when it has ended. Source: /proc/PID/stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in b"ZX" else int(fields[19])


def boot_id() -> str:
    """Of this run of the machine."""
    return _BOOT_ID.read_text().strip()
