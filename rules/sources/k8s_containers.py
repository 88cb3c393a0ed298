"""ka.req.pod.*containers.*: the containers of a pod that a request carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rules.fields import FieldInfo
from rules.sources.json_document import MISSING, find, text
from rules.sources.json_event import JsonEvent
from rules.sources.k8s_values import IndexedExtractor, complete, is_audit, one, picked, present, spread, told

_SPEC = ("requestObject", "spec")
_CONTAINERS = (*_SPEC, "containers")
_LISTS = {
    "containers": "containers",
    "initContainers": "init containers",
    "ephemeralContainers": "ephemeral containers",
}

# field -> (keys in a container, what it is)
_SECURITY_CONTEXT = {
    "privileged": (("privileged",), "Whether they are privileged"),
    "allow_privilege_escalation": (("allowPrivilegeEscalation",), "Whether privileges may grow"),
    "read_only_fs": (("readOnlyRootFilesystem",), "Whether the root file system is read-only"),
    "run_as_user": (("runAsUser",), "The user they ask for"),
    "run_as_group": (("runAsGroup",), "The group they ask for"),
    "proc_mount": (("procMount",), "How /proc is mounted"),
    "add_capabilities": (("capabilities", "add"), "Capabilities they add, one JSON array for each"),
}


def container_fields() -> tuple[FieldInfo, ...]:
    return (*(field for place in _LISTS for field in _fields_of(place)), *_deprecated())


def _fields_of(place: str) -> Iterator[FieldInfo]:
    keys, which = (*_SPEC, place), _LISTS[place]
    yield picked(f"ka.req.pod.{place}.name", f"Names of the {which}.", complete(*keys, "name"))
    yield picked(f"ka.req.pod.{place}.image", f"Images of the {which}.", complete(*keys, "image"))
    yield picked(f"ka.req.pod.{place}.image.repository", f"Repositories of the {which}' images.", _repositories(keys))
    yield picked(f"ka.req.pod.{place}.command", f"Commands of the {which}.", _words(*keys, "command"))
    yield picked(f"ka.req.pod.{place}.args", f"Arguments of the {which}.", _words(*keys, "args"))
    for name, (inner, what) in _SECURITY_CONTEXT.items():
        get = present(*keys, "securityContext", *inner)
        yield picked(f"ka.req.pod.{place}.{name}", f"{what} ({which}).", get)
    for name, key in (("eff_run_as_user", "runAsUser"), ("eff_run_as_group", "runAsGroup")):
        yield picked(f"ka.req.pod.{place}.{name}", f"The effective {key} of the {which}.", _effective(keys, key))
    if place != "ephemeralContainers":  # which have no ports
        yield picked(f"ka.req.pod.{place}.host_port", f"Ports of the host that the {which} take.", _host_ports(keys))


def _deprecated() -> Iterator[FieldInfo]:
    image, repository = complete(*_CONTAINERS, "image"), _repositories(_CONTAINERS)
    yield one("ka.req.container.image", "Image of the first container.", lambda event: _first(image, event))
    yield one(
        "ka.req.container.image.repository",
        "Repository of the first container's image.",
        lambda event: _first(repository, event),
    )
    yield one("ka.req.container.privileged", "Whether any container is privileged.", _any_privileged)


def _first(get: IndexedExtractor, event: JsonEvent) -> str | None:
    values = get(event, 0) if is_audit(event) else None
    return values[0] if values else None


def _any_privileged(event: JsonEvent) -> str | None:
    found = spread(event.document, (*_CONTAINERS, "securityContext", "privileged"), None) if is_audit(event) else None
    if found is None:
        return None
    return "true" if any(each is not None and each[1] is True for each in found) else "false"


def _repositories(keys: tuple[str, ...]) -> IndexedExtractor:
    images = complete(*keys, "image")

    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        # As upstream has it: a registry's port cuts the name short, too ("registry:5000/a:b" gives "registry").
        found = images(event, index)
        return found and tuple(image.partition(":")[0].partition("@")[0] for image in found)

    return get


def _words(*keys: str) -> IndexedExtractor:
    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        lists = [each[1] for each in spread(event.document, keys, index) or () if each is not None]
        if not all(type(words) is list and all(type(word) is str for word in words) for words in lists):
            return None
        return tuple(" ".join(words) for words in lists) or None

    return get


def _effective(keys: tuple[str, ...], key: str) -> IndexedExtractor:
    # As upstream has it: it looks beside securityContext, where Kubernetes has neither value.
    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        found = spread(event.document, (*keys, key), index)
        if found is None:
            return None
        of_pod = find(event.document, (*_SPEC, key))
        default = "0" if of_pod is MISSING else text(event.raw, (*_SPEC, key), of_pod)
        return tuple(default if each is None else text(event.raw, *each) for each in found) or None

    return get


def _host_ports(keys: tuple[str, ...]) -> IndexedExtractor:
    def get(event: JsonEvent, index: int | None) -> tuple[str, ...] | None:
        lists = [each for each in spread(event.document, (*keys, "ports"), index) or () if each is not None]
        if not all(type(ports) is list for _path, ports in lists):
            return None
        found = (_port(port, (*path, number)) for path, ports in lists for number, port in enumerate(ports))
        return told(event, list(found))

    return get


def _port(port: Any, path: tuple[str | int, ...]) -> Any:
    for key in ("hostPort", "containerPort"):
        value = find(port, (key,))
        if value is not MISSING:
            return (*path, key), value
    return None
