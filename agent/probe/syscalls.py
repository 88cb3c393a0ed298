"""The system calls that the probe can tell rules of, as data: where in a call is what.

A slot is the place of a value: 0 to 5 are the arguments, then the result, and the words of openat2's structure. The
same rows fill the kernel's map (``spec``, read by bpf/syscalls.c) and name what it tells
(``agent.probe.decode_syscall``); the names are those of ``rules.sources.parameters``.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PROGRAM = "syscall_exit"
NO_TRACEPOINTS = "the kernel has no tracepoints of system calls (CONFIG_FTRACE_SYSCALLS), or tracefs can not be mounted"
RESULT, NONE, HOW = 6, 7, 8
PLAIN, HERE = 14, 15
_SPEC = struct.Struct("@HBBBBBBBBBB3s3sHBx")
SPEC_SIZE = _SPEC.size
_ADDRESS_LENGTH_AT, _RECEIVES, _OPENS, _ACCEPTS, _EXECUTES = 1, 2, 4, 8, 16
_OF_THE_BEHAVIOUR = frozenset(
    {"flags", "mode", "domain", "type", "proto", "request", "cmd", "nstype", "resolve", "sig"}
    | {"uid", "gid", "ruid", "euid", "suid", "rgid", "egid", "sgid"}
)
"""Numbers that two calls of one behaviour have in common."""
TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which calls of an event type are wanted; each False spares the agent what its rules do not ask for.

    ``reads``: openings that succeed and neither write nor create. ``tcp``, ``connected``: calls about TCP sockets, and
    about connected sockets of the internet. ``internet``, ``local``: calls about sockets of the internet, and about all
    other descriptors. Calls without a descriptor, as failed ones often are, pass these four. ``environment``: of execve
    and execveat only: the Exec events tell the environment.
    """

    succeeded: bool = True
    failed: bool = True
    reads: bool = True
    tcp: bool = True
    connected: bool = True
    internet: bool = True
    local: bool = True
    environment: bool = True


class Form(Enum):
    """How the 64 bits of a slot are read. An id of all ones is -1: none."""

    INT = "signed 32 bits"
    WORD = "unsigned 32 bits"
    LONG = "unsigned 64 bits"
    ID = "user or group"


INT, WORD, LONG, ID = Form.INT, Form.WORD, Form.LONG, Form.ID


@dataclass(frozen=True, slots=True)
class Text:
    """Text in user memory. ``directory``: slot of the descriptor where a relative path begins; PLAIN: it is no path."""

    name: str
    pointer: int
    directory: int = HERE


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. Numbers are those of x86_64 and aarch64, None where there is no such call. All else are slots.

    ``event``: the event type it is told as. ``since``: the first kernel that has it, when that is later than the
    probe's own floor. ``flags``: those of an opening. ``address_at``: the address's length is behind a pointer.
    """

    name: str
    x86_64: int | None
    aarch64: int | None
    numbers: tuple[tuple[str, Form, int], ...] = ()
    texts: tuple[Text, ...] = ()
    event: str = ""
    tracepoint: str = ""
    since: tuple[int, int] = (0, 0)
    descriptor: int = NONE
    listener: int = NONE
    flags: int = NONE
    how: int = NONE
    address: int = NONE
    address_length: int = NONE
    address_at: bool = False
    message: int = NONE
    buffer: int = NONE
    size: int = NONE
    receives: bool = False

    @property
    def type(self) -> str:
        return self.event or self.name

    @property
    def hook(self) -> str:
        """Name of the exit tracepoint."""
        return f"sys_exit_{self.tracepoint or self.name}"

    @property
    def opens(self) -> bool:
        return self.name in OPENS

    @property
    def constants(self) -> int:
        """A bit for each slot that belongs to the behaviour; not the mode of an opening, which may mean nothing."""
        names = _OF_THE_BEHAVIOUR - {"mode"} if self.opens else _OF_THE_BEHAVIOUR
        return sum(1 << slot for name, _, slot in self.numbers if name in names)

    @property
    def mode(self) -> int:
        """Slot of the mode of an opening."""
        return next((slot for name, _, slot in self.numbers if self.opens and name == "mode"), NONE)

    @property
    def accepts(self) -> bool:
        return self.listener != NONE

    @property
    def tells_address(self) -> bool:
        """Whether the address is an argument that rules know."""
        return self.name in ("bind", "connect")

    @property
    def names_peer(self) -> bool:
        """Whether the address in the call is the other end's."""
        return self.name != "bind" and (self.address != NONE or self.message != NONE)

    @property
    def executes(self) -> bool:
        """Told only when it failed: an exec that went well is an event of its own."""
        return self.name in EXECS


OPENS = ("open", "openat", "openat2", "creat")
EXECS = ("execve", "execveat")


def _owner(first: int) -> tuple[tuple[str, Form, int], ...]:
    return (("uid", ID, first), ("gid", ID, first + 1))


def _fd(slot: int, name: str = "fd") -> tuple[str, Form, int]:
    return (name, INT, slot)


