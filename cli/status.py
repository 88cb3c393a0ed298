"""``watchkeeper status``: the control table in a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from cli.api import Api, ApiError
from cli.screen import controls_table


def print_status(url: str, token_file: Path, ca_file: Path | None, profile: str, as_json: bool) -> int:
    """0: no control fails; 1: one fails; 2: the API could not be asked."""
    try:
        token = token_file.read_text(encoding="utf-8").strip()
        with Api(url, token, ca_file) as api:
            report = api.get("controls", profile=profile)
    except OSError as error:
        click.echo(
            f"watchkeeper: {token_file}: {error.strerror}. Name the API token's file with --token-file.", err=True
        )
        return 2
    except ApiError as error:
        click.echo(f"watchkeeper: {error}", err=True)
        return 2
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        Console().print(controls_table(report, f"Controls, profile {profile}"))
    failing = [c for family in report["families"] for c in family["controls"] if c["status"] == "fail"]
    return 1 if failing else 0
