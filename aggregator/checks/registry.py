"""Every type of check the program knows, by its name in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from aggregator.checks import (
    admission_enforced,
    agent_installed,
    audit_log_ingested,
    benchmark_passed,
    deviation_detection_active,
    images_scanned,
    network_policies_in_place,
    profiling_enabled,
    rule_in_force,
)
from aggregator.checks.check import Check

CHECKS: Mapping[str, Check] = {
    module.CHECK.type: module.CHECK
    for module in (
        admission_enforced,
        agent_installed,
        audit_log_ingested,
        benchmark_passed,
        deviation_detection_active,
        images_scanned,
        network_policies_in_place,
        profiling_enabled,
        rule_in_force,
    )
}