def _flags(slot: int) -> tuple[str, Form, int]:
    return ("flags", WORD, slot)


def _mode(slot: int) -> tuple[str, Form, int]:
    return ("mode", WORD, slot)


def _ids(*names: str) -> tuple[tuple[str, Form, int], ...]:
    return tuple((name, ID, slot) for slot, name in enumerate(names))


_HOW = (("flags", LONG, HOW), ("mode", LONG, HOW + 1), ("resolve", LONG, HOW + 2))
CALLS = (
    Call("open", 2, None, (_fd(RESULT), _flags(1), _mode(2)), (Text("name", 0),), descriptor=RESULT, flags=1),
    Call("openat", 257, 56, (_fd(RESULT), _fd(0, "dirfd"), _flags(2), _mode(3)), (Text("name", 1, 0),),
         descriptor=RESULT, flags=2),
    Call("openat2", 437, 437, (_fd(RESULT), _fd(0, "dirfd"), *_HOW), (Text("name", 1, 0),), descriptor=RESULT,
         flags=HOW, how=2),
    Call("creat", 85, None, (_fd(RESULT), _mode(1)), (Text("name", 0),), descriptor=RESULT),
    Call("connect", 42, 203, (_fd(0),), descriptor=0, address=1, address_length=2),
    Call("accept", 43, 202, (_fd(RESULT),), descriptor=RESULT, listener=0),
    Call("accept4", 288, 242, (_fd(RESULT), _flags(3)), descriptor=RESULT, listener=0),
    Call("bind", 49, 200, (_fd(0),), descriptor=0, address=1, address_length=2),
    Call("listen", 50, 201, (_fd(0), ("backlog", INT, 1)), descriptor=0),
    Call("socket", 41, 198, (_fd(RESULT), ("domain", INT, 0), ("type", INT, 1), ("proto", INT, 2)), descriptor=RESULT),
    Call("sendto", 44, 206, (_fd(0), ("size", LONG, 2)), descriptor=0, address=4, address_length=5, buffer=1, size=2),
    Call("sendmsg", 46, 211, (_fd(0),), descriptor=0, message=1),
    Call("recvfrom", 45, 207, (_fd(0), ("size", LONG, 2)), descriptor=0, address=4, address_length=5, address_at=True,
         buffer=1, size=2, receives=True),
    Call("recvmsg", 47, 212, (_fd(0),), descriptor=0, message=1, receives=True),
    Call("dup", 32, 23, (_fd(RESULT, "res"), _fd(0, "oldfd")), descriptor=RESULT),
    Call("dup2", 33, None, (_fd(RESULT, "res"), _fd(0, "oldfd"), _fd(1, "newfd")), descriptor=RESULT),
    Call("dup3", 292, 24, (_fd(RESULT, "res"), _fd(0, "oldfd"), _fd(1, "newfd"), _flags(2)), descriptor=RESULT),
    Call("ptrace", 101, 117, (("request", INT, 0), ("pid", INT, 1), ("addr", LONG, 2), ("data", LONG, 3))),
    Call("link", 86, None, texts=(Text("oldpath", 0), Text("newpath", 1))),
    Call("linkat", 265, 37, (_fd(0, "olddir"), _fd(2, "newdir"), _flags(4)),
         (Text("oldpath", 1, 0), Text("newpath", 3, 2))),
    Call("symlink", 88, None, texts=(Text("linkpath", 1), Text("target", 0, PLAIN))),
    Call("symlinkat", 266, 36, (_fd(1, "linkdirfd"),), (Text("linkpath", 2, 1), Text("target", 0, PLAIN))),
    Call("rename", 82, None, texts=(Text("oldpath", 0), Text("newpath", 1))),
    Call("renameat", 264, 38, (_fd(0, "olddirfd"), _fd(2, "newdirfd")), (Text("oldpath", 1, 0), Text("newpath", 3, 2))),
    Call("renameat2", 316, 276, (_fd(0, "olddirfd"), _fd(2, "newdirfd"), _flags(4)),
         (Text("oldpath", 1, 0), Text("newpath", 3, 2))),
    Call("unlink", 87, None, texts=(Text("path", 0),)),
    Call("unlinkat", 263, 35, (_fd(0, "dirfd"), _flags(2)), (Text("name", 1, 0),)),
    Call("rmdir", 84, None, texts=(Text("path", 0),)),
    Call("mkdir", 83, None, (_mode(1),), (Text("path", 0),)),
    Call("mkdirat", 258, 34, (_fd(0, "dirfd"), _mode(2)), (Text("path", 1, 0),)),
    Call("chmod", 90, None, (_mode(1),), (Text("filename", 0),)),
    Call("fchmod", 91, 52, (_fd(0), _mode(1)), descriptor=0),
    Call("fchmodat", 268, 53, (_fd(0, "dirfd"), _mode(2)), (Text("filename", 1, 0),)),
    Call("fchmodat2", 452, 452, (_fd(0, "dirfd"), _mode(2)), (Text("filename", 1, 0),), event="fchmodat", since=(6, 6)),
    Call("chown", 92, None, _owner(1), (Text("path", 0),)),
    Call("fchown", 93, 55, (_fd(0), *_owner(1)), descriptor=0),
    Call("lchown", 94, None, _owner(1), (Text("path", 0),)),
    Call("fchownat", 260, 54, (_fd(0, "dirfd"), *_owner(2), _flags(4)), (Text("pathname", 1, 0),)),
    Call("setuid", 105, 146, _ids("uid")),
    Call("setgid", 106, 144, _ids("gid")),
    Call("setreuid", 113, 145, _ids("ruid", "euid")),
    Call("setresuid", 117, 147, _ids("ruid", "euid", "suid")),
    Call("setregid", 114, 143, _ids("rgid", "egid")),
    Call("setresgid", 119, 149, _ids("rgid", "egid", "sgid")),
    Call("setns", 308, 268, (_fd(0), ("nstype", WORD, 1)), descriptor=0),
    Call("unshare", 272, 97, (("flags", LONG, 0),)),
    Call("init_module", 175, 105, (("length", LONG, 1),), (Text("uargs", 2, PLAIN),)),
    Call("finit_module", 313, 273, (_fd(0), _flags(2)), (Text("uargs", 1, PLAIN),), descriptor=0),
    Call("delete_module", 176, 106, (_flags(1),), (Text("name", 0, PLAIN),)),
    Call("bpf", 321, 280, (_fd(RESULT), ("cmd", INT, 0)), descriptor=RESULT),
    Call("userfaultfd", 323, 282, (_flags(0),), descriptor=RESULT),
    Call("mount", 165, 40, (("flags", LONG, 3),), (Text("dir", 1), Text("dev", 0, PLAIN), Text("type", 2, PLAIN))),
    Call("umount", None, None, texts=(Text("name", 0),)),
    Call("umount2", 166, 39, (_flags(1),), (Text("name", 0),), tracepoint="umount"),
    Call("pivot_root", 155, 41, texts=(Text("newroot", 0), Text("putold", 1))),
    Call("chroot", 161, 51, texts=(Text("path", 0),)),
    Call("memfd_create", 319, 279, (_fd(RESULT), _flags(1)), (Text("name", 0, PLAIN),), descriptor=RESULT),
    Call("kill", 62, 129, (("pid", INT, 0), ("sig", INT, 1))),
    Call("io_uring_setup", 425, 425, (("entries", WORD, 0), ("flags", WORD, HOW + 1)), descriptor=RESULT, how=1),
    Call("execve", 59, 221, texts=(Text("filename", 0),)),
    Call("execveat", 322, 281, (), (Text("filename", 1, 0),)),
)  # fmt: skip

