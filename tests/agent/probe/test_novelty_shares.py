"""Nobody's flood silences another: what each cgroup may take of the rings and of the known behaviours."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.probe.loader import KernelSource
from agent.probe.sizes import Sizes
from agent.probe.source import NoveltyCounters, Told
from watchkeeper.events import AnyEvent, Capability, Chmod, Exec, Open

pytestmark = pytest.mark.kernel

SMALL = Sizes(1 << 16, 1 << 16, 1 << 14)
KNOWN = 1 << 14
ROOM = 1 << 18
OPENED = "for name in range({}, {}): os.close(os.open(f'{{name}}', os.O_WRONLY))"
CREATED = "for name in range({}, {}): os.close(os.open(f'{{name}}', os.O_WRONLY | os.O_CREAT))"
CHMOD = "os.chmod('.', 0o700)"
FORKED = """
for _ in range({}):
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
"""
EXECUTED = "os.spawnv(os.P_WAIT, '/bin/true', ['true', 'of-the-other'])"


def is_open(event: AnyEvent) -> bool:
    return isinstance(event, Open)


def is_chmod(event: AnyEvent) -> bool:
    return isinstance(event, Chmod)


def is_chroot(event: AnyEvent) -> bool:
    return isinstance(event, Capability) and event.name == "CAP_SYS_CHROOT"


def drained(watch, cgroup: int) -> list[Told]:
    """Everything of that cgroup that waits in the rings."""
    begun = len(watch.told)
    while watch.read():
        pass
    return [told for told in watch.told[begun:] if told.event.task.cgroup == cgroup]


def novelties(source: KernelSource, cgroup: int) -> dict[str, NoveltyCounters]:
    return {each.event_class: each for each in source.novelties() if each.cgroup == cgroup}


def entries(source: KernelSource) -> Counter[int]:
    """How many behaviours the kernel holds of each cgroup."""
    return source._judged.turn(KNOWN)[1]


def is_closed(source: KernelSource) -> bool:
    """Whether the accounts close; what other CPUs are at right now may be seen already and not yet counted further."""
    for _ in range(200):
        if all(count.seen == count.suppressed + count.submitted + count.dropped for count in source.counters()):
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def files(tmp_path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


def test_dropped_record_never_becomes_known(fresh, stage, files):
    """Of behaviours told while the ring was full those that came through are settled; the others are told later."""
    watch = fresh(sizes=SMALL)
    actor = stage.actor(watch)
    wanted = {str(files / str(number)) for number in range(1000)}
    for path in wanted:
        Path(path).touch()
    actor.do(f"os.chdir('{files}')")
    actor.do(OPENED.format(0, 1000), read=False)
    first = [told for told in drained(watch, actor.cgroup) if is_open(told.event) and told.event.path in wanted]
    through = {told.event.path for told in first}
    assert 0 < len(through) < 1000
    counts = novelties(watch.source, actor.cgroup)["open"]
    assert counts.dropped >= 1000 - len(through)
    watch.settle(first)
    told: set[str] = set()
    for begin in list(range(0, 1000, 50)) * 3:  # if another flood takes the room, it is dropped, and told the next time
        told |= {each.event.path for each in actor.told(OPENED.format(begin, begin + 50), is_open)}
    assert told == wanted - through
    assert is_closed(watch.source)


def test_dropped_capability_is_not_pending(fresh, stage, files):
    """A check that nobody was told of does not end the next ones for a while, as one that waits to be judged does."""
    watch = fresh(sizes=SMALL)
    actor = stage.actor(watch)
    actor.do(f"os.chdir('{files}'); os.mkdir('down')")
    actor.do(CREATED.format(0, 1000) + "\nos.chroot('down')", read=False)
    assert [told for told in drained(watch, actor.cgroup) if is_chroot(told.event)] == []
    assert novelties(watch.source, actor.cgroup)["capability"].dropped > 0
    assert len(actor.told("os.chroot('.')", is_chroot)) == 1


@pytest.mark.parametrize("dropped", ["fork", "exec"])
def test_process_that_nobody_was_told_of_is_not_remembered(fresh, stage, files, dropped):
    """Of what the agent was never told, nothing that it does or its children do has a ticket, until its end."""
    watch = fresh(sizes=SMALL)
    actor = stage.actor(watch)
    actor.do(f"os.chdir('{files}')")
    actor.do(CREATED.format(0, 1))
    unknown = actor.spawn("unknown") if dropped == "exec" else None
    actor.do(FORKED.format(600), read=False)
    if unknown is None:
        unknown = actor.spawn("unknown", read=False)
    else:
        unknown.become(sys.executable, "-IS", "-c", read=False)
    execs = [told for told in drained(watch, actor.cgroup) if isinstance(told.event, Exec)]
    assert execs == []
    opening = OPENED.format(0, 1)
    child = f"child({opening!r})"
    program = "os.spawnv(os.P_WAIT, '/bin/sh', ['sh', '-c', ': >>0'])"
    for code in (opening, child, program):
        tickets = [told.ticket for told in unknown.told(code, is_open)]
        assert (code, tickets) == (code, [None])
        assert None not in [told.ticket for told in actor.told(code, is_open)]


def test_flood_of_paths_silences_no_neighbour(fresh, stage, tmp_path, files):
    """100,000 files of one container, all judged: it gets a quarter of the room; its neighbours are told, and known."""
    watch = fresh(sizes=Sizes(ROOM, ROOM, KNOWN))
    flooder, other = stage.actor(watch, "flooder"), stage.actor(watch, "other")
    for each in (flooder, other):
        each.do(f"os.chdir('{files}')")
    other.judge(CHMOD, is_chmod)
    for begin in range(0, 100_000, 10_000):
        flooder.do(CREATED.format(begin, begin + 10_000), read=begin % 20_000 == 0)
        watch.settle([told for told in drained(watch, flooder.cgroup) if told.ticket])
        watch.source.seen()
    held = entries(watch.source)
    assert KNOWN / 8 < held[flooder.cgroup] <= KNOWN / 4
    flooded = novelties(watch.source, flooder.cgroup)["open"]
    assert flooded.submitted + flooded.dropped >= 100_000
    assert min(flooded.withheld, flooded.unlisted) > 0
    assert other.told(CHMOD, is_chmod) == []
    assert len(other.told("os.chmod('.', 0o711)", is_chmod)) == 1
    flooder.do(CREATED.format(100_000, 103_000), read=False)
    assert other.do("os.chmod('.', 0o755)", read=False) == []
    assert len([told for told in drained(watch, other.cgroup) if is_chmod(told.event)]) == 1
    mine = novelties(watch.source, other.cgroup)
    assert sum(counts.withheld + counts.unlisted + counts.evicted + counts.dropped for counts in mine.values()) == 0
    assert is_closed(watch.source)


def test_storm_of_forks_silences_no_neighbour(fresh, stage):
    """While nothing is read, a cgroup that forks without end leaves room for what another one executes."""
    watch = fresh(sizes=Sizes(ROOM, ROOM, KNOWN))
    stormer, other = stage.actor(watch, "stormer"), stage.actor(watch, "other")
    stormer.do(FORKED.format(3000), read=False)
    other.do(EXECUTED, read=False)
    executed = [told.event for told in drained(watch, other.cgroup) if isinstance(told.event, Exec)]
    assert [event.arguments for event in executed] == [("true", "of-the-other")]
    assert novelties(watch.source, stormer.cgroup)["fork"].withheld > 0
    mine = novelties(watch.source, other.cgroup)
    assert sum(counts.dropped + counts.withheld for counts in mine.values()) == 0
    assert is_closed(watch.source)


def test_room_is_free_again_when_it_was_read(fresh, stage, files):
    """Who flooded and was read has its share again, as often as that happens."""
    watch = fresh(sizes=SMALL)
    actor = stage.actor(watch)
    actor.do(f"os.chdir('{files}')")
    for begin in range(0, 5000, 1000):
        actor.do(CREATED.format(begin, begin + 1000), read=False)
        assert len([told for told in drained(watch, actor.cgroup) if is_open(told.event)]) > 50
        assert len(actor.told(CREATED.format(begin + 100_000, begin + 100_010), is_open)) == 10


def test_entries_that_went_give_place_to_others(fresh, stage, files):
    """Beyond its quarter a cgroup's behaviours are told and not remembered, until old ones made room for them."""
    watch = fresh(sizes=Sizes(ROOM, ROOM, 1 << 12))
    actor, entries = stage.actor(watch), watch.source._judged._map
    actor.do(f"os.chdir('{files}')")
    for begin in range(0, 1200, 200):
        actor.do(CREATED.format(begin, begin + 200))
    assert [told.ticket for told in actor.told(CHMOD, is_chmod)] == [None]
    assert novelties(watch.source, actor.cgroup)["chmod"].unlisted == 1
    mine = {told.ticket.key for told in watch.told if told.ticket and told.ticket.cgroup == actor.cgroup}
    for key, value in entries.items(16):
        if key in mine:
            entries.update(key, value[:-8] + bytes(8))  # as old as the machine
    watch.source.seen()
    actor.judge(CHMOD, is_chmod)


def test_forgotten_cgroup_that_lives_goes_on(fresh, stage, files):
    """After ``forget_cgroup`` of a cgroup that acts on, its entries are still counted, and its acts are told."""
    watch = fresh(sizes=SMALL)
    actor = stage.actor(watch)
    actor.do(f"os.chdir('{files}')")
    actor.judge(CHMOD, is_chmod)
    actor.do(CREATED.format(0, 300), read=False)
    watch.source.forget_cgroup(actor.cgroup)
    drained(watch, actor.cgroup)
    watch.source.forget_behaviours(actor.cgroup)
    watch.source.seen()
    assert len(actor.told(CREATED.format(1000, 1010), is_open)) == 10
    watch.source.seen()
    actor.judge("os.chmod('.', 0o711)", is_chmod)
