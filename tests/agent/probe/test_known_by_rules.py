"""Kernel and rules together: what a rule could still hit is told each time, what none can is told once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.processes import Processes
from agent.recorded_containers import RecordedContainers
from agent.remembered import Remembered
from agent.rulebook import Hit, Rulebook
from agent.rulings import Rulings
from agent.surroundings import unknown
from watchkeeper.events import Exec, Fork, Syscall
from watchkeeper.policies import DetectionSet, Policy, RuleFile

pytestmark = pytest.mark.kernel

# Which number a descriptor gets, and which id a process, differs between two events of one behaviour.
RULES = """
- rule: Hits always
  desc: d
  condition: evt.type=openat and fd.name endswith /hit and evt.is_open_read=true
  output: o
  priority: INFO
- rule: Reads what varies
  desc: d
  condition: evt.type=openat and fd.name endswith /varies and fd.num=9
  output: o
  priority: INFO
- rule: Is about one process
  desc: d
  condition: evt.type=openat and fd.name endswith /process and proc.pid=1
  output: o
  priority: INFO
"""
NEXT_RULES = """
- rule: Came later
  desc: d
  condition: evt.type=openat and fd.name endswith /plain
  output: o
  priority: INFO
"""


def rulebook(rules: str, *names: str) -> Rulebook:
    made = Rulebook(DetectionSet((RuleFile("rules.yaml", rules),), (Policy("all", True, names),)))
    assert (made.missing, made.errors) == ((), ())
    return made


class Bench:
    """Rulings over what the kernel tells; ``hits`` are those so far."""

    def __init__(self, watch, made: Rulebook) -> None:
        self.hits: list[Hit] = []
        self._watch = watch
        self._judged = len(watch.told)
        self._processes = Processes()
        self._remembered = Remembered(watch.source)
        self.rulings = Rulings(
            RecordedContainers(), self._processes, unknown("node-1"), self._remembered, self.hits.append
        )
        self.use(made)

    def use(self, made: Rulebook) -> None:
        assert self._watch.source.watch(made.syscalls) == {}
        self.rulings.use(made)

    def judge(self) -> None:
        """Everything told so far."""
        for told in self._watch.told[self._judged :]:
            match told.event:
                case Fork():
                    self._processes.fork(told.event, True)
                case Exec():
                    self._processes.exec(told.event, True)
            if isinstance(told.event, Exec | Syscall):
                self.rulings.take(told.event, told.ticket)
        self._judged = len(self._watch.told)
        self._remembered.remember()


@pytest.fixture
def bench(watch) -> Iterator[Bench]:
    yield Bench(watch, rulebook(RULES, "Hits always", "Reads what varies", "Is about one process"))
    watch.source.watch({})


@pytest.fixture
def opened(bench, watch, stage, tmp_path):
    """Opens the file of that name to read, has the event judged; whether it was told, and the rules that it hit."""
    actor = stage.actor(watch)
    actor.do(f"os.chdir('{tmp_path}')")
    bench.judge()

    def run(name: str, descriptor: int = 5) -> tuple[bool, list[str]]:
        (tmp_path / name).touch()
        hits, path = len(bench.hits), str(tmp_path / name)
        told = actor.told(
            f"""
held = []
while (lowest := os.dup(0)) != {descriptor}: held.append(lowest)
os.close(lowest)
assert os.open({name!r}, os.O_RDONLY) == {descriptor}
for each in (lowest, *held): os.close(each)
""",
            lambda event: isinstance(event, Syscall) and event.resolved.get("name") == path,
        )
        bench.judge()
        return bool(told), [hit.rule.name for hit in bench.hits[hits:]]

    return run


def test_what_no_rule_can_hit_is_told_once(opened):
    """What rules ask about other files only ends in the kernel from the second time on, whatever differs by chance."""
    assert [opened("plain") for _ in range(3)] == [(True, []), (False, []), (False, [])]
    assert opened("plain", descriptor=9) == (False, [])


def test_hit_is_told_each_time(opened):
    """What a rule found is found again, as often as it happens."""
    assert [opened("hit") for _ in range(4)] == [(True, ["Hits always"])] * 4


def test_rule_that_reads_what_varies_is_asked_each_time(opened):
    """A rule whose verdict may be another the next time misses nothing, although it found nothing before."""
    assert [opened("process") for _ in range(3)] == [(True, [])] * 3
    assert [opened("varies") for _ in range(3)] == [(True, [])] * 3
    assert opened("varies", descriptor=9) == (True, ["Reads what varies"])
    assert opened("varies") == (True, [])
    assert opened("plain")[0] is True
    assert opened("plain")[0] is False


def test_new_rules_are_asked_about_what_old_ones_let_pass(bench, opened):
    """What was known is told again when rules are loaded, and hits the ones that are new."""
    assert [opened("plain") for _ in range(2)] == [(True, []), (False, [])]
    bench.use(rulebook(NEXT_RULES, "Came later"))
    assert [opened("plain") for _ in range(2)] == [(True, ["Came later"])] * 2
    assert [opened("hit") for _ in range(2)] == [(True, []), (False, [])]
