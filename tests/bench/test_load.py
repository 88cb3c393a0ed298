"""Which directory find and cat read, and what a load that fails does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench import load
from tests.bench.load import Load, LoadError, Tree


def test_a_directory_with_few_enough_files_is_read_as_a_whole(tmp_path: Path) -> None:
    """Links are not followed and not counted."""
    _fill(tmp_path / "one" / "two", 3)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert load.readable_tree(tmp_path) == Tree(tmp_path, 3, 3)


def test_of_one_with_too_many_the_fullest_part_that_fits_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is one of files; a part that holds more is passed over for what lies in it."""
    monkeypatch.setattr(load, "MOST_FILES", 5)
    _fill(tmp_path / "large" / "a", 4)
    _fill(tmp_path / "large" / "b", 5)
    _fill(tmp_path / "small", 2)
    assert load.readable_tree(tmp_path) == Tree(tmp_path / "large" / "b", 5, 5)


def test_a_directory_without_files_is_an_error(tmp_path: Path) -> None:
    """The message says how to name another."""
    with pytest.raises(LoadError, match="--directory"):
        load.readable_tree(tmp_path)


def test_a_load_that_times_itself_tells_what_it_printed() -> None:
    """And the CPU time of the command beside it."""
    timing = Load("prints", (sys.executable, "-c", "print(12.5)"), "ns", times_itself=True).run()
    assert timing.wall == 12.5
    assert timing.cpu > 0


def test_a_load_that_fails_says_so_in_its_own_words() -> None:
    """No figure comes of it."""
    with pytest.raises(LoadError, match="status 3: no such luck"):
        Load("fails", ("sh", "-c", "echo no such luck >&2; exit 3"), "s").run()


def _fill(directory: Path, files: int) -> None:
    directory.mkdir(parents=True)
    for number in range(files):
        (directory / str(number)).write_text("x")
