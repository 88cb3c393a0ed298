"""The syscall source as a whole: which fields and event types there are, and that none of them can fail."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from rules.fields import Argument, FieldInfo, Quantifier, Type
from rules.ruleset import load
from rules.sources.activity import Activity
from rules.sources.parameters import OTHER_PARAMETERS, PARAMETERS
from rules.sources.syscall import SOURCE
from tests.rules.activities import (
    SHOP,
    activity,
    called,
    connected,
    connection,
    executed,
    listening,
    opened,
    process,
    task,
)
from watchkeeper.events import Descriptor, Exec, Syscall
from watchkeeper.findings import Container

KINDS: dict[Type, tuple[type, ...]] = {
    Type.STRING: (str,),
    Type.PATH: (str,),
    Type.INTEGER: (int,),
    Type.BOOLEAN: (bool,),
    Type.PORT: (int,),
    Type.ADDRESS: (ipaddress.IPv4Address, ipaddress.IPv6Address),
    Type.NETWORK: (ipaddress.IPv4Address, ipaddress.IPv6Address),
    Type.BYTES: (bytes,),
    Type.TIME: (int,),
    Type.DURATION: (int,),
}
ODD_TASK = task(process("x"), uid=-1, gid=-1, login_uid=0xFFFFFFFF, thread=0, virtual_pid=0, comm="")
ODD = [
    executed("ls -l", container=SHOP),
    executed("x", of={"arguments": (), "executable": "", "name": ""}, parents=()),
    activity(Exec(at=0.0, task=ODD_TASK, executable=""), None, parents=()),
    activity(Syscall(at=0.0, task=ODD_TASK, name="openat", result=-2), None, parents=()),
    activity(Syscall(at=0.0, task=ODD_TASK, name="openat", result=3, arguments={"name": 7, "flags": "x"}), None),
    called("nobody_knows", result=-99_999, descriptor=Descriptor(-1, "", local_address="nonsense", device=-1)),
    called("connect", descriptor=Descriptor(3, "ipv6", local_address="::1", remote_address="bad", server=True)),
    called("bpf", arguments={"cmd": -5}),
    called("ptrace", arguments={"request": 1 << 40, "pid": -1}),
    called("socket", arguments={"domain": 99}),
    called("sendto", result=-11, buffer=b""),
    called("kill", arguments={"pid": 1, "sig": 999}),
    called("setuid", arguments={"uid": 0xFFFFFFFF}),
    called("execve", result=-2, arguments={"filename": "x"}),
    opened("/x", 0o4010103, mode=0o7777, container=Container(id="")),
    opened("", kind="directory"),
    connected("::ffff:10.0.0.1", 80, container=replace(SHOP, image="sha256:" + "ab" * 32, labels=())),
    listening(0, address=""),
    called("accept", result=-11),
]


def _arguments(info: FieldInfo) -> list[str | None]:
    match info.argument:
        case Argument.NONE:
            return [None]
        case Argument.INDEX:
            return ["0", "7", "999"]
        case Argument.KEY:
            return ["0", "x", "/*"]
        case Argument.OPTIONAL_INDEX:
            return [None, "0", "3"]
        case _:
            return [None, "HOME", "2"]


@pytest.mark.parametrize("name", sorted(SOURCE.fields))
def test_field_of_odd_events(name: str) -> None:
    """Whatever the event, an extractor gives a value of the field's type or none, and never raises."""
    info = SOURCE.fields[name]
    assert info.description
    for argument in _arguments(info):
        extract = info.extractor(argument)
        for event in ODD:
            value = extract(event)
            several = info.quantifier is not Quantifier.ONE and argument is None
            values = value if several and value is not None else () if value is None else (value,)
            assert values or value is None
            assert all(type(one) in KINDS[info.type] or isinstance(one, str) for one in values), (name, value)


def test_names_of_the_users_own() -> None:
    """Labels may follow a dot as well as stand in brackets."""
    event = executed("x", container=SHOP)
    values = {
        name: SOURCE.fields[name].extractor(None)(event)
        for name in ("container.label.app", "k8s.pod.label.app", "k8s.pod.label.other", "evt.type.is.execve")
    }
    assert values == {
        "container.label.app": "shop",
        "k8s.pod.label.app": "shop",
        "k8s.pod.label.other": None,
        "evt.type.is.execve": 1,
    }
    assert "container.label." not in SOURCE.fields
    assert SOURCE.fields["k8s.pod.label.app"].argument is Argument.NONE


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("evt.type = nonsense", "nonsense"),
        ("evt.arg.nonsense = 1", "evt.arg.nonsense"),
        ("proc.nonsense = 1", "proc.nonsense"),
        ("proc.aname[x] = 1", "'x' is not a number"),
        ("evt.arg = 1", "requires an argument"),
        ("proc.name[1] = 1", "does not take an argument"),
        ("container.mount.dest = /", "requires an argument"),
        ("evt.around[x] = 1", "'x' is not a time"),
        ("fd.sport contains 80", "contains"),
        ("fd.name = val(fd.ip)", "does not support"),
    ],
)
def test_what_no_event_can_have_is_a_load_error(condition: str, reason: str) -> None:
    """A misspelt event type, field or argument is told when the rule is loaded."""
    rule = f'- {{rule: r, desc: d, output: o, priority: INFO, condition: "evt.type = open and {condition}"}}'
    [problem] = load([("rules.yaml", rule)], {SOURCE.name: SOURCE}).problems
    assert reason in problem.message


