"""Events a second through the rules on one core, per source: upstream's rules where at hand, else the shipped ones.

syscall: events of a real kernel, recorded just before while this machine does a build-like load. k8s_audit and
aws_cloudtrail: the recorded samples where at hand, else those of the tests, read from JSON each time, as they arrive.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent import running
from agent.accounts import Accounts
from agent.cgroups import detect
from agent.domains import Domains
from agent.probe import loader
from agent.probe.replay import ReplaySource
from agent.probe.sizes import Sizes
from agent.processes import Processes
from agent.recorded_containers import RecordedContainers
from agent.remembered import Remembered
from agent.rulebook import Hit, Judgement, Rulebook
from agent.rulings import Rulings
from agent.surroundings import Surroundings
from rules.collector import collect
from rules.ruleset import SourceRules, load
from rules.sources import registry
from rules.sources.activity import Activity
from rules.sources.json_input import InputProblem, events
from watchkeeper.events import AnyEvent, Exec, Exit, Fork, Running, Syscall
from watchkeeper.policies import DetectionSet, Policy, RuleFile

ROOT = Path(__file__).parents[2]
UPSTREAM = ROOT.parent / "shared" / "falco"
SYSCALL_FILES = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
RECORDED = 60_000  # events wanted
MEASURED_SECONDS = 5.0
LOAD = """
program=$(mktemp -u)
for i in 1 2 3 4 5 6 7 8; do
  find /usr/lib/python3* -name '*.py' | head -400 | xargs cat >/dev/null
  printf 'int main(void){return 0;}' | gcc -x c -o "$program" - && "$program"; rm -f "$program"
  python3 -c 'import json, ssl, urllib.request'
  ls -lR /etc >/dev/null 2>&1
done
"""


def measure() -> dict[str, float]:
    return {**_syscall(), **_json("k8s_audit"), **_json("aws_cloudtrail")}


def _syscall() -> dict[str, float]:
    files = _files("syscall")
    names = tuple(rule.name for rule in collect(files, {"syscall"}).rules)
    detection = DetectionSet(tuple(RuleFile(*file) for file in files), (Policy("bench", True, names),))
    rulebook = Rulebook(detection)
    recorded = _recorded(rulebook)
    activities = _activities(recorded, rulebook)
    rules = load(files, {"syscall": registry.source("syscall")}, only=names).for_source("syscall")
    rate = _rate(activities, rules)
    return {
        "syscall: rules": float(len(names)),
        "syscall: events recorded": float(len(activities)),
        "syscall: events/s, rules alone": rate,
        "syscall: events/s, processes and rules": _whole_rate(recorded, rulebook),
    }


def _json(source: str) -> dict[str, float]:
    files = _files(source)
    names = {rule.name for rule in collect(files, {source}).rules}
    rules = load(files, {source: registry.source(source)}, only=names).for_source(source)
    data = b"".join(sample.read_bytes().replace(b"\n", b" ") + b"\n" for sample in _samples(source)) * 50

    def run() -> int:
        count = 0
        for event in events(source, data):
            if not isinstance(event, InputProblem):
                rules.matches(event)
                count += 1
        return count

    return {f"{source}: rules": float(len(rules.rules)), f"{source}: events/s, JSON and rules": _repeated(run)}


def _rate(activities: Sequence[Activity], rules: SourceRules) -> float:
    def run() -> int:
        for activity in activities:
            rules.judge(activity)
        return len(activities)

    return _repeated(run)


def _whole_rate(recorded: Sequence[AnyEvent], rulebook: Rulebook) -> float:
    def run() -> int:
        return sum(1 for _ in _judged(recorded, rulebook, lambda _hit: None))

    return _repeated(run)


def _repeated(run: Callable[[], int]) -> float:
    """Events a second of this process's own CPU time, at least for some seconds, after one run that warms up."""
    run()
    count, began = 0, time.process_time()
    while time.process_time() - began < MEASURED_SECONDS:
        count += run()
    return count / (time.process_time() - began)


def _recorded(rulebook: Rulebook) -> list[AnyEvent]:
    hierarchy = detect()
    source = loader.start(Sizes(1 << 24, 1 << 24), os.getpid(), hierarchy, ["shadow"])
    try:
        source.watch(rulebook.syscalls)
        found: list[AnyEvent] = list(running.processes(hierarchy))
        found = [event for event in found if isinstance(event, Running)]
        while sum(isinstance(event, Syscall | Exec) for event in found) < RECORDED:
            with subprocess.Popen(["sh", "-c", LOAD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load:
                while load.poll() is None:
                    found += (told.event for told in source.read(4096))
            found += (told.event for told in source.read(1 << 20))
        return found
    finally:
        source.close()


def _activities(recorded: Sequence[AnyEvent], rulebook: Rulebook) -> list[Activity]:
    kept: list[Activity] = []
    book = _Keeping(rulebook, kept)
    for _ in _judged(recorded, book, lambda _hit: None):
        continue
    return kept


class _Keeping(Rulebook):
    """Keeps what it is asked to judge, with ancestors as they are then."""

    def __init__(self, like: Rulebook, kept: list[Activity]) -> None:
        self.event_types = like.event_types
        self._kept = kept

    def judge(self, activity: Activity) -> Judgement:
        self._kept.append(activity)
        return Judgement()


def _judged(recorded: Sequence[AnyEvent], rulebook: Rulebook, on_hit: Callable[[Hit], None]) -> Iterator[None]:
    """As the agent does it, all of it on the host."""
    processes = Processes()
    surroundings, nobody = Surroundings("bench", Accounts(), Domains()), Remembered(ReplaySource(Path(os.devnull)))
    rulings = Rulings(RecordedContainers(), processes, surroundings, nobody, on_hit)
    rulings.use(rulebook)
    for event in recorded:
        match event:
            case Fork():
                processes.fork(event, False)
            case Exit():
                processes.exit(event)
            case Running():
                processes.running(event, False)
            case Exec():
                processes.exec(event, False)
        if isinstance(event, Exec | Syscall):
            rulings.take(event)
            yield


def _files(source: str) -> list[tuple[str, str]]:
    upstream = {
        "syscall": SYSCALL_FILES,
        "k8s_audit": ("k8s_audit_rules.yaml",),
        "aws_cloudtrail": ("aws_cloudtrail_rules.yaml",),
    }
    found = [UPSTREAM / "rules" / name for name in upstream[source]]
    if not all(path.exists() for path in found):
        print("upstream's rule files are not at hand: the shipped rules are measured", file=sys.stderr)
        found = sorted((ROOT / "rules" / "shipped").glob(f"{source}*.yaml"))
    return [(path.name, path.read_text()) for path in found]


def _samples(source: str) -> list[Path]:
    folder = {"k8s_audit": "audit-samples", "aws_cloudtrail": "cloudtrail-samples"}[source]
    found = sorted((UPSTREAM / folder).glob("*.json"))
    return found or sorted((ROOT / "tests" / "fuzz" / "seeds" / source).iterdir())
