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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cgroups import Hierarchy
from agent.probe import bpfmap, decode
from agent.probe.hooks import CLASSES, HOOKS
from agent.probe.record import DecodeError, event_class
from agent.probe.ring import Ring
from agent.probe.source import ClassCounters, Knowledge, NoveltyCounters, ProbeError
from agent.probe.syscalls import PROGRAM, SPEC_SIZE, Outcomes
from agent.probe.watched import Watched
from watchkeeper.events import AnyEvent, Bind

_COUNTS = struct.Struct("@QQQQ")
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


def start(ring_bytes: int, self_pid: int, hierarchy: Hierarchy, sensitive_names: Sequence[str]) -> KernelSource:
    """Compile, attach, and read from now on. ``ring_bytes`` is a power of two of at least one page; files are told when
    opened for reading if their name or their directory's is one of ``sensitive_names``. Raises ProbeError."""
    _check_machine()
    if ring_bytes < 4096 or ring_bytes & (ring_bytes - 1):
        raise ProbeError(f"probe.ring_bytes is {ring_bytes}; it must be a power of two, at least 4096")
    request = {
        "ring_bytes": ring_bytes,
        "self_pid": self_pid,
        "sensitive_names": list(sensitive_names),
        "cgroup_version": hierarchy.version,
        "cgroup_controller": hierarchy.controller,
    }
    answer, descriptors = _run_child(request)
    return KernelSource(answer, descriptors, ring_bytes, self_pid)


class KernelSource:
    """A Source whose events come from the kernel. It holds the programs in place: closing it detaches them all."""

    finished = False

    def __init__(self, answer: dict[str, Any], descriptors: list[int], ring_bytes: int, self_pid: int) -> None:
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
        self._ring = Ring(held.pop("ring"), ring_bytes)
        self._counters = bpfmap.Map(held.pop("counters"), _COUNTS.size, per_cpu=True)
        self._ignored = bpfmap.Map(held.pop("ignored"), 1)
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
        return self._ring.descriptor

    def read(self, limit: int = 4096) -> list[AnyEvent]:
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        found: list[AnyEvent] = []
        for record in self._ring.read(limit):
            event = self._decode(record, boot)
            if event is not None:
                found.append(event)
        return found

    def counters(self) -> list[ClassCounters]:
        """Runs of a program that the kernel skipped (already running on that CPU) count as seen and dropped."""
        skipped = self._skipped()
        return [self._count(number, name, skipped.get(name, 0)) for number, name in enumerate(CLASSES)]

    def novelties(self) -> list[NoveltyCounters]:
        return []

    def knowledge(self) -> Knowledge:
        return Knowledge()

    def ignore_cgroup(self, cgroup: int) -> None:
        self._ignored.update(struct.pack("@Q", cgroup), b"\1")

    def forget_cgroup(self, cgroup: int) -> None:
        """Cgroup ids are never used again, so what the kernel's own bounded maps still hold of it ages out."""
        self._ignored.delete(struct.pack("@Q", cgroup))

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
        self._counters.close()
        self._ignored.close()
        self._ring.close()

    def _decode(self, record: memoryview | bytes, boot: float) -> AnyEvent | None:
        try:
            name = event_class(record)
        except DecodeError:
            self._lost["exec"] += 1  # whose it was can not be known; the gravest class stands for it
            return None
        try:
            event = decode.decode(record, boot)
        except DecodeError:
            self._lost[name] += 1
            return None
        self._decoded[name] += 1
        if isinstance(event, Bind) and event.task.pid == self._self_pid:
            self.canary_at = event.at
            return None
        return event

    def _count(self, number: int, name: str, skipped: int) -> ClassCounters:
        copies = self._counters.lookup(struct.pack("@I", number)) or []
        seen, suppressed, submitted, dropped = map(sum, zip(*map(_COUNTS.unpack, copies), strict=True))
        return ClassCounters(
            name, seen + skipped, suppressed, submitted, dropped + skipped, self._decoded[name], self._lost[name]
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
