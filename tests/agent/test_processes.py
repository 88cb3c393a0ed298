"""The process table: origins, ancestors, reused ids, the runtime's own acts."""

from __future__ import annotations

from dataclasses import replace

from agent.processes import GONE, TICK, Processes
from watchkeeper.events import Exec, Exit, Fork, Running, Task
from watchkeeper.findings import Process

HOST, INSIDE = 1, 7


def task(pid: int, start: int, parent: int = 1, parent_start: int = 1, cgroup: int = INSIDE, comm: str = "x") -> Task:
    return Task(pid, start, parent, parent_start, 0, 0, -1, cgroup, comm)


def execution(who: Task, executable: str, *arguments: str, memfd: bool = False) -> Exec:
    return Exec(at=1.0, task=who, executable=executable, arguments=arguments, memfd=memfd)


def entered() -> Processes:
    """A table with a container whose entry point is pid 10."""
    table = Processes()
    table.exec(execution(task(10, 100, comm="app"), "/app"), True)
    return table


def test_first_program_from_outside_is_the_entry_point_and_the_next_is_exec_in() -> None:
    """The runtime's first exec in a cgroup is the entry point, later ones came from kubectl exec or a probe."""
    table = entered()
    later = table.exec(execution(task(20, 200), "/bin/sh"), True).after
    assert [table.actor(task(10, 100)).origin, later.origin] == ["entrypoint", "exec_in"]  # type: ignore[union-attr]


def test_child_keeps_its_parents_program_until_it_executes() -> None:
    """A fork inherits program and container, an exec in it has the origin child and the program before it."""
    table = entered()
    table.fork(Fork(at=1.0, task=task(10, 100), child_pid=11, child_start=110), True)
    forked = table.find(11, 110)
    done = table.exec(execution(task(11, 110, 10, 100), "/bin/ls", "ls", "-l"), True)
    assert forked is not None
    assert (forked.executable, forked.inside, forked.origin) == ("/app", True, "child")
    assert done.before == forked
    assert (done.after.executable, done.after.origin) == ("/bin/ls", "child")


def test_lost_fork_is_made_up_from_the_parent() -> None:
    """An exec whose fork was not seen still is its parent's child, not a second entry into the container."""
    done = entered().exec(execution(task(12, 120, 10, 100), "/bin/id"), True)
    assert done.after.origin == "child"
    assert done.before is not None
    assert done.before.executable == "/app"


def test_runc_init_is_not_inside_until_it_executes_the_entry_point() -> None:
    """runc's own exec from memory, its path, and its forked init leave the container unentered."""
    table = Processes()
    init = task(10, 100, comm="runc:[2:INIT]")
    assert not table.exec(execution(init, "/memfd:runc_cloned", "runc", "init", memfd=True), True).after.inside
    named = replace_comm(init, "runc")
    assert not table.exec(execution(named, "/usr/sbin/runc", "runc", "init"), True).after.inside
    done = table.exec(execution(replace_comm(init, "app"), "/app"), True)
    assert (done.after.inside, done.after.origin) == (True, "entrypoint")


def test_memfd_of_the_workload_is_not_taken_for_the_runtime() -> None:
    """A program that already runs in the container and executes a memfd is the workload."""
    done = entered().exec(execution(task(10, 100), "/memfd:x", "init", memfd=True), True)
    assert (done.after.inside, done.after.origin) == (True, "child")


def replace_comm(who: Task, comm: str) -> Task:
    return task(who.pid, who.start, who.parent_pid, who.parent_start, who.cgroup, comm)


def test_reused_pid_is_another_process() -> None:
    """The same pid with another start has its own program; events that come late still find the old one."""
    table = entered()
    table.exit(Exit(at=1.0, task=task(10, 100)))
    table.exec(execution(task(10, 999, cgroup=HOST), "/other"), False)
    assert [table.find(10, start).executable for start in (100, 999)] == ["/app", "/other"]  # type: ignore[union-attr]
    assert table.find(10, 555) is None


def test_missed_exit_does_not_merge_two_processes() -> None:
    """A fork onto a pid whose exit was lost replaces the process and does not inherit from it."""
    table = entered()
    table.fork(Fork(at=1.0, task=task(1, 1, cgroup=HOST), child_pid=10, child_start=999), False)
    assert table.find(10, 999) != table.find(10, 100)
    assert table.find(10, 999).inside is False  # type: ignore[union-attr]


def test_start_from_proc_is_matched_with_the_kernels() -> None:
    """/proc tells hundredths of a second: the first kernel event of that process makes its start exact."""
    table = Processes()
    table.running(Running(at=1.0, task=task(10, 5 * TICK), executable="/app"), True)
    found = table.find(10, 5 * TICK + 1234)
    assert found is not None
    assert (found.executable, found.start, found.exact) == ("/app", 5 * TICK + 1234, True)
    assert table.find(10, 6 * TICK) is None


def test_description_names_the_ancestors_nearest_first() -> None:
    """A finding shows each ancestor as executable[pid] and the user that acted."""
    table = entered()
    table.fork(Fork(at=1.0, task=task(10, 100), child_pid=11, child_start=110), True)
    who = task(11, 110, 10, 100)
    table.exec(execution(who, "/bin/sh", "sh", "-c", "id"), True)
    child = task(12, 120, 11, 110)
    known = table.exec(execution(child, "/bin/id", "id"), True).after
    actor = Task(12, 120, 11, 110, 33, 33, 1000, INSIDE, "id")
    assert table.describe(known, actor) == Process(
        pid=12,
        executable="/bin/id",
        arguments=("id",),
        uid=33,
        login_uid=1000,
        ancestors=("/bin/sh[11]", "/app[10]"),
        origin="child",
    )


def test_ended_processes_are_bounded() -> None:
    """Only the newest ended processes are remembered."""
    table = Processes()
    for pid in range(1, GONE + 101):
        table.exec(execution(task(pid, pid), "/x"), False)
        table.exit(Exit(at=1.0, task=task(pid, pid)))
    assert len(table) == 0
    assert table.find(100, 100) is None
    assert table.find(101, 101) is not None


def test_records_do_not_change_under_who_holds_them() -> None:
    """An act that waits for a name keeps the process as it was when it acted."""
    table = entered()
    held = table.find(10, 100)
    assert held is not None
    copy = replace(held)
    table.exec(execution(task(10, 100), "/bin/other"), True)
    assert held == copy
