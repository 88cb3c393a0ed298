"""Rules over events in the agent: what is judged, when, and what becomes of a hit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from agent.enforcement import FILE, Enforcement, stored
from agent.probe.source import Ticket
from agent.probe.syscalls import Outcomes
from agent.processes import Processes
from agent.recorded_containers import RecordedContainers
from agent.remembered import Remembered
from agent.rule_finding import finding, mark, severity
from agent.rulebook import EMPTY, Hit, Judgement, Rulebook
from agent.rulings import WAITING, Rulings
from agent.surroundings import unknown
from rules.sources.activity import Activity
from watchkeeper.events import Descriptor, Exec, Fork, Syscall, Task
from watchkeeper.findings import Container, ProfileKey, Severity
from watchkeeper.policies import DetectionSet, Policy, RuleFile, Scope

HOST, WEB = 1, 7
SHELL = Task(10, 100, 2, 2, 0, 0, -1, WEB, "sh", effective_uid=0)
CONTAINER = Container("c" * 64, "web", pod_name="web-1", pod_namespace="shop", workload="Deployment/web")
KEY = ProfileKey("prod", "shop", "Deployment/web", "web", "")

RULES = """
- rule: Shell runs
  desc: d
  condition: evt.type in (execve, execveat) and proc.name=sh
  output: "%proc.name in %container.name by %proc.pname"
  priority: WARNING
  tags: [one, two]
- rule: Shadow is read
  desc: d
  condition: evt.type=openat and evt.is_open_read=true and fd.name=/etc/shadow and evt.rawres>=0
  output: "%fd.name"
  priority: CRITICAL
- rule: Nothing asks for it
  desc: d
  condition: evt.type=ptrace
  output: o
  priority: INFO
"""
BOTH = ("Shell runs", "Shadow is read")


def detection(*policies: Policy, rules: str = RULES) -> DetectionSet:
    return DetectionSet((RuleFile("rules.yaml", rules),), policies or (Policy("all", True, BOTH),))


def shell(task: Task = SHELL) -> Exec:
    return Exec(at=50.0, task=task, executable="/bin/sh", arguments=("sh",))


def shadow(task: Task = SHELL, result: int = 3) -> Syscall:
    return Syscall(
        at=60.0,
        task=task,
        name="openat",
        result=result,
        arguments={"fd": result, "dirfd": -100, "flags": 0, "mode": 0, "name": "/etc/shadow"},
        resolved={"name": "/etc/shadow"},
        descriptor=Descriptor(result, "file", "/etc/shadow") if result >= 0 else None,
    )


class Kernel:
    """Remembers what is settled, as the kernel does; ``forgotten`` counts how often it had to begin anew."""

    def __init__(self) -> None:
        self.settled: list[bytes] = []
        self.forgotten = 0

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None:
        self.settled.append(ticket.key)

    def remember(self) -> None:
        """At once here."""

    def forget(self) -> None:
        self.settled.clear()
        self.forgotten += 1

    def forget_behaviours(self, cgroup: int) -> None:
        """No test has a container that becomes another one."""

    def seen(self) -> list[int]:
        return []


class Court:
    """Rulings over recorded containers; ``hits`` are those so far."""

    def __init__(self, rules: DetectionSet) -> None:
        self.hits: list[Hit] = []
        self.containers = RecordedContainers()
        self.processes = Processes()
        self.kernel = Kernel()
        remembered = Remembered(self.kernel)
        self.rulings = Rulings(self.containers, self.processes, unknown("node-1"), remembered, self.hits.append)
        self.rulings.use(Rulebook(rules))
        self.containers.on_named = self.rulings.named

    def rules(self) -> list[tuple[str, str]]:
        return [(hit.rule.name, hit.activity.container.name if hit.activity.container else "host") for hit in self.hits]


def test_events_of_host_and_container_are_judged_at_once() -> None:
    """What has its name is judged when it comes; what the rules do not ask for is not looked at."""
    court = Court(detection())
    court.containers.name(WEB, CONTAINER)
    host = msgspec.structs.replace(SHELL, cgroup=HOST)
    assert [court.rulings.take(event) for event in (shell(), shadow(), shell(host))] == [False] * 3
    assert court.rules() == [("Shell runs", "web"), ("Shadow is read", "web"), ("Shell runs", "host")]
    judged = court.rulings.judged
    court.rulings.take(Syscall(at=1.0, task=SHELL, name="ptrace", result=0))
    assert court.rulings.judged == judged


def test_events_wait_for_the_containers_name_with_their_process() -> None:
    """An event before the name is judged when the name comes, as the process was when it happened."""
    court = Court(detection())
    court.containers.birth(WEB, "/kubepods/x")
    court.processes.exec(shell(), True)
    assert court.rulings.take(shell())
    assert court.hits == []
    court.processes.exec(Exec(at=51.0, task=msgspec.structs.replace(SHELL, comm="ls"), executable="/bin/ls"), True)
    court.containers.name(WEB, CONTAINER)
    assert court.rules() == [("Shell runs", "web")]
    process = court.hits[0].activity.process
    assert process is not None and process.name == "sh"


def test_too_many_waiting_events_are_judged_without_the_name() -> None:
    """The oldest container's events are judged by its id alone rather than dropped."""
    court = Court(detection())
    court.containers.birth(WEB, "/kubepods/x")
    for _ in range(WAITING + 1):
        court.rulings.take(shell())
    assert len(court.hits) == WAITING + 1
    assert {name for _, name in court.rules()} == {"host"}


