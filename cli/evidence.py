"""``watchkeeper evidence verify``."""

from __future__ import annotations

from typing import IO

import click


def verify_export(file: IO[bytes]) -> int:
    """0: every chain is whole; 1: one is broken, and where."""
    from aggregator.evidence import verify

    broken = verify(file)
    if broken is None:
        click.echo("Every chain is whole.")
        return 0
    click.echo(
        f"watchkeeper: line {broken.line}, stream {broken.stream}, link {broken.sequence}: {broken.reason}", err=True
    )
    return 1
