"""What a run found: as tables for people, as flat figures, and as the JSON file."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from tests.bench.accounting import Account
from tests.bench.counters import FIGURES, NOVELTY, Counters
from tests.bench.load import Load
from tests.bench.long_loads import MILLION, LongLoads
from tests.bench.memory import Memory
from tests.bench.rounds import AGENT, Rounds

MOST_RESIDENT = 50 * 2**20
MOST_CROSSING = 0.1  # percent
MOST_CPU = 0.1  # seconds for a million
MOST_PACED = 0.5  # percent of a core
TRACE = 0.0005  # of all events


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of the agent's beside the most that it should be."""

    name: str
    value: float
    most: float
    unit: str

    @property
    def is_met(self) -> bool:
        return self.value <= self.most


@dataclass(slots=True)
class Report:
    """``notes``: what was left out and why, and what may have disturbed. ``memory`` None: not measured.
    ``rules_fired``: how often, by rule; what a rule matches is never known, and crosses each time."""

    machine: dict[str, str]
    loads: Sequence[Load]
    rounds: Rounds
    accounts: dict[str, Account]
    long_loads: LongLoads
    memory: Memory | None
    rules_fired: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def goals(self) -> Iterator[Goal]:
        for load in self.loads:
            if load.reach:
                yield Goal(load.name, statistics.median(self.rounds.ratios(load, AGENT)), load.reach, "x")
        long = self.long_loads
        yield Goal("agent CPU for 1M known open+close", long.million.cpu_seconds, MOST_CPU, "s")
        yield Goal("agent CPU at 20k known opens/s", long.paced_percent, MOST_PACED, "% of a core")
        yield Goal("events that crossed at 20k known opens/s", long.paced.counters.all.crossing, MOST_CROSSING, "%")
        yield Goal("events not accounted for after the flood", long.unaccounted, 0, "")
        if self.memory:
            resident = max(self.memory.at_rest, self.memory.after_loads)
            yield Goal("resident with rules and profiles", resident / 2**20, MOST_RESIDENT / 2**20, "MiB")

    def figures(self) -> dict[str, float]:
        """Name -> figure, as every benchmark returns them."""
        found = {goal.name: goal.value for goal in self.goals()}
        for load in self.loads:
            for tracer in self.rounds.tracers:
                found[f"{load.name}: {tracer}/off"] = statistics.median(self.rounds.ratios(load, tracer))
        for name, account in self._all_accounts():
            found[f"{name}: seen"] = account.counters.all.seen
            found[f"{name}: crossed %"] = account.counters.all.crossing
            found[f"{name}: lost"] = account.counters.all.lost
            found[f"{name}: agent CPU s/M seen"] = account.cpu_seconds_per_million
        return found

    def plain(self) -> dict[str, Any]:
        """Everything, for the JSON file."""
        long = self.long_loads
        return {
            "machine": self.machine,
            "notes": self.notes,
            "goals": [
                {"name": goal.name, "value": goal.value, "most": goal.most, "unit": goal.unit, "met": goal.is_met}
                for goal in self.goals()
            ],
            "ratios": [self._ratios(load) for load in self.loads],
            "tracer_cpu_seconds_per_round": {name: self.rounds.cpu_seconds(name) for name in self.rounds.tracers},
            "accounts": {name: _account(account) for name, account in self._all_accounts()},
            "idle_cpu_percent": long.idle_percent,
            "paced": {"opens_per_second": long.paced_rate, "cpu_percent": long.paced_percent},
            "flood": {"opens_per_second": long.flood_rate, "seconds": long.flood_seconds},
            "rules_fired": self.rules_fired,
            "unaccounted": long.unaccounted,
            "memory": None if self.memory is None else {name: getattr(self.memory, name) for name in Memory.__slots__},
        }

    def tables(self) -> list[Table]:
        return [self._goal_table(), self._ratio_table(), self._account_table(), self._class_table()]

    def _all_accounts(self) -> Iterator[tuple[str, Account]]:
        yield from self.accounts.items()
        long = self.long_loads
        yield f"{MILLION:,} known open+close", long.million
        yield f"paced known opens, {long.paced_rate:,.0f}/s", long.paced
        yield f"novel opens, {long.flood_rate:,.0f}/s", long.flood

    def _ratios(self, load: Load) -> dict[str, Any]:
        ratios = {tracer: self.rounds.ratios(load, tracer) for tracer in self.rounds.tracers}
        of_cpu = {tracer: self.rounds.cpu_ratios(load, tracer) for tracer in self.rounds.tracers}
        return {
            "load": load.name,
            "unit": load.unit,
            "off": self.rounds.untraced(load),
            "median": {tracer: statistics.median(found) for tracer, found in ratios.items()},
            "pairs": ratios,
            "cpu_median": {tracer: statistics.median(found) for tracer, found in of_cpu.items()},
            "cpu_pairs": of_cpu,
        }

    def _goal_table(self) -> Table:
        table = _table("reach", "figure", "value", "most", "")
        for goal in self.goals():
            met = "reached" if goal.is_met else "[red]missed[/]"
            table.add_row(goal.name, f"{goal.value:,.3f} {goal.unit}", f"{goal.most:,g} {goal.unit}", met)
        return table

    def _ratio_table(self) -> Table:
        pairs = len(self.rounds.blocks[AGENT])
        columns = [column for name in self.rounds.tracers for column in (f"{name}/off", "its CPU")]
        table = _table(f"on / off, median of {pairs} pairs (lowest-highest)", "load", "off", *columns)
        for load in self.loads:
            cells = [cell for tracer in self.rounds.tracers for cell in self._cells(load, tracer)]
            table.add_row(load.name, f"{self.rounds.untraced(load):,.2f} {load.unit}", *cells)
        cpu = [cell for tracer in self.rounds.tracers for cell in (f"{self.rounds.cpu_seconds(tracer):.2f} s", "")]
        table.add_row("CPU of the tracer for all of them", "", *cpu)
        return table

    def _cells(self, load: Load, tracer: str) -> tuple[str, str]:
        cpu = statistics.median(self.rounds.cpu_ratios(load, tracer))
        return _spread(self.rounds.ratios(load, tracer)), f"{cpu:.3f}"

    def _account_table(self) -> Table:
        title = "what the agent saw, and what it cost"
        columns = ("seen", "known %", "crossed %", "lost", *NOVELTY, "remembered", "agent CPU s", "s/M seen", "MiB")
        table = _table(title, "load", *columns)
        for name, account in self._all_accounts():
            count = account.counters.all
            known = 100.0 * count.known / count.seen if count.seen else 0.0
            figures = (f"{count.seen:,}", f"{known:.2f}", f"{count.crossing:.3f}", f"{count.lost:,}")
            cost = (f"{account.cpu_seconds:.3f}", f"{account.cpu_seconds_per_million:.2f}")
            novelty = (f"{getattr(account.counters.novelty, figure):,}" for figure in NOVELTY)
            memory = f"{account.counters.remembered:,}"
            table.add_row(name, *figures, *novelty, memory, *cost, f"{account.resident_bytes / 2**20:.1f}")
        return table

    def _class_table(self) -> Table:
        """Only what crosses, and of what there is more than a trace; the JSON file has the rest."""
        figures = (name.replace("_", " ") for name in FIGURES)
        table = _table("classes of which events crossed", "load", "class", *figures, "crossed %")
        for name, account in self._all_accounts():
            trace = TRACE * account.counters.all.seen
            for event_class, count in account.counters.seen.items():
                if count.submitted + count.dropped <= trace:
                    continue
                cells = (f"{getattr(count, figure):,}" for figure in FIGURES)
                table.add_row(name, event_class, *cells, f"{count.crossing:.2f}")
                name = ""
        return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"agent: {title}", title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column == "class" else "right")
    return table


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _account(account: Account) -> dict[str, Any]:
    return {
        "cpu_seconds": account.cpu_seconds,
        "cpu_seconds_per_million_seen": account.cpu_seconds_per_million,
        "resident_bytes": account.resident_bytes,
        "crossing_percent": account.counters.all.crossing,
        "lost": account.counters.all.lost,
        "novelty": {figure: getattr(account.counters.novelty, figure) for figure in NOVELTY},
        "remembered": account.counters.remembered,
        "classes": _classes(account.counters),
    }


def _classes(counters: Counters) -> dict[str, dict[str, float]]:
    return {
        name: {**{figure: getattr(count, figure) for figure in FIGURES}, "crossing_percent": count.crossing}
        for name, count in counters.seen.items()
    }
