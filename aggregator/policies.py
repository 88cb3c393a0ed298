"""Policies as they count: what files say, with what people changed laid over it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from aggregator.policy_files import Written, problem
from aggregator.records import PolicyChange
from aggregator.rulebook import Rulebook
from rules.problems import Problem
from rules.problems import Severity as Grade
from watchkeeper.policies import Policy


@dataclass(frozen=True, slots=True)
class StatedPolicy:
    """A policy as it counts. ``written``: as files have it, None when none does; ``change``: what a person changed."""

    policy: Policy
    written: Policy | None = None
    change: PolicyChange | None = None


def effective(written: Mapping[str, Policy], changes: Iterable[PolicyChange]) -> dict[str, StatedPolicy]:
    """By name, sorted. A change of what no file has any more counts only when it holds the whole policy."""
    found = {name: StatedPolicy(policy, policy) for name, policy in written.items()}
    for change in changes:
        base = change.policy or written.get(change.name)
        if base is not None:
            policy = replace(base, enabled=change.enabled)
            found[change.name] = StatedPolicy(policy, written.get(change.name), change)
    return dict(sorted(found.items()))


def problems(written: Written, stated: Mapping[str, StatedPolicy], rulebook: Rulebook) -> tuple[Problem, ...]:
    """What is wrong with the policies: in their files, and with the rules they name."""
    return (*written.problems, *_unknown_rules(written, stated, rulebook))


def unknown_rules(policy: Policy, rulebook: Rulebook) -> list[str]:
    """The rules it names that no loaded file holds."""
    return [rule for rule in policy.rules if rule not in rulebook.rules]


def _unknown_rules(written: Written, stated: Mapping[str, StatedPolicy], rulebook: Rulebook) -> Iterator[Problem]:
    for name, each in stated.items():
        for rule in unknown_rules(each.policy, rulebook):
            grade = Grade.ERROR if each.policy.enabled else Grade.WARNING
            yield problem(written.files.get(name, "api"), name, f'rules: no rule file holds "{rule}"', grade)