_BY_MACHINE = {
    machine: {number: call for call in CALLS if (number := getattr(call, machine)) is not None}
    for machine in ("x86_64", "aarch64")
}
_TYPES = frozenset(call.type for call in CALLS)


def on_machine(machine: str = "") -> Mapping[int, Call]:
    """The calls by number on this machine, or the named one; empty when the probe does not know it."""
    return _BY_MACHINE.get(machine or platform.machine(), {})


def is_absent(call: Call) -> bool:
    """A call that this architecture or kernel does not have can not be made, so nothing is missed."""
    return getattr(call, platform.machine(), None) is None or kernel_version() < call.since


def kernel_version() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


def spec(call: Call, told: int) -> bytes:
    """The row for the kernel: ``struct spec`` in bpf/record.h."""
    traits = _ADDRESS_LENGTH_AT * call.address_at | _RECEIVES * call.receives
    traits |= _OPENS * call.opens | _ACCEPTS * call.accepts | _EXECUTES * call.executes
    names = bytes(text.pointer for text in call.texts).ljust(3, bytes([NONE]))
    directories = bytes(text.directory for text in call.texts).ljust(3, bytes([PLAIN]))
    slots = (call.descriptor, call.listener, call.flags, call.how)
    places = (call.address, call.address_length, call.message, call.buffer, call.size)
    return _SPEC.pack(told, traits, *slots, *places, names, directories, call.constants, call.mode)


def unserved(event_types: Iterable[str]) -> dict[str, str]:
    """Which of the event types this machine can not give, and why; needs no privileges and no probe.

    A call that the architecture or the kernel does not have is not among them: nobody can make it. Whether the kernel
    has tracepoints of system calls at all is only told where tracefs can be read.
    """
    return {each: reason for each in event_types if (reason := _reason(each))}


def _reason(event_type: str) -> str:
    if event_type not in _TYPES:
        return "the probe does not tell this type of event"
    if not on_machine():
        return f"the probe knows x86_64 and aarch64, not {platform.machine()}"
    return NO_TRACEPOINTS if _lacks_tracepoints() else ""


def _lacks_tracepoints() -> bool:
    for root in TRACEFS:
        try:
            if (root / "events").is_dir():
                return not (root / "events/syscalls/sys_exit_openat").is_dir()
        except PermissionError:
            continue
    return False
