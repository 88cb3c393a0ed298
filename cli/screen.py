"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

STYLES = {
    "pass": "bold green",
    "pass_with_exceptions": "green",
    "partial": "yellow",
    "not_assessed": "dim",
    "not_applicable": "dim",
    "fail": "bold red",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "blue",
    "info": "dim",
}


def controls_table(report: dict[str, Any], title: str, only: frozenset[str] | None = None) -> Table:
    """Rows of ``GET /api/v1/controls``; ``only`` keeps these control ids of the workload scope."""
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for name in ("Control", "Scope", "Title"):
        table.add_column(name)
    table.add_column("Status")
    for name in ("Checks", "Open", "Overdue"):
        table.add_column(name, justify="right")
    for family in report["families"]:
        for control in family["controls"]:
            if only is not None and (control["id"] not in only or control["scope"] != "workload"):
                continue
            table.add_row(
                control["id"],
                control["scope"],
                control["title"],
                Text(control["status"], style=STYLES[control["status"]]),
                f"{control['checks_passed']}/{control['checks_total']}",
                str(control["open_findings"]),
                str(control["overdue_findings"]),
            )
    return table
