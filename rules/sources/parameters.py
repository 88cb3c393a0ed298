"""The parameters of each event of the syscall source, by Falco's names, in Falco's order (``evt.arg.NAME``, ``evt.arg[N]``).

The first one of most is the result. Kinds say how a value is told: see ``rules.sources.arguments``.
"""

from __future__ import annotations

# event type -> ((name, kind), ...)
PARAMETERS: dict[str, tuple[tuple[str, str], ...]] = {
    "open": (("fd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "mode"), ("dev", "number"), ("ino", "number")),
    "openat": (
        ("fd", "fd"), ("dirfd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "mode"), ("dev", "number"),
        ("ino", "number"),
    ),
    "openat2": (
        ("fd", "fd"), ("dirfd", "fd"), ("name", "path"), ("flags", "open_flags"), ("mode", "mode"), ("resolve", "resolve_flags"),
        ("dev", "number"), ("ino", "number"),
    ),
    "creat": (("fd", "fd"), ("name", "path"), ("mode", "mode"), ("dev", "number"), ("ino", "number")),
    "connect": (("res", "errno"), ("tuple", "tuple"), ("fd", "fd"), ("addr", "address")),
    "accept": (("fd", "fd"), ("tuple", "tuple"), ("queuepct", "number"), ("queuelen", "number"), ("queuemax", "number")),
    "accept4": (("fd", "fd"), ("tuple", "tuple"), ("queuepct", "number"), ("queuelen", "number"), ("queuemax", "number")),
    "bind": (("res", "errno"), ("addr", "address"), ("fd", "fd")),
    "listen": (("res", "errno"), ("fd", "fd"), ("backlog", "number")),
    "socket": (("fd", "fd"), ("domain", "domain"), ("type", "number"), ("proto", "number")),
    "sendto": (("res", "errno"), ("data", "bytes"), ("fd", "fd"), ("size", "number"), ("tuple", "tuple")),
    "sendmsg": (("res", "errno"), ("data", "bytes"), ("fd", "fd"), ("size", "number"), ("tuple", "tuple")),
    "recvfrom": (("res", "errno"), ("data", "bytes"), ("tuple", "tuple"), ("fd", "fd"), ("size", "number")),
    "recvmsg": (("res", "errno"), ("size", "number"), ("data", "bytes"), ("tuple", "tuple"), ("fd", "fd")),
    "dup": (("res", "fd"), ("oldfd", "fd")),
    "dup2": (("res", "fd"), ("oldfd", "fd"), ("newfd", "fd")),
    "dup3": (("res", "fd"), ("oldfd", "fd"), ("newfd", "fd"), ("flags", "open_flags")),
    "ptrace": (("res", "errno"), ("addr", "number"), ("data", "number"), ("request", "ptrace_request"), ("pid", "number")),
    "link": (("res", "errno"), ("oldpath", "path"), ("newpath", "path")),
    "linkat": (
        ("res", "errno"), ("olddir", "fd"), ("oldpath", "path"), ("newdir", "fd"), ("newpath", "path"), ("flags", "link_flags"),
    ),
    "symlink": (("res", "errno"), ("target", "text"), ("linkpath", "path")),
    "symlinkat": (("res", "errno"), ("target", "text"), ("linkdirfd", "fd"), ("linkpath", "path")),
    "rename": (("res", "errno"), ("oldpath", "path"), ("newpath", "path")),
    "renameat": (("res", "errno"), ("olddirfd", "fd"), ("oldpath", "path"), ("newdirfd", "fd"), ("newpath", "path")),
    "renameat2": (
        ("res", "errno"), ("olddirfd", "fd"), ("oldpath", "path"), ("newdirfd", "fd"), ("newpath", "path"),
        ("flags", "rename_flags"),
    ),
    "unlink": (("res", "errno"), ("path", "path")),
    "unlinkat": (("res", "errno"), ("dirfd", "fd"), ("name", "path"), ("flags", "unlink_flags")),
    "rmdir": (("res", "errno"), ("path", "path")),
    "mkdir": (("res", "errno"), ("path", "path"), ("mode", "number")),
    "mkdirat": (("res", "errno"), ("dirfd", "fd"), ("path", "path"), ("mode", "number")),
    "chmod": (("res", "errno"), ("filename", "path"), ("mode", "mode")),
    "fchmod": (("res", "errno"), ("fd", "fd"), ("mode", "mode")),
    "fchmodat": (("res", "errno"), ("dirfd", "fd"), ("filename", "path"), ("mode", "mode")),
    "chown": (("res", "errno"), ("path", "path"), ("uid", "number"), ("gid", "number")),
    "fchown": (("res", "errno"), ("fd", "fd"), ("uid", "number"), ("gid", "number")),
    "lchown": (("res", "errno"), ("path", "path"), ("uid", "number"), ("gid", "number")),
    "fchownat": (
        ("res", "errno"), ("dirfd", "fd"), ("pathname", "path"), ("uid", "number"), ("gid", "number"), ("flags", "chown_flags"),
    ),
    "setuid": (("res", "errno"), ("uid", "number")),
    "setgid": (("res", "errno"), ("gid", "number")),
    "setreuid": (("res", "errno"), ("ruid", "number"), ("euid", "number")),
    "setresuid": (("res", "errno"), ("ruid", "number"), ("euid", "number"), ("suid", "number")),
    "setregid": (("res", "errno"), ("rgid", "number"), ("egid", "number")),
    "setresgid": (("res", "errno"), ("rgid", "number"), ("egid", "number"), ("sgid", "number")),
    "setns": (("res", "errno"), ("fd", "fd"), ("nstype", "clone_flags")),
    "unshare": (("res", "errno"), ("flags", "clone_flags")),
    "init_module": (("res", "errno"), ("length", "number"), ("uargs", "text")),
    "finit_module": (("res", "errno"), ("fd", "fd"), ("uargs", "text"), ("flags", "module_flags")),
    "delete_module": (("res", "errno"), ("name", "text"), ("flags", "open_flags")),
    "bpf": (("fd", "fd"), ("cmd", "bpf_command")),
    "userfaultfd": (("res", "errno"), ("flags", "open_flags")),
    "mount": (("res", "errno"), ("dev", "text"), ("dir", "path"), ("type", "text"), ("flags", "mount_flags")),
    "umount": (("res", "errno"), ("name", "path")),
    "umount2": (("res", "errno"), ("name", "path"), ("flags", "umount_flags")),
    "pivot_root": (("res", "errno"), ("newroot", "path"), ("putold", "path")),
    "chroot": (("res", "errno"), ("path", "path")),
    "memfd_create": (("fd", "fd"), ("name", "text"), ("flags", "memfd_flags")),
    "kill": (("res", "errno"), ("pid", "number"), ("sig", "signal")),
    "io_uring_setup": (("res", "errno"), ("entries", "number")),
    "execve": (
        ("res", "errno"), ("exe", "text"), ("args", "texts"), ("tid", "number"), ("pid", "number"), ("ptid", "number"),
        ("cwd", "text"), ("comm", "text"), ("env", "texts"), ("tty", "number"), ("vpgid", "number"), ("loginuid", "number"),
        ("flags", "exec_flags"), ("cap_inheritable", "capabilities"), ("cap_permitted", "capabilities"),
        ("cap_effective", "capabilities"), ("exe_ino", "number"), ("exe_ino_ctime", "time"), ("exe_ino_mtime", "time"),
        ("uid", "number"), ("trusted_exepath", "text"), ("pgid", "number"), ("gid", "number"), ("filename", "path"),
    ),
}  # fmt: skip
PARAMETERS["execveat"] = PARAMETERS["execve"]
