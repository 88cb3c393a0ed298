"""The parameters of each event of the syscall source (``evt.arg.NAME``, ``evt.arg[N]``), by Falco's names, in order.

The first one of most is the result. Kinds say how a value is told: see ``rules.sources.arguments``. What is "absent"
has its place and its name with Falco, but nobody tells it here.
"""

from __future__ import annotations

_RESULT = ("res", "errno")
_EXECUTION: tuple[tuple[str, str], ...] = (
    _RESULT, ("exe", "text"), ("args", "texts"), ("tid", "pid"), ("pid", "pid"), ("ptid", "pid"), ("cwd", "text"),
    ("fdlimit", "absent"), ("pgft_maj", "absent"), ("pgft_min", "absent"), ("vm_size", "absent"), ("vm_rss", "absent"),
    ("vm_swap", "absent"), ("comm", "text"), ("cgroups", "absent"), ("env", "texts"), ("tty", "number"),
    ("vpgid", "pid"), ("loginuid", "uid"), ("flags", "exec_flags"), ("cap_inheritable", "capabilities"),
    ("cap_permitted", "capabilities"), ("cap_effective", "capabilities"), ("exe_ino", "number"),
    ("exe_ino_ctime", "time"), ("exe_ino_mtime", "time"), ("uid", "uid"), ("trusted_exepath", "text"), ("pgid", "pid"),
    ("gid", "gid"), ("filename", "path"),
)  # fmt: skip

