"""Random events of the syscall source, and others of the same behaviour that differ in everything else.

What stays the same is written down here once more, by hand, as the kernel's key has it: not taken from the fields'
declarations, which are tested with it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgspec

from rules.sources.activity import Activity, Domains
from tests.rules.activities import BEGAN, SHOP, Known, Names, Table, activity, task
from watchkeeper.events import Descriptor, Exec, Syscall, Task
from watchkeeper.findings import Container

PATHS = ("/etc/shadow", "/tmp/x", "/usr/lib/libc.so.6", "/root/.ssh/id", "/proc/self/status")
TYPED = ("/etc/shadow", "../etc/shadow", "x", "/tmp/../tmp/x", "./y")
ADDRESSES = ("10.0.0.1", "93.184.216.34", "127.0.0.1", "2001:db8::1", "::ffff:10.0.0.9")
PORTS = (22, 53, 80, 443, 40_000, 0)
NAMES = ("bash", "nginx", "cat", "sshd", "runc")
ENDED = (0, 3, 100, -115, -2, -13, -1)
OPEN_FLAGS = (0, 1, 2, 0o101, 0o1101, 0o20000002, 0o2000000)
OPENINGS = ("open", "openat", "openat2", "creat")
SENDING = ("sendto", "sendmsg", "recvfrom", "recvmsg")
MAKING = (*OPENINGS, "socket", "accept", "accept4", "dup", "dup2", "bpf", "memfd_create")
DOMAINS = {"db.example": frozenset({"10.0.0.1"}), "api.example": frozenset({"93.184.216.34", "2001:db8::1"})}

# What a call is given besides texts and flags: those that belong to the behaviour, and those that do not.
CONSTANTS: dict[str, tuple[str, ...]] = {
    "socket": ("domain", "type", "proto"), "ptrace": ("request",), "bpf": ("cmd",), "kill": ("sig",),
    "mkdir": ("mode",), "fchmodat": ("mode",), "setuid": ("uid",), "setresuid": ("ruid", "euid", "suid"),
    "fchown": ("uid", "gid"), "setns": ("nstype",), "unshare": ("flags",), "mount": ("flags",), "accept4": ("flags",),
    "memfd_create": ("flags",), "openat2": ("flags", "resolve", "mode"), "openat": ("flags", "mode"),
    "open": ("flags", "mode"), "creat": ("mode",),
}  # fmt: skip
ACCIDENTS: dict[str, tuple[str, ...]] = {
    "ptrace": ("pid", "addr", "data"), "kill": ("pid",), "listen": ("backlog",), "sendto": ("size",),
    "openat": ("dirfd",), "openat2": ("dirfd",), "accept": ("queuelen", "queuepct"),
    "fchmodat": ("dirfd",), "dup2": ("oldfd", "newfd"), "linkat": ("olddir", "newdir"),
    "renameat": ("olddirfd", "newdirfd"), "symlinkat": ("linkdirfd",), "init_module": ("length",),
    "io_uring_setup": ("entries",),
}  # fmt: skip
TEXTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OPENINGS, ("name",)), "mkdir": ("path",), "fchmodat": ("filename",), "unlink": ("path",),
    "rename": ("oldpath", "newpath"), "symlink": ("target", "linkpath"), "mount": ("dev", "dir", "type"),
    "linkat": ("oldpath", "newpath"), "renameat": ("oldpath", "newpath"), "symlinkat": ("target", "linkpath"),
    "memfd_create": ("name",), "execve": ("filename",), "init_module": ("uargs",),
}  # fmt: skip
EXECUTIONS = ("execve", "execveat")
WITH_FILE = (*OPENINGS, "fchown", "dup", "dup2", "setns")
WITH_SOCKET = ("connect", "bind", "listen", "accept", "accept4", "socket", *SENDING, "dup", "dup2")
CALLS = tuple(sorted({*CONSTANTS, *ACCIDENTS, *TEXTS, *WITH_FILE, *WITH_SOCKET}))


def some_activity(chance: Random) -> Activity:
    container = chance.choice((None, SHOP))
    line = [_process(chance, 100 - number) for number in range(1, chance.randint(1, 4))]
    if line and chance.random() < 0.7:
        line[-1] = replace(line[-1], parent_pid=0)
    known = _process(chance, 100)
    who = task(
        known,
        effective_uid=chance.choice((0, 33)),
        effective_gid=chance.choice((0, 33)),
        comm=known.name,
        cap_effective=chance.choice((0, 1 << 21, (1 << 41) - 1)),
        cap_permitted=chance.choice((0, 1 << 21)),
    )
    event = _execution(chance, who, known) if chance.random() < 0.1 else _call(chance, who)
    if chance.random() < 0.05:
        known = None
    domains = {name: addresses for name, addresses in DOMAINS.items() if chance.random() < 0.5}
    return _around(chance, event, known, line, container, Table(domains))


def of_same_behaviour(first: Activity, chance: Random) -> Activity:
    """Another event with the same key: whatever may differ does, more often than not."""
    line: list[Known] = []
    while (ancestor := first.ancestor(len(line) + 1)) is not None:
        assert isinstance(ancestor, Known)
        line.append(_other_process(ancestor, chance))
    if first.event.name not in EXECUTIONS:
        line = [_renamed(ancestor, chance) for ancestor in line]
    known = first.process
    assert known is None or isinstance(known, Known)
    if (line[-1] if line else known or _process(chance, 1)).parent_pid:
        line += [_process(chance, 7) for _ in range(chance.randint(0, 2))]
    other = _other_process(known, chance) if known is not None else None
    event = first.event
    who = _other_task(event, chance)
    at = event.at + chance.uniform(0, 10_000)
    if isinstance(event, Exec):
        return _around(
            chance, msgspec.structs.replace(event, at=at, task=who), other, line, first.container, first.domains
        )
    return _around(chance, _repeated(event, at, who, chance), other, line, first.container, first.domains)


def reworded(first: Activity, chance: Random) -> Activity:
    """The same, but the caller called the file that it opened differently."""
    event = first.event
    if not isinstance(event, Syscall) or event.name not in OPENINGS or event.result < 0:
        return first
    words = chance.choice((*PATHS, "../x", "x"))
    arguments = event.arguments | {"name": words}
    return replace(first, event=msgspec.structs.replace(event, arguments=arguments, resolved={"name": words}))


def _around(
    chance: Random,
    event: Exec | Syscall,
    known: Known | None,
    line: Sequence[Known],
    container: Container | None,
    domains: Domains,
) -> Activity:
    leader = chance.choice((None, _process(chance, 5)))
    made = activity(event, known, parents=line, container=container, leader=leader, number=chance.randint(1, 1000))
    return replace(made, accounts=Names(), domains=domains)


def _process(chance: Random, pid: int) -> Known:
    name = chance.choice(NAMES)
    return Known(
        pid=pid,
        parent_pid=pid - 1,
        name=name,
        executable=f"/usr/bin/{name}",
        arguments=(name, chance.choice(PATHS)),
        working_directory=chance.choice(("/", "/tmp")),
        environment=(f"HOME={chance.choice(PATHS)}",),
        tty_number=chance.choice((0, 34816)),
        session=chance.choice((1, pid)),
        group=chance.choice((pid, 50)),
        started_at=BEGAN + chance.randint(0, 10**12),
        inode=chance.choice((7, 8)),
        changed_at=BEGAN + chance.choice((0, 10**12)),
        upper_layer=chance.random() < 0.5,
        capabilities=chance.choice((None, (0, 0, 0), (1 << 21, 1 << 21, 0))),
    )


def _other_process(known: Known, chance: Random) -> Known:
    pid = chance.randint(2, 9_999)
    return replace(
        known,
        pid=pid,
        parent_pid=chance.randint(1, 9_999) if known.parent_pid else 0,
        session=chance.choice((known.session, pid)),
        group=chance.choice((known.group, pid)),
        virtual_pid=chance.choice((1, pid)),
        virtual_group=chance.choice((1, pid)),
        virtual_session=chance.choice((1, pid)),
        started_at=BEGAN + chance.randint(0, 10**12),
    )


def _renamed(known: Known, chance: Random) -> Known:
    return replace(known, name=chance.choice((known.name, *NAMES)))


def _other_task(event: Exec | Syscall, chance: Random) -> Task:
    pid = chance.randint(2, 9_999)
    changes: dict[str, Any] = {
        "pid": pid,
        "start": chance.randint(1, 999),
        "parent_pid": chance.randint(1, 9_999),
        "thread": chance.choice((pid, pid + 1)),
        "virtual_pid": chance.choice((1, pid)),
        "virtual_thread": chance.choice((1, pid)),
        "group": chance.choice((1, pid)),
        "virtual_group": chance.choice((1, pid)),
        "session": chance.choice((1, pid)),
        "virtual_session": chance.choice((1, pid)),
    }
    if isinstance(event, Syscall):
        changes["cap_effective"] = chance.choice((0, 1 << 21, (1 << 41) - 1))
        changes["cap_permitted"] = chance.choice((0, 1 << 21))
        changes["cap_inheritable"] = chance.choice((0, 1 << 21))
    if event.name in EXECUTIONS:
        changes["virtual_pid"] = 1 if event.task.virtual_pid == 1 else pid
    return msgspec.structs.replace(event.task, **changes)


def _execution(chance: Random, who: Task, known: Known) -> Exec:
    return Exec(
        at=1_700_000_000.5,
        task=who,
        executable=known.executable,
        arguments=known.arguments,
        working_directory=known.working_directory,
        inode=known.inode,
        environment=known.environment,
        tty_number=known.tty_number,
        changed_at=known.changed_at,
        name=chance.choice(("execve", "execveat")),
    )


def _call(chance: Random, who: Task) -> Syscall:
    name = chance.choice(CALLS)
    result = -2 if name == "execve" else chance.choice(ENDED)
    arguments: dict[str, int | str] = {each: chance.choice((0, 1, 3, 33, 0o4755)) for each in CONSTANTS.get(name, ())}
    if name in OPENINGS and name != "creat":
        arguments["flags"] = chance.choice(OPEN_FLAGS)
    arguments |= {each: chance.choice((0, 3, 0o755)) for each in ACCIDENTS.get(name, ())}
    arguments |= {each: chance.choice(TYPED) for each in TEXTS.get(name, ())}
    if name in OPENINGS and result >= 0 and chance.random() < 0.3:
        arguments["created"] = 1
    found = _descriptor(chance, name, result)
    if name in ("bind", "connect"):
        arguments["addr"] = _given(name, found, chance)
    return Syscall(
        at=1_700_000_000.5,
        task=who,
        name=name,
        result=result,
        arguments=arguments | _numbers(name, result, found),
        resolved={each: chance.choice(PATHS) for each in TEXTS.get(name, ()) if each not in ("target", "dev", "type")},
        descriptor=found,
        buffer=chance.choice((b"", b"GET /")) if name in SENDING else b"",
    )


def _given(name: str, found: Descriptor | None, chance: Random) -> str:
    """The address that bind or connect was given; a port of 0 leaves the choice to the kernel."""
    if found is None or found.kind == "unix":
        return "/run/x.sock"
    end = (found.local_address, found.local_port) if name == "bind" else (found.remote_address, found.remote_port)
    return f"{end[0]}:{chance.choice((0, end[1])) if name == 'bind' else end[1]}"


def _numbers(name: str, result: int, found: Descriptor | None) -> dict[str, int | str]:
    """Of descriptors. A call that makes one returns it."""
    if name in MAKING:
        return {"res" if name.startswith("dup") else "fd": result}
    return {"fd": found.number} if found is not None else {}


def _descriptor(chance: Random, name: str, result: int) -> Descriptor | None:
    number = result if name in MAKING else chance.choice((0, 1, 4))
    if number < 0:
        return None
    if name in WITH_SOCKET and (name not in WITH_FILE or chance.random() < 0.5):
        return _socket(chance, name, number)
    if name in WITH_FILE:
        kind = chance.choice(("file", "file", "directory"))
        layer = chance.random() < 0.5
        return Descriptor(number, kind, chance.choice(PATHS), inode=11, device=0x801, upper_layer=layer)
    return None


def _socket(chance: Random, name: str, number: int) -> Descriptor:
    if chance.random() < 0.15:
        return Descriptor(number, "unix", "/run/x.sock", inode=12, device=9, connected=True)
    protocol = chance.choice(("tcp", "udp"))
    if name == "socket":
        return Descriptor(number, "ipv4", inode=12, device=9, protocol=protocol)
    local = chance.choice((*ADDRESSES, "0.0.0.0"))
    has_peer = name in ("connect", "accept", "accept4") or chance.random() < 0.6
    made = Descriptor(
        number,
        "ipv6" if ":" in local and "." not in local else "ipv4",
        inode=12,
        device=9,
        protocol=protocol,
        local_address=local,
        local_port=chance.choice(PORTS),
        remote_address=chance.choice(ADDRESSES) if has_peer else "",
        remote_port=chance.choice(PORTS[:-1]) if has_peer else 0,
        connected=has_peer and chance.random() < 0.7,
        server=name in ("accept", "accept4", "listen") or chance.random() < 0.2,
    )
    return _with_port(made, made.local_port)


def _repeated(event: Syscall, at: float, who: Task, chance: Random) -> Syscall:
    result = event.result
    if event.result >= 0:
        result = chance.choice((event.result, 0, 1, 7, 100))
    elif event.result != -115:
        result = chance.choice((event.result, -1, -2, -13))
    found = _other_descriptor(event, result, chance) if event.descriptor is not None else None
    changed = {each: chance.choice((0, 3, 5, 0o755)) for each in ACCIDENTS.get(event.name, ())}
    return msgspec.structs.replace(
        event,
        at=at,
        task=who,
        result=result,
        arguments=event.arguments | changed | _numbers(event.name, result, found),
        descriptor=found,
        buffer=chance.choice((b"", b"GET /", b"\xca\xfe")) if event.name in SENDING else b"",
    )


def _other_descriptor(event: Syscall, result: int, chance: Random) -> Descriptor:
    found = event.descriptor
    assert found is not None
    number = result if event.name in MAKING else chance.choice((0, 1, 4, 9))
    other = msgspec.structs.replace(found, number=number)
    if found.kind in ("file", "directory"):
        return msgspec.structs.replace(other, inode=chance.choice((11, 99)) if event.arguments.get("created") else 11)
    other = msgspec.structs.replace(other, inode=chance.randint(1, 999), connected=chance.random() < 0.5)
    if found.kind == "unix" or event.name == "socket":
        return other
    return _with_other_port(other, event, chance)


def _with_other_port(found: Descriptor, event: Syscall, chance: Random) -> Descriptor:
    """Only the server's port is the behaviour's."""
    port = chance.choice(PORTS)
    if found.server:
        return msgspec.structs.replace(found, remote_port=port) if found.remote_address else found
    if not found.remote_address:
        given = str(event.arguments.get("addr", ":0"))
        is_chosen = event.name == "bind" and event.result >= 0 and not given.endswith(":0")
        return found if is_chosen else _with_port(found, port)
    if event.result >= 0:
        return msgspec.structs.replace(found, local_port=port or 1) if found.local_address else found
    return _with_port(found, port)


def _with_port(found: Descriptor, port: int) -> Descriptor:
    """A socket bound to no address has one only while it has a port."""
    address = found.local_address
    if address in ("", "0.0.0.0") and not found.server:
        address = "0.0.0.0" if port else ""
    return msgspec.structs.replace(found, local_port=port, local_address=address)


def literals_for(value: Any) -> list[str]:
    """Texts that a value of a field compares with as equal, or nearly."""
    match value:
        case bool():
            return [str(value).lower()]
        case int():
            return [str(value), str(value + 1)]
        case bytes():
            return [value.decode("latin-1")]
        case ipaddress.IPv4Address() | ipaddress.IPv6Address():
            return [str(value)]
        case tuple():
            return [text for each in value for text in literals_for(each)]
        case str():
            return [value, value[:4], value[4:], value[-3:]]
    return []


def pairs(count: int, seed: int) -> list[tuple[Activity, Activity]]:
    """Each two of one behaviour."""
    chance = Random(seed)
    found = []
    for _ in range(count):
        first = some_activity(chance)
        found.append((first, of_same_behaviour(first, chance)))
    return found
