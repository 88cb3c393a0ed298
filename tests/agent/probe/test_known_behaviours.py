"""What was judged ends in the kernel, counted, while rules and profiles stay the same; what was not judged crosses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from agent.probe.loader import KernelSource
from agent.probe.source import Ticket
from agent.probe.syscalls import Outcomes
from watchkeeper import events
from watchkeeper.events import AnyEvent

pytestmark = pytest.mark.kernel

NETWORK = """
call("unshare", 0x40000000)
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))
"""
UDP = "s = socket.socket(type=socket.SOCK_DGRAM); "

# event class, code whose repetition is the same behaviour, what of the told is meant
ACTS = (
    ("open", "os.close(os.open('file', os.O_WRONLY))", lambda e: isinstance(e, events.Open)),
    ("open", "os.close(os.open('shadow', os.O_RDONLY))", lambda e: isinstance(e, events.Open)),
    ("unlink", "open('gone', 'w').close(); os.unlink('gone')", lambda e: isinstance(e, events.Unlink)),
    ("rename", "os.rename('file', 'new'); os.rename('new', 'file')", lambda e: isinstance(e, events.Rename)),
    ("chmod", "os.chmod('file', 0o600)", lambda e: isinstance(e, events.Chmod)),
    ("listen", "s = socket.create_server(('0.0.0.0', 4000)); s.close()", lambda e: isinstance(e, events.Listen)),
    ("bind", UDP + "s.bind(('0.0.0.0', 4000)); s.close()", lambda e: isinstance(e, events.Bind)),
    ("connect", "socket.socket().connect_ex(('127.0.0.1', 4001))", lambda e: isinstance(e, events.Connect)),
    ("connect", UDP + "s.sendto(b'x', ('127.0.0.1', 4001)); s.close()", lambda e: isinstance(e, events.Connect)),
    ("capability", "os.chroot('/')", lambda e: isinstance(e, events.Capability) and e.name == "CAP_SYS_CHROOT"),
    ("syscall", "os.kill(os.getpid(), 0)", lambda e: isinstance(e, events.Syscall) and e.name == "kill"),
    ("syscall", "os.close(os.open('file', 0))", lambda e: isinstance(e, events.Syscall) and e.name == "openat"),
    ("syscall", "os.path.exists('file') or 1; libc.open(b'none', 0)",
     lambda e: isinstance(e, events.Syscall) and e.result < 0),
)  # fmt: skip
CHMOD = ACTS[4][1:]
OPENING = ACTS[0][1], lambda e: isinstance(e, events.Open | events.Syscall)
WATCHED = {"kill": Outcomes(), "openat": Outcomes()}
_HALVES = {"high": 0, "low": 8}


@pytest.fixture
def actor(watch, stage, tmp_path):
    """Acts in a directory with some files and in a network of its own."""
    for name in ("file", "shadow"):
        (tmp_path / name).touch()
    watch.source.watch(WATCHED)
    made = stage.actor(watch)
    made.do(f"os.chdir({str(tmp_path)!r})" + NETWORK)
    yield made
    watch.source.watch({})


def known(source: KernelSource, event_class: str) -> int:
    return next(count.known for count in source.counters() if count.event_class == event_class)


def hits(source: KernelSource, tickets: Sequence[Ticket]) -> int:
    keys = {key for ticket in tickets for key in (ticket.key, ticket.by_object)}
    return sum(hit for key, _, hit in source._judged if key in keys)


def is_closed(source: KernelSource) -> bool:
    """Whether the accounts close; what other CPUs are at right now may be seen already and not yet counted further."""
    for _ in range(200):
        if all(count.seen == count.suppressed + count.submitted + count.dropped for count in source.counters()):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(("event_class", "code", "wanted"), ACTS)
def test_judged_behaviour_ends_in_the_kernel_and_is_counted(
    actor, event_class: str, code: str, wanted: Callable[[AnyEvent], bool]
):
    """It crosses until it is settled and remembered, and never after; accounts close, repetitions count as hits."""
    source = actor.watch.source
    first = actor.told(code, wanted)
    assert len(first) > 0
    assert {(told.ticket.event_class, told.ticket.cgroup) for told in first} == {(event_class, actor.cgroup)}
    assert hits(source, [told.ticket for told in first]) == 0
    actor.watch.settle(first)
    before = known(source, event_class)
    assert [actor.told(code, wanted) for _ in range(3)] == [[], [], []]
    assert known(source, event_class) - before >= 3 * len(first)
    assert hits(source, [told.ticket for told in first]) >= len(first)
    assert is_closed(source)


def test_nothing_is_known_before_it_is_remembered(actor):
    """Neither telling nor settling silences; only what the caller then has remembered ends in the kernel."""
    first = actor.told(*CHMOD)
    again = actor.told(*CHMOD)
    assert [told.ticket for told in first] == [told.ticket for told in again]
    actor.watch.source.settle(first[0].ticket)
    assert len(actor.told(*CHMOD)) == 1
    actor.watch.source.remember()
    assert actor.told(*CHMOD) == []


@pytest.mark.parametrize(("code", "wanted"), [CHMOD, OPENING])
def test_subjects_are_given_back_exactly_when_they_occurred_again(actor, code, wanted):
    """``seen`` names a subject once for each time between two calls in which its behaviour was repeated."""
    source = actor.watch.source
    actor.judge(code, wanted, subject=4711)
    source.seen()
    assert 4711 not in source.seen()
    actor.do(code)
    assert [4711 in source.seen() for _ in range(2)] == [True, False]
    actor.do(f"for _ in range(50): {code}")
    assert [4711 in source.seen() for _ in range(2)] == [True, False]
    assert actor.told(code, wanted) == []


def test_subjects_of_old_rules_are_not_given_back(actor):
    """After ``forget`` a subject's number may stand for something else."""
    actor.judge(*CHMOD, subject=4711)
    actor.do(CHMOD[0])
    actor.watch.source.forget()
    assert 4711 not in actor.watch.source.seen()


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_came_while_the_first_was_judged_is_not_judged_again(actor, forgotten):
    """Once the first is known, neither are those that wait in the ring; unless rules changed meanwhile."""
    source, (code, wanted) = actor.watch.source, CHMOD
    decoded = next(count.decoded for count in source.counters() if count.event_class == "chmod")
    (first,) = actor.told(code, wanted)
    actor.do(f"for i in range(7): {code}", read=False)
    source.settle(first.ticket)
    source.remember()
    if forgotten:
        source.forget()
    assert len(actor.told("", wanted)) == (7 if forgotten else 0)
    assert next(count.decoded for count in source.counters() if count.event_class == "chmod") == decoded + 8


