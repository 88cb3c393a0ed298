"""The documentation names everything a user can type, set, call or read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import agent.config
import aggregator.config
import aggregator.metrics
from aggregator.controls import catalogue
from cli.main import cli
from watchkeeper import settings
from watchkeeper.findings import BehaviourClass

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if path:
        yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))


@pytest.mark.parametrize(("name", "command"), list(_commands(cli)))
def test_every_sub_command_is_documented(name: str, command: click.Command) -> None:
    """docs/cli.md has the command and each of its options, and --help says what it does."""
    text = (DOCS / "cli.md").read_text()
    assert f"watchkeeper {name}" in text
    assert command.help
    options = [parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option for option in options if option not in text] == []


@pytest.mark.parametrize("model", [agent.config.Settings, aggregator.config.Settings])
def test_every_configuration_key_is_documented(model: type) -> None:
    """docs/configuration.md names each key of both sides."""
    text = (DOCS / "configuration.md").read_text()
    assert [key for key in settings.keys(model) if f"`{key}`" not in text] == []


def test_every_check_type_is_documented() -> None:
    """docs/controls.md explains each type of check in the catalogue."""
    text = (DOCS / "controls.md").read_text()
    types = {check.type for control in catalogue.load().controls("extended") for check in control.checks}
    assert [name for name in sorted(types) if f"`{name}`" not in text] == []


def test_every_metric_is_documented() -> None:
    """docs/metrics.md names each metric the aggregator exports, and none that it does not."""
    text = (DOCS / "metrics.md").read_text()
    documented = set(re.findall(r"`(watchkeeper_[a-z_]+)`", text))
    assert documented == set(aggregator.metrics.NAMES)


def test_every_behaviour_class_is_documented() -> None:
    """docs/profiles.md explains each class of behaviour."""
    text = (DOCS / "profiles.md").read_text()
    assert [name for name in BehaviourClass if f"`{name}`" not in text] == []


def test_local_links_lead_somewhere() -> None:
    """Every relative link in README and docs points to a file that exists."""
    broken = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
