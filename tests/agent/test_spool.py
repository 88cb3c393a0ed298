"""The spool on real disks: full, corrupt, read-only, killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.spool import OVERHEAD, Spool, SpoolError
from watchkeeper.seal import GENESIS, record_hash
from watchkeeper.v1.uplink_pb2 import Record

ROOM = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def everything(spool: Spool) -> list[Record]:
    return spool.pending(0, 1_000_000, 1 << 30)


def test_records_form_a_hash_chain(tmp_path: Path) -> None:
    """Each record's hash covers the one before, its number, kind and payload."""
    spool = Spool(tmp_path, ROOM)
    assert spool.append_many([("finding", b"a"), ("inventory", b"b")]) == [True, True]
    first = record_hash(GENESIS, 1, "finding", b"a")
    second = record_hash(first, 2, "inventory", b"b")
    assert everything(spool) == [
        Record(sequence=1, previous_hash=GENESIS, hash=first, kind="finding", payload=b"a"),
        Record(sequence=2, previous_hash=first, hash=second, kind="inventory", payload=b"b"),
    ]
    assert (spool.records, spool.bytes) == (2, 2 + 2 * OVERHEAD)


def test_the_chain_goes_on_after_everything_was_acknowledged(tmp_path: Path) -> None:
    """Deleting acknowledged rows and starting again keeps identity, number and hash of the head."""
    spool = Spool(tmp_path, ROOM)
    spool.append("finding", b"a")
    (first,), spool_id = everything(spool), spool.spool_id
    spool.acknowledge(1)
    assert (spool.records, spool.bytes) == (0, 0)
    spool.close()
    again = Spool(tmp_path, ROOM)
    again.append("finding", b"b")
    (second,) = everything(again)
    assert (again.spool_id, second.sequence, second.previous_hash) == (spool_id, 2, first.hash)


def test_pending_is_bounded_by_number_and_bytes(tmp_path: Path) -> None:
    """The first record always comes, further ones while both bounds hold."""
    spool = Spool(tmp_path, ROOM)
    spool.append_many([("finding", bytes(1000))] * 5)
    assert [record.sequence for record in spool.pending(1, 2)] == [2, 3]
    assert [record.sequence for record in spool.pending(0, 100, 3000)] == [1, 2]
    assert [record.sequence for record in spool.pending(4, 100, 1)] == [5]
    assert spool.pending(5, 100) == []


def test_a_full_spool_counts_what_it_refuses(tmp_path: Path) -> None:
    """Beyond max_bytes records are counted by kind, unless they come again, also after a restart; smaller ones fit."""
    spool = Spool(tmp_path, 3000)
    kept = spool.append_many([("finding", bytes(2000)), ("finding", bytes(2000)), ("inventory", bytes(500))])
    assert kept == [True, False, True]
    assert spool.append_many([("profile_delta", bytes(2000))], again=True) == [False]
    assert spool.discarded == {"finding": 1}
    spool.close()
    again = Spool(tmp_path, 3000)
    assert (again.discarded, again.records, again.bytes) == ({"finding": 1}, 2, 2500 + 2 * OVERHEAD)
    again.acknowledge(1)
    assert again.append("finding", bytes(2000))


def test_an_appended_record_survives_kill_9(tmp_path: Path) -> None:
    """Every record whose append returned is there after the process was killed in the middle of more."""
    program = (
        "import sys; from pathlib import Path; from agent.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1 << 26)\n"
        "for number in range(1_000_000):\n"
        "    spool.append('finding', str(number).encode()); print(number, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    for line in child.stdout:
        if line == "500\n":
            child.kill()
            break
    said = [int(line) for line in child.stdout.read().split()]
    child.wait()
    spool = Spool(tmp_path, 1 << 26)
    payloads = [int(record.payload) for record in everything(spool)]
    assert payloads == list(range(len(payloads)))
    assert len(payloads) > max([500, *said])
    assert spool.recovery is None


def test_a_second_agent_on_the_same_directory_is_an_error(tmp_path: Path) -> None:
    """The message names the file and the remedy."""
    first = Spool(tmp_path, ROOM)
    with pytest.raises(SpoolError) as caught:
        Spool(tmp_path, ROOM)
    first.close()
    assert str(caught.value) == (
        f"{tmp_path}/spool.sqlite: is in use by another agent. Stop that one or choose another state_directory."
    )


def test_a_directory_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    """The message names the directory and the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError) as caught:
        Spool(tmp_path / "file" / "state", ROOM)
    assert str(caught.value) == (
        f"{tmp_path}/file/state: the spool can not be written here: Not a directory. "
        "Make the directory writable for the agent or choose another state_directory."
    )


@pytest.mark.kernel
def test_a_read_only_disk_is_an_error(small_disk: Path) -> None:
    """The message names the directory and the remedy."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(SpoolError) as caught:
        Spool(small_disk, ROOM)
    assert str(caught.value) == (
        f"{small_disk}: the spool can not be written here: Read-only file system. "
        "Make the directory writable for the agent or choose another state_directory."
    )


@pytest.mark.kernel
def test_a_full_disk_discards_counts_and_recovers(small_disk: Path) -> None:
    """On a full disk appends are counted as discarded; acknowledging still works and makes room for later ones."""
    spool = Spool(small_disk, 64 << 20)
    kept = sum(spool.append("finding", number.to_bytes(4, "big") * 250) for number in range(4000))
    assert 500 < kept < 2000
    assert spool.discarded == {"finding": 4000 - kept}
    assert spool.trouble
    sequences = [record.sequence for record in everything(spool)]
    assert sequences == list(range(1, kept + 1))
    for sequence in range(100, kept, 100):
        spool.acknowledge(sequence)
    spool.acknowledge(kept)
    assert (spool.records, spool.bytes, spool.trouble) == (0, 0, "")
    assert spool.append("finding", b"later")
    assert [record.sequence for record in everything(spool)] == [kept + 1]
    spool.close()
    again = Spool(small_disk, 64 << 20)
    assert (again.records, again.discarded, again.recovery) == (1, {"finding": 4000 - kept}, None)
    again.close()


@pytest.mark.kernel
def test_a_disk_filled_by_others_is_survived(small_disk: Path) -> None:
    """While another program fills the disk the spool keeps what it has, and takes records again afterwards."""
    spool = Spool(small_disk, ROOM)
    assert spool.append("finding", b"before")
    with (small_disk / "other").open("wb", buffering=0) as other, pytest.raises(OSError, match="No space left"):
        while True:
            other.write(bytes(4096))
    kept = [spool.append("finding", bytes(50_000)) for _ in range(40)]
    assert not all(kept)
    assert spool.discarded == {"finding": kept.count(False)}
    (small_disk / "other").unlink()
    assert spool.append("finding", b"after")
    payloads = [record.payload for record in everything(spool)]
    assert (payloads[0], payloads[-1], len(payloads)) == (b"before", b"after", 2 + kept.count(True))
    spool.close()


@pytest.mark.kernel
def test_many_records_on_an_almost_full_disk_are_kept_as_far_as_they_fit(small_disk: Path) -> None:
    """One large transaction that the disk refuses is tried record by record."""
    spool = Spool(small_disk, 64 << 20)
    kept = spool.append_many([("finding", bytes(10_000))] * 400)
    assert 20 < kept.count(True) < 200
    assert spool.records == kept.count(True)
    assert spool.discarded == {"finding": kept.count(False)}
    spool.close()


def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path) -> None:
    """A fresh spool is begun, the old file is kept, and it is said that nobody knows what it held."""
    (tmp_path / "spool.sqlite").write_bytes(b"not a database" * 1000)
    spool = Spool(tmp_path, ROOM)
    assert spool.recovery
    assert (spool.recovery.reason, spool.recovered, spool.lost) == ("file is not a database", 0, None)
    assert spool.recovery.moved_to.read_bytes() == b"not a database" * 1000
    assert spool.discarded == {"corrupt": 1}
    assert spool.append("finding", b"a")


