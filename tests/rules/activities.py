"""Hand-made events of the syscall source: a web shop's container and an ordinary host, unless told otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.sources.activity import Activity
from watchkeeper.events import Descriptor, Exec, Syscall, Task
from watchkeeper.findings import Container

AT = 1_700_000_000.5
BEGAN = 1_700_000_000_000_000_000 - 3_600_000_000_000  # an hour before
ID = "0123456789abcdef" * 4
SHOP = Container(
    id=ID,
    name="web",
    runtime="containerd",
    image="registry.example:5000/shop/web:1.2@sha256:" + "cd" * 32,
    image_digest="sha256:" + "cd" * 32,
    pod_name="shop-6d4cf56db6-bcdfg",
    pod_namespace="demo",
    pod_uid="0a1b2c3d-1111-2222-3333-444455556666",
    labels=(("app", "shop"), ("tier", "")),
    started_at=AT - 600,
    workload="Deployment/shop",
    privileged=False,
)
ALL_CAPABILITIES = (1 << 41) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A process as the agent's table has it."""

    pid: int = 100
    parent_pid: int = 99
    name: str = "bash"
    executable: str = "/usr/bin/bash"
    arguments: tuple[str, ...] = ("bash",)
    working_directory: str = "/"
    environment: tuple[str, ...] = ()
    tty_number: int = 0
    uid: int = 0
    login_uid: int = -1
    session: int = 1
    group: int = 100
    virtual_pid: int = 100
    virtual_group: int = 100
    virtual_session: int = 1
    started_at: int = BEGAN
    inode: int = 7
    changed_at: int = 0
    modified_at: int = 0
    upper_layer: bool = False
    lower_layer: bool = False
    writable: bool = False
    memfd: bool = False
    capabilities: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """Accounts by tables."""

    users: dict[int, str] = field(default_factory=lambda: {0: "root", 33: "www-data", 1000: "alice"})
    groups: dict[int, str] = field(default_factory=lambda: {0: "root", 33: "www-data"})

    def user(self, uid: int) -> str:
        return self.users.get(uid, "")

    def home(self, uid: int) -> str:
        return f"/home/{self.users[uid]}" if uid in self.users else ""

    def shell(self, uid: int) -> str:
        return "/bin/sh" if uid in self.users else ""

    def group(self, gid: int) -> str:
        return self.groups.get(gid, "")


@dataclass(frozen=True, slots=True)
class Table:
    """Domains by a table."""

    names: dict[str, frozenset[str]] = field(default_factory=dict)

    def addresses(self, name: str) -> frozenset[str]:
        return self.names.get(name, frozenset())

    def name_of(self, address: str) -> str:
        return next((name for name, addresses in self.names.items() if address in addresses), "")


def process(command: str, **changes: Any) -> Known:
    """Runs the command, whose first word may be a path; ``changes``: of Known's fields."""
    arguments = tuple(shlex.split(command))
    name = arguments[0].rsplit("/", 1)[-1][:15]
    executable = arguments[0] if "/" in arguments[0] else f"/usr/bin/{arguments[0]}"
    return Known(**{"name": name, "executable": executable, "arguments": arguments, **changes})


def task(known: Known, **changes: Any) -> Task:
    told: dict[str, Any] = {
        "pid": known.pid,
        "start": 1,
        "parent_pid": known.parent_pid,
        "parent_start": 1,
        "uid": known.uid,
        "gid": 0,
        "login_uid": known.login_uid,
        "cgroup": 5,
        "comm": known.name,
        "thread": known.pid,
        "cap_effective": ALL_CAPABILITIES,
        "cap_permitted": ALL_CAPABILITIES,
        "virtual_pid": known.virtual_pid,
        "virtual_thread": known.virtual_pid,
        "group": known.group,
        "virtual_group": known.virtual_group,
        "session": known.session,
        "virtual_session": known.virtual_session,
    }
    return Task(**{**told, **changes})


