"""The catalogue of controls and checks: read from soc2.yaml, validated, texts filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import yaml

SHIPPED = Path(__file__).with_name("soc2.yaml")
SOURCES = ("syscall", "k8s_audit", "aws_cloudtrail")
SCOPES = ("workload", "aws")
RULE = "runtime_rule"


class CatalogueError(Exception):
    """The catalogue can not be used; the message names file, entry and what is wrong."""


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """One check of one control. ``type`` says how it is judged; ``rule`` and ``source`` only for rule checks."""

    id: str
    type: str
    title: str
    what: str
    how: str
    remediation: tuple[str, ...]
    rule: str = ""
    source: str = ""
    profiles: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What observations, findings, exceptions and evidence call it: checks with one key are judged once."""
        return rule_key(self.source, self.rule) if self.rule else self.type


@dataclass(frozen=True, slots=True)
class ControlEntry:
    id: str
    scope: str
    title: str
    what: str
    how: str
    checks: tuple[CheckEntry, ...]

    @property
    def family(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Family:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    profiles: tuple[str, ...]
    families: tuple[Family, ...]
    all_controls: tuple[ControlEntry, ...]

    def controls(self, profile: str) -> Iterator[ControlEntry]:
        """The profile's controls with its checks, without controls that have none in it."""
        for control in self.all_controls:
            checks = tuple(check for check in control.checks if profile in check.profiles)
            if checks:
                yield replace(control, checks=checks)


class _Type(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    what: str
    how: str
    remediation: tuple[str, ...]


class _Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    type: str = RULE
    rule: str = ""
    source: str = ""
    profiles: tuple[str, ...] = ()


class _Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    scope: str
    title: str
    what: str
    how: str
    checks: tuple[_Check, ...]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profiles: tuple[str, ...]
    types: dict[str, _Type]
    families: tuple[Family, ...]
    controls: tuple[_Control, ...]


def rule_key(source: str, rule: str) -> str:
    """The key of the checks of one rule."""
    return f"{RULE}:{source}:{rule}"


def load(path: Path = SHIPPED) -> Catalogue:
    """Read and check the catalogue. Raises CatalogueError."""
    try:
        document = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), _Document)
    except OSError as error:
        raise CatalogueError(f"{path}: can not be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: is not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{path}: {error}") from error
    for fault in _faults(document):
        raise CatalogueError(f"{path}: {fault}")
    controls = tuple(_control(control, document) for control in document.controls)
    return Catalogue(document.profiles, document.families, controls)


def _control(control: _Control, document: _Document) -> ControlEntry:
    checks = tuple(_check(check, document) for check in control.checks)
    return ControlEntry(control.id, control.scope, control.title, control.what, control.how, checks)


def _check(check: _Check, document: _Document) -> CheckEntry:
    text = document.types[check.type]

    def filled(template: str) -> str:
        return template.replace("{rule}", check.rule)

    return CheckEntry(
        check.id,
        check.type,
        filled(text.title),
        filled(text.what),
        filled(text.how),
        tuple(filled(step) for step in text.remediation),
        check.rule,
        check.source,
        check.profiles or document.profiles,
    )


def _faults(document: _Document) -> Iterator[str]:
    families = {family.id for family in document.families}
    yield from _doubles("control", (f"{control.id} {control.scope}" for control in document.controls))
    yield from _doubles("check", (check.id for control in document.controls for check in control.checks))
    for control in document.controls:
        if control.id.partition(".")[0] not in families:
            yield f"control {control.id}: its family is not among families"
        if control.scope not in SCOPES:
            yield f"control {control.id}: scope {control.scope!r} is none of {', '.join(SCOPES)}"
        if not control.checks:
            yield f"control {control.id} {control.scope}: has no checks"
        for check in control.checks:
            yield from _check_faults(check, document)


def _check_faults(check: _Check, document: _Document) -> Iterator[str]:
    if check.type not in document.types:
        yield f"check {check.id}: type {check.type!r} is not among types"
    if check.type == RULE and not check.rule:
        yield f"check {check.id}: needs a type or a rule"
    if check.type != RULE and (check.rule or check.source):
        yield f"check {check.id}: only a check of type {RULE} has a rule and a source"
    if check.type == RULE and check.source not in SOURCES:
        yield f"check {check.id}: source {check.source!r} is none of {', '.join(SOURCES)}"
    for profile in check.profiles:
        if profile not in document.profiles:
            yield f"check {check.id}: profile {profile!r} is not among profiles"


def _doubles(noun: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{noun} {name}: is there {count} times"
