"""Flags and constants of system calls by the names, and as the numbers, that Falco gives them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import errorcode
from functools import lru_cache

Told = tuple[int, str]
"""Falco's number for a value, and its text: names joined by "|", "" where it has none."""

Flag = tuple[str, int, int, int]
"""Name, Falco's bits, and which bits of the kernel's value (mask) must be which (wanted) for it."""

_SMALL = 4096  # different values of one kind that are remembered


def _same(*flags: tuple[str, int]) -> tuple[Flag, ...]:
    """Flags for which Falco uses the kernel's bits."""
    return tuple((name, bit, bit, bit) for name, bit in flags)


def _mapped(*flags: tuple[str, int, int]) -> tuple[Flag, ...]:
    return tuple((name, ours, bit, bit) for name, ours, bit in flags)


# In the order in which Falco lists them. O_RDONLY is 0 for the kernel and a bit for Falco.
_OPEN: tuple[Flag, ...] = (
    *_mapped(
        ("O_LARGEFILE", 1 << 11, 0o100000),
        ("O_DIRECTORY", 1 << 10, os.O_DIRECTORY),
        ("O_DIRECT", 1 << 9, os.O_DIRECT),
        ("O_TRUNC", 1 << 8, os.O_TRUNC),
        ("O_SYNC", 1 << 7, os.O_SYNC),
        ("O_NONBLOCK", 1 << 6, os.O_NONBLOCK),
        ("O_EXCL", 1 << 5, os.O_EXCL),
        ("O_DSYNC", 1 << 4, os.O_DSYNC),
        ("O_APPEND", 1 << 3, os.O_APPEND),
        ("O_CREAT", 1 << 2, os.O_CREAT),
    ),
    ("O_RDWR", 3, os.O_ACCMODE, os.O_RDWR),
    ("O_WRONLY", 2, os.O_ACCMODE, os.O_WRONLY),
    ("O_RDONLY", 1, os.O_ACCMODE, os.O_RDONLY),
    *_mapped(("O_CLOEXEC", 1 << 12, os.O_CLOEXEC), ("O_TMPFILE", 1 << 13, os.O_TMPFILE)),
)
OPEN_CREATED = ("O_F_CREATED", 1 << 14)  # not of the caller: the call made the file
OPEN_UPPER_LAYER = ("FD_UPPER_LAYER", 1 << 16)
OPEN_LOWER_LAYER = ("FD_LOWER_LAYER", 1 << 17)

_MODE = _same(
    ("S_IXOTH", 0o1), ("S_IWOTH", 0o2), ("S_IROTH", 0o4), ("S_IXGRP", 0o10), ("S_IWGRP", 0o20), ("S_IRGRP", 0o40),
    ("S_IXUSR", 0o100), ("S_IWUSR", 0o200), ("S_IRUSR", 0o400), ("S_ISVTX", 0o1000), ("S_ISGID", 0o2000),
    ("S_ISUID", 0o4000),
)  # fmt: skip
_CLONE = _mapped(
    ("CLONE_FILES", 1 << 0, 0x400),
    ("CLONE_FS", 1 << 1, 0x200),
    ("CLONE_IO", 1 << 2, 0x80000000),
    ("CLONE_NEWIPC", 1 << 3, 0x08000000),
    ("CLONE_NEWNET", 1 << 4, 0x40000000),
    ("CLONE_NEWNS", 1 << 5, 0x00020000),
    ("CLONE_NEWPID", 1 << 6, 0x20000000),
    ("CLONE_NEWUTS", 1 << 7, 0x04000000),
    ("CLONE_PARENT", 1 << 8, 0x8000),
    ("CLONE_PARENT_SETTID", 1 << 9, 0x00100000),
    ("CLONE_PTRACE", 1 << 10, 0x2000),
    ("CLONE_SIGHAND", 1 << 11, 0x800),
    ("CLONE_SYSVSEM", 1 << 12, 0x00040000),
    ("CLONE_THREAD", 1 << 13, 0x00010000),
    ("CLONE_UNTRACED", 1 << 14, 0x00800000),
    ("CLONE_VM", 1 << 15, 0x100),
    ("CLONE_NEWUSER", 1 << 20, 0x10000000),
    ("CLONE_CHILD_CLEARTID", 1 << 23, 0x00200000),
    ("CLONE_CHILD_SETTID", 1 << 24, 0x01000000),
    ("CLONE_SETTLS", 1 << 25, 0x00080000),
    ("CLONE_VFORK", 1 << 27, 0x4000),
    ("CLONE_NEWCGROUP", 1 << 28, 0x02000000),
)
_MOUNT = _same(
    ("RDONLY", 1 << 0), ("NOSUID", 1 << 1), ("NODEV", 1 << 2), ("NOEXEC", 1 << 3), ("SYNCHRONOUS", 1 << 4),
    ("REMOUNT", 1 << 5), ("MANDLOCK", 1 << 6), ("DIRSYNC", 1 << 7), ("NOATIME", 1 << 10), ("NODIRATIME", 1 << 11),
    ("BIND", 1 << 12), ("MOVE", 1 << 13), ("REC", 1 << 14), ("SILENT", 1 << 15), ("POSIXACL", 1 << 16),
    ("UNBINDABLE", 1 << 17), ("PRIVATE", 1 << 18), ("SLAVE", 1 << 19), ("SHARED", 1 << 20), ("RELATIME", 1 << 21),
    ("KERNMOUNT", 1 << 22), ("I_VERSION", 1 << 23), ("STRICTATIME", 1 << 24), ("LAZYTIME", 1 << 25),
    ("NOSEC", 1 << 28), ("BORN", 1 << 29), ("ACTIVE", 1 << 30), ("NOUSER", 1 << 31),
)  # fmt: skip
_EXECUTABLE = _same(("EXE_WRITABLE", 1), ("EXE_UPPER_LAYER", 2), ("EXE_FROM_MEMFD", 4), ("EXE_LOWER_LAYER", 8))

