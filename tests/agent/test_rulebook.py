"""What the rules in force say of an event, and of all events of its behaviour."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.rulebook import Judgement, Rulebook
from rules.collector import collect
from rules.sources.activity import Activity
from rules.sources.syscall import SOURCE
from tests.rules.activities import SHOP, Known, activity, called, connected, connection, executed, listening, opened
from tests.rules.behaviours import OPENINGS, of_same_behaviour, pairs, reworded, some_activity
from watchkeeper.events import Descriptor
from watchkeeper.policies import DetectionSet, Policy, RuleFile, Scope

UPSTREAM = Path(__file__).parents[3] / "shared" / "falco" / "rules"
FILES = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
EINPROGRESS = -115


def rule(name: str, condition: str, output: str = "o") -> str:
    return f"- rule: {name}\n  desc: d\n  condition: >\n    {condition}\n  output: '{output}'\n  priority: INFO\n"


def book(*conditions: str, policies: Sequence[Policy] = (), first: bool = False) -> Rulebook:
    """Rules r0, r1, … of these conditions."""
    text = "".join(rule(f"r{number}", condition) for number, condition in enumerate(conditions))
    names = tuple(f"r{number}" for number in range(len(conditions)))
    detection = DetectionSet((RuleFile("r.yaml", text),), tuple(policies) or (Policy("p", True, names),))
    made = Rulebook(detection, match_all=not first)
    assert made.errors == ()
    return made


def judged(rulebook: Rulebook, event: Activity) -> tuple[list[str], bool]:
    judgement = rulebook.judge(event)
    return [hit.rule.name for hit in judgement.hits], judgement.settled


@pytest.mark.parametrize(
    ("condition", "event", "expected"),
    [
        ("evt.type = openat and fd.name = /x", opened("/x"), (["r0"], False)),
        ("evt.type = openat and fd.name = /x", opened("/y"), ([], True)),
        ("evt.type = openat and fd.name = /x", connected("10.0.0.1", 80), ([], True)),
        ("evt.type = openat and fd.name = /x and proc.duration < 5", opened("/x"), ([], False)),
        ("evt.type = openat and fd.name = /x and proc.duration > 5", opened("/x"), (["r0"], False)),
        ("evt.type = openat and fd.name = /x and not proc.duration > 5", opened("/x"), ([], False)),
        ("evt.type = openat and fd.name = /x and proc.duration > 5", opened("/y"), ([], True)),
        ("evt.type = openat and fd.name = /x and evt.rawres = 5", opened("/x", result=5), (["r0"], False)),
        ("evt.type = openat and fd.name = /x and evt.rawres = 5", opened("/x", result=6), ([], False)),
        ("evt.type = openat and fd.name = /x and evt.rawres >= 0", opened("/x", result=-2), ([], True)),
        ("evt.type = bpf and thread.cap_effective contains CAP_BPF", called("bpf", result=4), (["r0"], False)),
        (
            "evt.type = bpf and thread.cap_effective contains CAP_BPF",
            called("bpf", result=4, as_task={"cap_effective": 0}),
            ([], False),
        ),
        (
            "evt.type = bpf and evt.arg.cmd = 5 and thread.cap_effective contains CAP_BPF",
            called("bpf", result=4, arguments={"cmd": 1}),
            ([], True),
        ),
    ],
)
def test_a_behaviour_is_settled_when_no_event_of_it_can_hit(
    condition: str, event: Activity, expected: tuple[list[str], bool]
) -> None:
    """A rule that reads what differs between its events hits whenever it holds; what the rest of the rule excludes is
    settled all the same."""
    assert judged(book(condition), event) == expected


def test_nothing_that_an_unknown_process_does_is_settled() -> None:
    """What is not known of it now may be known the next time."""
    event = activity(opened("/x").event, None)
    assert book("evt.type = openat and proc.name = x").judge(event) == Judgement((), False)
    assert book("evt.type = execve").judge(event) == Judgement((), False)


def test_only_rules_of_covering_policies_unsettle() -> None:
    """A rule that nobody wants in this container is none there."""
    shop = Policy("shop", True, ("r0",), scope=Scope(namespaces=("demo",)))
    rulebook = book("evt.type = openat and proc.duration < 5", policies=[shop])
    assert judged(rulebook, opened("/x")) == ([], True)
    assert judged(rulebook, opened("/x", container=SHOP)) == ([], False)


def test_the_first_match_is_by_the_exact_conditions() -> None:
    """A rule that only might match does not take the place of the one that does."""
    conditions = ("evt.type = openat and proc.duration < 5", "evt.type = openat", "evt.type = openat and fd.num = 5")
    assert judged(book(*conditions, first=True), opened("/x")) == (["r1"], False)
    assert judged(book(*conditions), opened("/x")) == (["r1", "r2"], False)


PARTS = (
    "fd.name = /etc/shadow", "fd.name startswith /tmp", "fd.name contains :443", "fd.name glob '*:4*'", "fd.num >= 0",
    "fd.num = 3", "fd.sport = 443", "fd.cport = 443", "fd.port in (22, 443)", "fd.lport = 80", "fd.rport = 80",
    "fd.sip = 10.0.0.1", "fd.cip = 10.0.0.1", "fd.net = 10.0.0.0/8", "fd.sip.name = db.example", "fd.connected = true",
    "fd.name_changed = true", "fd.is_server = true", "fd.typechar = f", "fd.l4proto = udp", "evt.rawres >= 0",
    "evt.rawres > 5", "evt.res = EINPROGRESS", "evt.res = ENOENT", "evt.failed = true", "evt.is_open_exec = true",
    "evt.is_open_write = true", "evt.is_open_create = true", "evt.arg.flags contains O_CREAT", "evt.arg.mode = 0755",
    "evt.arg.name = x", "evt.arg.pid = 3", "evt.arg.uid = root", "evt.args contains O_CREAT", "evt.num = 7",
    "evt.buffer contains GET", "proc.name = bash", "proc.pname = nginx", "proc.pexepath endswith nginx",
    "proc.aname = sshd", "proc.aname[2] = sshd", "proc.aexepath contains runc", "proc.cmdline contains shadow",
    "proc.sname = bash", "proc.vpgid.name = bash", "proc.duration > 1000000000000", "proc.pid > 500", "proc.vpid = 1",
    "proc.tty != 0", "proc.env[HOME] = /tmp/x", "proc.is_exe_upper_layer = true", "proc.exe_ino.ctime > 0",
    "thread.cap_effective contains CAP_SYS_ADMIN", "thread.cap_permitted contains CAP_SYS_ADMIN",
    "thread.ismain = true", "container.id = host", "container.duration > 600000000000", "user.name = root",
    "user.uid = 33", "group.gid = 33",
    "fd.nameraw startswith ..", "fs.path.name contains shadow", "evt.type in (open, openat)", "evt.type = connect",
    "evt.type in (execve, execveat)", "tolower(proc.pname) = nginx", "fd.name = val(proc.exepath)",
    "proc.name = val(proc.pname)", "fd.directory in (/tmp, /etc)",
)  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return f"{draw(st.sampled_from(('', 'not ')))}{draw(st.sampled_from(PARTS))}"
    joined = draw(st.sampled_from((" and ", " or "))).join(
        draw(st.lists(conditions(), min_size=2, max_size=4))  # smaller ones of the same
    )
    return f"{draw(st.sampled_from(('', 'not ')))}({joined})"


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(conditions(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_no_event_of_a_settled_behaviour_is_hit(wanted: list[str], seed: int) -> None:
    """Two events of one behaviour, different in all else: when the first settles it the second one hits nothing."""
    rulebook, chance = book(*wanted), random.Random(seed)
    for _ in range(60):
        first = some_activity(chance)
        judgement = rulebook.judge(first)
        assert not judgement.settled or judgement.hits == ()
        assert judgement.settled or not judgement.by_object
        for _ in range(3):
            other = of_same_behaviour(first, chance)
            assert not judgement.settled or rulebook.judge(other).hits == (), (first, other)
            other = reworded(other, chance)
            assert not judgement.by_object or rulebook.judge(other).hits == (), (first, other)


def test_most_of_what_rules_do_not_want_is_settled() -> None:
    """The property above is not had by settling nothing."""
    rulebook = book(*(f"evt.type = openat and {part}" for part in PARTS[:5]), "evt.type = connect and fd.sport = 22")
    events = [first for first, _ in pairs(600, seed=3) if first.process is not None]
    assert sum(rulebook.judge(event).settled for event in events) > len(events) * 0.8


@pytest.mark.parametrize(
    ("condition", "name", "by_object"),
    [
        ("evt.type = openat and fd.name = /x", "openat", True),
        ("evt.type in (open, openat2) and fd.nameraw contains ../", "openat2", False),
        ("evt.type = openat and fd.nameraw contains ../ and fd.name startswith /etc/", "openat", True),
        ("evt.type = openat and evt.arg.name = x", "openat", False),
        ("evt.type = openat and not fs.path.name = /tmp/y", "openat", False),
        ("evt.type = creat and evt.abspath = /x", "creat", False),
        ("(evt.type = openat and fd.name = /x) or (evt.type = open and fd.nameraw = x)", "openat", True),
        ("(evt.type = openat and fd.name = /x) or (evt.type = open and fd.nameraw = x)", "open", False),
    ],
)
def test_what_rules_ask_of_typed_paths_is_settled_for_these_words_only(
    condition: str, name: str, by_object: bool
) -> None:
    """Unless the file itself is none that the rule could be about."""
    found = Descriptor(4, "file", "/tmp/y", inode=11)
    words = {"fd": 4, "name": "/tmp/y"}
    event = called(name, result=4, arguments=words, resolved={"name": "/tmp/y"}, descriptor=found)
    assert book(condition).judge(event) == Judgement((), True, by_object)


def test_what_else_does_not_depend_on_typed_paths() -> None:
    """Of a successful opening, no field but those that ask for it changes with what was typed."""
    changed = set()
    for name in OPENINGS:
        found = Descriptor(4, "file", "/etc/shadow", inode=11)
        events = [
            called(name, result=4, arguments={"fd": 4, "name": typed}, resolved={"name": typed}, descriptor=found)
            for typed in ("/etc/shadow", "/tmp/../etc/shadow")
        ]
        for field, info in SOURCE.fields.items():
            if len({info.extractor(_argument(field))(event) for event in events}) > 1:
                assert SOURCE.is_worded(name, field, _argument(field)), field
                changed.add(field)
    assert changed >= {"fd.nameraw", "evt.arg.name", "evt.args", "fs.path.name", "evt.abspath"}


def _argument(field: str) -> str | None:
    needs = SOURCE.fields[field].argument.value in ("index", "key")
    return "1" if needs else None


@pytest.fixture(scope="module")
def upstream() -> Rulebook:
    """The rules that upstream's files enable."""
    if not UPSTREAM.is_dir():
        pytest.skip("Falco's rule files are not beside the repository")
    files = [(name, (UPSTREAM / name).read_text()) for name in FILES]
    names = tuple(each.name for each in collect(files, {SOURCE.name: SOURCE}).rules if each.enabled)
    return Rulebook(DetectionSet(tuple(RuleFile(*file) for file in files), (Policy("all", True, names),)))


