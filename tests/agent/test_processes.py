"""The process table: origins, ancestors, reused ids, the runtime's own acts."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from agent.processes import GONE, TICK, Processes
from rules.sources.activity import Process as Activist
from watchkeeper.events import Exec, Exit, Fork, Running, Task
from watchkeeper.findings import Process

HOST, INSIDE = 1, 7


def task(pid: int, start: int, parent: int = 1, parent_start: int = 1, cgroup: int = INSIDE, comm: str = "x") -> Task:
    return Task(pid, start, parent, parent_start, 0, 0, -1, cgroup, comm)


def execution(who: Task, executable: str, *arguments: str, memfd: bool = False) -> Exec:
    return Exec(at=1.0, task=who, executable=executable, arguments=arguments, memfd=memfd)


def told(who: Task, group: int, session: int, virtual: int = 0) -> Task:
    """The task with the ids that Exec and Syscall tell."""
    return structs.replace(
        who,
        thread=who.pid,
        group=group,
        session=session,
        virtual_pid=virtual or who.pid,
        virtual_group=group,
        virtual_session=session,
    )


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
    assert table.find(10, 5 * TICK) == found  # as its children say that /proc told of


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


FULL = Exec(
    at=50.0,
    task=told(task(10, 100, comm="app"), 10, 9, 2),
    executable="/app",
    arguments=("app",),
    environment=("PATH=/bin", "HOME=/root"),
    tty_number=34816,
    inode=5,
    changed_at=6,
    modified_at=7,
    upper_layer=True,
    lower_layer=False,
    writable=True,
    memfd=False,
)


def test_process_is_what_its_exec_made_it() -> None:
    """Everything rules ask of a process is kept from its exec."""
    known: Activist = Processes().exec(FULL, False).after
    assert (
        known.name, known.environment, known.tty_number, known.session, known.group, known.virtual_pid,
        known.virtual_group, known.virtual_session, known.inode, known.changed_at, known.modified_at,
        known.upper_layer, known.lower_layer, known.writable, known.memfd,
    ) == ("app", ("PATH=/bin", "HOME=/root"), 34816, 9, 10, 2, 10, 9, 5, 6, 7, True, False, True, False)  # fmt: skip


def test_child_inherits_and_has_numbers_of_its_own() -> None:
    """A fork inherits program, environment and terminal; ids and start are the child's, from the fork itself."""
    table = Processes()
    parent = table.exec(FULL, False).after
    fork = Fork(
        at=1_700_000_000.5, task=task(10, 100, comm="app"), child_pid=11, child_start=7_000_000_000,
        child_virtual_pid=3, group=10, virtual_group=1, session=9, virtual_session=4,
    )  # fmt: skip
    table.fork(fork, False)
    child = table.find(11, 7_000_000_000)
    assert child is not None
    assert abs(child.started_at - 1_700_000_000_500_000_000) < 1_000
    assert child == replace(
        parent, pid=11, start=7_000_000_000, parent_pid=10, parent_start=100, started_at=child.started_at,
        virtual_pid=3, virtual_group=1, virtual_session=4,
    )  # fmt: skip
    assert child.environment is parent.environment


def test_child_of_an_older_recording_has_its_parents_group() -> None:
    """A fork that does not tell ids leaves group and session the parent's, and the own number unknown."""
    table = Processes()
    table.exec(FULL, False)
    table.fork(Fork(at=1.0, task=task(10, 100), child_pid=11, child_start=110), False)
    child = table.find(11, 110)
    assert child is not None
    assert (child.group, child.session, child.virtual_pid) == (10, 9, 0)


def test_exec_keeps_when_the_process_started() -> None:
    """A process is as old as its fork, not as its last exec."""
    table = Processes()
    table.fork(Fork(at=2_000.0, task=task(1, 1), child_pid=10, child_start=100), False)
    started = [table.exec(execution(task(10, 100), name), False).after.started_at for name in ("/a", "/b")]
    assert started == [2_000_000_000_000] * 2


def test_names_and_sessions_change_without_an_exec() -> None:
    """What a later event tells of name, group and session holds from then on; who held the old record keeps it."""
    table = Processes()
    before = table.exec(FULL, False).after
    renamed = table.actor(structs.replace(FULL.task, comm="worker"))
    assert renamed == replace(before, name="worker")
    moved = told(task(10, 100, comm="worker"), 10, 10, 2)
    assert table.actor(moved) == replace(before, name="worker", session=10, virtual_session=10)
    assert table.actor(task(10, 100, comm="worker")) == table.find(10, 100) == table.actor(moved)


def test_equal_environments_are_kept_once() -> None:
    """An environment that differs in one variable shares the others with its parent's."""
    table = Processes()
    parent = table.exec(FULL, False).after
    table.fork(Fork(at=1.0, task=task(10, 100), child_pid=11, child_start=110), False)
    table.fork(Fork(at=1.0, task=task(10, 100), child_pid=12, child_start=120), False)
    copy = tuple("".join(list(each)) for each in FULL.environment)
    same = table.exec(structs.replace(FULL, task=task(11, 110, 10, 100), environment=copy), False).after
    other = structs.replace(FULL, task=task(12, 120, 10, 100), environment=(*copy, "_=/app"))
    differing = table.exec(other, False).after
    assert same.environment is parent.environment
    assert differing.environment == (*copy, "_=/app")
    assert [a is b for a, b in zip(differing.environment, parent.environment, strict=False)] == [True, True]


def test_ancestors_and_leader_are_found() -> None:
    """The first ancestor is the parent; the leader of a session is the process whose number it has."""
    table = Processes()
    shell = table.exec(execution(told(task(9, 90, 0, 0), 9, 9), "/bin/sh"), False).after
    parent = table.exec(structs.replace(FULL, task=told(task(10, 100, 9, 90), 10, 9)), False).after
    child = table.exec(structs.replace(FULL, task=told(task(11, 110, 10, 100), 11, 9)), False).after
    assert [table.ancestor(child, number) for number in (0, 1, 2, 3)] == [None, parent, shell, None]
    assert [table.leader(each) for each in (shell, parent, child)] == [shell] * 3
    table.exit(Exit(at=1.0, task=task(9, 90, 0, 0)))
    assert table.leader(child) is None
    table.exec(execution(told(task(9, 900, 0, 0), 5, 5), "/other"), False)
    assert table.leader(child) is None


def test_process_found_running_is_described() -> None:
    """What /proc tells of a process is kept like what an exec tells."""
    table = Processes()
    event = Running(
        at=1.0, task=told(task(10, 100, comm="app"), 10, 9), executable="/app", environment=("A=1",), tty_number=3
    )
    known = table.running(event, False)
    assert (known.name, known.environment, known.tty_number, known.group, known.session, known.virtual_pid) == (
        "app", ("A=1",), 3, 10, 9, 10,
    )  # fmt: skip
    assert known.started_at > 0