_FLAGS: dict[str, tuple[Flag, ...]] = {
    "open_flags": _OPEN,
    "mode": _MODE,
    "clone_flags": _CLONE,
    "mount_flags": _MOUNT,
    "exec_flags": _EXECUTABLE,
    "umount_flags": _same(("FORCE", 1), ("DETACH", 2), ("EXPIRE", 4), ("NOFOLLOW", 8)),
    "link_flags": _same(("AT_SYMLINK_FOLLOW", 0x400), ("AT_EMPTY_PATH", 0x1000)),
    "unlink_flags": _same(("AT_REMOVEDIR", 0x200)),
    "chown_flags": _same(("AT_SYMLINK_NOFOLLOW", 0x100), ("AT_EMPTY_PATH", 0x1000)),
    "rename_flags": _same(("RENAME_NOREPLACE", 1), ("RENAME_EXCHANGE", 2), ("RENAME_WHITEOUT", 4)),
    "resolve_flags": _mapped(
        ("RESOLVE_BENEATH", 1 << 0, 0x08),
        ("RESOLVE_IN_ROOT", 1 << 1, 0x10),
        ("RESOLVE_NO_MAGICLINKS", 1 << 2, 0x02),
        ("RESOLVE_NO_SYMLINKS", 1 << 3, 0x04),
        ("RESOLVE_NO_XDEV", 1 << 4, 0x01),
        ("RESOLVE_CACHED", 1 << 5, 0x20),
    ),
    "memfd_flags": _same(("MFD_CLOEXEC", 1), ("MFD_ALLOW_SEALING", 2), ("MFD_HUGETLB", 4)),
    "module_flags": _same(
        ("MODULE_INIT_IGNORE_MODVERSIONS", 1), ("MODULE_INIT_IGNORE_VERMAGIC", 2), ("MODULE_INIT_COMPRESSED_FILE", 4)
    ),
    "module_delete_flags": _mapped(("O_NONBLOCK", 1, os.O_NONBLOCK), ("O_TRUNC", 2, os.O_TRUNC)),
}

_DOMAINS = (
    "UNSPEC", "LOCAL", "INET", "AX25", "IPX", "APPLETALK", "NETROM", "BRIDGE", "ATMPVC", "X25", "INET6", "ROSE",
    "DECnet", "NETBEUI", "SECURITY", "KEY", "NETLINK", "PACKET", "ASH", "ECONET", "ATMSVC", "RDS", "SNA", "IRDA",
    "PPPOX", "WANPIPE", "LLC", "", "", "CAN", "TIPC", "BLUETOOTH", "IUCV", "RXRPC", "ISDN", "PHONET", "IEEE802154",
    "CAIF", "ALG", "NFC",
)  # fmt: skip
_TWO_NAMES = {1: "AF_LOCAL|AF_UNIX", 16: "AF_ROUTE|AF_NETLINK"}  # Falco tells both