ON_HOST = {
    "a library is read": opened("/usr/lib/x86_64-linux-gnu/libc.so.6", os.O_CLOEXEC, by="cat x"),
    "the cache of libraries is read": opened("/etc/ld.so.cache", os.O_CLOEXEC, by="cat x"),
    "the accounts are read": opened("/etc/passwd", os.O_CLOEXEC, by="ls"),
    "by a relative path": opened("/srv/data/x", raw="../data/x", by="cat x"),
    "a directory is listed": opened("/usr/lib", os.O_DIRECTORY, by="ls", kind="directory"),
    "a library is not there": opened("/usr/lib/libx.so", by="ls", result=-2),
    "a file in tmp is written": opened("/tmp/x", CREATE, by="cat x", mode=0o644),
    "a log is written": opened("/var/log/app.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode=0o644),
    "a file is unlinked": called("unlink", arguments={"path": "/tmp/x"}, resolved={"path": "/tmp/x"}),
    "a socket is made": called("socket", result=3, descriptor=Descriptor(3, "ipv4", protocol="tcp")),
    "a unix socket is connected": called("connect", descriptor=Descriptor(3, "unix", "/run/x.sock", connected=True)),
    "a port is listened on": listening(8080),
    "a connection is accepted": called("accept4", result=5, descriptor=connection("10.0.0.9", 5, server=True)),
    "a file is duplicated": called("dup2", result=1, descriptor=Descriptor(1, "file", "/tmp/x")),
}
CONNECTIONS = {
    "a database is connected to": connected("10.2.3.4", 5432),
    "the connection is under way": connected("10.2.3.4", 5432, result=EINPROGRESS),
    "the network is connected to": connected("93.184.216.34", 443),
}


def in_shop(event: Activity) -> Activity:
    return activity(event.event, event.process, container=SHOP)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ON_HOST)
