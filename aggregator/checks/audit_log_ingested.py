"""Audit log ingested: not assessable yet, for nothing takes in Kubernetes audit events."""

from __future__ import annotations

from aggregator.checks.check import EVENT_SOURCE_TTL, source_missing

CHECK = source_missing(
    "k8s_audit_enabled", EVENT_SOURCE_TTL, {"": "source missing: no Kubernetes audit log reaches this aggregator"}
)
