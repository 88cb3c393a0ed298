"""The rules in force on this node: compiled once for a detection set, each hit told with the policies that cover it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from errno import errorcode

from agent.probe.syscalls import OPENS, Outcomes
from rules.fields import Type, Value
from rules.problems import Problem, Severity
from rules.ruleset import CompiledRule, load
from rules.sources.activity import Activity
from rules.sources.sockets import CHARACTERS
from rules.sources.syscall import SOURCE
from watchkeeper.findings import Container
from watchkeeper.policies import DetectionSet, Policy

# Descriptors that are no sockets of the internet, and what they do not have.
_LOCAL_KINDS = [*((kind, char) for kind, char in CHARACTERS.items() if not kind.startswith("ipv")), ("<NA>", "o")]
_INTERNET_KINDS = [("ipv4", "AF_INET"), ("ipv6", "AF_INET6"), ("ipv4", "AF_INET6")]  # the last one speaks IPv4
_NO_ADDRESS = {
    info.name.replace(".", "__"): None
    for info in SOURCE.fields.values()
    if info.type in (Type.ADDRESS, Type.NETWORK, Type.PORT)
}
_ENVIRONMENT = frozenset({"proc.env", "proc.aenv", "evt.arg.env", "evt.args", "evt.arg"})


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched, and the policies that ask for it where it happened (at least one)."""

    rule: CompiledRule
    policies: tuple[Policy, ...]
    activity: Activity


@dataclass(frozen=True, slots=True)
class Judgement:
    """``settled``: no rule in force can hit any event of the same behaviour, so that none need be judged again.
    ``by_object``: nor one that names the same object with other words."""

    hits: tuple[Hit, ...] = ()
    settled: bool = False
    by_object: bool = False


_SETTLED, _UNSETTLED = Judgement(settled=True, by_object=True), Judgement()


class Rulebook:
    """Immutable once made. Making one takes about a second and needs no event loop: do it in a thread."""

    def __init__(self, detection: DetectionSet, *, match_all: bool = True) -> None:
        self.hash = detection.hash
        self._policies = _by_rule(detection)
        files = [(file.name, file.content) for file in detection.files]
        self._ruleset = load(files, {SOURCE.name: SOURCE}, only=self._policies, match_all=match_all)
        self._rules = self._ruleset.for_source(SOURCE.name)
        self.event_types = self._rules.event_types

    @property
    def size(self) -> int:
        """How many rules are in force."""
        return len(self._ruleset.rules)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self._ruleset.problems if problem.severity is Severity.ERROR)

    @property
    def missing(self) -> tuple[str, ...]:
        """Rules that policies ask for and that are not in force: no file holds them, or they do not compile."""
        compiled = {rule.name for rule in self._ruleset.rules}
        return tuple(sorted(self._policies.keys() - compiled))

    @property
    def syscalls(self) -> Mapping[str, Outcomes]:
        """What the probe must tell for these rules; what none of them can match need not leave the kernel."""
        return {name: self._outcomes(name) for name in sorted(self.event_types)}

    def _outcomes(self, event_type: str) -> Outcomes:
        def may(**known: Value | None) -> bool:
            assumed = {name.replace("__", "."): value for name, value in known.items()}
            return self._rules.may_match({"evt.type": event_type, **assumed})

        no_file: dict[str, Value | None] = {"fd__num": -1} if event_type in OPENS else {}
        return Outcomes(
            succeeded=may(evt__failed=False),
            failed=any(
                may(evt__failed=True, evt__res=code, evt__rawres=-n, **no_file) for n, code in errorcode.items()
            ),
            reads=may(evt__failed=False, evt__is_open_write=False),
            tcp=may(fd__l4proto="tcp"),
            connected=may(fd__connected=True),
            internet=any(
                may(fd__type=kind, fd__typechar=CHARACTERS[kind], evt__arg__domain=domain)
                for kind, domain in _INTERNET_KINDS
            ),
            local=any(may(**_NO_ADDRESS, fd__type=kind, fd__typechar=character) for kind, character in _LOCAL_KINDS),
            environment=any(name in _ENVIRONMENT for name, _ in self._rules.fields),
        )

    def judge(self, activity: Activity) -> Judgement:
        """Rules count where a policy covers the event's container or the host. What an unknown process does is never
        settled: what is missing now may be known the next time."""
        verdict = self._rules.judge(activity)
        known = activity.process is not None
        if not verdict.conceivable:
            return _SETTLED if known else _UNSETTLED
        hits = [Hit(rule, policies, activity) for rule in verdict.hits if (policies := self._covering(rule, activity))]
        settled = known and not any(self._covering(rule, activity) for rule in verdict.possible)
        by_object = known and not any(self._covering(rule, activity) for rule in verdict.conceivable)
        return Judgement(tuple(hits), settled, by_object)

    def _covering(self, rule: CompiledRule, activity: Activity) -> tuple[Policy, ...]:
        return tuple(each for each in self._policies[rule.name] if _covers(each, activity.container))


EMPTY = DetectionSet()


def _by_rule(detection: DetectionSet) -> Mapping[str, tuple[Policy, ...]]:
    found: dict[str, tuple[Policy, ...]] = {}
    for policy in detection.policies:
        if policy.enabled:
            for rule in policy.rules:
                found[rule] = (*found.get(rule, ()), policy)
    return found


def _covers(policy: Policy, container: Container | None) -> bool:
    if container is None:
        return policy.scope.covers_pod("", ())
    return policy.scope.covers_pod(container.pod_namespace, container.labels)
