"""Admission enforced: not assessable yet, for there is no admission webhook."""

from __future__ import annotations

from aggregator.checks.check import DAILY_TTL, source_missing

CHECK = source_missing(
    "admission_enabled", DAILY_TTL, {"": "source missing: no admission controller reports to this aggregator"}
)
