"""Benchmark passed: not assessable yet, for nothing runs the CIS benchmark."""

from __future__ import annotations

from aggregator.checks.check import DAILY_TTL, source_missing

CHECK = source_missing(
    "benchmark_run", DAILY_TTL, {"": "source missing: no CIS benchmark results reach this aggregator"}
)
