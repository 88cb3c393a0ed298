"""``watchkeeper rules check|replay|fields``."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from rules.output import falco_json
from rules.problems import Problem, Severity
from rules.ruleset import Ruleset, load
from rules.sources import registry


@dataclass(frozen=True, slots=True)
class Checked:
    """``unserved``: event type or field → why this machine can not tell it; ``affected``: → rules that ask for it.
    ``surveyed``: whether the kernel could be looked at, which may take root."""

    ruleset: Ruleset
    enabled: dict[str, int]
    rules: dict[str, int]
    unserved: dict[str, str] = field(default_factory=dict)
    affected: dict[str, list[str]] = field(default_factory=dict)
    surveyed: bool = True

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.ruleset.problems if problem.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.ruleset.problems if problem.severity is Severity.WARNING]


def check_rules(files: Sequence[Path], as_json: bool) -> int:
    """0: every rule is usable; 1: some are not; 2: a file can not be read."""
    try:
        contents = _contents(files)
    except OSError as error:
        click.echo(f"watchkeeper: {error.filename}: {error.strerror}", err=True)
        return 2
    checked = _checked(contents)
    if as_json:
        click.echo(json.dumps(_summary(checked), indent=2))
    else:
        _print(checked)
    return 1 if checked.errors else 0


def replay_rules(files: Sequence[Path], source: str, first: bool, recording: Path) -> int:
    """Print each hit as a line of Falco's JSON. 0: done; 1: some of the input, or of the rules, is unusable; 2: a file
    can not be read."""
    try:
        contents = _contents(files)
        ruleset = load(contents, {source: registry.source(source)}, match_all=not first)
        errors = [problem for problem in ruleset.problems if problem.severity is Severity.ERROR]
        for problem in errors:
            click.echo(str(problem), err=True)
        broken = bool(errors)
        for line in _hits(contents, ruleset, source, first, recording):
            if isinstance(line, str):
                click.echo(f"{recording}: {line}", err=True)
                broken = True
            else:
                click.echo(json.dumps(line, ensure_ascii=False))
    except OSError as error:
        click.echo(f"watchkeeper: {error.filename or recording}: {error.strerror or error}", err=True)
        return 2
    return 1 if broken else 0


def list_fields(names: Sequence[str], as_json: bool) -> int:
    """Print the fields of the sources."""
    found = [
        {
            "source": name,
            "field": info.name,
            "type": info.type.value,
            "list": info.is_list,
            "argument": info.argument.value,
            "description": info.description,
        }
        for name in names or registry.NAMES
        for info in registry.source(name).fields.values()
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    for each in found:
        kind = f"list of {each['type']}" if each["list"] else str(each["type"])
        argument = "" if each["argument"] == "none" else f"[{each['argument']}]"
        click.echo(f"{each['source']:<15}{each['field']}{argument:<5} ({kind})  {each['description']}")
    return 0


def _contents(files: Sequence[Path]) -> list[tuple[str, str]]:
    """Each file's name and text; what is no UTF-8 is left for the reader to refuse, which names the place."""
    return [(str(path), path.read_bytes().decode("utf-8", "replace")) for path in files]


def _checked(contents: list[tuple[str, str]]) -> Checked:
    """All rules are compiled, the disabled ones too."""
    from rules.collector import collect

    sources = {name: registry.source(name) for name in registry.NAMES}
    rules = collect(contents, sources).rules
    ruleset = load(contents, sources, only={rule.name for rule in rules})
    counts = {name: sum(rule.source == name for rule in rules) for name in registry.NAMES}
    enabled = {name: sum(rule.source == name and rule.enabled for rule in rules) for name in registry.NAMES}
    return Checked(ruleset, enabled, counts, *_unserved(ruleset))


def _unserved(ruleset: Ruleset) -> tuple[dict[str, str], dict[str, list[str]], bool]:
    """What rules over system calls ask for and this machine does not give, who asks, and whether all of it is known."""
    from agent.probe import survey, syscalls

    lacking = survey.lacking()
    asked: dict[str, list[str]] = {}
    fields = registry.source("syscall").fields
    reasons: dict[str, str] = {}
    rules = ruleset.for_source("syscall").rules
    everything = registry.source("syscall").event_types
    for rule in rules:
        types = rule.event_types if rule.event_types != everything else frozenset[str]()
        reasons |= syscalls.unserved(types)
        reasons |= {name: reason for name, reason in (lacking or {}).items() if name in types}
        reasons |= {name: fields[name].absent for name, _ in rule.fields if fields[name].absent}
        for name in (*types, *(name for name, _ in rule.fields)):
            asked.setdefault(name, []).append(rule.name)
    return reasons, {name: sorted(set(asked[name])) for name in reasons}, lacking is not None


def _summary(checked: Checked) -> dict[str, Any]:
    def told(problem: Problem) -> dict[str, Any]:
        place = problem.place
        return {
            "file": place.file,
            "line": place.line,
            "item": problem.item,
            "code": problem.code.value,
            "message": problem.message,
        }

    return {
        "rules": checked.rules,
        "enabled": checked.enabled,
        "errors": [told(problem) for problem in checked.errors],
        "warnings": [told(problem) for problem in checked.warnings],
        "kernel": platform.release(),
        "kernel_surveyed": checked.surveyed,
        "unserved": [
            {"name": name, "reason": reason, "rules": checked.affected[name]}
            for name, reason in sorted(checked.unserved.items())
        ],
    }


def _print(checked: Checked) -> None:
    for problem in (*checked.errors, *checked.warnings):
        click.echo(str(problem))
    table = Table("source", "rules", "enabled by default", header_style="bold", pad_edge=False)
    for name, count in checked.rules.items():
        if count:
            table.add_row(name, str(count), str(checked.enabled[name]))
    Console().print(table)
    click.echo(f"{sum(checked.rules.values())} rules, {len(checked.errors)} errors, {len(checked.warnings)} warnings.")
    if not checked.surveyed:
        click.echo("Which calls the kernel was built without is not known: only root can look into its tracefs here.")
    elif not checked.unserved:
        click.echo(f"Kernel {platform.release()} on {platform.machine()} serves every event type and field asked for.")
    if checked.unserved:
        click.echo(f"Kernel {platform.release()} on {platform.machine()} can not serve:")
    for name, reason in sorted(checked.unserved.items()):
        click.echo(f"  {name}: {reason}; asked for by {', '.join(checked.affected[name])}")


def _hits(
    contents: list[tuple[str, str]], ruleset: Ruleset, source: str, first: bool, recording: Path
) -> Iterator[Any]:
    """Hits as Falco's JSON, and what is wrong with the input as text."""
    if source == "syscall":
        from agent.rule_replay import replay

        yield from replay(recording, contents, match_all=not first)
        return
    from rules.sources.json_input import InputProblem, events

    rules = ruleset.for_source(source)
    with recording.open("rb") as stream:
        for event in events(source, stream):
            if isinstance(event, InputProblem):
                yield str(event)
            else:
                for rule in rules.matches(event):
                    yield falco_json(rule, event, rules.source, platform.node())
