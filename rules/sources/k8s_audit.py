"""The source k8s_audit: Kubernetes API servers' audit events, with the fields of Falco's k8saudit and json plugins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from urllib.parse import unquote_plus

from rules.fields import Argument, Extractor, FieldInfo, Type, always
from rules.sources.generic import generic_fields, plugin_fields
from rules.sources.json_document import MISSING, compact, find, text
from rules.sources.json_event import JsonEvent, JsonSource
from rules.sources.json_fields import json_fields
from rules.sources.k8s_containers import container_fields
from rules.sources.k8s_requests import request_fields, rule_values
from rules.sources.k8s_values import elements, is_audit, many, one, picked, scalar

NAME = "k8s_audit"

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_ANNOTATIONS = {
    "ka.auth.decision": ("authorization.k8s.io/decision", "Whether the request was allowed"),
    "ka.auth.reason": ("authorization.k8s.io/reason", "Why it was allowed or not"),
    "ka.auth.openshift.decision": ("authentication.openshift.io/decision", "OpenShift's decision on who it is"),
    "ka.auth.openshift.username": ("authentication.openshift.io/username", "Who it is for OpenShift"),
    "ka.validations.admission.policy.failure": (
        "validation.policy.admission.k8s.io/validation_failure",
        "What a validating admission policy found wrong",
    ),
    "ka.security.pod.violations": (
        "pod-security.kubernetes.io/audit-violations",
        "How a pod violates the security standard of its namespace",
    ),
    "ka.cluster.name": ("cluster_name", "Name of the cluster, where whoever sends the events adds it"),
}

_PLAIN = {
    "ka.auditid": (("auditID",), "Identity of the request"),
    "ka.stage": (("stage",), "Stage of the request"),
    "ka.user.name": (("user", "username"), "Who asks"),
    "ka.impuser.name": (("impersonatedUser", "username"), "As whom"),
    "ka.verb": (("verb",), "What for"),
    "ka.uri": (("requestURI",), "The URI asked for"),
    "ka.target.name": (("objectRef", "name"), "Name of the object"),
    "ka.target.namespace": (("objectRef", "namespace"), "Namespace of the object"),
    "ka.target.resource": (("objectRef", "resource"), "Resource of the object"),
    "ka.target.subresource": (("objectRef", "subresource"), "Subresource of the object"),
    "ka.resp.name": (("responseObject", "metadata", "name"), "Name of the object in the response"),
    "ka.response.code": (("responseStatus", "code"), "Code of the response"),
    "ka.response.reason": (("responseStatus", "reason"), "Reason in the response, mostly of a failure"),
    "ka.useragent": (("userAgent",), "The program that asks"),
}


def _audit_fields() -> Iterator[FieldInfo]:
    for name, (keys, description) in _PLAIN.items():
        yield one(name, f"{description}.", scalar(*keys))
    for name, (annotation, description) in _ANNOTATIONS.items():
        yield one(name, f"{description}.", scalar("annotations", annotation))
    yield many("ka.user.groups", "Groups of who asks.", elements("user", "groups"))
    yield one("ka.target.pod.name", "Name of the pod, in the response to a request for one.", _target_pod)
    # As upstream has it: it looks among the rules of a role, where there are none.
    yield picked("ka.sourceips", "Addresses of who asks.", rule_values("sourceIPs"))
    yield FieldInfo(
        "ka.uri.param",
        Type.STRING,
        "A parameter of the URI's query.",
        _parameter,
        Argument.KEY,
        varies=always,
    )


def _target_pod(event: JsonEvent) -> str | None:
    if find(event.document, ("objectRef", "resource")) != "pods":
        return None
    subresource = find(event.document, ("objectRef", "subresource"))
    if type(subresource) is str and subresource:
        return None
    return _RESPONSE_NAME(event)  # type: ignore[return-value]  # scalar gives str or None


_RESPONSE_NAME = scalar("responseObject", "metadata", "name")


def _parameter(argument: str | None) -> Extractor:
    wanted = argument or ""

    def get(event: JsonEvent) -> str | None:
        uri = find(event.document, ("requestURI",)) if is_audit(event) else MISSING
        return None if uri is MISSING else _query_value(text(event.raw, ("requestURI",), uri), wanted)

    return get


def _query_value(uri: str, wanted: str) -> str | None:
    """The first value of a parameter; None without it, and for a URI that Go would not parse."""
    if _CONTROL.search(uri) or _BAD_ESCAPE.search(uri):
        return None
    _path, _, query = uri.partition("#")[0].partition("?")
    if ";" in query:
        return None
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if pair and unquote_plus(key) == wanted:
            return unquote_plus(value)
    return None


def _fields() -> Iterator[FieldInfo]:
    yield from generic_fields(NAME, lambda event: event.number, lambda event: event.time_ns)
    yield from plugin_fields("k8saudit", lambda event: compact(event.raw, ()))
    yield from json_fields()
    yield from _audit_fields()
    yield from request_fields()
    yield from container_fields()


SOURCE = JsonSource(
    NAME,
    MappingProxyType({info.name: info for info in _fields()}),
    list_key="items",
    time_keys=("stageTimestamp", "requestReceivedTimestamp", "timestamp"),
)
