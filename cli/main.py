"""The ``watchkeeper`` program: reads the command line and hands over; each command imports only its own side."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

import click

import watchkeeper
from watchkeeper.settings import SettingsError

CONFIG = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML configuration; every key can also be given as WATCHKEEPER_<SECTION>_<KEY>.",
)
SERVER = click.option(
    "--url", envvar="WATCHKEEPER_URL", default="http://127.0.0.1:8080", show_default=True, help="The aggregator's API."
)
TOKEN_FILE = click.option(
    "--token-file",
    envvar="WATCHKEEPER_TOKEN_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/var/lib/watchkeeper/aggregator/api-token"),
    show_default=True,
    help="File that holds the API token.",
)
CA_FILE = click.option(
    "--ca-file", type=click.Path(path_type=Path, dir_okay=False), help="CA of an https API (the aggregator's ca.pem)."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(watchkeeper.__version__, prog_name="watchkeeper")
def cli() -> None:
    """Shows which SOC 2 controls of your clusters hold, which do not, and which nobody can know."""


@cli.command()
@CONFIG
@click.option("--check-config", is_flag=True, help="Read the configuration, say whether it is usable, and end.")
def agent(config: Path | None, check_config: bool) -> None:
    """Watch this node and report to the aggregator. Needs root, BTF and bpf()."""
    if check_config:
        from agent.config import load

        load(config, os.environ)
        click.echo("The configuration is usable.")
        return
    # The same process from now on, but without what it took to read the command line, and without docstrings (-OO):
    # it runs for months. -P: nothing is imported from the working directory.
    arguments = [sys.executable, "-P", "-OO", "-m", "agent", *([str(config)] if config else [])]
    os.execv(sys.executable, arguments)  # noqa: S606 -- no shell on purpose


@cli.group(invoke_without_command=True)
@CONFIG
@click.pass_context
def aggregator(context: click.Context, config: Path | None) -> None:
    """Take in what the agents report and serve control status, API and dashboard."""
    from aggregator.config import load_settings

    settings = load_settings(config, os.environ)
    context.obj = settings
    if context.invoked_subcommand is None:
        from aggregator.service import main as run_aggregator

        sys.exit(run_aggregator(settings))


@aggregator.command()
@click.argument("node")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file (mode 0600).")
@click.pass_obj
def token(settings: object, node: str, out: Path | None) -> None:
    """Make a new token with which NODE's agent reports; an older one of that node ends."""
    from cli.credentials import new_node_token, write_secret

    secret = new_node_token(settings, node)
    if out is None:
        click.echo(secret)
    else:
        write_secret(out, secret + "\n")
        click.echo(f"Token for {node}: {out}")


@aggregator.command()
@click.argument("node")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory for the files.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 825), help="How long it is valid.")
@click.pass_obj
def certificate(settings: object, node: str, out: Path, days: int) -> None:
    """Issue a client certificate with which NODE's agent reports on the mTLS address."""
    from cli.credentials import issue_certificate

    for path in issue_certificate(settings, node, out, days):
        click.echo(str(path))


@cli.command()
@SERVER
@TOKEN_FILE
@CA_FILE
@click.option("--profile", default="extended", show_default=True, help="Catalogue profile: guide or extended.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as it is.")
def status(url: str, token_file: Path, ca_file: Path | None, profile: str, as_json: bool) -> None:
    """Print the controls and their status. Exit status 1 when one fails."""
    from cli.status import print_status

    sys.exit(print_status(url, token_file, ca_file, profile, as_json))


@cli.group()
def rules() -> None:
    """Check rule files in Falco's language, try them on recorded events, list the fields they can use."""


RULE_FILES = click.Path(path_type=Path, dir_okay=False)
SOURCE_NAMES = click.Choice(["syscall", "k8s_audit", "aws_cloudtrail"])


@rules.command()
@click.argument("files", nargs=-1, required=True, type=RULE_FILES)
@click.option("--json", "as_json", is_flag=True, help="Print counts, problems and what is not served as JSON.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Load FILES in their order; tell errors, warnings, and what this machine's kernel can not serve.

    Exit status 1 when a rule is not usable.
    """
    from cli.rules import check_rules

    sys.exit(check_rules(files, as_json))


@rules.command()
@click.option("--rules", "files", multiple=True, required=True, type=RULE_FILES, help="Rule file; may be repeated.")
@click.option("--source", required=True, type=SOURCE_NAMES, help="Where the events are from.")
@click.option("--first", is_flag=True, help="Of the rules that an event matches tell only the first.")
@click.argument("file", type=RULE_FILES)
def replay(files: tuple[Path, ...], source: str, first: bool, file: Path) -> None:
    """Try rules on the events in FILE, and print each hit as a line of Falco's JSON.

    FILE: for syscall a recording of the agent (probe.record); for the others JSON, JSON lines, the audit webhook's
    EventList or CloudTrail's Records, plain or gzip.
    """
    from cli.rules import replay_rules

    sys.exit(replay_rules(files, source, first, file))


@rules.command()
@click.option("--source", "names", multiple=True, type=SOURCE_NAMES, help="Only these sources; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def fields(names: tuple[str, ...], as_json: bool) -> None:
    """List the fields that conditions and outputs can use."""
    from cli.rules import list_fields

    sys.exit(list_fields(names, as_json))


@cli.group()
def evidence() -> None:
    """Work with exported evidence."""


@evidence.command()
@click.argument("file", type=click.File("rb"))
def verify(file: IO[bytes]) -> None:
    """Check the hash chains of an export (JSON lines from /api/v1/evidence/export). Exit status 1 when broken."""
    from cli.evidence import verify_export

    sys.exit(verify_export(file))


@cli.command()
@click.option("--exit", "exit_after", is_flag=True, help="Tear down after the acts; exit 0 only if all were found.")
@click.option("--replay", is_flag=True, help="Play a recorded run instead of a container: needs neither root nor eBPF.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Also record the agent's events here.")
def demo(exit_after: bool, replay: bool, record: Path | None) -> None:
    """Learn a real container on this host, play the intruder, show the findings and the controls."""
    from cli.demo import run_demo

    sys.exit(run_demo(exit_after=exit_after, replay=replay, record=record))


def main() -> None:
    """Entry point: one clear line instead of a traceback for what a user can mend."""
    try:
        cli()
    except SettingsError as error:
        click.echo(f"watchkeeper: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
