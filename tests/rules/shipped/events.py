"""Events of the syscall source made of short descriptions, as they stand in the YAML files beside this module.

A description says what happened, who did it and where; what it leaves out is ordinary::

    call: openat                  the event type; execve without
    file: /etc/passwd             what the descriptor stands for (kind: directory); opens take their name from it
    args: {flags: O_WRONLY}       parameters by their names; flags and modes as text
    result: 3
    to: 203.0.113.7:443           the other end of a socket it connects or sends to; from: and at: PORT, one it accepts
    protocol: udp
    buffer: text                  what is sent
    by: vim /etc/passwd           its command line; also name, exe, env, tty, user, login, age (seconds), upper, vpid
    parents: [bash, sshd]         command lines, the parent first
    in: docker.io/library/nginx   the container's image, or a mapping of Container's fields; the host without
    names: {a.example: 192.0.2.1} what domain names stand for
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.sources.activity import Activity
from watchkeeper.events import Descriptor, Exec, Syscall, Task
from watchkeeper.findings import Container, Mount

NOW = 1_700_000_000
USERS = {0: "root", 33: "www-data", 1000: "ada", 65534: "nobody"}
PID = 4200
OPENS = ("open", "openat", "openat2", "creat")
MAKES_DESCRIPTOR = (*OPENS, "socket", "accept", "accept4")
TERMINAL = 34816
CONSTANTS = {"flags": os, "domain": socket}


@dataclass(frozen=True)
class Program:
    """A process; what every process has in common is set once."""

    pid: int
    name: str
    executable: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...] = ()
    tty_number: int = 0
    uid: int = 0
    login_uid: int = -1
    started_at: int = (NOW - 1) * 1_000_000_000
    upper_layer: bool = False
    virtual_pid: int = PID
    parent_pid: int = 1
    working_directory: str = "/"
    session: int = 1
    group: int = 1
    virtual_group: int = 1
    virtual_session: int = 1
    inode: int = 7
    changed_at: int = 0
    modified_at: int = 0
    lower_layer: bool = False
    writable: bool = False
    memfd: bool = False


class Users:
    def user(self, uid: int) -> str:
        return USERS.get(uid, "")

    def home(self, uid: int) -> str:
        return f"/home/{self.user(uid)}" if uid else "/root"

    def shell(self, uid: int) -> str:
        return "/bin/bash"

    def group(self, gid: int) -> str:
        return USERS.get(gid, "")


@dataclass(frozen=True)
class Names:
    known: Mapping[str, str]

    def addresses(self, name: str) -> frozenset[str]:
        return frozenset({self.known[name]} if name in self.known else ())

    def name_of(self, address: str) -> str:
        return next((name for name, known in self.known.items() if known == address), "")


def activity(case: Mapping[str, Any]) -> Activity:
    """The event of a description with all around it."""
    process = _process(case)
    parents = [_program(line, PID - 1 - place) for place, line in enumerate(case.get("parents", ["bash"]))]
    return Activity(
        event=_event(case, process),
        number=1,
        process=process,
        ancestor=lambda number: parents[number - 1] if number <= len(parents) else None,
        leader=lambda: None,
        container=_container(case.get("in")),
        accounts=Users(),
        domains=Names(case.get("names", {})),
        node="node-1",
    )


def _program(line: str, pid: int, **more: Any) -> Program:
    arguments = tuple(shlex.split(line))
    name = arguments[0].rpartition("/")[2][:15]
    return Program(pid=pid, **{"name": name, "executable": f"/usr/bin/{name}", "arguments": arguments, **more})


def _process(case: Mapping[str, Any]) -> Program:
    more = {
        "environment": tuple(case.get("env", ())),
        "tty_number": TERMINAL if case.get("tty") else 0,
        "uid": case.get("user", 0),
        "login_uid": case.get("login", -1),
        "upper_layer": case.get("upper", False),
        "virtual_pid": case.get("vpid", 17 if "in" in case else PID),
        "started_at": (NOW - case.get("age", 1)) * 1_000_000_000,
    }
    named = {key: case[short] for key, short in (("name", "name"), ("executable", "exe")) if short in case}
    return _program(case["by"], PID, **more, **named)


def _event(case: Mapping[str, Any], process: Program) -> Exec | Syscall:
    call = case.get("call", "execve")
    task = _task(process)
    if call in ("execve", "execveat"):
        return Exec(
            at=NOW,
            task=task,
            executable=process.executable,
            arguments=process.arguments,
            upper_layer=process.upper_layer,
            name=call,
            environment=process.environment,
            tty_number=process.tty_number,
        )
    result = case.get("result", 3 if call in MAKES_DESCRIPTOR else 0)
    buffer = case.get("buffer", "").encode("latin-1")
    arguments = _arguments(call, case)
    descriptor = _descriptor(case, result)
    return Syscall(
        at=NOW, task=task, name=call, result=result, arguments=arguments, descriptor=descriptor, buffer=buffer
    )


def _task(process: Program) -> Task:
    return Task(
        pid=process.pid,
        start=1,
        parent_pid=PID - 1,
        parent_start=1,
        uid=process.uid,
        gid=process.uid,
        login_uid=process.login_uid,
        cgroup=1,
        comm=process.name,
        virtual_pid=process.virtual_pid,
    )


def _arguments(call: str, case: Mapping[str, Any]) -> dict[str, int | str]:
    given = {"name": case["file"], "mode": "0644"} if call in OPENS and "file" in case else {}
    return {name: _number(name, value) for name, value in {**given, **case.get("args", {})}.items()}


def _number(name: str, value: int | str) -> int | str:
    """Flags, domains and modes as the kernel takes them."""
    if name == "mode":
        return int(str(value), 8)
    if name not in CONSTANTS or isinstance(value, int):
        return value
    number = 0
    for constant in value.split("|"):
        number |= getattr(CONSTANTS[name], constant)
    return number


def _descriptor(case: Mapping[str, Any], result: int) -> Descriptor | None:
    if "file" in case:
        return Descriptor(number=max(result, 3), kind=case.get("kind", "file"), path=case["file"])
    if "to" not in case and "from" not in case:
        return None
    address, _, port = case.get("to", case.get("from")).rpartition(":")
    return Descriptor(
        number=3,
        kind="ipv6" if ":" in address else "ipv4",
        protocol=case.get("protocol", "tcp"),
        local_address="10.1.2.3",
        local_port=case.get("at", 40000),
        remote_address=address.strip("[]"),
        remote_port=int(port),
        connected=True,
        server="from" in case,
    )


def _container(given: str | Mapping[str, Any] | None) -> Container | None:
    if given is None:
        return None
    told = {"image": given} if isinstance(given, str) else dict(given)
    mounts = tuple(Mount(source, destination) for source, destination in told.pop("mounts", {}).items())
    plain: dict[str, Any] = {"pod_name": "web-1", "pod_namespace": "shop", "name": "web", **told}
    return Container(id="0123456789abcdef", runtime="containerd", mounts=mounts, **plain)
