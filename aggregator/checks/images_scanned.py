"""Images scanned: not assessable yet, for nothing scans images."""

from __future__ import annotations

from aggregator.checks.check import DAILY_TTL, source_missing

CHECK = source_missing(
    "image_scan_policy", DAILY_TTL, {"": "source missing: no image scan results reach this aggregator"}
)
