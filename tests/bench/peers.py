"""Other tracers that see what is opened or executed, run beside the agent under the same loads."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cost
from tests.bench.workshop import Workshop

OPENS = Path(__file__).with_name("opens.bt")
START_SECONDS = 30.0
STOP_SECONDS = 15.0
# They need tracefs, which is not mounted everywhere: a mount that only they see.
PRIVATE_TRACEFS = (
    "grep -qs ^tracefs /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing || exit 1; "
    "ulimit -l unlimited 2>/dev/null || ulimit -l 8192 2>/dev/null || :; "
    'exec "$@"'
)


class PeerError(Exception):
    """A peer does not run here; the message holds its own words."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``program``: by whose presence it counts as installed. ``executes``: it tells of executions, not of openings."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    executes: bool = False


PEERS = (
    Peer("bpftrace", "bpftrace", (str(OPENS),)),
    Peer("opensnoop", "opensnoop-bpfcc"),
    Peer("execsnoop", "execsnoop-bpfcc", executes=True),
)


def usable(workshop: Workshop, peers: Sequence[Peer] = PEERS) -> tuple[list[Peer], list[str]]:
    """Those that start here, and a line on each that does not."""
    found, notes = [], []
    for peer in peers:
        if _program(peer) is None:
            notes.append(f"{peer.name}: skipped, {peer.program} is not installed")
            continue
        try:
            with Running(peer, workshop):
                found.append(peer)
        except PeerError as error:
            notes.append(f"{peer.name}: skipped, it does not start here: {error}")
    return found, notes


class Running:
    """Context manager: the peer traces from the beginning to the end; what it prints goes to nobody."""

    def __init__(self, peer: Peer, workshop: Workshop) -> None:
        self._peer = peer
        self._workshop = workshop
        self._marks = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Running:
        program = _program(self._peer)
        if program is None:
            raise PeerError(f"{self._peer.program} is not installed")
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE_TRACEFS, "sh"]
        with self._workshop.path("peer.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*private, program, *self._peer.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._workshop.note(self._process.pid)
        try:
            self._wait_until_it_tells()
            self._drain = subprocess.Popen(["cat"], stdin=self._process.stdout, stdout=subprocess.DEVNULL)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    @property
    def cpu_seconds(self) -> float:
        assert self._process is not None
        return cost.cpu_seconds(self._process.pid)

    def _wait_until_it_tells(self) -> None:
        """Do what it must tell of, until it does: it prints in blocks, so once is not enough."""
        assert self._process is not None and self._process.stdout is not None
        told, until = b"", time.monotonic() + START_SECONDS
        mark = str(self._workshop.path("peer-mark"))
        while mark.encode() not in told:
            for _ in range(50):
                self._make_mark(mark)
            if select.select([self._process.stdout], [], [], 0.1)[0]:
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    raise PeerError(self._last_words())
                told = told[-len(mark) :] + part
            if time.monotonic() > until:
                raise PeerError(f"it did not tell of our own acts within {START_SECONDS:.0f} s")

    def _make_mark(self, mark: str) -> None:
        if self._peer.executes:
            subprocess.run([self._workshop.path("nothing"), mark], check=True)
        else:
            os.close(os.open(mark, os.O_CREAT | os.O_RDONLY, 0o600))

    def _last_words(self) -> str:
        lines = self._workshop.path("peer.log").read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it ended without a word")

    def _end(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        programs = cost.bpf_programs(self._process.pid)
        self._process.terminate()
        if self._drain is None:
            self._process.stdout.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        if self._drain is not None:
            self._drain.wait()
        cost.wait_until_gone(programs)


def _program(peer: Peer) -> str | None:
    """Its path; Debian puts the bpfcc tools where only root's PATH leads."""
    return shutil.which(peer.program) or shutil.which(peer.program, path="/usr/sbin:/usr/share/bcc/tools")
