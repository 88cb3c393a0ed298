"""Maps of the kernel by many entries at once."""

from __future__ import annotations

import os
import struct

import pytest

from agent.probe import bpfmap

pytestmark = pytest.mark.kernel

MANY = 5_000  # more than one call copies


def number(value: int) -> bytes:
    return struct.pack("@Q", value)


def pairs(count: int) -> dict[bytes, bytes]:
    return {number(key): number(key * key) for key in range(count)}


def test_many_entries_go_in_are_listed_and_go(new_map):
    """Over several calls of the kernel, each entry is there once with its own value."""
    table, held = new_map(8, 8, MANY * 2), pairs(MANY)
    assert table.update_many(list(held), list(held.values())) == MANY
    found = list(table.items(8))
    assert (len(found), dict(found)) == (MANY, held)
    table.delete_many(list(held)[10:])
    assert dict(table.items(8)) == pairs(10)
    assert table.update_many([], []) == 0
    table.delete_many([])
    assert len(dict(table.items(8))) == 10


@pytest.mark.parametrize("missing", [{0}, {5}, {9}, {4, 5, 6}, set(range(10)), {0, 2, 4, 6, 8}])
def test_keys_that_are_not_there_keep_no_other_from_going(new_map, missing):
    """Wherever among the keys a missing one is, all that are there go, and nothing else does."""
    table, held = new_map(8, 8, 64), pairs(20)
    there = {key: value for key, value in held.items() if struct.unpack("@Q", key)[0] not in missing}
    table.update_many(list(there), list(there.values()))
    table.delete_many(list(held)[:10])
    assert dict(table.items(8)) == dict(list(held.items())[10:])


def test_full_map_says_how_many_went_in(new_map):
    """What had no room is not in the map, and what was in before is."""
    table, held = new_map(8, 8, 100), pairs(150)
    assert table.update_many(list(held), list(held.values())) == 100
    assert dict(table.items(8)) == pairs(100)
    assert table.update_many(list(held)[:50], [number(1)] * 50) == 50
    assert [table.lookup(key) for key in list(held)[49:51]] == [[number(1)], [number(2500)]]


def test_empty_map_has_no_items(new_map):
    """Listing what is empty ends."""
    assert list(new_map(8, 8, 4).items(8)) == []


def test_a_refused_program_says_what_the_verifier_has_against_it():
    """The error names the reason in the kernel's own words."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    leave = struct.pack("@BBhi", 0x95, 0, 0, 0)  # exit, with nothing in r0
    with pytest.raises(OSError, match=r"Permission denied; .*R0 !read_ok"):
        bpfmap.load_program("refused", 5, leave, -1)
