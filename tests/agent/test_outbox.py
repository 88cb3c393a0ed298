"""What becomes of findings that the spool has no room for."""

from __future__ import annotations

from agent.outbox import MOST_KEPT, Outbox
from watchkeeper import wire
from watchkeeper.findings import Finding, FindingRepeat, Severity


class FullDisk:
    """A spool that keeps records while there is room; counts as the real one does."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.kept: list[Finding | FindingRepeat] = []
        self.discarded = 0
        self.tried = 0

    def append(self, records: list[tuple[str, bytes]], *, again: bool = False) -> list[bool]:
        self.tried += 1
        flags = [number < self.room for number in range(len(records))]
        self.kept += [wire.unpack(*record) for record, is_kept in zip(records, flags, strict=True) if is_kept]
        self.room -= sum(flags)
        self.discarded += 0 if again else flags.count(False)
        return flags


def identity(number: int) -> str:
    return f"{number:032x}"


def finding(number: int, source: str) -> Finding:
    return Finding(identity(number), "node-1", source, "title", Severity.HIGH, f"{number:064x}", 1.0, 1.0)


def test_a_refused_finding_is_lost_and_named() -> None:
    """What the spool refuses is counted once and not tried again; what it kept is not named."""
    outbox, disk = Outbox(), FullDisk(room=1)
    first, second = finding(1, "drift"), finding(2, "rule")
    outbox.put(first)
    outbox.put(second)
    outbox.put(FindingRepeat(first.id, 3, 2.0))
    assert outbox.write(disk.append) == [second.id]
    disk.room = 10
    assert outbox.write(disk.append) == []
    assert (disk.kept, disk.discarded) == ([first], 2)


def test_findings_about_the_agent_stay_until_they_are_kept() -> None:
    """However often the disk refuses them they are neither lost nor counted, and their repeats come after them."""
    outbox, disk = Outbox(), FullDisk()
    own, repeat = finding(1, "health"), FindingRepeat(identity(1), 2, 2.0)
    outbox.put(own)
    assert outbox.write(disk.append) == []
    outbox.put(repeat)
    for _ in range(100):
        outbox.retry()
        assert outbox.write(disk.append) == []
    disk.room = 2
    outbox.retry()
    assert outbox.write(disk.append) == []
    assert (disk.kept, disk.discarded) == ([own, repeat], 0)


def test_what_was_refused_is_not_tried_with_each_write() -> None:
    """It waits for a retry, and what comes meanwhile waits behind it."""
    outbox, disk = Outbox(), FullDisk()
    outbox.put(finding(1, "health"))
    for _ in range(100):
        assert outbox.write(disk.append) == []
    assert disk.tried == 1
    disk.room = 2
    outbox.put(finding(2, "health"))
    assert outbox.write(disk.append) == []
    assert disk.kept == []
    outbox.retry()
    assert outbox.write(disk.append) == []
    assert disk.kept == [finding(1, "health"), finding(2, "health")]


def test_what_stays_is_bounded() -> None:
    """Of findings about the agent beyond the bound the newest are lost, and counted."""
    outbox, disk = Outbox(), FullDisk()
    for number in range(MOST_KEPT + 3):
        outbox.put(finding(number, "health"))
    assert outbox.write(disk.append) == [identity(number) for number in range(MOST_KEPT, MOST_KEPT + 3)]
    assert disk.discarded == 3
    disk.room = MOST_KEPT
    outbox.retry()
    assert outbox.write(disk.append) == []
    assert [each.id for each in disk.kept] == [identity(number) for number in range(MOST_KEPT)]
