"""What the probe says happened: one frozen structure for each kind of event.

Times are unix seconds; ``start`` of a task is its thread group's start in nanoseconds since boot and,
with ``pid``, names a process for good although process ids are reused. Paths are as the process sees
them (inside its container), resolved by the kernel unless the field's comment says otherwise.
Structures are msgspec's because they also are the JSON lines of a recording (docs/adr/0003).
"""

from __future__ import annotations

import msgspec

from watchkeeper.findings import Container


class Task(msgspec.Struct, frozen=True):
    """The thread group that acted, and the cgroup it was in at that moment."""

    pid: int
    start: int
    parent_pid: int
    parent_start: int
    uid: int
    gid: int
    login_uid: int  # -1: none
    cgroup: int
    comm: str
    network_namespace: int = 0
    # What the process and its parent are, as the kernel sums it up: of equal ones program, arguments, directory,
    # terminal, capabilities, and the same of all ancestors are equal. Empty: not told.
    context: bytes = b""
    parent_context: bytes = b""
    # What follows is told with Exec and Syscall only. Effective ids -1: as the real ones. Groups and sessions are
    # process ids as the host sees them, ``virtual_…`` as the task's own pid namespace does.
    thread: int = 0
    effective_uid: int = -1
    effective_gid: int = -1
    cap_effective: int = 0
    cap_permitted: int = 0
    cap_inheritable: int = 0
    virtual_pid: int = 0
    virtual_thread: int = 0
    group: int = 0
    virtual_group: int = 0
    session: int = 0
    virtual_session: int = 0


class Event(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Fields every event has."""

    at: float
    task: Task


MOST_ANCESTORS = 16  # that an execution tells of


class Ancestor(msgspec.Struct, frozen=True):
    """A process above another one, as it was called at that moment."""

    pid: int
    start: int
    comm: str
    context: bytes = b""  # see Task


class Exec(Event, frozen=True, tag="exec", kw_only=True):
    executable: str
    arguments: tuple[str, ...] = ()
    arguments_truncated: bool = False
    working_directory: str = ""
    tty: str = ""
    inode: int = 0
    upper_layer: bool = False  # the executable lies in the container's own writable overlay layer
    memfd: bool = False
    ancestors: tuple[Ancestor, ...] = ()  # nearest first
    name: str = "execve"  # or execveat
    environment: tuple[str, ...] = ()  # the first 4096 bytes of it
    tty_number: int = 0  # of the controlling terminal, as stat(2) tells devices; 0: none
    writable: bool = False  # the user may write to the executable
    lower_layer: bool = False  # the executable lies in an overlay's lower layer
    changed_at: int = 0  # of the executable's inode (ctime), nanoseconds since 1970
    modified_at: int = 0  # of the executable (mtime)
    previous_context: bytes = b""  # of the task, until then


class Fork(Event, frozen=True, tag="fork", kw_only=True):
    """``task`` is the parent; group and session are the child's, ``virtual_…`` in its own pid namespace (0: outside of
    it)."""

    child_pid: int
    child_start: int
    child_context: bytes = b""
    child_virtual_pid: int = 0
    group: int = 0
    virtual_group: int = 0
    session: int = 0
    virtual_session: int = 0


class Exit(Event, frozen=True, tag="exit", kw_only=True):
    """The last thread of the process ended. ``status`` is as for wait(2)."""

    status: int = 0


class Open(Event, frozen=True, tag="open", kw_only=True):
    """A file was opened to be written or created, or is a sensitive file that was opened to be read."""

    path: str
    flags: int
    created: bool = False
    inode: int = 0

    @property
    def writes(self) -> bool:
        return (self.flags & 3) != 0 or self.created


class Unlink(Event, frozen=True, tag="unlink", kw_only=True):
    """``path``: directory resolved by the kernel, last part from user memory."""

    path: str


class Rename(Event, frozen=True, tag="rename", kw_only=True):
    """Paths as for Unlink."""

    path: str
    new_path: str


class Chmod(Event, frozen=True, tag="chmod", kw_only=True):
    """Path as for Unlink, for fchmod(2) from the descriptor."""

    path: str
    mode: int


class Listen(Event, frozen=True, tag="listen", kw_only=True):
    """A TCP socket began to listen."""

    address: str
    port: int


class Bind(Event, frozen=True, tag="bind", kw_only=True):
    """A UDP socket was bound."""

    address: str
    port: int


class Connect(Event, frozen=True, tag="connect", kw_only=True):
    """``protocol`` is tcp or udp."""

    protocol: str
    address: str
    port: int


class Capability(Event, frozen=True, tag="capability", kw_only=True):
    """A capability check was passed; ``name`` is like CAP_NET_ADMIN. Once per container and executable."""

    name: str
    inode: int = 0


class Descriptor(msgspec.Struct, frozen=True):
    """What a file descriptor stood for when the call returned, as the kernel knew it.

    ``kind``: Falco's fd.type: file, directory, ipv4, ipv6, unix, netlink, pipe, event, eventpoll, inotify, signalfd,
    timerfd, bpf, userfaultfd, io_uring, memfd, pidfd, packet, other. ``path``: of files resolved by the kernel, of
    unix sockets what they are bound or connected to. Addresses are "" where there are none."""

    number: int
    kind: str
    path: str = ""
    inode: int = 0
    device: int = 0
    protocol: str = ""  # tcp, udp, icmp, raw; "" for what is no internet socket
    local_address: str = ""
    local_port: int = 0
    remote_address: str = ""
    remote_port: int = 0
    connected: bool = False
    server: bool = False  # the local end is the server's: it was accepted, or it listens
    upper_layer: bool = False
    lower_layer: bool = False


class Syscall(Event, frozen=True, tag="syscall", kw_only=True):
    """A system call that returned. Told only for those that rules ask for.

    ``result``: as returned, so a negative errno for failure. ``arguments``: by the names in
    ``rules.sources.parameters``, numbers as the kernel takes them (raw flags), text from user memory. ``resolved``: of
    the arguments that are paths, the absolute path as the process sees it: a directory the kernel resolved, and the
    caller's text. ``descriptor``: the file the call is about (opened, sent to, duplicated, …). ``buffer``: the first
    bytes sent or received. ``ancestors``: nearest first, with execve and execveat only."""

    name: str
    result: int
    arguments: dict[str, int | str] = {}
    resolved: dict[str, str] = {}
    descriptor: Descriptor | None = None
    buffer: bytes = b""
    ancestors: tuple[Ancestor, ...] = ()


class CgroupBirth(Event, frozen=True, tag="cgroup_birth", kw_only=True):
    """``path`` is relative to the hierarchy's root."""

    cgroup: int
    path: str


class CgroupDeath(Event, frozen=True, tag="cgroup_death", kw_only=True):
    cgroup: int
    path: str


class Running(Event, frozen=True, tag="running", kw_only=True):
    """A process that was there before the agent; ``task`` is it. From /proc, not from the kernel's hooks."""

    executable: str
    arguments: tuple[str, ...] = ()
    working_directory: str = ""
    tty: str = ""
    tty_number: int = 0
    environment: tuple[str, ...] = ()


class ContainerNamed(Event, frozen=True, tag="container_named", kw_only=True):
    """Which container a cgroup is. Never from the kernel: the agent writes it into recordings, which have no runtime
    to ask when they are replayed."""

    cgroup: int
    container: Container


AnyEvent = (
    Exec | Fork | Exit | Open | Unlink | Rename | Chmod | Listen | Bind | Connect
    | Capability | Syscall | CgroupBirth | CgroupDeath | Running | ContainerNamed
)  # fmt: skip