@pytest.mark.parametrize("half", _HALVES)
def test_keys_that_are_alike_in_one_half_are_not_confused(actor, half):
    """A judged behaviour silences the one with its very 128 bits, and none that differs in one bit of either half."""
    source, entries = actor.watch.source, actor.watch.source._judged._map
    (told,) = actor.judge(*CHMOD)
    key = told.ticket.key
    (value,) = entries.lookup(key)
    other = bytearray(key)
    other[_HALVES[half]] ^= 1
    source.unlearn(key)
    entries.update(bytes(other), value)
    (again,) = actor.told(*CHMOD)
    assert again.ticket == told.ticket
    entries.update(key, value)
    assert actor.told(*CHMOD) == []
    source.forget()


def test_keys_depend_on_a_secret_of_the_probe(watch, fresh, stage):
    """The same act of a process that both saw begin has another key with each start of the probe, in both halves."""
    other = fresh()
    actor = stage.actor(watch)
    code, wanted = "os.chmod('.', 0o755)", CHMOD[1]
    actor.do(f"os.chdir('{actor.directory}')")
    (here,) = actor.told(code, wanted)
    other.until(lambda event: wanted(event) and event.task.cgroup == actor.cgroup)
    (there,) = [told for told in other.told if wanted(told.event) and told.event.task.cgroup == actor.cgroup]
    assert here.event.path == there.event.path
    halves = [told.ticket.key[at : at + 8] for told in (here, there) for at in _HALVES.values()]
    assert len(set(halves)) == 4


def test_new_rules_judge_again_what_was_known(actor):
    """After ``forget`` everything is told again, and can be settled again."""
    for code, wanted in (OPENING, CHMOD):
        actor.judge(code, wanted)
    actor.do(f"for _ in range(1000): {OPENING[0]}")
    actor.watch.source.forget()
    told = [actor.judge(code, wanted) for code, wanted in (OPENING, CHMOD)]
    assert [{type(each.event) for each in one} for one in told] == [{events.Open, events.Syscall}, {events.Chmod}]


def test_judgement_by_old_rules_silences_nothing(actor):
    """A ticket from before a ``forget`` says nothing about the rules that came with it, however late it is settled."""
    first = actor.told(*CHMOD)
    actor.watch.source.forget()
    actor.watch.settle(first)
    (again,) = actor.told(*CHMOD)
    actor.watch.settle(first)  # over the entry that is pending now
    assert len(actor.told(*CHMOD)) == 1
    actor.watch.settle([again])
    assert actor.told(*CHMOD) == []


def test_what_was_settled_but_not_remembered_is_forgotten_too(actor):
    """Rules that change between settling and remembering leave nothing settled."""
    (first,) = actor.told(*CHMOD)
    actor.watch.source.settle(first.ticket)
    actor.watch.source.forget()
    actor.watch.source.remember()
    assert len(actor.told(*CHMOD)) == 1


@pytest.mark.parametrize(("settled", "counter"), [(False, "expired"), (True, "evicted")])
def test_old_entries_go_and_are_counted(actor, monkeypatch, settled, counter):
    """What nobody settled expires, what is known ends with its lifetime; both are told by cgroup and class, and cross
    again."""
    source, entries = actor.watch.source, actor.watch.source._judged._map
    (told,) = actor.judge(*CHMOD) if settled else actor.told(*CHMOD)
    in_two_hours = int(time.clock_gettime(time.CLOCK_BOOTTIME)) + 7_200
    monkeypatch.setattr("agent.probe.judged._now", lambda: in_two_hours)
    source.seen()
    assert entries.lookup(told.ticket.key) is None
    (counts,) = [n for n in source.novelties() if (n.cgroup, n.event_class) == (actor.cgroup, "chmod")]
    assert (getattr(counts, counter), counts.submitted, counts.dropped) == (1, 1, 0)
    assert len(actor.judge(*CHMOD)) == 1
