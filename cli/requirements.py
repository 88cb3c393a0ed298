"""What the machine must offer before the agent can watch it."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_MAP_CREATE = 0
BTF = Path("/sys/kernel/btf/vmlinux")


def missing_for_live_run() -> list[str]:
    """Each thing that is missing, in words that say what to do; empty when all is there."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root: run it as root (eBPF programs and containers need it)")
    if not BTF.exists():
        missing.append(f"BTF: {BTF} is not there; use a kernel built with CONFIG_DEBUG_INFO_BTF=y")
    refused = _bpf_refused()
    if refused:
        missing.append(f"bpf(): the kernel refuses it ({refused}); it needs CAP_BPF or CAP_SYS_ADMIN")
    return missing


def _bpf_refused() -> str:
    number = BPF_SYSCALL.get(os.uname().machine)
    if number is None:
        return f"no eBPF support here for {os.uname().machine}"
    attributes = (ctypes.c_uint32 * 16)(2, 4, 8, 1)  # an array map of one element
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(number, BPF_MAP_CREATE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if descriptor >= 0:
        os.close(descriptor)
        return ""
    return errno.errorcode.get(ctypes.get_errno(), "error")
