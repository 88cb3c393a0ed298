"""One agent's turn in a state directory: who has it, what is left behind, and what counts as judged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.tenure import (
    HANDOVER,
    LOCK,
    SKEW_SECONDS,
    Handover,
    Judged,
    Predecessor,
    Tenure,
    TenureError,
    identity,
    started,
)
from watchkeeper.events import AnyEvent, Exec, Fork, Open, Rename, Syscall, Task

TASK = Task(10, 100, 1, 1, 0, 0, -1, 7, "app")
OTHER = Task(11, 110, 1, 1, 0, 0, -1, 7, "app")
START = 1_000_000.0


def _opened(path: str, at: float, task: Task = TASK) -> Open:
    return Open(at=at, task=task, path=path, flags=1)


def _handed_over(*events: AnyEvent, settled: float = START, until: float = START + 0.3) -> Judged:
    """What counts as judged after an agent whose last events these were."""
    handover = Handover(1, 1, until, settled, tuple(identity(event) for event in events))
    return Judged(Predecessor(None, until, handover))


def test_only_one_has_the_turn(tmp_path: Path) -> None:
    """The second gets it when the first leaves, and not before."""
    first, second = Tenure(tmp_path, "1"), Tenure(tmp_path, "2")
    assert (first.take(), second.take()) == (True, False)
    first.close()
    assert second.take()
    second.close()


def test_the_holder_is_named_to_who_waits(tmp_path: Path) -> None:
    """The record tells process, start, version and boot of the one that has the turn."""
    first, second = Tenure(tmp_path, "1.2.3"), Tenure(tmp_path, "2")
    assert second.holder is None
    first.take()
    first.begin(START)
    holder = second.holder
    assert holder is not None
    assert (holder.pid, holder.start, holder.version) == (os.getpid(), started(os.getpid()), "1.2.3")
    first.renew(START + 5)
    assert second.mark == START + 5
    first.close()
    second.close()


def test_the_first_has_no_predecessor(tmp_path: Path) -> None:
    """Nor has the one after a first that never began."""
    for _ in range(2):
        tenure = Tenure(tmp_path, "1")
        tenure.take()
        assert tenure.predecessor() is None
        tenure.close()


def test_one_that_ends_in_order_leaves_word(tmp_path: Path) -> None:
    """The next is told until when it watched, and what it took in last."""
    first = Tenure(tmp_path, "1")
    first.take()
    first.begin(START)
    first.took([_opened("/before", START)])
    first.leaving()
    first.took([_opened("/a", START + 1), Fork(at=START, task=TASK, child_pid=12, child_start=120)])
    holder = first.holder
    first.end(START + 2)
    second = Tenure(tmp_path, "2")
    second.take()
    left = second.predecessor()
    assert left is not None
    assert left.handover is not None
    assert (left.holder, left.until, len(left.handover.taken)) == (holder, START + 2, 1)
    second.begin(START + 2)
    assert not (tmp_path / HANDOVER).exists()
    second.close()


def test_one_that_is_killed_leaves_its_mark(tmp_path: Path) -> None:
    """Of a process that ended with kill -9 the next knows who it was and until when it watched for sure."""
    code = (
        "import os, sys; from pathlib import Path; from agent.tenure import Tenure\n"
        f"tenure = Tenure(Path(sys.argv[1]), '1'); tenure.take(); tenure.begin({START}); tenure.renew({START} + 3)\n"
        "os.kill(os.getpid(), 9)"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"PYTHONPATH": paths}) as dead:
        dead.wait()
    tenure = Tenure(tmp_path, "2")
    assert tenure.take()
    left = tenure.predecessor()
    assert left is not None
    assert left.holder is not None
    assert (left.holder.pid, left.until, left.handover) == (dead.pid, START + 3, None)
    tenure.close()


def test_word_of_an_earlier_one_does_not_count(tmp_path: Path) -> None:
    """What an agent left that is not the last one says nothing about the last one."""
    first = Tenure(tmp_path, "1")
    first.take()
    first.begin(START)
    first.leaving()
    first.end(START + 1)
    left = (tmp_path / HANDOVER).read_bytes()
    (tmp_path / HANDOVER).write_bytes(left.replace(str(os.getpid()).encode(), b"1", 1))
    second = Tenure(tmp_path, "2")
    second.take()
    found = second.predecessor()
    assert found is not None
    assert (found.handover, found.until) == (None, START + 1)
    second.close()


def test_a_record_that_can_not_be_read_is_a_predecessor_all_the_same(tmp_path: Path) -> None:
    """A torn record does not pass for the first start."""
    (tmp_path / LOCK).write_text('{"pid": 1')
    os.utime(tmp_path / LOCK, (START, START))
    tenure = Tenure(tmp_path, "1")
    tenure.take()
    assert tenure.predecessor() == Predecessor(None, START, None)
    tenure.close()


def test_a_directory_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    """The message names the path and the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(TenureError, match=r"state/agent\.lock can not be written: .*choose another state_directory"):
        Tenure(tmp_path / "file" / "state", "1")


def test_an_act_is_judged_once_whatever_time_the_other_probe_gave_it() -> None:
    """After the settled time those acts count as judged that were named, each as often as it was."""
    judged = _handed_over(_opened("/a", START + 0.2), _opened("/b", START + 0.2001), _opened("/b", START + 0.2002))
    acts = [
        _opened("/long-ago", START),
        _opened("/a", START + 0.19999),
        _opened("/a", START + 0.2),
        _opened("/b", START + 0.21),
        _opened("/b", START + 0.22),
        _opened("/b", START + 0.23),
        _opened("/b", START + 0.2, OTHER),
        Exec(at=START + 0.2, task=TASK, executable="/a"),
    ]
    assert [act in judged for act in acts] == [True, True, False, True, True, False, False, False]


def test_a_name_that_was_left_over_does_not_hide_a_later_act() -> None:
    """What the new probe was not told of at that time is not taken for something alike that happens afterwards."""
    judged = _handed_over(_opened("/a", START + 0.2), until=START + 0.3)
    assert _opened("/a", START + 0.3 + 6 * SKEW_SECONDS) not in judged


def test_after_a_killed_one_its_mark_decides() -> None:
    """What happened later is judged anew."""
    judged = Judged(Predecessor(None, START, None))
    assert _opened("/a", START) in judged
    assert _opened("/a", START + 0.01) not in judged


def test_acts_have_different_names() -> None:
    """By process, kind and object; not by what versions or moments may tell differently."""
    acts = [
        _opened("/a", START),
        _opened("/b", START),
        _opened("/a", START, OTHER),
        Rename(at=START, task=TASK, path="/a", new_path="/b"),
        Syscall(at=START, task=TASK, name="openat", result=3, resolved={"name": "/a"}),
        Syscall(at=START, task=TASK, name="openat", result=-2, resolved={"name": "/a"}),
    ]
    assert len({identity(act) for act in acts}) == len(acts)
    assert identity(Open(at=START + 1, task=TASK, path="/a", flags=2, inode=9)) == identity(acts[0])