def test_a_policy_counts_only_where_its_scope_does() -> None:
    """Namespaces and labels restrict a policy to pods that have them; the host is not in a namespace."""
    policies = (
        Policy("shop", True, ("Shell runs",), scope=Scope(namespaces=("sh*",))),
        Policy("bank", True, ("Shell runs",), scope=Scope(namespaces=("bank",))),
        Policy("web", True, ("Shell runs",), scope=Scope(labels=(("app", "web"),))),
        Policy("off", False, ("Shadow is read",)),
    )
    court = Court(detection(*policies))
    court.containers.name(WEB, CONTAINER)
    for event in (shell(), shadow(), shell(msgspec.structs.replace(SHELL, cgroup=HOST))):
        court.rulings.take(event)
    assert [[policy.name for policy in hit.policies] for hit in court.hits] == [["shop"]]


def test_only_what_a_rule_can_match_is_asked_of_the_kernel() -> None:
    """The rulebook names event types and outcomes; a disabled policy's rules ask for nothing."""
    book = Rulebook(detection())
    assert set(book.syscalls) == {"execve", "execveat", "openat"}
    assert book.syscalls["openat"] == Outcomes(succeeded=True, failed=False, reads=True, environment=False)
    assert Rulebook(detection(Policy("off", False, BOTH))).syscalls == {}
    assert Rulebook(EMPTY).event_types == frozenset()


