"""container.*, k8s.*: where the process ran. On the host names are "host", and what an image would tell is empty."""

from __future__ import annotations

from collections.abc import Callable

from rules.fields import Argument, Extractor, FieldInfo, Type, Value, always
from rules.patterns import glob
from rules.sources.activity import Activity
from rules.sources.declarations import boolean, field, integer, missing, moment, nothing, text
from rules.sources.thread_fields import namespace_start
from watchkeeper.findings import Container, Mount

HOST = "host"
SHORT = 12  # characters of an id
_BY_ID = "sha256:"
_UNTOLD = "nobody asks the runtime for it."
_GONE = "Falco does not tell it any more"


def container_fields() -> tuple[FieldInfo, ...]:
    return (*_identity(), *_image(), *_facts(), *_mounts(), *_pod(), *_deprecated())


def _identity() -> tuple[FieldInfo, ...]:
    return (
        text("container.id", 'The first 12 characters of its id; "host".', _of(lambda one: one.id[:SHORT], HOST)),
        text("container.full_id", "Its whole id.", _of(lambda one: one.id, HOST)),
        text("container.name", 'Its name; "host".', _of(lambda one: one.name, HOST)),
        text("container.type", "The runtime: containerd, cri-o, docker, podman.", _of(lambda one: one.runtime, HOST)),
        FieldInfo("container.label", Type.STRING, "A label by its name.", _label, Argument.KEY),
        text("container.labels", "All labels, NAME:VALUE, with commas between.", _of(_labels, "")),
    )


def _image() -> tuple[FieldInfo, ...]:
    return (
        text("container.image", "The image as it was asked for.", _of(lambda one: one.image, "")),
        text("container.image.repository", "The image without tag and digest.", _of(_repository, "")),
        text("container.image.tag", "The image's tag; empty where it has none.", _image_tag),
        text("container.image.digest", "The image's digest, sha256:….", _of(lambda one: one.image_digest, "")),
        missing("container.image.id", Type.STRING, "the digest names the image."),
    )


def _facts() -> tuple[FieldInfo, ...]:
    return (
        boolean(
            "container.privileged",
            "Whether it is privileged; missing where nobody told.",
            _flag(lambda one: one.privileged),
        ),
        integer("container.start_ts", "When it started, nanoseconds since 1970.", namespace_start),
        field("container.duration", Type.DURATION, "Nanoseconds since it started.", _duration, always),
        missing("container.ip", Type.STRING, _UNTOLD),
        missing("container.cni.json", Type.STRING, _UNTOLD),
        boolean("container.host_pid", "Whether it shares its host's process ids.", _flag(lambda one: one.host_pid)),
        boolean("container.host_network", "Whether it shares its host's network.", _flag(lambda one: one.host_network)),
        boolean("container.host_ipc", "Whether it shares its host's IPC.", _flag(lambda one: one.host_ipc)),
    )


def _mounts() -> tuple[FieldInfo, ...]:
    return (
        text("container.mounts", "All mounts, SOURCE:DEST:MODE:RDWR:PROPAGATION, with commas between.", _all_mounts),
        _mount("container.mount", "A mount", _source, _whole),
        _mount("container.mount.source", "Source of a mount", _destination, _source),
        _mount("container.mount.dest", "Destination of a mount", _source, _destination),
        _mount("container.mount.mode", "Mode of a mount", _source, lambda mount: mount.mode),
        _mount("container.mount.rdwr", "Whether one may write to a mount", _source, _may_write),
        _mount("container.mount.propagation", "Propagation of a mount", _source, lambda mount: mount.propagation),
    )


def _pod() -> tuple[FieldInfo, ...]:
    return (
        text("k8s.pod.name", "Name of the pod.", _of(lambda one: one.pod_name)),
        text("k8s.ns.name", "Namespace of the pod.", _of(lambda one: one.pod_namespace)),
        text("k8s.pod.id", "Uid of the pod.", _of(lambda one: one.pod_uid)),
        text("k8s.pod.uid", "Uid of the pod.", _of(lambda one: one.pod_uid)),
        text("k8s.pod.sandbox_id", "Short id of the pod's sandbox, for its own processes.", _of(_short_sandbox)),
        text("k8s.pod.full_sandbox_id", "The whole of it.", _of(_sandbox)),
        FieldInfo("k8s.pod.label", Type.STRING, "A label of the pod by its name.", _label, Argument.KEY),
        text("k8s.pod.labels", "All labels of the pod, NAME:VALUE, with commas between.", _of(_labels)),
        missing("k8s.pod.ip", Type.STRING, _UNTOLD),
        missing("k8s.pod.cni.json", Type.STRING, _UNTOLD),
    )


