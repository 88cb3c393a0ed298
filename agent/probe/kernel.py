"""Which kernel structures, members and system calls the hooks in bpf/*.c use, by name."""

from __future__ import annotations

WANTED: dict[str, dict[str, str]] = {
    "task_struct": {
        "tgid": "int",
        "pid": "int",
        "start_boottime": "u64",
        "real_parent": "struct task_struct *",
        "group_leader": "struct task_struct *",
        "cred": "struct cred *",
        "loginuid.val": "u32",
        "comm": "char[16]",
        "mm": "struct mm_struct *",
        "fs": "struct fs_struct *",
        "files": "struct files_struct *",
        "nsproxy": "struct nsproxy *",
        "signal": "struct signal_struct *",
        "cgroups": "struct css_set *",
        "exit_code": "int",
    },
    "cred": {"uid.val": "u32", "gid.val": "u32", "cap_effective": "u64", "user_ns": "void *"},
    "signal_struct": {
        "live.counter": "int",
        "group_exit_code": "int",
        "flags": "u32",
        "tty": "struct tty_struct *",
    },
    "tty_struct": {"name": "char[64]"},
    "nsproxy": {"net_ns": "struct net *"},
    "net": {"ns.inum": "u32"},
    "css_set": {"subsys": "struct cgroup_subsys_state *[16]", "dfl_cgrp": "struct cgroup *"},
    "cgroup_subsys_state": {"cgroup": "struct cgroup *"},
    "cgroup": {"kn": "struct kernfs_node *", "root": "void *"},
    "kernfs_node": {"id": "u64"},
    "mm_struct": {"exe_file": "struct file *", "arg_start": "u64", "arg_end": "u64"},
    "file": {
        "f_path.mnt": "struct vfsmount *",
        "f_path.dentry": "struct dentry *",
        "f_inode": "struct inode *",
        "f_mode": "u32",
        "f_flags": "u32",
    },
    "fs_struct": {
        "root.mnt": "struct vfsmount *",
        "root.dentry": "struct dentry *",
        "pwd.mnt": "struct vfsmount *",
        "pwd.dentry": "struct dentry *",
    },
    "files_struct": {"fdt": "struct fdtable *"},
    "fdtable": {"fd": "struct file **", "max_fds": "u32"},
    "dentry": {"d_parent": "struct dentry *", "d_name.name": "char *", "d_name.len": "u32"},
    "mount": {
        "mnt": "u64",
        "mnt_parent": "struct mount *",
        "mnt_mountpoint": "struct dentry *",
        "mnt.mnt_root": "struct dentry *",
    },
    "inode": {"i_mode": "u16", "i_ino": "u64", "i_sb": "struct super_block *"},
    "super_block": {"s_magic": "u64"},
    "sock": {
        "__sk_common.skc_family": "u16",
        "__sk_common.skc_daddr": "u32",
        "__sk_common.skc_rcv_saddr": "u32",
        "__sk_common.skc_v6_daddr": "char[16]",
        "__sk_common.skc_v6_rcv_saddr": "char[16]",
        "__sk_common.skc_dport": "u16",
        "__sk_common.skc_num": "u16",
        "__sk_common.skc_net.net": "struct net *",
        "sk_protocol": "u16",
    },
    "pt_regs": {},
}

REGISTERS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # members of pt_regs, and in their terms the first four arguments of a system call and of a kernel function
    "x86_64": (
        {"di": "u64", "si": "u64", "dx": "u64", "cx": "u64", "r10": "u64"},
        {
            "ARG0": "di",
            "ARG1": "si",
            "ARG2": "dx",
            "ARG3": "r10",
            "CALL0": "di",
            "CALL1": "si",
            "CALL2": "dx",
            "CALL3": "cx",
        },
    ),
    "aarch64": (
        {"orig_x0": "u64", "regs": "u64[31]"},
        {"ARG0": "orig_x0", "CALL0": "regs[0]"}
        | {f"{kind}{number}": f"regs[{number}]" for kind in ("ARG", "CALL") for number in (1, 2, 3)},
    ),
}

SYSCALLS: dict[str, dict[str, int]] = {
    "x86_64": {
        "open": 2, "creat": 85, "openat": 257, "openat2": 437, "unlink": 87, "unlinkat": 263, "rename": 82,
        "renameat": 264, "renameat2": 316, "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452,
    },
    "aarch64": {
        "openat": 56, "openat2": 437, "unlinkat": 35, "renameat": 38, "renameat2": 276, "fchmod": 52,
        "fchmodat": 53, "fchmodat2": 452,
    },
}  # fmt: skip
ALL_SYSCALLS = tuple(SYSCALLS["x86_64"])

V1_SUBSYSTEMS = {"blkio": "io", "cpu,cpuacct": "cpu", "net_cls,net_prio": "net_cls"}

# Without these members nothing can be told about any event.
ESSENTIAL = (
    "task_struct.tgid",
    "task_struct.start_boottime",
    "task_struct.real_parent",
    "task_struct.group_leader",
    "task_struct.cgroups",
    "cgroup.kn",
    "kernfs_node.id",
)
