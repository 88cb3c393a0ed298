"""Network policies in place: not assessable yet, for neither flows nor policies are read."""

from __future__ import annotations

from aggregator.checks.check import EVENT_SOURCE_TTL, source_missing

CHECK = source_missing(
    "network_policy",
    EVENT_SOURCE_TTL,
    {"": "source missing: neither network flows nor network policies reach this aggregator"},
)
