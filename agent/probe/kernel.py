"""Which kernel structures and members the hooks in bpf/*.c use, by name.

Where kernels call one differently, "|" separates the names, and the hooks use the first.
"""

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
        "comm": "u64[2]",
        "children.next": "void *",
        "self_exec_id": "u64",
        "mm": "struct mm_struct *",
        "fs": "struct fs_struct *",
        "files": "struct files_struct *",
        "nsproxy": "struct nsproxy *",
        "signal": "struct signal_struct *",
        "cgroups": "struct css_set *",
        "exit_code": "int",
        "thread_pid": "struct pid *",
        "stack": "void *",
    },
    "cred": {
        "uid.val": "u32",
        "gid.val": "u32",
        "euid.val": "u32",
        "egid.val": "u32",
        "cap_effective": "u64",
        "cap_permitted": "u64",
        "cap_inheritable": "u64",
        "user_ns": "void *",
    },
    "pid": {"level": "u32", "numbers": "u64"},
    "upid": {},
    "signal_struct": {
        "live.counter": "int",
        "group_exit_code": "int",
        "flags": "u32",
        "tty": "struct tty_struct *",
        "pids": "struct pid *[4]",
    },
    "tty_struct": {"name": "char[64]", "driver": "struct tty_driver *", "index": "int"},
    "tty_driver": {"major": "int", "minor_start": "int"},
    "nsproxy": {"net_ns": "struct net *"},
    "net": {"ns.inum": "u32"},
    "css_set": {"subsys": "struct cgroup_subsys_state *[16]", "dfl_cgrp": "struct cgroup *"},
    "cgroup_subsys_state": {"cgroup": "struct cgroup *"},
    "cgroup": {"kn": "struct kernfs_node *", "root": "void *"},
    "kernfs_node": {"id": "u64"},
    "mm_struct": {
        "exe_file": "struct file *",
        "arg_start": "u64",
        "arg_end": "u64",
        "env_start": "u64",
        "env_end": "u64",
    },
    "linux_binprm": {"fdpath": "char *"},
    "file": {
        "f_path.mnt": "struct vfsmount *",
        "f_path.dentry": "struct dentry *",
        "f_inode": "struct inode *",
        "f_mode": "u32",
        "f_flags": "u32",
        "private_data": "void *",
    },
    "fs_struct": {
        "root.mnt": "struct vfsmount *",
        "root.dentry": "struct dentry *",
        "pwd.mnt": "struct vfsmount *",
        "pwd.dentry": "struct dentry *",
    },
    "files_struct": {"fdt": "struct fdtable *"},
    "fdtable": {"fd": "struct file **", "max_fds": "u32"},
    "dentry": {
        "d_parent": "struct dentry *",
        "d_name.name": "char *",
        "d_name.len": "u32",
        "d_name.hash_len": "u64",
    },
    "mount": {
        "mnt": "u64",
        "mnt_parent": "struct mount *",
        "mnt_mountpoint": "struct dentry *",
        "mnt.mnt_root": "struct dentry *",
    },
    "vfsmount": {"mnt_root": "void *"},
    "inode": {
        "i_mode": "u16",
        "i_ino": "u64",
        "i_sb": "struct super_block *",
        "i_uid.val": "u32",
        "i_gid.val": "u32",
        "i_ctime_sec|__i_ctime.tv_sec|i_ctime.tv_sec": "u64",
        "i_ctime_nsec|__i_ctime.tv_nsec|i_ctime.tv_nsec": "u32",
        "i_mtime_sec|__i_mtime.tv_sec|i_mtime.tv_sec": "u64",
        "i_mtime_nsec|__i_mtime.tv_nsec|i_mtime.tv_nsec": "u32",
    },
    "super_block": {"s_magic": "u64", "s_dev": "u32"},
    "sock": {
        "__sk_common.skc_family": "u16",
        "__sk_common.skc_daddr": "u32",
        "__sk_common.skc_rcv_saddr": "u32",
        "__sk_common.skc_v6_daddr": "char[16]",
        "__sk_common.skc_v6_rcv_saddr": "char[16]",
        "__sk_common.skc_dport": "u16",
        "__sk_common.skc_num": "u16",
        "__sk_common.skc_net.net": "struct net *",
        "__sk_common.skc_state": "u8",
        "sk_protocol": "u16",
        "sk_type": "u16",
        "sk_userlocks": "u8",
        "sk_ack_backlog": "u32",
        "sk_max_ack_backlog": "u32",
    },
    "socket": {"sk": "struct sock *"},
    "inet_connection_sock": {"icsk_bind_hash": "struct inet_bind_bucket *"},
    "inet_bind_bucket": {"fastreuse": "s8"},
    "unix_sock": {"addr": "struct unix_address *", "peer": "struct sock *"},
    "unix_address": {"len": "u32", "name": "char[110]"},
    "pt_regs": {},
}

REGISTERS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # members of pt_regs, and in their terms the arguments of a system call and of a kernel function
    "x86_64": (
        dict.fromkeys(("di", "si", "dx", "cx", "r10", "r8", "r9"), "u64"),
        {
            "ARG0": "di", "ARG1": "si", "ARG2": "dx", "ARG3": "r10", "ARG4": "r8", "ARG5": "r9",
            "CALL0": "di", "CALL1": "si", "CALL2": "dx", "CALL3": "cx",
        },
    ),
    "aarch64": (
        {"orig_x0": "u64", "regs": "u64[31]"},
        {"ARG0": "orig_x0", "CALL0": "regs[0]"}
        | {f"ARG{number}": f"regs[{number}]" for number in range(1, 6)}
        | {f"CALL{number}": f"regs[{number}]" for number in range(1, 4)},
    ),
}  # fmt: skip

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