def test_parameters_have_one_meaning_each() -> None:
    """No event has two parameters of one name, and what is told somewhere is not among what is never told."""
    for found in PARAMETERS.values():
        names = [name for name, _ in found]
        assert len(set(names)) == len(names)
    assert {f"evt.arg.{name}" for name in OTHER_PARAMETERS} <= set(SOURCE.fields)
    assert PARAMETERS.keys() <= SOURCE.event_types


def matches(condition: str, event: Activity, **changes: Any) -> bool:
    """Whether a rule with this condition fires."""
    text = condition.replace('"', '\\"')
    rule = f'- {{rule: r, desc: d, output: o, priority: INFO, condition: "{text}"}}'
    loaded = load([("rules.yaml", rule)], {SOURCE.name: SOURCE})
    assert [str(problem) for problem in loaded.problems if "LOAD_ERR" in problem.code] == []
    return bool(loaded.for_source(SOURCE.name).matches(event))


CONNECTION = connected("10.96.0.1", 443, domains={"api.example": frozenset({"10.96.0.1"})})


@pytest.mark.parametrize(
    ("condition", "event", "expected"),
    [
        ("fd.ip = 10.96.0.1", CONNECTION, True),
        ("fd.ip != 10.96.0.1", CONNECTION, False),
        ("fd.ip != 10.96.0.9", CONNECTION, True),
        ("fd.net = 10.96.0.0/16", CONNECTION, True),
        ("fd.port = 40000", CONNECTION, True),
        ("fd.snet in (192.168.0.0/16, 10.96.0.0/16)", CONNECTION, True),
        ("fd.snet != 10.96.0.0/16", connected("2001:db8::1", 443), True),
        ("fd.sport = https", CONNECTION, True),
        ("fd.sport >= 443 and fd.sport < 444", CONNECTION, True),
        ("fd.sip.name = api.example", CONNECTION, True),
        ("fd.sip.name in (other.example, api.example)", CONNECTION, True),
        ("fd.sip.name != api.example", CONNECTION, False),
        ("fd.cip.name = api.example", CONNECTION, False),
        ("fd.sip.name exists", CONNECTION, True),
        ("fd.sip.name exists", connected("10.0.0.1", 443), False),
        ("not fd.sip.name = x", opened("/x"), True),
        ("proc.aname = sshd", executed("ls", parents=["bash", "sshd", "systemd"]), True),
        ("proc.aname = ls", executed("ls", parents=["bash", "sshd", "systemd"]), False),
        ("proc.aname != sshd", executed("ls", parents=["sshd", "systemd"]), True),
        ("proc.aname[2] = sshd", executed("ls", parents=["bash", "sshd", "systemd"]), True),
        ("proc.aname[0] = ls", executed("ls"), True),
        ("proc.aname[9] exists", executed("ls"), False),
        ("proc.apid = 42", executed("ls", parents=[process("bash", pid=42)]), True),
        ("proc.pname exists", executed("ls", parents=()), False),
        ("proc.args[1] = -n", executed("head -c -n"), True),
        ("evt.around[1700000000000000000] = 500", executed("ls"), True),
        ("evt.around[1700000000000000000] = 499", executed("ls"), False),
        ("evt.buffer bcontains cafebabe", called("read", buffer=b"x\xca\xfe\xba\xbe"), True),
        ("evt.buffer contains GET", called("recvfrom", buffer=b"GET / HTTP/1.1"), True),
        ("evt.dir = <", executed("ls"), True),
        ("evt.dir = >", executed("ls"), False),
        ("fd.types in (file)", opened("/x"), False),
    ],
)
def test_conditions(condition: str, event: Activity, expected: bool) -> None:
    """Fields that stand for several values, or bring their own comparison, are compared as with Falco."""
    assert matches(f"evt.type exists and {condition}", event) is expected


def test_time_and_type() -> None:
    """The source tells when an event happened, in nanoseconds, and what type it has."""
    event = opened("/x")
    assert (SOURCE.name, SOURCE.event_type(event), SOURCE.time(event)) == (
        "syscall",
        "openat",
        1_700_000_000_500_000_000,
    )


def test_unconnected_datagrams_change_the_name() -> None:
    """A datagram sent to an address sets the peer; one on a connected socket, or over TCP, does not."""
    changed = SOURCE.fields["fd.name_changed"].extractor(None)
    datagram = connection("10.0.0.1", 53, protocol="udp")
    stream = connection("10.0.0.1", 53)
    assert changed(called("sendto", result=3, descriptor=datagram)) is True
    assert changed(called("sendto", result=3, descriptor=replace_connected(datagram))) is False
    assert changed(called("sendto", result=3, descriptor=stream)) is False
    assert changed(called("connect", descriptor=datagram)) is False
    assert changed(executed("ls")) is None


def replace_connected(descriptor: Descriptor) -> Descriptor:
    return connection(descriptor.remote_address, descriptor.remote_port, protocol=descriptor.protocol, connected=True)