def test_ordinary_work_is_settled_for_upstreams_rules(upstream: Rulebook, what: str) -> None:
    """On the host and in a container: it never need be judged again. How a file is called matters below /etc."""
    by_object = not what.startswith(("the cache of libraries", "the accounts"))
    assert upstream.judge(ON_HOST[what]) == Judgement((), True, by_object)
    assert upstream.judge(in_shop(ON_HOST[what])) == Judgement((), True, by_object)


@pytest.mark.parametrize("what", CONNECTIONS)
def test_connections_are_settled_for_upstreams_rules(upstream: Rulebook, what: str) -> None:
    """In a container, too, until what a domain name stands for changes."""
    assert upstream.judge(CONNECTIONS[what]) == Judgement((), True, True)
    assert upstream.judge(in_shop(CONNECTIONS[what])) == Judgement((), True, True)


def test_calls_about_the_internet_are_asked_for_only_by_rules_that_are(upstream: Rulebook) -> None:
    """A rule about packet sockets says nothing about those of the internet; one about connections does."""
    asked = upstream.syscalls
    assert (asked["socket"].internet, asked["socket"].local) == (False, True)
    assert (asked["connect"].internet, asked["connect"].local) == (True, False)


def test_executions_are_settled_for_upstreams_rules(upstream: Rulebook) -> None:
    """Rules ask for the parent's name, which is part of an execution where the parent is known."""
    first = Known(pid=1, parent_pid=0, name="systemd", executable="/sbin/init")
    ordinary = executed("ls", parents=["bash", first], as_task={"virtual_pid": 7})
    assert upstream.judge(ordinary) == Judgement((), True, True)
    assert upstream.judge(in_shop(ordinary)) == Judgement((), True, True)
    assert judged(upstream, executed("ls", parents=())) == ([], False)
    assert judged(upstream, called("execve", result=-2, parents=["bash", first])) == ([], True)
    assert judged(upstream, executed("ls", parents=["mysqld"])) == (["DB program spawned process"], False)
