"""Rule in force: not assessable yet, for nothing evaluates rules and there are no policies of rules."""

from __future__ import annotations

from aggregator.checks.check import EVENT_SOURCE_TTL, source_missing

CHECK = source_missing(
    "runtime_rule",
    EVENT_SOURCE_TTL,
    {
        "syscall": "source missing: no rule policies exist here, and no agent evaluates rules over system calls",
        "k8s_audit": "source missing: no rule policies exist here, and no Kubernetes audit log reaches this aggregator",
        "aws_cloudtrail": "source missing: no rule policies exist here, and no AWS account is connected",
    },
)
