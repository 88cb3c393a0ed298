"""Alerts to standard output and to a file."""

import os
import stat
from pathlib import Path

import pytest

from aggregator.alerts.file import FileSink
from aggregator.alerts.sink import UnavailableError
from aggregator.alerts.stdout import StdoutSink


async def test_standard_output_gets_one_line_an_alert() -> None:
    """Each alert is a line of its own."""
    reading, writing = os.pipe()
    sink = StdoutSink(writing)
    await sink.deliver(b'{"a":1}')
    await sink.deliver(b'{"b":2}')
    await sink.close()
    assert os.read(reading, 100) == b'{"a":1}\n{"b":2}\n'
    os.close(reading)
    os.close(writing)


async def test_a_closed_output_is_unavailable() -> None:
    """A reader that is gone is told, not fatal."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(UnavailableError, match="standard output: Broken pipe"):
        await StdoutSink(writing).deliver(b"{}")
    os.close(writing)


async def test_a_file_is_appended_to_and_private(tmp_path: Path) -> None:
    """What is there stays; a new file is readable by its owner only."""
    path = tmp_path / "alerts.json"
    for number in range(2):
        sink = FileSink(path)
        await sink.deliver(b"%d" % number)
        await sink.close()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"0\n1\n", 0o600)


async def test_a_rotated_or_removed_file_is_opened_anew(tmp_path: Path) -> None:
    """After a move, and after a removal, lines go to a new file of the name."""
    path, old = tmp_path / "alerts.json", tmp_path / "alerts.json.1"
    sink = FileSink(path)
    await sink.deliver(b"1")
    path.rename(old)
    await sink.deliver(b"2")
    assert (old.read_bytes(), path.read_bytes()) == (b"1\n", b"2\n")
    path.unlink()
    await sink.deliver(b"3")
    assert path.read_bytes() == b"3\n"
    await sink.close()


async def test_a_missing_directory_is_unavailable_until_it_is_there(tmp_path: Path) -> None:
    """What can not be written now is written when it can."""
    path = tmp_path / "later" / "alerts.json"
    sink = FileSink(path)
    with pytest.raises(UnavailableError, match=r"alerts\.json: No such file or directory"):
        await sink.deliver(b"1")
    path.parent.mkdir()
    await sink.deliver(b"2")
    assert path.read_bytes() == b"2\n"
    await sink.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_is_unavailable() -> None:
    """No space is told as such."""
    with pytest.raises(UnavailableError):
        await FileSink(Path("/dev/full")).deliver(b"1")
