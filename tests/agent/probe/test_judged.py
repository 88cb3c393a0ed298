"""What the agent keeps in the kernel's map of judged behaviours, on real maps."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from agent.probe.judged import CONTROL_SIZE, ENTRY_SIZE, Judged
from agent.probe.source import Ticket

pytestmark = pytest.mark.kernel

_ENTRY = struct.Struct("@HHIIIQQQ")  # state, class, generation, round, subject, hits, cgroup, since when
WEB, SHOP = 7, 8


@pytest.fixture
def judged(new_map) -> Judged:
    return Judged(new_map(16, ENTRY_SIZE, 4_096), new_map(4, CONTROL_SIZE, 1, array=True), 4_096)


def ticket(key: int, cgroup: int = WEB, generation: int = 1) -> Ticket:
    return Ticket(struct.pack("@QQ", 1, key), generation, cgroup, "open")


def test_settled_entries_of_old_rules_go(judged):
    """One is there after ``remember`` only, under its own generation, and goes when that is over and it is old."""
    judged.settle(ticket(1), 5, False)
    assert list(judged) == []
    judged.remember()
    assert list(judged) == [(ticket(1).key, 1, 0)]
    judged.forget()
    judged.settle(ticket(2, generation=judged.generation), 6, False)
    judged.remember()
    assert judged.turn(100) == ({6}, Counter({WEB: 2}))


@pytest.mark.parametrize(
    ("state", "age", "counted"), [(1, 60, "expired"), (1, -60, ""), (2, 3660, "evicted"), (2, 60, "")]
)
def test_entries_go_by_their_age(judged, monkeypatch, state, age, counted):
    """Pending ones have some seconds, known ones an hour; how many went is counted by cgroup and class."""
    monkeypatch.setattr("agent.probe.judged._now", lambda: 10_000)
    judged._map.update(ticket(1).key, _ENTRY.pack(state, 3, 1, 1, 0, 0, WEB, 10_000 - age))
    held = judged.turn(100)[1]
    assert held == Counter({WEB: 0 if counted else 1})
    assert (judged.expired, judged.evicted) == tuple(
        Counter({(WEB, "open"): 1} if counted == each else {}) for each in ("expired", "evicted")
    )


def test_crowded_cgroup_loses_what_was_not_seen(judged):
    """Beyond three quarters of its share a cgroup's entries of former rounds go; those of others and new ones stay."""
    for key in range(80):
        judged.settle(ticket(key), key, False)
    for key in range(1000, 1010):
        judged.settle(ticket(key, SHOP), key, False)
    judged.remember()
    assert judged.turn(100)[1] == Counter({WEB: 80, SHOP: 10})
    judged.settle(ticket(2000), 2000, False)
    judged.remember()
    seen, held = judged.turn(100)
    assert (seen, held) == ({2000}, Counter({WEB: 1, SHOP: 10}))
    assert judged.evicted == Counter({(WEB, "open"): 80})


def test_full_map_loses_what_was_not_seen_of_any_cgroup(new_map):
    """When three quarters of all the room are taken, everything of former rounds goes."""
    judged = Judged(new_map(16, ENTRY_SIZE, 100), new_map(4, CONTROL_SIZE, 1, array=True), 100)
    for key in range(76):
        judged.settle(ticket(key, cgroup=key), key, False)
    judged.remember()
    assert judged.turn(100)[1].total() == 76
    assert judged.turn(100) == (set(), Counter(dict.fromkeys(range(76), 0)))
    assert judged.evicted.total() == 76