def test_a_finding_tells_the_hit_in_falcos_terms() -> None:
    """Fields are those of Falco's JSON; the same rule, program and object fold, whatever the process's id."""
    court = Court(detection())
    court.containers.name(WEB, CONTAINER)
    court.processes.fork(Fork(at=1.0, task=Task(2, 2, 1, 1, 0, 0, -1, WEB, "app"), child_pid=10, child_start=100), True)
    court.processes.exec(shell(), True)
    court.rulings.take(shell())
    court.rulings.take(shell(msgspec.structs.replace(SHELL, thread=12)))
    first, second = court.hits
    assert mark(first, KEY) == mark(second, KEY) != mark(first, ProfileKey("x", "", "", "", ""))
    told = finding(first, "node-1", KEY, None, 70.0, "m")
    fields = dict(told.fields)
    assert (told.source, told.title, told.severity, told.fingerprint) == ("rule", "Shell runs", Severity.MEDIUM, "m")
    assert (told.occurred_at, told.detected_at, told.profile, told.container) == (50.0, 70.0, KEY, CONTAINER)
    assert json.loads(fields.pop("output_fields")) == {
        "container.name": "web", "evt.time": 50_000_000_000, "proc.name": "sh", "proc.pname": None,
    }  # fmt: skip
    assert fields == {
        "rule": "Shell runs",
        "rule_source": "syscall",
        "priority": "Warning",
        "output": "00:00:50.000000000: Warning sh in web by <NA>",
        "tags": "one,two",
        "policy": "all",
        "actions": "alert",
        "time": "1970-01-01T00:00:50.000000000Z",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None,), Severity.MEDIUM),
        ((Severity.LOW, None, Severity.HIGH), Severity.HIGH),
        ((Severity.INFO,), Severity.INFO),
    ],
)
def test_a_policys_severity_outweighs_the_rules_priority(
    given: tuple[Severity | None, ...], expected: Severity
) -> None:
    """The most urgent of the policies' severities, else by the priority."""
    policies = [Policy(f"p{i}", True, BOTH, severity=each) for i, each in enumerate(given)]
    court = Court(detection(*policies))
    court.rulings.take(shell(msgspec.structs.replace(SHELL, cgroup=HOST)))
    assert [severity(hit) for hit in court.hits] == [expected]


def test_an_event_that_can_not_be_judged_is_counted_and_the_next_one_judged() -> None:
    """A fault in judging one event neither ends the agent nor goes by in silence."""

    class Faulty(Rulebook):
        def judge(self, activity: Activity) -> Judgement:
            if isinstance(activity.event, Syscall):
                raise ValueError("odd")
            return super().judge(activity)

    court = Court(detection())
    court.rulings.use(Faulty(detection()))
    court.rulings.take(shadow(msgspec.structs.replace(SHELL, cgroup=HOST)))
    court.rulings.take(shell(msgspec.structs.replace(SHELL, cgroup=HOST)))
    assert (court.rulings.failures, court.rulings.last_failure) == (1, "openat: ValueError: odd")
    assert court.rules() == [("Shell runs", "host")]


def test_only_what_no_rule_can_match_is_settled() -> None:
    """A hit is told again each time; a benign act of a known process is settled, one of an unknown process is not."""
    court = Court(detection())
    known = msgspec.structs.replace(SHELL, cgroup=HOST)
    court.processes.exec(shell(known), False)
    harmless = Descriptor(3, "file", "/etc/hosts")
    acts = [
        (shadow(known), b"hit"),
        (msgspec.structs.replace(shadow(known), descriptor=harmless), b"benign"),
        (msgspec.structs.replace(shadow(msgspec.structs.replace(known, pid=99)), descriptor=harmless), b"unknown"),
        (Syscall(at=1.0, task=known, name="ptrace", result=0), b"nobody asks"),
    ]
    for act, key in acts:
        court.rulings.take(act, Ticket(key, 1, HOST, "syscall"))
    assert court.kernel.settled == [b"benign", b"nobody asks"]


def test_other_rules_judge_again_what_was_settled() -> None:
    """Putting rules into force makes the kernel forget."""
    court = Court(detection())
    before = court.kernel.forgotten
    court.kernel.settled.append(b"benign")
    court.rulings.use(Rulebook(detection()))
    assert (court.kernel.settled, court.kernel.forgotten) == ([], before + 1)


@pytest.mark.parametrize(("call", "same"), [("dup2", True), ("accept", True), ("connect", False)])
def test_hits_of_one_clients_connections_fold(call: str, same: bool) -> None:
    """The ephemeral port of who came in is accidental; the port connected to is not."""
    rules = f"""
- {{rule: Any, desc: d, condition: "evt.type={call} and fd.typechar=4", output: o, priority: INFO}}
"""
    court = Court(detection(Policy("all", True, ("Any",)), rules=rules))
    for port in (40_001, 40_002):
        ends = Descriptor(
            0, "ipv4", remote_address="192.0.2.7", remote_port=port, local_address="192.0.2.1", local_port=80
        )
        court.rulings.take(Syscall(at=1.0, task=SHELL, name=call, result=0, descriptor=ends))
    first, second = (mark(hit, KEY) for hit in court.hits)
    assert (first == second) == same