_BPF_COMMANDS = (
    "MAP_CREATE", "MAP_LOOKUP_ELEM", "MAP_UPDATE_ELEM", "MAP_DELETE_ELEM", "MAP_GET_NEXT_KEY", "PROG_LOAD", "OBJ_PIN",
    "OBJ_GET", "PROG_ATTACH", "PROG_DETACH", "PROG_TEST_RUN", "PROG_GET_NEXT_ID", "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID", "MAP_GET_FD_BY_ID", "OBJ_GET_INFO_BY_FD", "PROG_QUERY", "RAW_TRACEPOINT_OPEN", "BTF_LOAD",
    "BTF_GET_FD_BY_ID", "TASK_FD_QUERY", "MAP_LOOKUP_AND_DELETE_ELEM", "MAP_FREEZE", "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH", "MAP_LOOKUP_AND_DELETE_BATCH", "MAP_UPDATE_BATCH", "MAP_DELETE_BATCH", "LINK_CREATE",
    "LINK_UPDATE", "LINK_GET_FD_BY_ID", "LINK_GET_NEXT_ID", "ENABLE_STATS", "ITER_CREATE", "LINK_DETACH",
    "PROG_BIND_MAP",
)  # fmt: skip

# Kernel's number -> (Falco's number, name without PTRACE_).
_PTRACE: dict[int, tuple[int, str]] = {
    0: (1, "TRACEME"), 1: (2, "PEEKTEXT"), 2: (3, "PEEKDATA"), 3: (4, "PEEKUSR"), 4: (5, "POKETEXT"),
    5: (6, "POKEDATA"), 6: (7, "POKEUSR"), 7: (8, "CONT"), 8: (9, "KILL"), 9: (10, "SINGLESTEP"), 12: (26, "GETREGS"),
    13: (27, "SETREGS"), 14: (28, "GETFPREGS"), 15: (29, "SETFPREGS"), 16: (11, "ATTACH"), 17: (12, "DETACH"),
    18: (30, "GETFPXREGS"), 19: (31, "SETFPXREGS"), 21: (32, "OLDSETOPTIONS"), 24: (13, "SYSCALL"),
    25: (33, "GET_THREAD_AREA"), 26: (34, "SET_THREAD_AREA"), 30: (35, "ARCH_PRCTL"), 31: (36, "SYSEMU"),
    32: (37, "SYSEMU_SINGLESTEP"), 33: (38, "SINGLEBLOCK"), 0x4200: (14, "SETOPTIONS"), 0x4201: (15, "GETEVENTMSG"),
    0x4202: (16, "GETSIGINFO"), 0x4203: (17, "SETSIGINFO"), 0x4204: (18, "GETREGSET"), 0x4205: (19, "SETREGSET"),
    0x4206: (20, "SEIZE"), 0x4207: (21, "INTERRUPT"), 0x4208: (22, "LISTEN"), 0x4209: (23, "PEEKSIGINFO"),
    0x420A: (24, "GETSIGMASK"), 0x420B: (25, "SETSIGMASK"),
}  # fmt: skip

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip

_SIGNALS = {number.value: number.name for number in signal.Signals}


@lru_cache(_SMALL)
def flags(kind: str, value: int) -> Told:
    """The kernel's value of a kind of flags (those of ``KINDS``)."""
    present = [(name, bits) for name, bits, mask, wanted in _FLAGS[kind] if value & mask == wanted]
    return sum(bits for _, bits in present), "|".join(name for name, _ in present)


@lru_cache(_SMALL)
def domain(value: int) -> Told:
    """A socket's address family."""
    name = _DOMAINS[value] if 0 <= value < len(_DOMAINS) else ""
    return value, _TWO_NAMES.get(value) or (f"AF_{name}" if name else "")


def bpf_command(value: int) -> Told:
    return value, f"BPF_{_BPF_COMMANDS[value]}" if 0 <= value < len(_BPF_COMMANDS) else ""


def ptrace_request(value: int) -> Told:
    number, name = _PTRACE.get(value, (0, "UNKNOWN"))
    return number, f"PTRACE_{name}"


def signal_number(value: int) -> Told:
    return value, _SIGNALS.get(value, "")


@lru_cache(_SMALL)
def capabilities(value: int) -> str:
    """Names of a set, by number, with blanks between."""
    return " ".join(f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if value >> number & 1)


def error(result: int) -> str:
    """The name of a failed call's error (ENOENT); its positive number where it has none."""
    return errorcode.get(-result) or str(-result)


NUMBERED: dict[str, Callable[[int], Told]] = {
    "domain": domain,
    "bpf_command": bpf_command,
    "ptrace_request": ptrace_request,
    "signal": signal_number,
}
KINDS = frozenset(_FLAGS)
