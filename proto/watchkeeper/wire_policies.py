"""Rules and policies as protobuf messages and back. Nothing is cut, for their hash is over the whole: what does not
fit is a WireError on both sides."""

from __future__ import annotations

from watchkeeper.findings import Severity
from watchkeeper.policies import ACTIONS, DetectionSet, Policy, RuleFile, Scope
from watchkeeper.v1 import uplink_pb2 as pb
from watchkeeper.wire_values import MAX_TEXT, WireError, one_of

MAX_RULE_TEXT = 8 << 20  # characters of all rule files of a set together
MAX_RULE_FILES = 1024
MAX_POLICIES = 1024
MAX_NAMED = 16_384  # rules of a policy, names of a scope


def detection_set_message(detection: DetectionSet) -> pb.DetectionSet:
    """WireError, too, for what the other side would refuse."""
    _check_detection(detection)
    try:
        return pb.DetectionSet(
            files=[pb.RuleFile(name=file.name, content=file.content) for file in detection.files],
            policies=[_policy_message(policy) for policy in detection.policies],
        )
    except ValueError as error:  # a lone surrogate
        raise WireError(f"detection: {error}") from error


def detection_set(message: pb.DetectionSet) -> DetectionSet:
    """Nothing is cut: what is too long is refused, for the hash is over the whole."""
    received = DetectionSet(
        tuple(RuleFile(file.name, file.content) for file in message.files),
        tuple(_policy(each) for each in message.policies),
    )
    _check_detection(received)
    return received


def _policy_message(policy: Policy) -> pb.Policy:
    scope = policy.scope
    return pb.Policy(
        name=policy.name,
        enabled=policy.enabled,
        rules=policy.rules,
        description=policy.description,
        scope=pb.Scope(
            clusters=scope.clusters,
            namespaces=scope.namespaces,
            labels=[pb.Label(name=name, value=value) for name, value in scope.labels],
            accounts=scope.accounts,
            regions=scope.regions,
        ),
        actions=policy.actions,
        severity=policy.severity or "",
        origin=policy.origin,
    )


def _policy(message: pb.Policy) -> Policy:
    scope = message.scope
    return Policy(
        name=message.name,
        enabled=message.enabled,
        rules=tuple(message.rules),
        description=message.description,
        scope=Scope(
            tuple(scope.clusters),
            tuple(scope.namespaces),
            tuple((label.name, label.value) for label in scope.labels),
            tuple(scope.accounts),
            tuple(scope.regions),
        ),
        actions=tuple(message.actions),
        severity=one_of(Severity, "policy.severity", message.severity) if message.severity else None,
        origin=message.origin,
    )


def _check_detection(detection: DetectionSet) -> None:
    files, policies = detection.files, detection.policies
    _check_count("detection.files", len(files), MAX_RULE_FILES)
    _check_count("detection.files: characters", sum(len(file.content) for file in files), MAX_RULE_TEXT)
    _check_count("detection.policies", len(policies), MAX_POLICIES)
    for file in files:
        _check_text("file.name", file.name)
    for policy in policies:
        _check_text("policy.name", policy.name)
        _check_policy(policy)


def _check_policy(policy: Policy) -> None:
    scope = policy.scope
    _check_count("policy.description: characters", len(policy.description), MAX_TEXT)
    for action in policy.actions:
        if action not in ACTIONS:
            raise WireError(f"policy.actions: {action[:40]!r} is none of {', '.join(ACTIONS)}")
    named = (policy.rules, scope.clusters, scope.namespaces, scope.accounts, scope.regions)
    for texts in (*named, [name for name, _ in scope.labels]):
        _check_count("policy: names", len(texts), MAX_NAMED)
        for text in texts:
            _check_text("policy: names", text)
    for _, value in scope.labels:
        _check_count("policy.scope.labels: characters", len(value), MAX_TEXT)


def _check_text(name: str, text: str) -> None:
    if not text:
        raise WireError(f"{name}: is empty")
    _check_count(f"{name}: characters", len(text), MAX_TEXT)


def _check_count(name: str, count: int, most: int) -> None:
    if count > most:
        raise WireError(f"{name}: {count} are more than {most}")
