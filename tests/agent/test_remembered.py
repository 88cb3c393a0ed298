"""What the kernel need not tell again: only what profiles and rules will never ask about."""

from __future__ import annotations

import msgspec
import pytest

from agent.detection import Detection
from agent.probe.source import Ticket, Told
from agent.remembered import HALF_SETTLED, Remembered
from tests.agent.test_pipeline import APP, CHILD, KEY, WEB, FakeSource, Rig, opened
from watchkeeper.findings import Behaviour, BehaviourClass, ProfileState

WRITES = Behaviour(BehaviourClass.WRITTEN, "/app", "/data/x")


def tell(rig: Rig, *paths: str) -> None:
    """Openings for writing by the entry point; the ticket's key is the path."""
    events = [msgspec.structs.replace(opened(path, APP), at=rig.now) for path in paths]
    tickets = [Ticket(path.encode(), 1, WEB, "open") for path in paths]
    rig.agent.take_told(map(Told, events, tickets))


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    rig.begin()
    yield rig
    rig.close()


def test_what_is_learned_is_known_and_what_deviates_is_not(rig: Rig) -> None:
    """A behaviour that the profile has need not be told again; a deviation is told each time."""
    tell(rig, "/data/x")
    rig.learn()
    tell(rig, "/data/x", "/etc/new")
    assert rig.source.known.keys() == {b"/data/x"}
    assert rig.titles() == ["Unexpected file written: /etc/new"]


def test_nothing_is_known_before_the_profile_is_on_disk(rig: Rig) -> None:
    """While the profile can not be written, its behaviours are settled but not remembered."""
    (rig.agent.profiles._path.parent / "blocked").mkdir()
    whole = rig.agent.profiles._database
    assert whole is not None
    whole.execute("begin exclusive")
    rig.agent.profiles._database = None
    rig.agent.profiles._path = rig.agent.profiles._path.parent / "blocked"
    tell(rig, "/data/x")
    assert (rig.source.known, rig.source.settled.keys()) == ({}, {b"/data/x"})
    rig.agent.profiles._database = whole
    whole.execute("rollback")


def test_what_an_unknown_process_does_is_never_known(rig: Rig) -> None:
    """Its program may be known the next time."""
    stranger = msgspec.structs.replace(CHILD, pid=4_000, start=9)
    rig.agent.take_told([Told(opened("/data/y", stranger), Ticket(b"y", 1, WEB, "open"))])
    assert rig.source.known == {}


def test_what_is_seen_again_is_noted_in_the_profile(rig: Rig) -> None:
    """The kernel gives back the subject, and the entry's last use moves on."""
    tell(rig, "/data/x")
    [number] = rig.source.known.values()
    rig.source.repeated = [number]
    rig.agent.detection.look_back(rig.now + 500)
    assert rig.agent.profiles.of(KEY).entries[WRITES].last_seen == rig.now + 500
    assert rig.state() is ProfileState.LEARNING


def test_container_that_gets_its_name_late_is_judged_again(rig: Rig) -> None:
    """What was judged as the host's was judged by other policies."""
    detection: Detection = rig.agent.detection
    detection._host.add(77)
    detection.named(77)
    detection.named(78)
    assert rig.source.renewed == [77]


def test_numbers_of_subjects_end_with_forgetting() -> None:
    """After rules changed, an old number means nothing."""
    source = FakeSource()
    remembered = Remembered(source)
    remembered.settle(Ticket(b"a", 1, WEB, "open"), KEY, (WRITES,))
    remembered.settle(Ticket(b"b", 1, WEB, "open"), KEY, (WRITES,))
    remembered.settle(Ticket(b"c", 1, WEB, "open"))
    assert source.settled == {b"a": 1, b"b": 1, b"c": 0}
    source.repeated = [1]
    assert list(remembered.seen()) == [(KEY, (WRITES,))]
    remembered.forget()
    assert (source.settled, list(remembered.seen())) == ({}, [])
    source.close()


@pytest.mark.parametrize("first", ["profile", "rules"])
def test_executions_are_known_when_profile_and_rules_agree(first: str) -> None:
    """Both look at them, and the kernel has one key for both; the profile's subject is kept, whoever comes first."""
    source = FakeSource()
    remembered = Remembered(source)
    ticket = Ticket(b"a", 1, WEB, "exec")
    votes = [lambda: remembered.settle(ticket, KEY, (WRITES,)), lambda: remembered.settle_by_rules(ticket, True)]
    for vote in votes if first == "profile" else reversed(votes):
        assert source.settled == {}
        vote()
    assert source.settled == {b"a": 1}
    source.close()


def test_half_an_agreement_ends_with_new_rules() -> None:
    """One vote under the old rules and one under the new ones are none."""
    source = FakeSource()
    remembered = Remembered(source)
    old, new = (Ticket(b"a", generation, WEB, "exec") for generation in (1, 2))
    remembered.settle(old)
    remembered.forget()
    remembered.settle_by_rules(new, by_object=True)
    assert source.settled == {}
    remembered.forget()
    remembered.settle_by_rules(old, by_object=True)
    remembered.forget()
    remembered.settle(new)
    assert source.settled == {}
    source.close()


def test_halves_of_agreements_are_bounded() -> None:
    """Executions that only one side ever settles do not pile up; what is dropped is judged again."""
    source = FakeSource()
    remembered = Remembered(source)
    for number in range(HALF_SETTLED + 1):
        remembered.settle(Ticket(number.to_bytes(4, "big"), 1, WEB, "exec"))
    remembered.settle_by_rules(Ticket((0).to_bytes(4, "big"), 1, WEB, "exec"), True)
    assert source.settled == {}
    last = Ticket(HALF_SETTLED.to_bytes(4, "big"), 1, WEB, "exec")
    remembered.settle_by_rules(last, True)
    assert source.settled == {last.key: 0}
    source.close()
