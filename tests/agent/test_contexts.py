"""Processes that the kernel did not tell of are found by the context that they share with the first of their kind."""

from __future__ import annotations

import msgspec

from agent.contexts import Contexts
from agent.process import Known
from agent.processes import Processes
from watchkeeper.events import MOST_ANCESTORS, Ancestor, Exec, Fork, Running, Task
from watchkeeper.findings import Process

CGROUP = 7
INIT, APP, SHELL, FORKED, LS, OTHER = (bytes([number]) * 16 for number in range(1, 7))


def task(pid: int, context: bytes, parent: int, parent_context: bytes, comm: str = "x") -> Task:
    """Starts are ten times the pid."""
    return Task(
        pid, pid * 10, parent, parent * 10, 0, 0, -1, CGROUP, comm, context=context, parent_context=parent_context
    )


def ancestors(*them: tuple[int, str, bytes]) -> tuple[Ancestor, ...]:
    return tuple(Ancestor(pid, pid * 10, comm, context) for pid, comm, context in them)


def heard() -> Processes:
    """Of init (1), an app (10) that was there before, its shell (20), the shell's child (30) and the ls it became."""
    table = Processes()
    table.running(Running(at=1.0, task=task(1, b"", 0, b""), executable="/init"), False)
    table.running(Running(at=1.0, task=task(10, b"", 1, b""), executable="/app"), False)
    above = ancestors((10, "app", APP), (1, "init", INIT))
    table.exec(execution(task(20, SHELL, 10, APP, "sh"), "/bin/sh", above, b"f" * 16), True)
    table.fork(
        Fork(at=1.0, task=task(20, SHELL, 10, APP, "sh"), child_pid=30, child_start=300, child_context=FORKED), True
    )
    child = task(30, LS, 20, SHELL, "ls")
    table.exec(execution(child, "/bin/ls", ancestors((20, "sh", SHELL), *pairs(above)), FORKED), True)
    return table


def pairs(of: tuple[Ancestor, ...]) -> list[tuple[int, str, bytes]]:
    return [(each.pid, each.comm, each.context) for each in of]


def execution(who: Task, program: str, above: tuple[Ancestor, ...], before: bytes) -> Exec:
    return Exec(at=1.0, task=who, executable=program, arguments=(program,), ancestors=above, previous_context=before)


def brief(table: Processes, who: Task) -> tuple[str, tuple[str, ...]]:
    """The task's program and its ancestors as a finding shows them."""
    known = table.actor(who)
    assert known is not None
    shown: Process = table.describe(known, who)
    return shown.executable, shown.ancestors


def test_process_not_told_of_is_the_first_of_its_context() -> None:
    """Program, arguments and ancestors are those of the first; who it is and its parent the task says."""
    table = heard()
    again = task(31, LS, 20, SHELL, "ls")
    known = table.actor(again)
    assert known is not None
    assert (known.pid, known.start, known.parent_pid, known.arguments) == (31, 310, 20, ("/bin/ls",))
    assert brief(table, again) == ("/bin/ls", ("/bin/sh[20]", "/app[10]", "/init[1]"))
    assert table.find(30, 300) != known


def test_parent_not_told_of_is_known_by_its_context_too() -> None:
    """Of those above the parent the event does not tell who they are today, only what they were."""
    table = heard()
    assert brief(table, task(41, LS, 40, SHELL)) == ("/bin/ls", ("/bin/sh[40]", "/app", "/init"))


def test_execution_tells_all_ancestors() -> None:
    """Those that nobody was told of are found by their contexts, with the ids and the names they have now."""
    table = heard()
    above = ancestors((41, "renamed", FORKED), (40, "sh", SHELL), (10, "app", APP), (1, "init", INIT))
    done = table.exec(execution(task(42, OTHER, 41, FORKED), "/bin/id", above, b"f" * 16), True)
    assert [table.describe(done.after, task(42, OTHER, 41, FORKED)).ancestors, *map(name, (41, 40), [table] * 2)] == [
        ("/bin/sh[41]", "/bin/sh[40]", "/app[10]", "/init[1]"),
        "renamed",
        "sh",
    ]


