"""Start the probe: a child compiles and attaches, this process keeps the descriptors and reads the ring."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.cgroups import Hierarchy
from agent.probe import bpfmap
from agent.probe.decode import decode
from agent.probe.decode_syscall import by_object
from agent.probe.hooks import CLASSES, HOOKS
from agent.probe.judged import CONTROL_SIZE, ENTRY_SIZE, Judged
from agent.probe.record import Buffer, DecodeError, Essence, essence, event_class
from agent.probe.ring import Ring
from agent.probe.rings import Rings
from agent.probe.shares import ALLOWANCE_SIZE, BULK, SHARE_SIZE, TALLY_SIZE, Shares
from agent.probe.sizes import Sizes
from agent.probe.source import ClassCounters, Knowledge, NoveltyCounters, ProbeError, Ticket, Told
from agent.probe.syscalls import PROGRAM, SPEC_SIZE, Outcomes
from agent.probe.watched import Watched
from watchkeeper.events import AnyEvent, Bind

_COUNTS = struct.Struct("@QQQQQ")
_BTF = Path("/sys/kernel/btf/vmlinux")
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
_PATIENCE = 60.0
_MOST_DESCRIPTORS = 250
_PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Description:
    """What the child attached. ``missing``: hook → reason; ``seconds``: how long each step took."""

    missing: dict[str, str]
    missing_members: tuple[str, ...]
    absent: tuple[str, ...]
    seconds: dict[str, float]


def start(
    sizes: Sizes,
    self_pid: int,
    hierarchy: Hierarchy,
    sensitive_names: Sequence[str],
    kept_in: Path | None = None,
) -> KernelSource:
    """Compile, attach, and read from now on. Files are told when opened for reading if their name or their directory's
    is one of ``sensitive_names``. ``kept_in``: a directory of root's where what is compiled is kept for the next start.
    Raises ProbeError."""
    _check_machine()
    for name, size in (("bulk", sizes.bulk_bytes), ("critical", sizes.critical_bytes)):
        if size < 4096 or size & (size - 1):
            raise ProbeError(f"probe.{name}_ring_bytes is {size}; it must be a power of two, at least 4096")
    request = asdict(sizes) | {
        "self_pid": self_pid,
        "sensitive_names": list(sensitive_names),
        "cgroup_version": hierarchy.version,
        "cgroup_controller": hierarchy.controller,
        "kept_in": os.fspath(kept_in) if kept_in is not None else "",
    }
    answer, descriptors = _run_child(request)
    return KernelSource(answer, descriptors, sizes, self_pid)


class KernelSource:
    """A Source whose events come from the kernel. It holds the programs in place: closing it detaches them all."""

    finished = False

    def __init__(self, answer: dict[str, Any], descriptors: list[int], sizes: Sizes, self_pid: int) -> None:
        held = dict(zip(answer["descriptors"], descriptors, strict=True))
        self.description = Description(
            answer["missing"], tuple(answer["missing_members"]), tuple(answer["absent"]), answer["seconds"]
        )
        self.missing_hooks = (
            *(f"{name} ({reason})" for name, reason in answer["missing"].items()),
            *(
                f"{member} (this kernel's structures lack it; it is told as zero)"
                for member in answer["missing_members"]
            ),
        )
        essential = {hook.name for hook in HOOKS if hook.essential}
        self.state = "degraded" if essential & answer["missing"].keys() else "attached"
        self.canary_at = 0.0
        self._self_pid = self_pid
        self._boot = 0.0
        self._rings: Rings[Told | None] = Rings(
            Ring(held.pop("bulk"), sizes.bulk_bytes), Ring(held.pop("critical"), sizes.critical_bytes), self._take
        )
        self._counters = bpfmap.Map(held.pop("counters"), _COUNTS.size, per_cpu=True)
        self._judged = Judged(
            bpfmap.Map(held.pop("judged"), ENTRY_SIZE),
            bpfmap.Map(held.pop("control"), CONTROL_SIZE),
            sizes.known_entries,
        )
        self._shares = Shares(
            bpfmap.Map(held.pop("shares"), SHARE_SIZE),
            bpfmap.Map(held.pop("allowances"), ALLOWANCE_SIZE),
            bpfmap.Map(held.pop("tallies"), TALLY_SIZE),
            min(sizes.bulk_bytes, sizes.critical_bytes),
        )
        self._watched = Watched(
            held.get(f"program:syscall:{PROGRAM}"),
            bpfmap.Map(held.pop("specs"), SPEC_SIZE),
            answer["tracepoints"],
            answer["missing"].get(PROGRAM, ""),
        )
        self._held = held
        self._decoded = dict.fromkeys(CLASSES, 0)
        self._lost = dict.fromkeys(CLASSES, 0)
        self._closed = False

    def fileno(self) -> int:
        return self._rings.descriptor

    def read(self, limit: int = 4096) -> list[Told]:
        self._boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        while taken := self._rings.read(limit):
            if found := [told for told in taken if told is not None and not self._is_canary(told.event)]:
                return found
        return []

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None:
        self._judged.settle(ticket, subject, by_object)

    def remember(self) -> None:
        self._judged.remember()

    def unlearn(self, key: bytes) -> None:
        self._judged.unlearn(key)

    def forget(self) -> None:
        self._judged.forget()

    def seen(self) -> set[int]:
        listed = self._shares.listed()
        subjects, held = self._judged.turn(self._judged.capacity // 4)
        self._shares.hold(held, listed)
        return subjects

    def counters(self) -> list[ClassCounters]:
        """Runs of a program that the kernel skipped (already running on that CPU) count as seen and dropped."""
        skipped = self._skipped()
        return [self._count(number, name, skipped.get(name, 0)) for number, name in enumerate(CLASSES)]

    def novelties(self) -> list[NoveltyCounters]:
        return list(self._shares.novelties(self._judged.expired, self._judged.evicted))

    def knowledge(self) -> Knowledge:
        return Knowledge(self._judged.entries, self._judged.capacity, self._judged.generation)

    def forget_behaviours(self, cgroup: int) -> None:
        self._shares.renew(cgroup)
        self._judged.turn_away()

    def ignore_cgroup(self, cgroup: int) -> None:
        self._shares.ignore(cgroup)

    def forget_cgroup(self, cgroup: int) -> None:
        """Cgroup ids are never used again, so what the kernel still remembers of its behaviours ages out."""
        self._shares.end(cgroup)

    def watch(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        return self._watched.set(wanted)

    def play_canary(self) -> None:
        """Bind a UDP socket on the loopback and close it: nothing is sent, and the kernel must tell of it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as canary:
            canary.bind(("127.0.0.1", 0))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watched.close()
        for descriptor in self._held.values():
            os.close(descriptor)
        for part in (self._counters, self._judged, self._shares, self._rings):
            part.close()

    def _take(self, ring: int, record: Buffer) -> tuple[int, Told | None] | None:
        try:
            name = event_class(record)
        except DecodeError:
            self._lost["exec"] += 1  # whose it was can not be known; the gravest class stands for it
            return None
        if ring == BULK and self._is_known(found := essence(record), name, record):
            self._decoded[name] += 1
            self._shares.taken(found.cgroup, ring, len(record))
            return found.at, None
        try:
            decoded = decode(record, self._boot)
        except DecodeError:
            self._lost[name] += 1
            return None
        self._decoded[name] += 1
        self._shares.taken(decoded.event.task.cgroup, ring, len(record))
        return decoded.at, Told(decoded.event, decoded.ticket)

    def _is_known(self, found: Essence, name: str, record: Buffer) -> bool:
        """What came while the first of its kind was being judged."""
        return self._judged.is_known(found.key, found.generation) or (
            name == "syscall" and self._judged.is_known(by_object(record), found.generation)
        )

    def _is_canary(self, event: AnyEvent) -> bool:
        if not isinstance(event, Bind) or event.task.pid != self._self_pid:
            return False
        self.canary_at = event.at
        return True

    def _count(self, number: int, name: str, skipped: int) -> ClassCounters:
        copies = self._counters.lookup(struct.pack("@I", number)) or []
        seen, suppressed, submitted, dropped, known = map(sum, zip(*map(_COUNTS.unpack, copies), strict=True))
        return ClassCounters(
            event_class=name,
            seen=seen + skipped,
            suppressed=suppressed,
            submitted=submitted,
            dropped=dropped + skipped,
            decoded=self._decoded[name],
            lost_in_user_space=self._lost[name],
            known=known,
        )

    def _skipped(self) -> dict[str, int]:
        skipped: dict[str, int] = {}
        for name, descriptor in self._held.items():
            if name.startswith("program:"):
                event_class = name.split(":")[1]
                skipped[event_class] = skipped.get(event_class, 0) + bpfmap.recursion_misses(descriptor)
        return skipped


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise ProbeError("the probe needs root (CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN); start the agent as root")
    if not _BTF.exists():
        raise ProbeError(
            f"{_BTF} is missing; run a kernel built with CONFIG_DEBUG_INFO_BTF=y, and mount /sys into the agent's pod"
        )
    try:
        bpfmap.program_ids()
    except OSError as error:
        raise ProbeError(
            f"the kernel refuses bpf(): {error.strerror}; give the agent's container privileges, and no seccomp "
            "profile that forbids bpf"
        ) from error
    if os.fspath(Path("/proc/self/ns/pid").readlink()) != _INITIAL_PID_NAMESPACE:
        raise ProbeError("the agent sees other process ids than the kernel tells; run its pod with hostPID: true")


def _run_child(request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        ours,
        theirs,
        tempfile.TemporaryFile() as errors,
        tempfile.TemporaryDirectory(prefix="watchkeeper-") as directory,
    ):
        child = subprocess.Popen(
            [sys.executable, "-m", "agent.probe.compile", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        theirs.close()
        try:
            ours.settimeout(_PATIENCE)
            ours.send(json.dumps(request | {"directory": directory}).encode())
            message, descriptors = _receive(ours)
        except OSError as error:
            raise ProbeError(f"the compiling child did not answer: {error}; it said: {_tail(errors)}") from error
        finally:
            child.kill()
            child.wait()
        if not message:
            raise ProbeError(f"the compiling child ended without an answer; it said: {_tail(errors)}")
        answer = json.loads(message)
        if "error" in answer:
            raise ProbeError(f"{answer['error']} {_tail(errors)}".strip())
        return answer, descriptors


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    message, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, _MOST_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return message, descriptors


def _environment() -> dict[str, str]:
    """Wherever the agent was imported from, the child must find it too."""
    paths = [os.fspath(_PACKAGES), os.fspath(_PACKAGES / "proto"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _tail(errors: Any) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return " | ".join(lines[-3:])
