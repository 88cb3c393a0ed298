"""Programs put on their hooks. Every function returns a descriptor that holds the program there."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
from pathlib import Path

from agent.probe import bpfmap
from agent.probe.hooks import Hook, Kind

_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_PERF_TYPE_TRACEPOINT = 2
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408
_CLOEXEC = 8
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)
_KPROBES = Path("/sys/bus/event_source/devices/kprobe/type")

_libc = ctypes.CDLL(None, use_errno=True)


class Mounts:
    """tracefs and the v2 cgroup root, mounted where the machine does not show them.

    Everything happens in a mount namespace of this process alone, so nothing is left when it ends; and on directories
    that the kernel itself provides, so that nobody's cleaning of temporary files can ever reach into them.
    """

    def __init__(self) -> None:
        _check(_libc.unshare(_NEW_MOUNTS), "unshare a mount namespace")
        _check(_libc.mount(b"none", b"/", None, _PRIVATE_RECURSIVE, None), "make mounts private")

    def tracefs(self) -> Path:
        for path in (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing")):
            if (path / "events").is_dir():
                return path
        return _mount("tracefs", Path("/sys/kernel/tracing"))

    def tracepoint(self, name: str) -> int:
        """The number of the system calls' tracepoint of that name. OSError when there is none."""
        return int((self.tracefs() / "events/syscalls" / name / "id").read_text())

    def cgroup_root(self) -> tuple[Path, bool]:
        """The v2 root, and whether it is the machine's (inode 1) and not just a namespace's."""
        shown = _cgroup2_mounts()
        for path in shown:
            if path.stat().st_ino == 1:
                return path, True
        path = shown[0] if shown else _mount("cgroup2", Path("/sys/fs/cgroup"))
        return path, path.stat().st_ino == 1


def attach(hook: Hook, program: int, mounts: Mounts) -> int:
    """OSError when the kernel does not have the hook or refuses."""
    match hook.kind:
        case Kind.RAW_TRACEPOINT:
            return bpfmap.open_raw_tracepoint(program, hook.target)
        case Kind.SYSCALL_EXIT:
            return tracepoint(program, mounts.tracepoint(hook.name))
        case Kind.KPROBE:
            name = ctypes.create_string_buffer(hook.target.encode())
            return _perf(program, int(_KPROBES.read_text()), 0, ctypes.addressof(name))
        case Kind.CGROUP_SOCKET | Kind.CGROUP_ADDRESS:
            return _cgroup(hook, program, mounts)


def tracepoint(program: int, number: int) -> int:
    """OSError when the kernel refuses."""
    return _perf(program, _PERF_TYPE_TRACEPOINT, number, 0)


def _cgroup(hook: Hook, program: int, mounts: Mounts) -> int:
    root, whole = mounts.cgroup_root()
    if not whole:
        raise OSError(f"{root} is not the machine's cgroup root; mount the host's /sys/fs/cgroup into the agent's pod")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return bpfmap.link_cgroup(program, descriptor, hook.attach_type)
    finally:
        os.close(descriptor)


def _perf(program: int, kind: int, config: int, config1: int) -> int:
    """One event on CPU 0 is enough: programs of tracepoints and kprobes run on every CPU."""
    attributes = ctypes.create_string_buffer(128)
    # type, size, config, sample_period, sample_type, read_format, flags, wakeup_events+bp_type, config1
    struct.pack_into("@IIQQQQQQQ", attributes, 0, kind, 128, config, 1, 0, 0, 0, 0, config1)
    number = _PERF_EVENT_OPEN[platform.machine()]
    descriptor = _check(_libc.syscall(number, attributes, -1, 0, -1, _CLOEXEC), "perf_event_open")
    try:
        fcntl.ioctl(descriptor, _IOC_SET_BPF, program)
        fcntl.ioctl(descriptor, _IOC_ENABLE, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _cgroup2_mounts() -> list[Path]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            found.append(Path(before.split(" ")[4]))
    return found


def _mount(kind: str, target: Path) -> Path:
    _check(_libc.mount(b"none", os.fsencode(target), kind.encode(), 0, None), f"mount {kind} on {target}")
    return target


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