def test_readable_records_of_a_corrupt_database_are_saved(tmp_path: Path) -> None:
    """Rows on broken pages are counted as lost, all others are sealed anew in order under a new identity."""
    spool = Spool(tmp_path, 64 << 20)
    spool.append_many([("finding", number.to_bytes(4, "big") * 100) for number in range(1000)])
    old = spool.spool_id
    spool.close()
    with (tmp_path / "spool.sqlite").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(os.urandom(3 * 4096))
    spool = Spool(tmp_path, 64 << 20)
    records = everything(spool)
    records = records or everything(spool)  # reading is what may find the damage
    assert spool.recovery
    assert spool.lost
    assert spool.recovered + spool.lost == 1000
    assert 900 < spool.recovered == len(records)
    assert spool.discarded == {"corrupt": spool.lost}
    assert spool.spool_id != old
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    numbers = [int.from_bytes(record.payload[:4], "big") for record in records]
    assert numbers == sorted(set(numbers))


def test_a_changed_record_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    """A flipped bit that SQLite does not see breaks the record's hash: that record alone is lost."""
    spool = Spool(tmp_path, ROOM)
    spool.append_many([("finding", b"first first"), ("finding", b"second second"), ("finding", b"third third")])
    spool.close()
    path = tmp_path / "spool.sqlite"
    path.write_bytes(path.read_bytes().replace(b"second second", b"second sekond"))
    spool = Spool(tmp_path, ROOM)
    assert everything(spool) == []
    assert [record.payload for record in everything(spool)] == [b"first first", b"third third"]
    assert spool.recovery
    assert (spool.recovery.reason, spool.recovered, spool.lost) == ("record 2 does not match its hash", 2, 1)


def test_only_the_newest_corrupt_databases_are_kept(tmp_path: Path) -> None:
    """They must not fill the disk."""
    for _ in range(4):
        (tmp_path / "spool.sqlite").write_bytes(b"junk" * 1000)
        Spool(tmp_path, ROOM).close()
    assert len(list(tmp_path.glob("spool.sqlite.corrupt-*"))) == 2


def test_renewing_seals_what_waits_as_a_new_spool(tmp_path: Path) -> None:
    """Numbers begin at 1 again, the chain holds, nothing is lost, also after a restart."""
    spool = Spool(tmp_path, ROOM)
    spool.append_many([("finding", str(number).encode()) for number in range(300)])
    spool.acknowledge(100)
    old = spool.spool_id
    spool.renew()
    spool.append("finding", b"300")
    renewed = spool.spool_id
    spool.close()
    again = Spool(tmp_path, ROOM)
    records = everything(again)
    assert (old != renewed, again.spool_id) == (True, renewed)
    assert [int(record.payload) for record in records] == list(range(100, 301))
    head = GENESIS
    for sequence, record in enumerate(records, 1):
        assert (record.sequence, record.previous_hash) == (sequence, head)
        head = record.hash


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    """Command lines in findings may hold secrets."""
    Spool(tmp_path / "state", ROOM).append("finding", b"a")
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "state", *(tmp_path / "state").iterdir()]}
    assert modes == {"state": 0o700, "spool.sqlite": 0o600, "spool.sqlite-wal": 0o600, "spool.reserve": 0o600}
