"""What the agent costs the machine it watches, with upstream's rules in force; read docs/benchmarks.md.

Order: rounds of short loads (off, agent, peers), what each of them costs the agent, long loads, memory with profiles.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.requirements import missing_for_live_run
from cli.sandbox import SandboxError
from tests.bench import accounting, cost, long_loads, memory, peers, rounds
from tests.bench.load import Load, loads, readable_tree
from tests.bench.memory import Memory
from tests.bench.node import ROOT, Node
from tests.bench.report import Report
from tests.bench.slice import Slice
from tests.bench.workshop import Workshop

MOST_TOLD = 8
OUTPUT = ROOT / "benchmarks" / "agent.json"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    pairs: int = 7
    paced_seconds: int = 20
    flood_rounds: int = 10


QUICK = Extent(pairs=2, paced_seconds=5, flood_rounds=2)


class Unmeasurable(Exception):
    """The machine lacks something; the message says what."""


def measure(*, quick: bool = False, output: Path = OUTPUT, directory: Path = Path("/usr")) -> dict[str, float]:
    """Prints tables, writes ``output`` and returns the flat figures. ``directory``: where find and cat read. Raises
    Unmeasurable; and WorkshopError, NodeError, StageError, LoadError, CostError when a part fails."""
    if missing := missing_for_live_run():
        raise Unmeasurable("; ".join(missing))
    began = time.monotonic()
    report = _report(QUICK if quick else Extent(), directory)
    report.notes.append(f"the whole run took {time.monotonic() - began:.0f} s")
    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in report.tables():
        console.print(table)
    for note in report.notes:
        console.print(f"- {note}", highlight=False, markup=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report.plain(), indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {output}", highlight=False, markup=False)
    return report.figures()


def _report(extent: Extent, directory: Path) -> Report:
    with Workshop() as workshop, Slice() as group, Node() as node:
        workshop.compile()
        node.begin()
        tree = readable_tree(directory)
        notes = [f"find and cat read {tree.path}: {tree.files:,} files, {tree.bytes / 2**20:,.0f} MiB"]
        timed = loads(workshop, group, tree.path)
        notes += _notes(node, group, timed)
        _tell("which peers run here")
        others, skipped = peers.usable(workshop)
        notes += skipped
        _tell(f"{extent.pairs} rounds: nothing, the agent, {', '.join(peer.name for peer in others) or 'no peer'}")
        played = rounds.play(extent.pairs, node, workshop, timed, others, _tell)
        _tell("what each load costs the agent")
        accounts = accounting.accounts(node, [load for load in timed if not load.cold])
        _tell("long loads")
        long = long_loads.measure(node, workshop, group, extent.paced_seconds, extent.flood_rounds)
        _tell("memory with profiles")
        resident = _memory(node, timed, notes)
        if node.restless:
            notes.append(f"{node.restless} times the agent did not come to rest: something else here keeps it busy")
        fired = node.rules_fired()
        notes += [f"a rule fired {count:,} times: {rule}" for rule, count in list(fired.items())[:MOST_TOLD]]
        return Report(_machine(), timed, played, accounts, long, resident, fired, notes)


def _notes(node: Node, group: Slice, timed: list[Load]) -> list[str]:
    notes = [f"{node.rules} rules of system calls in force, {'upstream' if node.upstream else 'the shipped ones'}"]
    if not node.upstream:
        notes.append("upstream's rule files are not at hand, so the shipped rules stand in for them")
    if not any(load.cold for load in timed):
        notes.append("the kernel's caches may not be dropped here, so there is no cold find | xargs cat")
    if group.problem:
        notes.append(f"the loads share the benchmark's control group, no other can be made: {group.problem}")
    if disturbing := cost.holders_of_programs(node.processes):
        notes.append(f"other BPF programs were there, too, and are in on and off: {', '.join(disturbing)}")
    return notes


def _memory(node: Node, timed: list[Load], notes: list[str]) -> Memory | None:
    try:
        found = memory.measure(node, [load for load in timed if load.times_itself])
    except (SandboxError, FileNotFoundError) as error:
        notes.append(f"memory with profiles: skipped, containers do not run here: {error}")
        return None
    notes.append(
        f"memory with {found.profiles} profiles of {found.behaviours} behaviours: "
        f"{found.at_rest / 2**20:.1f} MiB at rest, {found.after_loads / 2**20:.1f} MiB after loads, "
        f"{found.files / 2**20:.1f} of them pages of programs and libraries"
    )
    return found


def _machine() -> dict[str, str]:
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "load_average": " ".join(f"{each:.2f}" for each in os.getloadavg()),
    }


def _tell(line: str) -> None:
    print(f"bench agent: {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
