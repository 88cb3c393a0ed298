"""The agent's half of the book of shares, on real maps."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from agent.probe.bpfmap import Map
from agent.probe.shares import ALLOWANCE_SIZE, BULK, CRITICAL, OTHERS, SHARE_SIZE, TALLY_SIZE, Shares
from agent.probe.source import NoveltyCounters

pytestmark = pytest.mark.kernel

_ALLOWANCE = struct.Struct("@QQqII")
WEB, SHOP = 7, 8


def number(value: int) -> bytes:
    return struct.pack("@Q", value)


@pytest.fixture
def book(new_map) -> tuple[Shares, Map, Map, Map]:
    """An account, with the kernel's map of shares, the agent's of allowances, and the tallies."""
    maps = new_map(8, SHARE_SIZE, 64), new_map(8, ALLOWANCE_SIZE, 64), new_map(16, TALLY_SIZE, 128)
    return Shares(*maps, ring_bytes=3200), *maps


def allowance(allowances: Map, cgroup: int) -> tuple[int, ...] | None:
    found = allowances.lookup(number(cgroup))
    return _ALLOWANCE.unpack(found[0]) if found is not None else None


def test_read_bytes_are_told_when_they_matter(book):
    """Both rings' bytes add up; the kernel hears of them from a thirty-second of the ring on."""
    shares, _, allowances, _ = book
    shares.taken(WEB, BULK, 60)
    assert allowance(allowances, WEB) is None
    shares.taken(WEB, CRITICAL, 40)
    assert allowance(allowances, WEB) == (60, 40, 0, 0, 0)
    shares.taken(SHOP, BULK, 1000)
    shares.taken(WEB, BULK, 99)
    assert (allowance(allowances, WEB), allowance(allowances, SHOP)) == ((60, 40, 0, 0, 0), (1000, 0, 0, 0, 0))
    shares.ignore(WEB)
    shares.renew(WEB)
    assert allowance(allowances, WEB) == (159, 40, 0, 1, 1)


@pytest.mark.parametrize(("listed", "held", "released"), [(10, 4, 6), (10, 10, 0), (3, 5, -2)])
def test_released_entries_are_what_was_listed_and_is_not_held(book, listed, held, released):
    """Also where entries are older than the kernel's count of them, as after a cgroup was forgotten."""
    shares, kernel, allowances, _ = book
    shares.renew(WEB)
    kernel.update(number(WEB), struct.pack("@QQQQ", 0, 0, listed, 0))
    shares.hold({WEB: held}, shares.listed())
    assert allowance(allowances, WEB) == (0, 0, released, 0, 1)


def test_entries_listed_during_the_count_are_not_released(book):
    """What the kernel lists between the two figures counts against the cgroup, not for it."""
    shares, kernel, allowances, _ = book
    shares.renew(WEB)
    kernel.update(number(WEB), struct.pack("@QQQQ", 0, 0, 10, 0))
    listed = shares.listed()
    kernel.update(number(WEB), struct.pack("@QQQQ", 0, 0, 30, 0))
    shares.hold({WEB: 12}, listed)
    assert allowance(allowances, WEB) == (0, 0, -2, 0, 1)


def test_novelties_of_a_cgroup_are_told_once_more_after_its_end(book):
    """Also those for which the kernel had no room of their own; what is zero is not told."""
    shares, _, allowances, tallies = book
    tallies.update(struct.pack("@QII", WEB, 3, 0), struct.pack("@QQQQ", 4, 3, 2, 1))
    tallies.update(struct.pack("@QII", OTHERS, 0, 0), struct.pack("@QQQQ", 1, 0, 0, 0))
    expired, evicted = Counter({(WEB, "open"): 6}), Counter({(WEB, "open"): 5})
    shares.renew(WEB)
    shares.end(WEB)
    assert allowance(allowances, WEB) is None
    told = {NoveltyCounters(WEB, "open", 4, 3, 2, 1, 6, 5), NoveltyCounters(OTHERS, "exec", 1)}
    assert set(shares.novelties(expired, evicted)) == told
    assert set(shares.novelties(expired, evicted)) == {NoveltyCounters(OTHERS, "exec", 1)}
    assert (expired, evicted) == (Counter(), Counter())
