"""``./run bench [NAME…]``: measures, prints tables and one line of JSON. Needs root and BPF."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cli.demo_stage import StageError
from tests.bench import agent, agent_start, latency, rules
from tests.bench.cost import CostError
from tests.bench.load import LoadError
from tests.bench.node import NodeError
from tests.bench.peers import PeerError
from tests.bench.workshop import WorkshopError

NAMES = ("agent", "agent_start", "latency", "rules")
FAILURES = (agent.Unmeasurable, CostError, LoadError, NodeError, PeerError, StageError, WorkshopError)


def main(words: list[str]) -> int:
    """0; 2 for a benchmark that does not exist or could not be done, with the reason on stderr."""
    given = _parser().parse_args(words)
    if unknown := [name for name in given.names if name not in NAMES]:
        print(f"bench: no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background starts us with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        results = {name: _benchmarks(given)[name]() for name in given.names or NAMES}
    except FAILURES as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped; everything it started is gone", file=sys.stderr)
        return 2
    _print(results)
    return 0


def _benchmarks(given: argparse.Namespace) -> dict[str, Callable[[], dict[str, float]]]:
    return {
        "agent": lambda: agent.measure(quick=given.quick, output=given.output, directory=given.directory),
        "agent_start": agent_start.measure,
        "latency": latency.measure,
        "rules": rules.measure,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measures, prints tables and one line of JSON.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="agent: few pairs, for a try")
    parser.add_argument("--output", type=Path, default=agent.OUTPUT, help="agent: JSON file (default: %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/usr"), help="agent: where find and cat read files")
    return parser


def _print(results: dict[str, dict[str, float]]) -> None:
    """agent prints tables of its own."""
    table = Table("benchmark", "figure", "value", title="Watchkeeper benchmarks", title_justify="left")
    for name, figures in results.items():
        for figure, value in figures.items() if name != "agent" else ():
            table.add_row(name, figure, f"{value:,.2f}")
    if table.row_count:
        Console().print(table)
    print(json.dumps(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
