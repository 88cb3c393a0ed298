"""``./run bench [NAME]``: measures, prints a table and one line of JSON. Needs root and BPF."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.bench import agent_start, latency, rules

BENCHMARKS: dict[str, Callable[[], dict[str, float]]] = {
    "agent_start": agent_start.measure,
    "latency": latency.measure,
    "rules": rules.measure,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"bench: no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    results = {name: BENCHMARKS[name]() for name in names or BENCHMARKS}
    table = Table("benchmark", "figure", "value", title="Watchkeeper benchmarks", title_justify="left")
    for name, figures in results.items():
        for figure, value in figures.items():
            table.add_row(name, figure, f"{value:,.2f}")
    Console().print(table)
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
