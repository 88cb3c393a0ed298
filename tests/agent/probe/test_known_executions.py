"""Processes that were judged are born, execute and end in the kernel; what is another process than it was is told."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import pytest

from agent.probe.sizes import Sizes
from agent.probe.source import Told
from agent.probe.syscalls import Outcomes
from watchkeeper.events import AnyEvent, Exec, Exit, Fork, Open, Syscall

pytestmark = pytest.mark.kernel

RUN = "os.spawnv(os.P_WAIT, '{program}', ['program', 'argument'])"
KINDS = {Fork, Exec, Exit}

# what changes -> the code that changes it, and the one that puts it back
CHANGES = {
    "argument": (RUN.replace("argument", "another"), ""),
    "environment": ("os.environ['NEW'] = '1'; " + RUN, ""),
    "directory": ("os.chdir('/'); " + RUN, ""),
    "group": ("child('os.setgid(1000); ' + {run!r})", "child({run!r})"),
    "name of the parent": ("libc.prctl(15, b'another'); " + RUN, ""),
    "name of the grandparent": ("libc.prctl(15, b'another'); " + "child({run!r})", "child({run!r})"),
    "program replaced": ("os.rename('{other}', '{program}'); " + RUN, ""),
    "program made executable by all": ("os.chmod('{program}', 0o777); " + RUN, ""),
    "first of its pid namespace": ("child('call(\"unshare\", 0x20000000); ' + {run!r})", "child({run!r})"),
}


@pytest.fixture
def programs(tmp_path) -> dict[str, str]:
    made = {name: str(tmp_path / name) for name in ("program", "other")}
    for path in made.values():
        shutil.copy("/bin/true", path)
    return made


@pytest.fixture
def actor(watch, stage):
    watch.source.watch({"execve": Outcomes(environment=True)})
    yield stage.actor(watch)
    watch.source.watch({})


def lives(event: AnyEvent) -> bool:
    return type(event) in KINDS


def kinds(told: Sequence[Told]) -> list[str]:
    return [type(each.event).__name__ for each in told]


def settle(actor, told: Sequence[Told]) -> None:
    """All of them but ends, which nobody judges."""
    actor.watch.settle([each for each in told if not isinstance(each.event, Exit)])


def judged(actor, code: str) -> list[Told]:
    """Have the lives that the code begins judged: told once."""
    told = actor.told(code, lives)
    settle(actor, told)
    assert actor.told(code, lives) == []
    return told


def test_known_life_ends_in_the_kernel(actor, programs):
    """Birth, execution and end of the same program by the same one are told once, and counted after that."""
    first = judged(actor, RUN.format(**programs))
    assert kinds(first) == ["Fork", "Exec", "Exit"]
    before = {each.event_class: each for each in actor.watch.source.counters()}
    assert actor.told(f"for _ in range(50): {RUN.format(**programs)}", lives) == []
    for each in actor.watch.source.counters():
        if each.event_class in ("fork", "exec", "exit"):
            assert each.known - before[each.event_class].known >= 50
            assert each.seen == each.suppressed + each.submitted + each.dropped


@pytest.mark.parametrize("change", CHANGES)
def test_execution_that_is_another_is_told(actor, programs, change):
    """Whatever rules may ask of an execution is part of what was judged."""
    run = RUN.format(**programs)
    changed, plain = (code.format(run=run, **programs) for code in CHANGES[change])
    judged(actor, plain or run)
    again = [each.event for each in actor.do(changed) if isinstance(each.event, Exec)]
    assert [event.arguments[0] for event in again] == ["program"]


@pytest.mark.parametrize("before", ["os.fork() or os._exit(0)", "os.setsid()"])
def test_who_others_are_told_of_by_is_told_always(actor, programs, before):
    """The execution of a process that has children already or leads a session: theirs depends on what it is now."""
    step = f"if not os.fork(): {before}; os.execv({programs['program']!r}, ['program'])\nos.wait()"
    for _ in range(2):
        told = actor.told(step, lives)
        assert kinds(told).count("Exec") == 1
        settle(actor, [each for each in told if each.ticket is not None])


def test_new_rules_judge_lives_again(actor, programs):
    """What was judged by rules that are no more in force is told again."""
    run = RUN.format(**programs)
    judged(actor, run)
    actor.watch.source.forget()
    assert kinds(judged(actor, run)) == ["Fork", "Exec", "Exit"]


def test_unlearned_execution_is_told_again(actor, programs):
    """When the agent forgets what a context stands for, the kernel may not rely on it."""
    run = RUN.format(**programs)
    execution = next(each.event for each in judged(actor, run) if isinstance(each.event, Exec))
    actor.watch.source.unlearn(execution.task.context)
    again = actor.told(run, lives)
    assert kinds(again) == ["Exec", "Exit"]
    assert again[0].event.task.context == execution.task.context


def test_act_of_an_untold_process_says_which_it_is(actor, tmp_path):
    """A process whose birth and execution ended in the kernel does something new: by its context it is the first."""
    script = f"[ -e {tmp_path}/now ] && : > {tmp_path}/new; :"
    run = f"os.spawnv(os.P_WAIT, '/bin/sh', ['sh', '-c', {script!r}])"
    first = next(each.event for each in judged(actor, run) if isinstance(each.event, Exec))
    (tmp_path / "now").touch()
    told = [each.event for each in actor.do(run)]
    assert [event for event in told if lives(event)] == []
    (act,) = [event for event in told if isinstance(event, Open) and event.path == f"{tmp_path}/new"]
    assert act.task.context == first.task.context
    assert act.task.parent_context == first.task.parent_context
    assert act.task.pid != first.task.pid


def test_execution_tells_the_contexts_of_its_ancestors(actor, programs):
    """Also of those that nobody was told of: they share them with the first ones."""
    shell = f"os.spawnv(os.P_WAIT, '/bin/sh', ['sh', '-c', '{programs['program']} $WHAT; :'])"
    first, *_ = [each.event for each in judged(actor, shell) if isinstance(each.event, Exec)]
    assert first.arguments[0] == "sh"
    told = [each.event for each in actor.do("os.environ['WHAT'] = 'x'\n" + shell)]
    sh, program = [event for event in told if isinstance(event, Exec)]
    assert program.ancestors[0].context == sh.task.context
    assert program.ancestors[1].context == sh.ancestors[0].context == first.ancestors[0].context


def test_failed_execution_is_told_once(actor):
    """And again when an ancestor is called otherwise."""
    actor.watch.source.watch({"execve": Outcomes()})
    code = "try: os.execv('/does/not/exist', ['x'])\nexcept OSError: pass"

    def failed(event: AnyEvent) -> bool:
        return isinstance(event, Syscall) and event.name == "execve"

    (told,) = actor.judge(f"child({code!r})", failed)
    ancestors = told.event.ancestors
    assert (ancestors[0].comm, ancestors[0].context) == (told.event.task.comm, told.event.task.parent_context)
    assert ancestors[-1].pid == 1
    assert len(actor.told(f"libc.prctl(15, b'another'); child({code!r})", failed)) == 1


def test_lost_execution_leaves_a_process_of_which_nothing_is_known(fresh, stage, programs):
    """The agent was not told what it is, so everything it does is told each time and must not be remembered."""
    watch = fresh(sizes=Sizes(1 << 16, 1 << 16))
    actor = stage.actor(watch)
    lost = actor.spawn("lost")
    actor.do(f"for i in range(150): os.spawnv(os.P_WAIT, {programs['program']!r}, [str(i)])", read=False)
    lost.become(sys.executable, "-IS", "-c", read=False)
    while watch.read():
        pass
    executed = [each.event for each in watch.told if isinstance(each.event, Exec)]
    becoming = [event for event in executed if str(lost.home) in event.arguments]
    assert len(becoming) == 1, "the ring had room for everything, and the test shows nothing"
    step = f"os.close(os.open({programs['other']!r}, os.O_WRONLY))"

    def is_other(event: AnyEvent) -> bool:
        return isinstance(event, Open) and event.path == programs["other"]

    assert [(each.ticket, each.event.task.context) for each in lost.told(step, is_other)] == [(None, b"")]
    assert len(lost.told(step, is_other)) == 1
    for _ in range(2):
        assert [each.ticket for each in lost.told(RUN.format(**programs), lives)] == [None] * 3
    lost.leave()
    actor.do("os.wait()")