# event type -> ((name, kind), ...)
PARAMETERS: dict[str, tuple[tuple[str, str], ...]] = {
    "open": (
        ("fd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "octal"), ("dev", "hex"), ("ino", "number"),
    ),
    "openat": (
        ("fd", "fd"), ("dirfd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "octal"), ("dev", "hex"),
        ("ino", "number"),
    ),
    "openat2": (
        ("fd", "fd"), ("dirfd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "octal"),
        ("resolve", "resolve_flags"), ("dev", "hex"), ("ino", "number"),
    ),
    "creat": (("fd", "fd"), ("name", "path"), ("mode", "octal"), ("dev", "hex"), ("ino", "number")),
    "connect": (_RESULT, ("tuple", "tuple"), ("fd", "fd"), ("addr", "address")),
    "accept": (
        ("fd", "fd"), ("tuple", "tuple"), ("queuepct", "number"), ("queuelen", "number"), ("queuemax", "number"),
    ),
    "accept4": (
        ("fd", "fd"), ("tuple", "tuple"), ("queuepct", "number"), ("queuelen", "number"), ("queuemax", "number"),
        ("flags", "number"),
    ),
    "bind": (_RESULT, ("addr", "address"), ("fd", "fd")),
    "listen": (_RESULT, ("fd", "fd"), ("backlog", "number")),
    "socket": (("fd", "fd"), ("domain", "domain"), ("type", "number"), ("proto", "number")),
    "sendto": (_RESULT, ("data", "bytes"), ("fd", "fd"), ("size", "number"), ("tuple", "tuple")),
    "sendmsg": (_RESULT, ("data", "bytes"), ("fd", "fd"), ("size", "number"), ("tuple", "tuple")),
    "recvfrom": (_RESULT, ("data", "bytes"), ("tuple", "tuple"), ("fd", "fd"), ("size", "number")),
    "recvmsg": (
        _RESULT, ("size", "number"), ("data", "bytes"), ("tuple", "tuple"), ("msgcontrol", "absent"), ("fd", "fd"),
    ),
    "dup": (("res", "fd"), ("oldfd", "fd")),
    "dup2": (("res", "fd"), ("oldfd", "fd"), ("newfd", "fd")),
    "dup3": (("res", "fd"), ("oldfd", "fd"), ("newfd", "fd"), ("flags", "open_flags")),
    "ptrace": (_RESULT, ("addr", "hex"), ("data", "hex"), ("request", "ptrace_request"), ("pid", "pid")),
    "link": (_RESULT, ("oldpath", "path"), ("newpath", "path")),
    "linkat": (
        _RESULT, ("olddir", "fd"), ("oldpath", "path"), ("newdir", "fd"), ("newpath", "path"), ("flags", "link_flags"),
    ),
    "symlink": (_RESULT, ("target", "text"), ("linkpath", "path")),
    "symlinkat": (_RESULT, ("target", "text"), ("linkdirfd", "fd"), ("linkpath", "path")),
    "rename": (_RESULT, ("oldpath", "path"), ("newpath", "path")),
    "renameat": (_RESULT, ("olddirfd", "fd"), ("oldpath", "path"), ("newdirfd", "fd"), ("newpath", "path")),
    "renameat2": (
        _RESULT, ("olddirfd", "fd"), ("oldpath", "path"), ("newdirfd", "fd"), ("newpath", "path"),
        ("flags", "rename_flags"),
    ),
    "unlink": (_RESULT, ("path", "path")),
    "unlinkat": (_RESULT, ("dirfd", "fd"), ("name", "path"), ("flags", "unlink_flags")),
    "rmdir": (_RESULT, ("path", "path")),
    "mkdir": (_RESULT, ("path", "path"), ("mode", "hex")),
    "mkdirat": (_RESULT, ("dirfd", "fd"), ("path", "path"), ("mode", "hex")),
    "chmod": (_RESULT, ("filename", "path"), ("mode", "mode")),
    "fchmod": (_RESULT, ("fd", "fd"), ("mode", "mode")),
    "fchmodat": (_RESULT, ("dirfd", "fd"), ("filename", "path"), ("mode", "mode")),
    "chown": (_RESULT, ("path", "path"), ("uid", "number"), ("gid", "number")),
    "fchown": (_RESULT, ("fd", "fd"), ("uid", "number"), ("gid", "number")),
    "lchown": (_RESULT, ("path", "path"), ("uid", "number"), ("gid", "number")),
    "fchownat": (
        _RESULT, ("dirfd", "fd"), ("pathname", "path"), ("uid", "number"), ("gid", "number"), ("flags", "chown_flags"),
    ),
    "setuid": (_RESULT, ("uid", "uid")),
    "setgid": (_RESULT, ("gid", "gid")),
    "setreuid": (_RESULT, ("ruid", "uid"), ("euid", "uid")),
    "setresuid": (_RESULT, ("ruid", "uid"), ("euid", "uid"), ("suid", "uid")),
    "setregid": (_RESULT, ("rgid", "gid"), ("egid", "gid")),
    "setresgid": (_RESULT, ("rgid", "gid"), ("egid", "gid"), ("sgid", "gid")),
    "setns": (_RESULT, ("fd", "fd"), ("nstype", "clone_flags")),
    "unshare": (_RESULT, ("flags", "clone_flags")),
    "init_module": (_RESULT, ("img", "absent"), ("length", "number"), ("uargs", "text")),
    "finit_module": (_RESULT, ("fd", "fd"), ("uargs", "text"), ("flags", "module_flags")),
    "delete_module": (_RESULT, ("name", "text"), ("flags", "module_delete_flags")),
    "bpf": (("fd", "fd"), ("cmd", "bpf_command")),
    "userfaultfd": (_RESULT, ("flags", "open_flags")),
    "mount": (_RESULT, ("dev", "text"), ("dir", "path"), ("type", "text"), ("flags", "mount_flags")),
    "umount": (_RESULT, ("name", "path")),
    "umount2": (_RESULT, ("name", "path"), ("flags", "umount_flags")),
    "pivot_root": (_RESULT, ("newroot", "path"), ("putold", "path")),
    "chroot": (_RESULT, ("path", "path")),
    "memfd_create": (("fd", "fd"), ("name", "text"), ("flags", "memfd_flags")),
    "kill": (_RESULT, ("pid", "pid"), ("sig", "signal")),
    "io_uring_setup": (
        _RESULT, ("entries", "number"), ("sq_entries", "absent"), ("cq_entries", "absent"), ("flags", "number"),
        ("sq_thread_cpu", "absent"), ("sq_thread_idle", "absent"), ("features", "absent"),
    ),
    "execve": _EXECUTION,
    "execveat": _EXECUTION,
}  # fmt: skip

_OTHERS = """
    ID action arg arg2_int arg2_str clockid container_id core cpu cur data desc description dpid dqb_bhardlimit
    dqb_bsoftlimit dqb_btime dqb_curspace dqb_ihardlimit dqb_isoftlimit dqb_itime dqi_bgrace dqi_flags dqi_igrace
    error event_data event_type fd1 fd2 fd_in fd_out fdin fdout fds home how id in_fd initval interval ip json key
    len level max maxevents min_complete mountfd nativeID next nr_args nsems nsops offin offout offset op opcode
    option optlen optname out_fd peer pgoffset pidns_init_start_ts plugin_id pos prot quota_fmt quota_fmt_out
    quotafilepath ratio reaper_tid res_or_fd resource ret scope sem_flg_0 sem_flg_1 sem_num_0 sem_num_1 sem_op_0
    sem_op_1 semflg semid semnum shell source special spid status target_fd timeout to_submit val vpid vtid whence
"""

# Parameters of events that are never told here: rules may ask for them, and find them missing.
OTHER_PARAMETERS = frozenset(_OTHERS.split())
