"""What is in force: the rules and policies at one moment, and what each cluster's nodes must run of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from aggregator.policies import StatedPolicy
from aggregator.rulebook import SYSCALL, KnownRule, Rulebook
from rules.problems import Problem, Severity
from watchkeeper.policies import DetectionSet, Policy, RuleFile

NOTHING = DetectionSet()


@dataclass(frozen=True, eq=False)
class Detection:
    """Immutable. ``policies`` by name, enabled or not; ``problems``: of rules and policies; ``refused``: those of a
    newer set that was not taken for them, so that this one stays in force."""

    rulebook: Rulebook = field(default_factory=Rulebook)
    policies: Mapping[str, StatedPolicy] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()
    _sets: dict[str, DetectionSet] = field(default_factory=dict, init=False, repr=False, compare=False)
    _hashes: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def errors(self) -> frozenset[str]:
        return frozenset(str(each) for each in self.problems if each.severity is Severity.ERROR)

    @cached_property
    def by_rule(self) -> Mapping[str, tuple[Policy, ...]]:
        """The policies that name each rule, enabled or not."""
        found: dict[str, tuple[Policy, ...]] = {}
        for stated in self.policies.values():
            for rule in stated.policy.rules:
                found[rule] = (*found.get(rule, ()), stated.policy)
        return found

    @cached_property
    def in_force(self) -> tuple[KnownRule, ...]:
        """Rules that an enabled policy names and that compile."""
        enabled = {rule for rule, policies in self.by_rule.items() if any(policy.enabled for policy in policies)}
        return tuple(rule for rule in self.rulebook.rules.values() if rule.compiles and rule.name in enabled)

    def set_for(self, cluster: str) -> DetectionSet:
        """What each node of the cluster must run: the rules of system calls of the enabled policies that cover it."""
        known = self._sets.get(cluster)
        if known is None:
            pushed = (self._pushed(stated.policy, cluster) for stated in self.policies.values())
            policies = tuple(policy for policy in pushed if policy)
            known = DetectionSet(self._syscall_files, policies) if policies else NOTHING
            self._hashes[cluster] = known.hash
            self._sets[cluster] = known
        return known

    def hash_for(self, cluster: str) -> str:
        """The hash of ``set_for``."""
        self.set_for(cluster)
        return self._hashes[cluster]

    def is_acknowledged(self, cluster: str, hash: str) -> bool:
        """Whether a node of the cluster that tells ``hash`` runs what it must; "" when it runs nothing."""
        return hash == self.hash_for(cluster) or (not hash and self.set_for(cluster) == NOTHING)

    @cached_property
    def _syscall_files(self) -> tuple[RuleFile, ...]:
        return self.rulebook.files_for(SYSCALL)

    def _pushed(self, policy: Policy, cluster: str) -> Policy | None:
        if not policy.enabled or not policy.scope.covers_cluster(cluster):
            return None
        rules = tuple(name for name in policy.rules if self._is_served(name))
        return replace(policy, rules=rules) if rules else None

    def _is_served(self, name: str) -> bool:
        rule = self.rulebook.rules.get(name)
        return rule is not None and rule.source == SYSCALL and rule.compiles
