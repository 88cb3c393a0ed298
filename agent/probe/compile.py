"""The short-lived child that compiles, loads and attaches.

``python -m agent.probe.compile FD`` reads a request (JSON) from the socket FD, answers with a description (JSON) and
every descriptor that keeps the probe alive (SCM_RIGHTS), and ends, taking with it the 100 MB that BCC may have taken.
Programs stay attached as long as someone holds their descriptors.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import secrets
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.probe import attach, bpfmap, headers, kernel, syscalls
from agent.probe.btf import NOWHERE, Btf, definitions
from agent.probe.compiled import kept
from agent.probe.hooks import HOOKS, PROGRAM_TYPES, Hook, Kind
from agent.probe.module import Module
from agent.probe.program import RDONLY_CAST
from agent.probe.source import ProbeError

SOURCES = (
    "record.h", "hash.h", "shares.h", "contexts.h", "ancestors.h", "task.h", "known.h", "paths.h", "recent.h",
    "process.c", "files.c", "sockets.c", "capabilities.c", "cgroups.c", "syscalls.c", "openings.c",
)  # fmt: skip
MAPS = (
    "bulk", "critical", "counters", "sensitive", "specs", "shares", "allowances", "tallies", "judged", "control",
    "programs",
)  # fmt: skip
"""Those that the agent holds on to."""
INNER_MAPS = (
    "begun", "noted", "scratches", "contexts", "recent", "candidates", "registers_found",
)  # fmt: skip
NAME_BYTES = 32  # NAME in bpf/openings.c
PROCESSES = 65_536  # whose contexts are kept
CGROUPS = 8_192  # whose shares are kept


@dataclass(slots=True)
class Attached:
    """``missing``: hook → reason. ``absent``: hooks this kernel or machine has no need of."""

    descriptors: list[int] = field(default_factory=list)
    programs: list[int] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


def main() -> int:
    # PR_SET_PDEATHSIG: an agent that is killed now must leave nothing in the kernel
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    channel = socket.socket(fileno=int(sys.argv[1]))
    request = json.loads(channel.recv(1 << 20))
    try:
        answer, descriptors = build(request, Path(request["directory"]))
    except ProbeError as error:
        answer, descriptors = {"error": str(error)}, []
    socket.send_fds(channel, [json.dumps(answer).encode()], descriptors)
    # BCC's clean-up would detach what the agent now holds, and freeing LLVM takes time
    sys.stderr.flush()
    os._exit(0)


def build(request: dict[str, Any], directory: Path) -> tuple[dict[str, Any], list[int]]:
    """Everything in its order; raises ProbeError with the remedy when nothing can be attached."""
    started = time.monotonic()
    headers.write(directory)
    os.environ["BCC_KERNEL_SOURCE"] = os.fspath(directory)
    btf = Btf()
    prologue, missing_members = generate(btf, request)
    inner: tuple[str, ...] = (*INNER_MAPS, "ended")
    if (btf.tracepoint_arguments("sched_process_exit") or 0) > 1:
        prologue += "#define EXIT_TELLS_GROUP_DEAD 1\n"
        inner = INNER_MAPS
    rdonly_cast = btf.function("bpf_rdonly_cast")
    btf.close()
    described = time.monotonic()
    text = prologue + "".join(read_source(name) for name in SOURCES)
    where = Path(request["kept_in"]) if request["kept_in"] else None
    programs = dict.fromkeys((*(hook.program for hook in HOOKS), syscalls.PROGRAM))
    module = Module(kept(where, text, (*MAPS, *inner), programs), rdonly_cast)
    _begin(module, request["self_pid"])
    compiled = time.monotonic()
    mounts = attach.Mounts()
    attached = attach_all(module, mounts)
    tracepoints = _tracepoints(mounts)
    _load_syscalls(module, attached, tracepoints)
    maps = {name: module.map(name) for name in MAPS}
    _fill_sensitive(module, maps["sensitive"], request["sensitive_names"])
    names = list(maps) + attached.held
    answer = {
        "descriptors": names,
        "missing": attached.missing,
        "absent": attached.absent,
        "missing_members": missing_members,
        "tracepoints": tracepoints,
        "seconds": {
            "describe": described - started,
            "compile": compiled - described,
            "attach": time.monotonic() - compiled,
        },
    }
    return answer, list(maps.values()) + attached.descriptors


def _begin(module: Module, self_pid: int) -> None:
    """What differs from one run to the next."""
    table = bpfmap.Map(module.map("begun"), 24)
    table.update(bytes(4), struct.pack("@QQQ", self_pid, secrets.randbits(64), secrets.randbits(64)))


def read_source(name: str) -> str:
    return (Path(__file__).parent / "bpf" / name).read_text() + "\n"


def generate(btf: Btf, request: dict[str, Any]) -> tuple[str, list[str]]:
    """The text in front of the hooks: constants and kernel structures."""
    machine = platform.machine()
    if machine not in kernel.REGISTERS:
        raise ProbeError(f"the probe knows x86_64 and aarch64, not {machine}")
    members, registers = kernel.REGISTERS[machine]
    text, missing = definitions(btf, kernel.WANTED | {"pt_regs": members})
    if lacking := [name for name in kernel.ESSENTIAL if name in missing]:
        raise ProbeError(f"this kernel's structures lack {', '.join(lacking)}; run a kernel of version 5.15 or later")
    constants = {
        "BULK_PAGES": request["bulk_bytes"] // 4096,
        "CRITICAL_PAGES": request["critical_bytes"] // 4096,
        "KNOWN_ENTRIES": request["known_entries"],
        "PROCESSES": PROCESSES,
        "CGROUPS": CGROUPS,
        "SENSITIVE_LENGTHS": f"{_length_mask(request['sensitive_names'])}ULL",
        "CGROUP_VERSION": request["cgroup_version"],
        "CGROUP_SUBSYSTEM": _subsystem(btf, request),
        "offsetof(type, member)": "__builtin_offsetof(type, member)",
        "NOWHERE": f"{NOWHERE}ULL",
        "RDONLY_CAST_CALL": RDONLY_CAST,
        "CAN_CAST": int(bool(btf.function("bpf_rdonly_cast"))),
        "USERLOCKS_SHIFT": (btf.bits("sock", "sk_userlocks") or 0) % 8,
        **{f"NUMBER_OF_{name}": number for number, name in enumerate((*MAPS, *INNER_MAPS))},
        **{f"NR_{call.name}": -1 if (number := getattr(call, machine)) is None else number for call in syscalls.CALLS},
        **registers,
    }
    defines = "".join(f"#undef {name.partition('(')[0]}\n#define {name} {value}\n" for name, value in constants.items())
    return f"{defines}{text}", missing


def attach_all(module: Module, mounts: attach.Mounts) -> Attached:
    attached = Attached()
    for hook in HOOKS:
        if _is_absent(hook, attached):
            attached.absent.append(hook.name)
            continue
        try:
            _attach(hook, module, mounts, attached)
        except OSError as error:
            attached.missing[hook.name] = error.strerror or str(error)
            continue
        if hook.fallback_for:
            attached.missing.pop(hook.fallback_for, None)
    return attached


def _attach(hook: Hook, module: Module, mounts: attach.Mounts, attached: Attached) -> None:
    expected = hook.attach_type if hook.kind is not Kind.SYSCALL_EXIT else -1
    program = module.load(hook.program, PROGRAM_TYPES[hook.kind], expected)
    descriptor = attach.attach(hook, program, mounts)
    attached.descriptors.append(descriptor)
    attached.held.append(f"hook:{hook.name}")
    if program not in attached.programs:
        attached.programs.append(program)
        attached.descriptors.append(program)
        attached.held.append(f"program:{hook.event_class}:{hook.name}")


def _is_absent(hook: Hook, attached: Attached) -> bool:
    """A system call that this architecture or kernel does not have can not be called, so nothing is missed."""
    if hook.fallback_for:
        return hook.fallback_for not in attached.missing
    if hook.kind is Kind.SYSCALL_EXIT:
        calls = [call for call in syscalls.CALLS if call.hook == hook.name]
        return bool(calls) and all(map(syscalls.is_absent, calls))
    return False


def _load_syscalls(module: Module, attached: Attached, tracepoints: dict[str, int]) -> None:
    """The program that the agent itself puts on tracepoints, as its rules ask."""
    if not tracepoints:
        attached.missing[syscalls.PROGRAM] = syscalls.NO_TRACEPOINTS
        return
    try:
        program = module.load(syscalls.PROGRAM, PROGRAM_TYPES[Kind.SYSCALL_EXIT], -1)
    except OSError as error:
        attached.missing[syscalls.PROGRAM] = error.strerror or str(error)
        return
    attached.descriptors.append(program)
    attached.held.append(f"program:syscall:{syscalls.PROGRAM}")
    bpfmap.Map(module.map("programs"), 4).update(struct.pack("@I", 0), struct.pack("@I", program))


def _tracepoints(mounts: attach.Mounts) -> dict[str, int]:
    """The numbers of those that this kernel has, so that the agent needs no tracefs later."""
    found: dict[str, int] = {}
    for call in syscalls.on_machine().values():
        with contextlib.suppress(OSError):
            found[call.hook] = mounts.tracepoint(call.hook)
    return found


def _subsystem(btf: Btf, request: dict[str, Any]) -> int:
    if request["cgroup_version"] == 2:
        return 0
    controller = request["cgroup_controller"]
    name = kernel.V1_SUBSYSTEMS.get(controller, controller.split(",")[0])
    index = btf.enumerator("cgroup_subsys_id", f"{name}_cgrp_id")
    if index is None:
        raise ProbeError(f"this kernel has no cgroup controller {controller!r}; choose another hierarchy")
    return index


def _length_mask(names: list[str]) -> int:
    mask = 0
    for name in names:
        mask |= 1 << min(len(os.fsencode(name)), NAME_BYTES - 1)
    return mask


def _fill_sensitive(module: Module, descriptor: int, names: list[str]) -> None:
    table = bpfmap.Map(descriptor, 1)
    for name in names:
        table.update(os.fsencode(name)[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0"), b"\1")


if __name__ == "__main__":
    sys.exit(main())
