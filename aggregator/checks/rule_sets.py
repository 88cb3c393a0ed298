"""What the nodes of a cluster told of the rules they run, looked at together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from aggregator.detection import Detection
from aggregator.records import Node


@dataclass(frozen=True, slots=True)
class RuleSets:
    """Names of nodes, sorted. ``behind``: they run another set than they must; ``unable``: by rule, those that say they
    can not judge it; ``deaf``: by node, the system calls its kernel does not tell of."""

    silent: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    unable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deaf: Mapping[str, frozenset[str]] = field(default_factory=dict)


def told_by(nodes: Sequence[Node], silent: Set[str], detection: Detection) -> RuleSets:
    """``nodes`` of one cluster."""
    acknowledged = {node.detection_hash: detection.is_acknowledged(node.cluster, node.detection_hash) for node in nodes}
    unable: dict[str, list[str]] = {}
    deaf: dict[str, frozenset[str]] = {}
    for node in nodes:
        if not node.detection_problems:
            continue
        text = "\n".join(node.detection_problems)
        for _, rule in sorted(set(_RULE.findall(text))):
            unable.setdefault(rule, []).append(node.name)
        if unserved := frozenset(_UNSERVED.findall(text)):
            deaf[node.name] = unserved
    return RuleSets(
        tuple(sorted(node.name for node in nodes if node.name in silent)),
        tuple(sorted(node.name for node in nodes if node.name not in silent and not acknowledged[node.detection_hash])),
        {rule: tuple(sorted(names)) for rule, names in unable.items()},
        deaf,
    )


# As v1/uplink.proto says agents put it.
_RULE = re.compile(r"\brule ([\"'])(.+?)\1")
_UNSERVED = re.compile(r"does not tell of ([a-z0-9_]+)")
