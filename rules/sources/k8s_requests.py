"""ka.req.*: what a request carries besides containers: bindings, roles, config maps, services, volumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rules.fields import Argument, Extractor, FieldInfo, Type, always
from rules.sources.json_document import MISSING, find, text, texts
from rules.sources.json_event import JsonEvent
from rules.sources.k8s_values import (
    IndexedExtractor,
    elements,
    is_audit,
    many,
    one,
    picked,
    present,
    scalar,
    spread,
    told,
)

_SUBJECTS = ("requestObject", "subjects")
_SPEC = ("requestObject", "spec")


def request_fields() -> tuple[FieldInfo, ...]:
    return (*_bindings(), *_roles(), *_pods(), *_volumes(), *_others())


def rule_values(key: str) -> IndexedExtractor:
    """Everything in the arrays ``key`` of the request's ``rules``, or of one of them."""

    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        found = spread(event.document, ("requestObject", "rules", key), index)
        lists = [each for each in found or () if each is not None and type(each[1]) is list]
        return tuple(value for path, values in lists for value in texts(event.raw, path, values)) or None

    return get


def _bindings() -> Iterator[FieldInfo]:
    prefix = "ka.req.binding.subjects"
    yield many(prefix, "Whom a binding binds, as JSON.", elements(*_SUBJECTS))
    yield many(f"{prefix}.user_names", "The users among them.", _subjects("User"))
    yield many(f"{prefix}.serviceaccount_names", "The service accounts among them.", _subjects("ServiceAccount"))
    yield many(
        f"{prefix}.serviceaccount_ns_names",
        "The service accounts among them as namespace:name.",
        _subjects("ServiceAccount", with_namespace=True),
    )
    yield many(f"{prefix}.group_names", "The groups among them.", _subjects("Group"))
    yield one("ka.req.binding.role", "The role that a binding gives.", scalar("requestObject", "roleRef", "name"))
    yield FieldInfo(
        "ka.req.binding.subject.has_name",
        Type.STRING,
        "Always true; kept for old rules.",
        lambda _argument: lambda event: "true" if is_audit(event) else None,
        Argument.KEY,
        varies=always,
    )


def _roles() -> Iterator[FieldInfo]:
    yield many("ka.req.role.rules", "The rules of a role, as JSON.", elements("requestObject", "rules"))
    for key, what in (
        ("apiGroups", "API groups"),
        ("nonResourceURLs", "URLs that are no resources"),
        ("verbs", "verbs"),
        ("resources", "resources"),
    ):
        yield picked(f"ka.req.role.rules.{key}", f"The {what} of a role's rules.", rule_values(key))


def _pods() -> Iterator[FieldInfo]:
    for name, key in (("host_ipc", "hostIPC"), ("host_network", "hostNetwork"), ("host_pid", "hostPID")):
        yield one(f"ka.req.pod.{name}", f"{key} of a pod.", scalar(*_SPEC, key))
    yield one("ka.req.container.host_network", "As ka.req.pod.host_network.", scalar(*_SPEC, "hostNetwork"))
    for name, key in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup"), ("fs_group", "fsGroup")):
        yield one(f"ka.req.pod.{name}", f"{key} of a pod.", scalar(*_SPEC, "securityContext", key))
    yield many(
        "ka.req.pod.supplemental_groups",
        "Further groups of a pod.",
        elements(*_SPEC, "securityContext", "supplementalGroups"),
    )


def _volumes() -> Iterator[FieldInfo]:
    volumes = (*_SPEC, "volumes")
    yield picked("ka.req.pod.volumes.hostpath", "Paths of the host in volumes.", present(*volumes, "hostPath", "path"))
    driver = present(*volumes, "flexVolume", "driver")
    yield picked("ka.req.pod.volumes.flexvolume_driver", "Drivers of flex volumes.", driver)
    yield picked("ka.req.pod.volumes.volume_type", "Types of the volumes.", _volume_types)
    yield FieldInfo(
        "ka.req.volume.hostpath",
        Type.STRING,
        'Whether the first volume is this path of the host; a "*" at the end stands for anything.',
        _has_host_path,
        Argument.KEY,
        varies=always,
    )


def _others() -> Iterator[FieldInfo]:
    yield one("ka.req.configmap.name", "Name of a config map.", scalar("objectRef", "name"))
    yield one("ka.req.configmap.obj", "What a config map holds, as JSON.", scalar("requestObject", "data"))
    yield one("ka.req.service.type", "Type of a service.", scalar(*_SPEC, "type"))
    yield picked("ka.req.service.ports", "Ports of a service, as one JSON array.", present(*_SPEC, "ports"))


def _subjects(kind: str, *, with_namespace: bool = False) -> Extractor:
    def get(event: JsonEvent) -> tuple[str, ...] | None:
        subjects = find(event.document, _SUBJECTS) if is_audit(event) else MISSING
        if type(subjects) is not list:
            return None
        names = (_subject(event, number, subject) for number, subject in enumerate(subjects))
        return tuple(name for name in names if name is not None) or None

    def _subject(event: JsonEvent, number: int, subject: Any) -> str | None:
        path = (*_SUBJECTS, number)
        if find(subject, ("kind",)) != kind or (name := find(subject, ("name",))) is MISSING:
            return None
        told_name = text(event.raw, (*path, "name"), name)
        if not with_namespace:
            return told_name
        namespace = find(subject, ("namespace",))
        return None if namespace is MISSING else f"{text(event.raw, (*path, 'namespace'), namespace)}:{told_name}"

    return get


def _volume_types(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
    found = spread(event.document, (*_SPEC, "volumes", ""), index)
    volumes = [each[1] for each in found or () if each is not None and type(each[1]) is dict]
    return tuple(key for volume in volumes for key in volume if key != "name") or None


def _has_host_path(argument: str | None) -> Extractor:
    wanted = argument or ""

    def get(event: JsonEvent) -> str | None:
        # As upstream has it: a field with a key looks at the first volume only.
        found = spread(event.document, (*_SPEC, "volumes", "hostPath", "path"), 0) if is_audit(event) else None
        if found is None:
            return None
        prefix = wanted[:-1] if wanted.endswith("*") else None
        paths = told(event, found) or ()
        hit = any(path == wanted or (prefix is not None and path.startswith(prefix)) for path in paths)
        return "true" if hit else "false"

    return get