def name(pid: int, table: Processes) -> str:
    found = table.find(pid, pid * 10)
    return found.name if found is not None else ""


def test_told_process_that_became_another_untold_is_that() -> None:
    """A birth was told and the execution after it was not: the next event says what the process is now."""
    table = heard()
    fork = Fork(
        at=1.0,
        task=task(20, SHELL, 10, APP),
        child_pid=50,
        child_start=500,
        child_context=OTHER,
        child_virtual_pid=50,
        session=20,
    )
    table.fork(fork, True)
    assert brief(table, task(50, OTHER, 20, SHELL))[0] == "/bin/sh"
    assert brief(table, task(50, LS, 20, SHELL))[0] == "/bin/ls"
    assert table.find(50, 500) == table.actor(task(50, LS, 20, SHELL))
    assert table.find(50, 500).session == 20  # type: ignore[union-attr]


def test_process_with_another_parent_than_the_first_has_the_ancestors_it_had() -> None:
    """Its parent ended, and init took it in: rules go by where it came from, as they did for the first."""
    table = heard()
    assert brief(table, task(61, LS, 1, INIT)) == ("/bin/ls", ("/bin/sh", "/app", "/init"))


def test_what_was_there_before_gets_its_context_with_its_first_event() -> None:
    """/proc does not tell it, and it is no other process for it."""
    table = heard()
    assert brief(table, task(10, APP, 1, INIT))[0] == "/app"
    assert table.find(10, 100).context == APP  # type: ignore[union-attr]


def test_process_of_a_context_nobody_heard_of_is_not_known() -> None:
    """Not even when it was known as something else: better no program than a wrong one."""
    table = heard()
    assert table.actor(task(70, OTHER, 10, APP)) is None
    assert table.actor(task(30, OTHER, 20, SHELL)) is None
    assert table.forgotten == 1
    assert table.actor(task(30, LS, 20, SHELL)) is not None


def test_untold_context_says_nothing() -> None:
    """An execution that was lost leaves none, and a recording of an older agent has none: who is known stays known."""
    assert brief(heard(), task(30, b"", 20, b""))[0] == "/bin/ls"


def test_deep_lineage_is_cut() -> None:
    """No more ancestors are given than executions tell of."""
    table = Processes()
    contexts = [bytes([number]) * 16 for number in range(1, 40)]
    for pid, context in enumerate(contexts, 1):
        above = ancestors(
            *((each, "x", contexts[each - 1]) for each in range(pid - 1, max(0, pid - 1 - MOST_ANCESTORS), -1))
        )
        parent = contexts[pid - 2] if pid > 1 else b""
        table.exec(execution(task(pid, context, pid - 1, parent), f"/{pid}", above, b"f" * 16), True)
    who = task(500, contexts[-1], 38, contexts[-2])
    assert brief(table, who)[1] == tuple(f"/{pid}[{pid}]" for pid in range(38, 38 - MOST_ANCESTORS, -1))


def test_what_was_not_asked_for_longest_goes_and_is_unlearned() -> None:
    """The kernel must tell again what the agent can not say any more."""
    contexts: Contexts[str] = Contexts(2)
    gone: list[bytes] = []
    contexts.on_forgotten = gone.append
    contexts.hear(APP, "app", ())
    contexts.hear(SHELL, "shell", ("app",))
    assert contexts.find(APP) is not None
    contexts.hear(LS, "ls", ())
    assert (gone, contexts.find(SHELL), len(contexts)) == ([SHELL], None, 2)


def test_events_are_recorded_with_their_contexts() -> None:
    """A recording is replayed to the same processes."""
    event = execution(task(30, LS, 20, SHELL), "/bin/ls", ancestors((20, "sh", SHELL)), FORKED)
    assert msgspec.json.decode(msgspec.json.encode(event), type=Exec) == event
    assert isinstance(heard().find(20, 200), Known)