class Watcher:
    """A source that serves everything but what it is told to refuse."""

    def __init__(self) -> None:
        self.wanted: list[set[str]] = []
        self.refused: dict[str, str] = {}

    def watch(self, wanted: Mapping[str, Outcomes]) -> dict[str, str]:
        self.wanted.append(set(wanted))
        return {name: reason for name, reason in self.refused.items() if name in wanted}


def test_a_pushed_set_comes_into_force_and_survives_a_restart(tmp_path: Path) -> None:
    """It is compiled, its hooks are asked for, its hash is told, and it is kept for the next start."""
    court, watcher = Court(EMPTY), Watcher()
    enforcement = Enforcement(tmp_path, watcher, court.rulings)
    assert (enforcement.hash, enforcement.rules, stored(tmp_path)) == ("", 0, EMPTY)
    asyncio.run(enforcement.put(detection()))
    assert (enforcement.hash, enforcement.rules, enforcement.problems) == (detection().hash, 2, ())
    assert watcher.wanted == [{"execve", "execveat", "openat"}]
    assert stored(tmp_path) == detection()
    asyncio.run(enforcement.put(detection()))
    assert len(watcher.wanted) == 1


def test_only_the_first_matching_rule_fires_where_so_configured(tmp_path: Path) -> None:
    """In the order of the files; all by default."""
    rules = RULES + "- {rule: Exec, desc: d, condition: evt.type=execve, output: o, priority: INFO}\n"
    both = detection(Policy("all", True, ("Exec", "Shell runs")), rules=rules)
    for match_all, expected in ((True, ["Shell runs", "Exec"]), (False, ["Shell runs"])):
        court = Court(EMPTY)
        asyncio.run(Enforcement(tmp_path / str(match_all), Watcher(), court.rulings, match_all=match_all).put(both))
        court.rulings.take(shell(msgspec.structs.replace(SHELL, cgroup=HOST)))
        assert [name for name, _ in court.rules()] == expected


def test_a_broken_set_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    """A rule that does not compile rejects the new set as a whole, and says so; the old one goes on judging."""
    court, watcher = Court(EMPTY), Watcher()
    enforcement = Enforcement(tmp_path, watcher, court.rulings)
    asyncio.run(enforcement.put(detection()))
    broken = detection(rules=RULES.replace("proc.name=sh", "proc.nonsense=sh"))
    asyncio.run(enforcement.put(broken))
    assert enforcement.hash == detection().hash
    assert enforcement.problems[0] == "the newest rules are not in force"
    assert "proc.nonsense" in enforcement.problems[1]
    assert stored(tmp_path) == detection()
    court.rulings.take(shell(msgspec.structs.replace(SHELL, cgroup=HOST)))
    assert court.rules() == [("Shell runs", "host")]


def test_what_can_not_be_in_force_is_told(tmp_path: Path) -> None:
    """A first set with errors is used as far as it goes; missing rules and event types are named."""
    court, watcher = Court(EMPTY), Watcher()
    watcher.refused = {"openat": "no tracepoint"}
    enforcement = Enforcement(tmp_path, watcher, court.rulings)
    asyncio.run(enforcement.put(detection(Policy("all", True, (*BOTH, "No such rule")))))
    assert enforcement.rules == 2
    assert enforcement.problems == (
        "rule 'No such rule' of a policy is not in force: no file holds it, or it does not compile",
        "this kernel does not tell of openat: no tracepoint",
    )


def test_a_damaged_file_is_an_empty_set(tmp_path: Path) -> None:
    """The aggregator sends the set again, so a start never fails for it."""
    (tmp_path / FILE).write_text('{"files": [')
    assert stored(tmp_path) == EMPTY
