"""The API's answers and requests about rules and policies. Times are unix seconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from aggregator.api.models import example
from watchkeeper.findings import Severity
from watchkeeper.policies import ACTIONS
from watchkeeper.wire_policies import MAX_NAMED

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Names = Annotated[list[Text], Field(max_length=MAX_NAMED)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Origin = Literal["shipped", "file", "api"]

_POLICY: dict[str, Any] = {
    "enabled": True,
    "rules": ["Anonymous Request Allowed", "Attach/Exec Pod"],
    "description": "Users act where they should not",
    "scope": {"clusters": ["prod-*"], "namespaces": [], "labels": {}, "accounts": [], "regions": []},
    "actions": list(ACTIONS),
    "severity": "high",
}
_CHANGE: dict[str, Any] = {"who": "admin", "reason": "asked for by the auditors", "at": 1764000000.0}
_SHOWN: dict[str, Any] = {
    "name": "Inadvised K8s User Activity",
    **_POLICY,
    "origin": "shipped",
    "changed": _CHANGE,
    "sources": ["k8s_audit"],
    "unknown_rules": [],
}


class PolicyScope(BaseModel):
    """Where a policy counts; what is empty does not restrict. All but labels may hold wildcards (`*`, `?`, `[…]`).
    With namespaces or labels it does not cover what happens on the nodes outside of pods."""

    model_config = ConfigDict(extra="forbid")
    clusters: Names = []
    namespaces: Names = []
    labels: dict[str, str] = {}
    accounts: Names = []
    regions: Names = []


class PolicyRequest(BaseModel):
    """`severity` null: by the rules' priorities. `reason` is kept as evidence."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {**_POLICY, "reason": "asked for by the auditors"}}
    )
    enabled: bool = False
    rules: Annotated[list[Text], Field(min_length=1, max_length=MAX_NAMED)]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    scope: PolicyScope = PolicyScope()
    actions: Annotated[list[Literal["alert"]], Field(max_length=10)] = ["alert"]
    severity: Severity | None = None
    reason: Reason


class ReasonRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reason": "asked for by the auditors"}})
    reason: Reason


class PolicyChange(BaseModel):
    model_config = example(**_CHANGE)
    who: str
    reason: str
    at: float


class Policy(BaseModel):
    """`origin`: shipped or file, or api when people made it or replaced it whole. `changed`: who last changed what
    files say, null when nobody did. `sources`: of its rules. `unknown_rules`: those that no rule file holds."""

    model_config = example(**_SHOWN)
    name: str
    enabled: bool
    description: str
    rules: list[str]
    scope: PolicyScope
    actions: list[str]
    severity: Severity | None
    origin: Origin
    changed: PolicyChange | None
    sources: list[str]
    unknown_rules: list[str]


class Policies(BaseModel):
    policies: list[Policy]


class RemovedPolicy(BaseModel):
    """`policy`: as files have it, from now on in force again; null when no file has one of that name."""

    policy: Policy | None


class RulePolicy(BaseModel):
    name: str
    enabled: bool


class Rule(BaseModel):
    """`compiles`: it can be in force, else `problems` say why not."""

    model_config = example(
        name="Anonymous Request Allowed", source="k8s_audit", priority="Warning", description="Nobody said who asks",
        tags=["k8s"], file="k8s_audit_rules.yaml", compiles=True, problems=[],
        policies=[{"name": "Inadvised K8s User Activity", "enabled": False}],
    )  # fmt: skip
    name: str
    source: str
    priority: str
    description: str
    tags: list[str]
    file: str
    compiles: bool
    problems: list[str]
    policies: list[RulePolicy]


class Problem(BaseModel):
    """`code` as Falco names it; `item`: the rule, macro, list or policy; `line` 0: unknown."""

    model_config = example(
        severity="error", code="LOAD_ERR_COMPILE_CONDITION", message="proc.nmae is no field of source syscall",
        file="site.yaml", line=12, item='rule "Shell in the shop"',
    )  # fmt: skip
    severity: Literal["error", "warning"]
    code: str
    message: str
    file: str
    line: int
    item: str


class Rules(BaseModel):
    """`problems`: of the rules and policies in force; `refused`: of newer files that were not taken for them."""

    rules: list[Rule]
    problems: list[Problem]
    refused: list[Problem]