def activity(
    event: Exec | Syscall,
    known: Known | None,
    *,
    parents: Sequence[Known | str] = ("systemd",),
    container: Container | None = None,
    leader: Known | None = None,
    users: dict[int, str] | None = None,
    domains: dict[str, frozenset[str]] | None = None,
    number: int = 1,
) -> Activity:
    """``parents``: the nearest first; text is a command."""
    line = [parent if isinstance(parent, Known) else process(parent) for parent in parents]

    def ancestor(number: int) -> Known | None:
        return line[number - 1] if 0 < number <= len(line) else None

    return Activity(
        event=event,
        number=number,
        process=known,
        ancestor=ancestor,
        leader=lambda: leader,
        container=container,
        accounts=Names(users) if users is not None else Names(),
        domains=Table(domains or {}),
        node="node-1",
    )


def executed(
    command: str, *, of: dict[str, Any] | None = None, as_task: dict[str, Any] | None = None, **around: Any
) -> Activity:
    """The command was executed. ``of``: changes of the process; ``as_task``: of the task; ``around``: see activity."""
    known = process(command, **(of or {}))
    event = Exec(
        at=AT,
        task=task(known, **(as_task or {})),
        executable=known.executable,
        arguments=known.arguments,
        working_directory=known.working_directory,
        inode=known.inode,
        upper_layer=known.upper_layer,
        lower_layer=known.lower_layer,
        memfd=known.memfd,
        writable=known.writable,
        environment=known.environment,
        tty_number=known.tty_number,
        changed_at=known.changed_at,
        modified_at=known.modified_at,
    )
    return activity(event, known, **around)


def called(
    name: str,
    by: str = "python3 app.py",
    *,
    result: int = 0,
    arguments: dict[str, int | str] | None = None,
    resolved: dict[str, str] | None = None,
    descriptor: Descriptor | None = None,
    buffer: bytes = b"",
    of: dict[str, Any] | None = None,
    as_task: dict[str, Any] | None = None,
    **around: Any,
) -> Activity:
    """A system call of the command ``by``; the rest as for executed."""
    known = process(by, **(of or {}))
    event = Syscall(
        at=AT,
        task=task(known, **(as_task or {})),
        name=name,
        result=result,
        arguments=arguments or {},
        resolved=resolved or {},
        descriptor=descriptor,
        buffer=buffer,
    )
    return activity(event, known, **around)


def opened(
    path: str, flags: int = 0, by: str = "python3 app.py", *, raw: str = "", mode: int = 0, result: int = 5, **rest: Any
) -> Activity:
    """openat(2) of a file; ``raw``: the path as the caller gave it. A negative result has no descriptor."""
    kind = rest.pop("kind", "file")
    descriptor = Descriptor(result, kind, path, inode=11, device=0x801) if result >= 0 else None
    return called(
        "openat",
        by,
        result=result,
        arguments={"dirfd": -100, "name": raw or path, "flags": flags, "mode": mode, "dev": 0x801, "ino": 11},
        resolved={"name": path},
        descriptor=descriptor,
        **rest,
    )


def connection(
    remote: str, port: int, *, local: str = "10.1.0.5", from_port: int = 40_000, protocol: str = "tcp", **changes: Any
) -> Descriptor:
    """The client's end of one."""
    told: dict[str, Any] = {
        "number": 4,
        "kind": "ipv6" if ":" in remote else "ipv4",
        "protocol": protocol,
        "local_address": local,
        "local_port": from_port,
        "remote_address": remote,
        "remote_port": port,
        "connected": protocol == "tcp",
    }
    return Descriptor(**{**told, **changes})


def connected(remote: str, port: int, by: str = "python3 app.py", *, protocol: str = "tcp", **rest: Any) -> Activity:
    """connect(2)."""
    descriptor = connection(remote, port, protocol=protocol)
    return called("connect", by, arguments={"fd": 4}, descriptor=descriptor, **rest)


def listening(port: int, by: str = "python3 app.py", *, address: str = "10.1.0.5", **rest: Any) -> Activity:
    descriptor = Descriptor(3, "ipv4", protocol="tcp", local_address=address, local_port=port, server=True)
    return called("listen", by, arguments={"fd": 3, "backlog": 128}, descriptor=descriptor, **rest)