def _deprecated() -> tuple[FieldInfo, ...]:
    probes = ("healthcheck", "liveness_probe", "readiness_probe")
    names = [f"k8s.{kind}.{what}" for kind in ("rc", "svc", "rs", "deployment") for what in ("name", "id", "labels")]
    labels = ("k8s.rc.label", "k8s.svc.label", "k8s.ns.label", "k8s.rs.label", "k8s.deployment.label")
    plain = [*(f"container.{probe}" for probe in probes), *names, "k8s.ns.id", "k8s.ns.labels"]
    return (
        *(missing(name, Type.STRING, _UNTOLD, deprecated=_GONE) for name in plain),
        *(
            FieldInfo(name, Type.STRING, "Always missing.", lambda _: nothing, Argument.KEY, deprecated=_GONE)
            for name in labels
        ),
    )


def _of(get: Callable[[Container], str], of_host: str | None = None) -> Extractor:
    """A text of the container; missing where it is empty. ``of_host``: what the host has in its place."""

    def extract(activity: Activity) -> Value | None:
        container = activity.container
        return of_host if container is None else get(container) or None

    return extract


def _labels(container: Container) -> str:
    return ", ".join(f"{name}:{value}" if value else name for name, value in container.labels)


def _label(argument: str | None) -> Extractor:
    def extract(activity: Activity) -> Value | None:
        container = activity.container
        labels = container.labels if container is not None else ()
        return next((value for name, value in labels if name == argument), None)

    return extract


def _repository(container: Container) -> str:
    """A colon before the last slash belongs to the registry's port."""
    if container.image.startswith(_BY_ID):
        return ""
    name = container.image.partition("@")[0]
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    return name if colon < 0 else name[:colon]


def _image_tag(activity: Activity) -> str | None:
    container = activity.container
    if container is None:
        return ""
    if not container.image or container.image.startswith(_BY_ID):
        return None
    return container.image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _flag(get: Callable[[Container], bool | None]) -> Extractor:
    """What is no container has none of them set."""

    def extract(activity: Activity) -> Value | None:
        return False if activity.container is None else get(activity.container)

    return extract


def _duration(activity: Activity) -> int | None:
    start = namespace_start(activity)
    return max(0, moment(activity) - start) if start is not None else None


def _sandbox(container: Container) -> str:
    return container.id if container.kind == "sandbox" else ""


def _short_sandbox(container: Container) -> str:
    return _sandbox(container)[:SHORT]


def _source(mount: Mount) -> str:
    return mount.source


def _destination(mount: Mount) -> str:
    return mount.destination


def _may_write(mount: Mount) -> str:
    return "true" if mount.writable else "false"


def _whole(mount: Mount) -> str:
    return ":".join((mount.source, mount.destination, mount.mode, _may_write(mount), mount.propagation))


def _all_mounts(activity: Activity) -> str | None:
    container = activity.container
    if container is None:
        return ""
    return ",".join(map(_whole, container.mounts)) if container.mounts or container.privileged is not None else None


def _mount(name: str, what: str, key: Callable[[Mount], str], get: Callable[[Mount], str]) -> FieldInfo:
    return FieldInfo(
        name,
        Type.STRING,
        f"{what}, by number or by its {'destination' if key is _destination else 'source'}, which may be a glob.",
        lambda argument: _of_mount(argument or "", key, get),
        Argument.KEY,
    )


def _of_mount(argument: str, key: Callable[[Mount], str], get: Callable[[Mount], str]) -> Extractor:
    if argument.isascii() and argument.isdecimal():
        number = int(argument)
        return lambda activity: _nth(activity, number, get)
    fits = glob(argument)

    def extract(activity: Activity) -> Value | None:
        mounts = activity.container.mounts if activity.container is not None else ()
        return next((get(mount) for mount in mounts if fits(key(mount))), None)

    return extract


def _nth(activity: Activity, number: int, get: Callable[[Mount], str]) -> Value | None:
    mounts = activity.container.mounts if activity.container is not None else ()
    return get(mounts[number]) if number < len(mounts) else None
