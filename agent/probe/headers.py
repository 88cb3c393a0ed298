"""The few kernel headers BCC insists on, as stubs: no kernel-headers package is needed, and none can disagree.

BCC's own preamble includes these files by name. All kernel structures come from BTF instead (agent.probe.btf), so the
stubs carry only what the preamble itself uses.
"""

from __future__ import annotations

import platform
from pathlib import Path

_TYPES = """
#pragma once
typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u16 __le16;
typedef __u16 __be16;
typedef __u32 __le32;
typedef __u32 __be32;
typedef __u64 __le64;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned short umode_t;
typedef unsigned long uintptr_t;
typedef unsigned long size_t;
typedef long ssize_t;
typedef int pid_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define __aligned_u64 __u64 __attribute__((aligned(8)))
"""

_VERSION = """
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION({0}, {1}, {2})
"""

_EMPTY = "#pragma once\n"


def write(directory: Path) -> None:
    """Write the stub tree for the running kernel below ``directory``."""
    version = _VERSION.format(*_release())
    files = {
        "include/linux/kconfig.h": "#pragma once\n#define CONFIG_BPF_SYSCALL 1\n",
        "include/linux/types.h": _TYPES,
        "include/linux/version.h": version,
        "include/linux/log2.h": _EMPTY,
        "include/linux/bpf_common.h": "#pragma once\n#include <linux/types.h>\n",
        "include/asm/page.h": "#pragma once\n#define PAGE_SIZE 4096\n",
        "include/uapi/linux/bpf.h": "#pragma once\n#include <linux/types.h>\n#include <bcc/bpf.h>\n",
        "include/uapi/linux/if_packet.h": _EMPTY,
        "include/uapi/linux/if_ether.h": _EMPTY,
        "include/uapi/linux/types.h": "#pragma once\n#include <linux/types.h>\n",
        "include/uapi/linux/ptrace.h": "#pragma once\n#include <uapi/asm/ptrace.h>\n",
        "include/uapi/asm/ptrace.h": _EMPTY,
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _release() -> tuple[int, int, int]:
    """6.1.0-18-amd64 → (6, 1, 0)."""
    numbers = platform.release().split("-")[0].split(".")[:3]
    parts = [int("".join(c for c in number if c.isdigit()) or 0) for number in numbers]
    return (*parts, 0, 0, 0)[:3]  # type: ignore[return-value]  # three at least by construction
