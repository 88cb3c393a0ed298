"""What the fields of the syscall source say of themselves: whether two events of one behaviour may differ in them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rules.expression import Compare, Exists, Field, Literal
from rules.fields import Argument, FieldInfo, Type
from rules.sources.activity import Activity
from rules.sources.syscall import SOURCE
from tests.rules.activities import SHOP, Known, called, connected, connection, executed, listening, opened
from tests.rules.behaviours import literals_for, pairs
from tests.rules.interpreter import holds
from watchkeeper.events import Descriptor

PAIRS = pairs(1500, seed=1)
TEXTUAL = ("=", "!=", "contains", "startswith", "endswith", "glob", "regex", "<")
OPERATORS = {Type.STRING: TEXTUAL, Type.PATH: TEXTUAL, Type.BYTES: ("=", "contains"), Type.BOOLEAN: ("=", "!=")}
NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
CREATE = 0o101
REMEMBERED = {"capabilities": (0, 0, 0)}
FIRST = Known(pid=1, parent_pid=0, name="systemd", executable="/sbin/init")
DATAGRAM = connection("10.0.0.1", 5, protocol="udp")
UNBOUND = Descriptor(4, "ipv4", protocol="udp")
BOUND = Descriptor(4, "ipv4", protocol="tcp", local_address="10.0.0.1", local_port=80)


def _arguments(info: FieldInfo) -> tuple[str | None, ...]:
    match info.argument:
        case Argument.NONE:
            return (None,)
        case Argument.INDEX:
            return ("0", "1", "2")
        case Argument.KEY:
            return ("app", "openat", "0")
        case Argument.OPTIONAL_INDEX:
            return (None, "0", "1")
        case _:
            return (None, "HOME")


def _conditions(name: str, argument: str | None, first: Activity, second: Activity) -> list[Exists | Compare]:
    """On the field, with literals that come close to what the two events have."""
    info, field = SOURCE.fields[name], Field(name, argument)
    extract = info.extractor(argument)
    values = {text for event in (first, second) for text in literals_for(extract(event))}
    operators = ("in",) if info.is_list else OPERATORS.get(info.type, NUMERIC)
    if info.type in (Type.ADDRESS, Type.NETWORK):
        operators = ("=", "!=")
    right = [(each, Literal(text) if each != "in" else (Literal(text),)) for text in values for each in operators]
    return [Exists(field), *(Compare(field, operator, literals) for operator, literals in right)]


@pytest.mark.parametrize("name", sorted(SOURCE.fields))
def test_what_does_not_vary_does_not(name: str) -> None:
    """Whatever a field is compared with: where it says that it does not vary, two events of a behaviour compare
    alike."""
    for argument in _arguments(SOURCE.fields[name]):
        extract = SOURCE.fields[name].extractor(argument)
        differing = [(first, second) for first, second in PAIRS if extract(first) != extract(second)]
        for first, second in differing:
            for condition in _conditions(name, argument, first, second):
                if not may_vary(name, *_written(condition), first):
                    assert holds(condition, first, SOURCE) == holds(condition, second, SOURCE), (first, second)


def may_vary(name: str, operator: str, literals: Sequence[str], event: Activity) -> bool:
    found = SOURCE.fields[name].varies(operator, literals)
    if isinstance(found, bool):
        return found
    return found.differ(event) if found.of_type(event.event.name) else found.elsewhere


def _written(condition: Exists | Compare) -> tuple[str, tuple[str, ...]]:
    if not isinstance(condition, Compare):
        return "exists", ()
    right = condition.right if isinstance(condition.right, tuple) else (condition.right,)
    return condition.operator, tuple(one.text for one in right if isinstance(one, Literal))


@pytest.mark.parametrize(
    ("name", "operator", "literals", "event", "expected"),
    [
        ("fd.name", "contains", [":443"], connected("10.0.0.1", 443), True),
        ("fd.name", "contains", [":443"], opened("/x"), False),
        ("fd.name", "contains", ["docker.sock"], connected("10.0.0.1", 443), False),
        ("fd.name", "regex", ["/x|.*"], connected("10.0.0.1", 443), True),
        ("fd.name", "regex", ["/x|.*"], opened("/x"), False),
        ("fd.name", "glob", ["/*:4*"], connected("10.0.0.1", 443), True),
        ("fd.name", "pmatch", ["/*:4*"], connected("10.0.0.1", 443), True),
        ("fd.name", "startswith", ["/etc/"], connected("10.0.0.1", 443), False),
        ("fd.name", "exists", [], connected("10.0.0.1", 443), False),
        ("fd.name", "", [], connected("10.0.0.1", 443), True),
        ("fd.containername", "startswith", ["host:10.0.0.1:4"], connected("10.0.0.1", 443), True),
        ("fd.num", ">=", ["0"], opened("/x"), False),
        ("fd.num", "=", ["-1"], opened("/x", result=-2), False),
        ("fd.num", "=", ["5"], opened("/x"), True),
        ("fd.num", ">=", ["0"], called("listen", result=-9, arguments={"fd": -1}), True),
        ("fd.sip", "=", ["10.0.0.1"], connected("10.0.0.1", 443), False),
        ("fd.sport", "=", ["443"], connected("10.0.0.1", 443), False),
        ("fd.cport", "=", ["443"], connected("10.0.0.1", 443), True),
        ("fd.lport", "=", ["443"], connected("10.0.0.1", 443), True),
        ("fd.rport", "=", ["443"], connected("10.0.0.1", 443), False),
        ("fd.port", "in", ["443"], connected("10.0.0.1", 443), True),
        ("fd.port", "in", ["443"], listening(443), False),
        ("fd.port", "in", ["443"], opened("/x"), False),
        ("fd.sport", "=", ["80"], called("accept", descriptor=connection("10.0.0.9", 5, server=True)), False),
        ("fd.rport", "=", ["80"], called("accept", descriptor=connection("10.0.0.9", 5, server=True)), True),
        ("fd.sport", "=", ["80"], called("dup", descriptor=BOUND), True),
        ("fd.sport", "=", ["80"], called("bind", descriptor=BOUND, arguments={"addr": "10.0.0.1:80"}), False),
        ("fd.sport", "=", ["80"], called("bind", descriptor=BOUND, arguments={"addr": "10.0.0.1:0"}), True),
        ("fd.sip", "exists", [], called("recvfrom", descriptor=UNBOUND), True),
        ("fd.sip", "exists", [], called("socket", descriptor=UNBOUND), False),
        ("fd.sip.name", "=", ["x"], connected("10.0.0.1", 443), False),
        ("fd.sip.name", "=", ["x"], called("dup", descriptor=BOUND), True),
        ("fd.sip.name", "=", ["x"], opened("/x"), False),
        ("fd.connected", "=", ["true"], connected("10.0.0.1", 443), True),
        ("fd.connected", "=", ["true"], opened("/x"), False),
        (
            "fd.name_changed",
            "=",
            ["true"],
            called("sendto", descriptor=connection("10.0.0.1", 5, protocol="udp")),
            True,
        ),
        ("fd.name_changed", "=", ["true"], called("sendto", descriptor=connection("10.0.0.1", 5)), False),
        ("fd.ino", "=", ["1"], opened("/x"), True),
        ("fd.dev", "=", ["1"], opened("/x"), False),
        ("evt.is_open_exec", "=", ["true"], opened("/x"), False),
        ("evt.is_open_exec", "=", ["true"], opened("/x", CREATE), False),
        ("evt.arg.mode", "contains", ["S_ISUID"], called("chmod"), False),
        ("evt.arg.mode", "=", ["0644"], opened("/x", CREATE), False),
        ("evt.arg.flags", "contains", ["O_CREAT"], opened("/x"), False),
        ("evt.arg.resolve", "contains", ["RESOLVE_BENEATH"], called("openat2"), False),
        ("evt.arg.ino", "=", ["1"], opened("/x"), True),
        ("evt.arg.dev", "=", ["1"], opened("/x"), False),
        ("evt.arg.size", "=", ["3"], called("sendto"), True),
        ("evt.arg.pid", "=", ["1"], called("kill"), True),
        ("evt.arg.sig", "=", ["SIGKILL"], called("kill"), False),
        ("evt.arg.uid", "=", ["0"], called("setuid"), False),
        ("evt.arg.tuple", "contains", [":1"], connected("10.0.0.1", 443), True),
        ("evt.arg.oldpath", "in", ["/etc"], called("rename"), False),
        ("evt.arg.request", "contains", ["PTRACE_ATTACH"], called("ptrace"), False),
        ("evt.rawarg.res", ">=", ["0"], called("connect"), False),
        ("evt.rawarg.res", "=", ["3"], called("connect"), True),
        ("evt.arg.cap_effective", "=", ["0"], executed("ls"), False),
        ("evt.arg.exe_ino", "=", ["1"], executed("ls"), False),
        ("thread.cap_effective", "contains", ["CAP_BPF"], called("bpf"), True),
        ("thread.cap_effective", "contains", ["CAP_BPF"], called("unshare", of=REMEMBERED), False),
        ("thread.cap_effective", "contains", ["CAP_BPF"], called("unshare"), True),
        ("thread.cap_effective", "contains", ["CAP_BPF"], executed("ls"), False),
        ("proc.pname", "=", ["x"], executed("ls"), False),
        ("proc.pname", "=", ["x"], executed("ls", parents=()), True),
        ("proc.pname", "=", ["x"], opened("/x"), True),
        ("proc.pname", "=", ["x"], called("execve", result=-2, parents=["bash"]), False),
        ("proc.vpid", "=", ["1"], executed("ls"), False),
        ("proc.vpid", "in", ["1", "2"], executed("ls"), True),
        ("proc.vpid", ">", ["1"], executed("ls"), True),
        ("proc.vpid", "=", ["1"], opened("/x"), True),
        ("proc.pcmdline", "=", ["x"], executed("ls"), False),
        ("proc.pcmdline", "=", ["x"], opened("/x"), True),
        ("proc.pexepath", "=", ["x"], executed("ls"), False),
        ("proc.pexepath", "=", ["x"], executed("ls", parents=()), True),
        ("proc.aexepath", "=", ["x"], executed("ls", parents=["bash"]), True),
        ("proc.aexepath", "=", ["x"], executed("ls", parents=["bash", FIRST]), False),
        ("proc.aname", "=", ["x"], executed("ls", parents=["bash", FIRST]), False),
        ("proc.aname", "=", ["x"], executed("ls", parents=["bash"]), True),
        ("proc.aname", "=", ["x"], opened("/x"), True),
        ("proc.acmdline", "=", ["x"], executed("ls", parents=["bash", FIRST]), False),
        ("proc.acmdline", "=", ["x"], called("execve", result=-2, parents=["bash"]), True),
        ("proc.exe_ino", "=", ["7"], executed("ls"), False),
        ("proc.exe_ino.ctime_duration_proc_start", "<", ["7"], executed("ls"), True),
        ("proc.sname", "=", ["sshd"], executed("ls"), True),
        ("proc.vpgid.name", "=", ["sshd"], executed("ls"), True),
        ("container.start_ts", "<", ["5"], executed("ls", container=SHOP), False),
        ("container.duration", "<", ["5"], executed("ls", container=SHOP), True),
        ("proc.name", "=", ["x"], executed("ls"), False),
        ("proc.cmdline", "contains", ["x"], executed("ls"), False),
        ("proc.pid", "=", ["1"], executed("ls"), True),
        ("proc.duration", "<", ["1"], executed("ls"), True),
        ("user.name", "=", ["root"], executed("ls"), False),
        ("container.image.repository", "in", ["a"], executed("ls"), False),
        ("evt.rawres", ">=", ["0"], opened("/x"), False),
        ("evt.rawres", "<", ["0"], opened("/x"), False),
        ("evt.rawres", ">", ["0"], opened("/x"), True),
        ("evt.rawres", "in", ["0", "1"], opened("/x"), True),
        ("evt.rawres", "=", ["-1"], opened("/x"), True),
        ("evt.rawres", "=", ["-115"], opened("/x"), False),
        ("evt.res", "=", ["SUCCESS"], opened("/x"), False),
        ("evt.res", "in", ["SUCCESS", "EINPROGRESS"], opened("/x"), False),
        ("evt.res", "=", ["ENOENT"], opened("/x"), True),
        ("evt.res", "startswith", ["E"], opened("/x"), False),
        ("evt.res", "startswith", ["EA"], opened("/x"), True),
        ("evt.is_open_write", "=", ["true"], opened("/x"), False),
        ("evt.buffer", "contains", ["x"], called("sendto"), True),
        ("evt.num", "=", ["0"], executed("ls"), False),
        ("evt.num", ">=", ["0"], executed("ls"), False),
        ("evt.num", "=", ["7"], executed("ls"), True),
        ("evt.source", "=", ["syscall"], executed("ls"), False),
    ],
)
def test_where_a_field_varies(name: str, operator: str, literals: list[str], event: Activity, expected: bool) -> None:
    """It depends on the comparison, the event's type and the event."""
    assert may_vary(name, operator, literals, event) is expected


def test_pairs_are_worth_comparing() -> None:
    """The pairs reach every kind of event, and most of them differ in what may."""
    assert {first.event.name for first, _ in PAIRS} >= {"openat", "connect", "accept4", "execve", "bind", "sendto"}
    differing = {
        name
        for name, info in SOURCE.fields.items()
        if info.argument is Argument.NONE
        and any(info.extractor(None)(first) != info.extractor(None)(second) for first, second in PAIRS)
    }
    assert differing >= {
        "evt.rawres", "fd.num", "fd.cport", "fd.lport", "fd.rport", "fd.port", "fd.name", "fd.sport", "fd.connected",
        "proc.pname", "proc.pcmdline", "proc.sname", "proc.duration", "thread.cap_effective",
        "fd.sip", "fd.cip", "fd.is_server", "evt.arg.tuple", "evt.buffer", "fd.ino",
    }  # fmt: skip
