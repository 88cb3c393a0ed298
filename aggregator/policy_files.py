"""Policy files: YAML in, policies and what is wrong with them out. Pure.

A file is a list of policies, or a mapping whose ``policies`` is that list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from rules.problems import Code, Problem
from rules.problems import Severity as Grade
from rules.rule import Place
from watchkeeper.findings import Severity
from watchkeeper.policies import ACTIONS, DetectionSet, Policy, RuleFile, Scope
from watchkeeper.wire_policies import MAX_POLICIES, detection_set_message
from watchkeeper.wire_values import WireError

MAX_NAME = 100
MAX_TEXT = 2000

_NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f](?:[^/\\\x00-\x1f\x7f]*[^\s/\\\x00-\x1f\x7f])?")
_ACCOUNT = re.compile(r"[0-9*?\[\]!-]{1,64}")
_REGION = re.compile(r"[a-z0-9*?\[\]!-]{1,64}")
_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f]{1,253}")


class _Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clusters: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


class _Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rules: tuple[str, ...]
    enabled: bool = False
    description: str = ""
    scope: _Scope = _Scope()
    actions: tuple[str, ...] = ("alert",)
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What the policy files say; of two policies with one name the later file's counts."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # which file each policy is from


def read(files: Iterable[tuple[RuleFile, str]]) -> Written:
    """``files`` with the origin of their policies (shipped, file). What is wrong is told, the rest counts."""
    policies: dict[str, Policy] = {}
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for file, origin in files:
        found: dict[str, Policy] = {}
        for item in _items(file, problems):
            policy = _policy(file.name, item, origin, problems)
            if policy is None:
                continue
            if policy.name in found:
                problems.append(problem(file.name, policy.name, "is in this file twice; the first one counts"))
            found.setdefault(policy.name, policy)
            problems += [problem(file.name, policy.name, fault) for fault in faults(policy)]
        policies |= found
        places |= dict.fromkeys(found, file.name)
    for name in list(policies)[MAX_POLICIES:]:
        problems.append(problem(places[name], name, f"is one too many: at most {MAX_POLICIES} are possible"))
        del policies[name]
    return Written(policies, tuple(problems), places)


def faults(policy: Policy) -> list[str]:
    """What is wrong with a policy by itself, each beginning with the key."""
    return list(_own_faults(policy)) or list(_too_large(policy))


def problem(file: str, policy: str, message: str, grade: Grade = Grade.ERROR) -> Problem:
    """``file`` "": a policy that is in no file."""
    return Problem(grade, Code.VALIDATE, message, Place(file or "api"), f'policy "{policy}"' if policy else "")


def _own_faults(policy: Policy) -> Iterator[str]:
    if not _NAME.fullmatch(policy.name) or len(policy.name) > MAX_NAME:
        yield f"name: must be 1 to {MAX_NAME} characters, without slashes, and not begin or end with a space"
    if len(policy.description) > MAX_TEXT:
        yield f"description: is longer than {MAX_TEXT} characters"
    if not policy.rules:
        yield "rules: names no rule"
    for rule in sorted({rule for rule in policy.rules if policy.rules.count(rule) > 1}):
        yield f'rules: names "{rule}" twice'
    for action in policy.actions:
        if action not in ACTIONS:
            yield f'actions: "{action}" is none of {", ".join(ACTIONS)}'
    yield from _scope_faults(policy.scope)


def _too_large(policy: Policy) -> Iterator[str]:
    try:
        detection_set_message(DetectionSet(policies=(policy,)))
    except WireError as error:
        yield f"can not be sent to agents: {error}"


def _scope_faults(scope: Scope) -> Iterator[str]:
    for key, patterns, allowed in (
        ("clusters", scope.clusters, _PATTERN),
        ("namespaces", scope.namespaces, _PATTERN),
        ("labels", [name for name, _ in scope.labels], _PATTERN),
        ("accounts", scope.accounts, _ACCOUNT),
        ("regions", scope.regions, _REGION),
    ):
        for pattern in patterns:
            if not allowed.fullmatch(pattern):
                yield f'scope.{key}: "{pattern[:100]}" can not match anything'


def _items(file: RuleFile, problems: list[Problem]) -> list[Any]:
    try:
        document = yaml.safe_load(file.content)
    except yaml.YAMLError as error:
        problems.append(problem(file.name, "", f"is not YAML: {' '.join(str(error).split())}"))
        return []
    if isinstance(document, dict):
        for key in document.keys() - {"policies"}:
            problems.append(problem(file.name, "", f"{key}: is no key of a policy file"))
        document = document.get("policies")
    if document is None:
        return []
    if not isinstance(document, list):
        problems.append(problem(file.name, "", "policies: must be a list of policies"))
        return []
    return document


def _policy(file: str, item: Any, origin: str, problems: list[Problem]) -> Policy | None:
    name = str(item.get("name", "")) if isinstance(item, dict) else ""
    try:
        written = msgspec.convert(item, _Policy)
    except msgspec.ValidationError as error:
        problems.append(problem(file, name, str(error)))
        return None
    scope = written.scope
    return Policy(
        written.name,
        written.enabled,
        written.rules,
        " ".join(written.description.split()),
        Scope(scope.clusters, scope.namespaces, tuple(sorted(scope.labels.items())), scope.accounts, scope.regions),
        written.actions,
        written.severity,
        origin,
    )
