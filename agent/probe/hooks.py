"""Which program goes on which hook of the kernel, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CLASSES = (
    "exec", "fork", "exit", "open", "unlink", "rename", "chmod", "listen", "bind", "connect", "capability",
    "cgroup_birth", "cgroup_death", "syscall",
)  # fmt: skip
"""Event classes by their number in bpf/record.h."""


OPENING = "file_open"
OPENS = ("open", "openat", "openat2", "creat")


class Kind(Enum):
    RAW_TRACEPOINT = "raw tracepoint"
    SYSCALL_EXIT = "syscall exit tracepoint"
    CGROUP_SOCKET = "cgroup socket program"
    CGROUP_ADDRESS = "cgroup address program"
    KPROBE = "kprobe"


PROGRAM_TYPES = {
    Kind.KPROBE: 2,
    Kind.SYSCALL_EXIT: 5,
    Kind.CGROUP_SOCKET: 9,
    Kind.RAW_TRACEPOINT: 17,
    Kind.CGROUP_ADDRESS: 18,
}


@dataclass(frozen=True, slots=True)
class Hook:
    """``target``: the tracepoint, system call or function. ``attach_type``: the kernel's number, cgroup programs only.

    ``essential``: without it the probe is degraded. ``fallback_for``: used only when that hook is not there.
    """

    name: str
    event_class: str
    program: str
    kind: Kind
    target: str
    attach_type: int = -1
    essential: bool = False
    fallback_for: str = ""


def _syscalls(event_class: str, program: str, essential: tuple[str, ...], *names: str) -> list[Hook]:
    return [
        Hook(f"sys_exit_{name}", event_class, program, Kind.SYSCALL_EXIT, name, essential=name in essential)
        for name in names
    ]


HOOKS = (
    Hook("sched_process_exec", "exec", "process_exec", Kind.RAW_TRACEPOINT, "sched_process_exec", essential=True),
    Hook("sched_process_fork", "fork", "process_fork", Kind.RAW_TRACEPOINT, "sched_process_fork"),
    Hook("sched_process_exit", "exit", "process_exit", Kind.RAW_TRACEPOINT, "sched_process_exit"),
    *_syscalls("open", OPENING, ("openat", "openat2", "open"), *OPENS),
    *_syscalls("unlink", "file_unlink", (), "unlink", "unlinkat"),
    *_syscalls("rename", "file_rename", (), "rename", "renameat", "renameat2"),
    *_syscalls("rename", "mounts_changed", (), "mount", "umount", "move_mount", "pivot_root"),
    *_syscalls("chmod", "file_chmod", (), "chmod", "fchmod", "fchmodat", "fchmodat2"),
    Hook("inet_sock_set_state", "connect", "socket_state", Kind.RAW_TRACEPOINT, "inet_sock_set_state", essential=True),
    Hook("post_bind4", "bind", "udp_bind4", Kind.CGROUP_SOCKET, "", 12),
    Hook("post_bind6", "bind", "udp_bind6", Kind.CGROUP_SOCKET, "", 13),
    Hook("connect4", "connect", "udp_send4", Kind.CGROUP_ADDRESS, "", 10),
    Hook("connect6", "connect", "udp_send6", Kind.CGROUP_ADDRESS, "", 11),
    Hook("sendmsg4", "connect", "udp_send4", Kind.CGROUP_ADDRESS, "", 14),
    Hook("sendmsg6", "connect", "udp_send6", Kind.CGROUP_ADDRESS, "", 15),
    Hook("cap_capable", "capability", "capability_traced", Kind.RAW_TRACEPOINT, "cap_capable"),
    Hook(
        "kprobe:cap_capable", "capability", "capability_probed", Kind.KPROBE, "cap_capable", fallback_for="cap_capable"
    ),
    Hook("cgroup_mkdir", "cgroup_birth", "cgroup_birth", Kind.RAW_TRACEPOINT, "cgroup_mkdir", essential=True),
    Hook("cgroup_attach_task", "cgroup_birth", "cgroup_joined", Kind.RAW_TRACEPOINT, "cgroup_attach_task"),
    Hook("cgroup_rmdir", "cgroup_death", "cgroup_death", Kind.RAW_TRACEPOINT, "cgroup_rmdir", essential=True),
)
