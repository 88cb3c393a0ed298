"""What the runtimes' own files tell of a container: the bundle's config.json, runc's state, Docker's and Podman's
descriptions. They are read when a container is born, as a short one is gone before anybody could be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.cgroups import Hierarchy
from agent.container_spec import Spec, bounded, facts_of, from_spec, with_facts
from agent.cri import digest, own_labels, workload
from watchkeeper.findings import Container, Mount

RUNC_ROOTS = (Path("/run/runc"),)
CONTAINERD = Path("/run/containerd")
STORAGE = Path("/run/containers/storage/overlay-containers")
PODMAN_LIST = Path("/var/lib/containers/storage/overlay-containers/containers.json")
DOCKER = Path("/var/lib/docker/containers")
LARGEST = 4 * 1024 * 1024  # bytes of a description that are read
MOST_STATES = 512

_CONTAINERD_CRI = "io.kubernetes.cri."
_CRIO = "io.kubernetes.cri-o."
_KUBELET = "io.kubernetes."

Shape = TypeVar("Shape")
Default = TypeVar("Default")


class _Linux(msgspec.Struct):
    cgroupsPath: str = ""  # noqa: N815, RUF100 - the OCI's spelling


class _Bundle(msgspec.Struct):
    annotations: dict[str, str] | None = None
    linux: _Linux = msgspec.field(default_factory=_Linux)


class _DockerMount(msgspec.Struct):
    Source: str = ""
    Destination: str = ""
    RW: bool = False
    Mode: str = ""
    Propagation: str = ""


class _DockerHost(msgspec.Struct):
    Privileged: bool | None = None


class _State(msgspec.Struct):
    id: str = ""
    cgroup_paths: dict[str, str] = {}


class _DockerConfig(msgspec.Struct):
    Image: str = ""
    Labels: dict[str, str] | None = None


class _Docker(msgspec.Struct):
    Name: str = ""
    Image: str = ""
    Config: _DockerConfig = msgspec.field(default_factory=_DockerConfig)
    MountPoints: dict[str, _DockerMount] | None = None


class _Podman(msgspec.Struct):
    id: str = ""
    names: list[str] = []
    image: str = ""
    metadata: str = "{}"


class _PodmanMetadata(msgspec.Struct, rename={"image_name": "image-name"}):
    image_name: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """A container by its files. ``sandbox``: id of its pod's sandbox, "" if it is in none the CRI knows."""

    container: Container
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the runtimes keep their files. ``states``: state directories of containerd."""

    states: tuple[Path, ...] = (CONTAINERD,)
    runc_roots: tuple[Path, ...] = RUNC_ROOTS
    storage: Path = STORAGE
    podman_list: Path = PODMAN_LIST
    docker: Path = DOCKER

    def describe(self, runtime: str, container: str) -> Description | None:
        """What lies on disk of the container with this id; None: nothing."""
        found = self._bundle(runtime, container)
        if runtime == "docker":
            return self._docker(container) or found
        if runtime == "podman":
            return self._podman(container, found.container if found else None) or found
        return found

    def unshaped(self, hierarchy: Hierarchy, path: str) -> tuple[str, str, str] | None:
        """(runtime, id, its cgroup's path) of a container whose name was chosen freely: ``ctr run``, plain ``runc``."""
        parts = [part for part in path.split("/") if part]
        for namespace, name in pairwise(parts):
            for bundle in self._tasks(name, namespace):
                top = _read(bundle / "config.json", _Bundle, _Bundle()).linux.cgroupsPath
                if _is_below(path, top):
                    return "containerd", name, top.rstrip("/")
        mount = str(hierarchy.mount).rstrip("/")
        for state in self._states(parts):
            top = state.cgroup_paths.get(hierarchy.controller, "")
            if _is_below(mount + path, top) and top.startswith(mount + "/"):
                return "runc", state.id, top[len(mount) :].rstrip("/")
        return None

    def _tasks(self, container: str, namespace: str = "*") -> Iterator[Path]:
        if not _is_name(container) or (namespace != "*" and not _is_name(namespace)):
            return
        for state in self.states:
            tasks = state / "io.containerd.runtime.v2.task"
            if namespace != "*":
                yield tasks / namespace / container
            elif tasks.is_dir():
                yield from (entry / container for entry in tasks.iterdir())

    def _states(self, names: Sequence[str]) -> Iterator[_State]:
        """States of runc's containers, first those called like a part of the cgroup's path."""
        for root in self.runc_roots:
            if not root.is_dir():
                continue
            existing = sorted((entry.name for entry in root.iterdir()), key=lambda name: name not in names)
            for name in existing[:MOST_STATES]:
                yield _read(root / name / "state.json", _State, _State())

    def _bundle(self, runtime: str, container: str) -> Description | None:
        if not _is_name(container):
            return None
        for directory in (*self._tasks(container), self.storage / container / "userdata"):
            file = directory / "config.json"
            content = _content(file)
            bundle = _decode(content, _Bundle, None)
            if bundle is not None:
                known = Container(id=container, runtime=runtime, started_at=_born(file))
                told = with_facts(known, from_spec(_decode(content, Spec, Spec())))
                return _from_annotations(told, bundle.annotations or {})
        if runtime == "runc":
            name = Container(id=container, name=container, runtime=runtime, workload=f"Container/{container}")
            return Description(name)
        return None

    def _docker(self, container: str) -> Description | None:
        found = _read(self.docker / container / "config.v2.json", _Docker, None)
        if found is None:
            return None
        name = found.Name.lstrip("/") or container
        labels = found.Config.Labels or {}
        pod = labels.get("io.kubernetes.pod.name", "")
        return Description(
            Container(
                id=container,
                name=labels.get("io.kubernetes.container.name", name),
                runtime="docker",
                image=found.Config.Image,
                image_digest=digest(found.Image),
                pod_name=pod,
                pod_namespace=labels.get("io.kubernetes.pod.namespace", ""),
                pod_uid=labels.get("io.kubernetes.pod.uid", ""),
                labels=own_labels(labels),
                kind="sandbox" if labels.get("io.kubernetes.docker.type") == "podsandbox" else "container",
                workload=workload(name, pod, labels),
                privileged=_read(self.docker / container / "hostconfig.json", _DockerHost, _DockerHost()).Privileged,
                mounts=bounded(_docker_mount(mount) for mount in (found.MountPoints or {}).values()),
            )
        )

    def _podman(self, container: str, bundled: Container | None) -> Description | None:
        """``bundled``: what the bundle tells."""
        for found in _read(self.podman_list, list[_Podman], []):
            if found.id == container:
                name = found.names[0] if found.names else container[:12]
                known = Container(id=container, name=name, runtime="podman", workload=f"Container/{name}")
                if bundled is not None:
                    known = with_facts(known, facts_of(bundled))
                image = _decode(found.metadata.encode(), _PodmanMetadata, _PodmanMetadata()).image_name
                return Description(replace(known, image=image, image_digest=digest(found.image)))
        return None


def _from_annotations(known: Container, annotations: dict[str, str]) -> Description:
    """containerd's CRI plugin and CRI-O write on the bundle what they know; other callers of containerd may not."""

    def first(*keys: str) -> str:
        return next((annotations[key] for key in keys if annotations.get(key)), "")

    pod = first(_CONTAINERD_CRI + "sandbox-name", _KUBELET + "pod.name")
    kind = first(_CONTAINERD_CRI + "container-type", _CRIO + "ContainerType")
    name = first(_CONTAINERD_CRI + "container-name", _KUBELET + "container.name", "nerdctl/name")
    if kind == "sandbox":
        name = pod
    elif not pod:
        name = name or known.id
    labels = _decode(first(_CRIO + "Labels").encode() or b"{}", dict[str, str], {})
    container = replace(
        known,
        name=name,
        image=first(_CONTAINERD_CRI + "image-name", _CRIO + "ImageName"),
        image_digest=digest(first(_CRIO + "ImageRef")),
        pod_name=pod,
        pod_namespace=first(_CONTAINERD_CRI + "sandbox-namespace", _KUBELET + "pod.namespace"),
        pod_uid=first(_CONTAINERD_CRI + "sandbox-uid", _KUBELET + "pod.uid"),
        labels=own_labels(labels),
        kind="sandbox" if kind == "sandbox" else "container",
        workload=workload(name, pod, labels),
    )
    return Description(container, first(_CONTAINERD_CRI + "sandbox-id", _CRIO + "SandboxID"))


def _docker_mount(mount: _DockerMount) -> Mount:
    return Mount(mount.Source, mount.Destination, mount.Mode, mount.RW, mount.Propagation)


def _is_below(path: str, top: str) -> bool:
    return bool(top.strip("/")) and (path == top or path.startswith(top.rstrip("/") + "/"))


def _is_name(text: str) -> bool:
    """A single, harmless file name."""
    return bool(text) and text not in (".", "..") and "/" not in text and "\0" not in text and len(text) < 256


def _born(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path, shape: type[Shape], default: Default) -> Shape | Default:
    """The file's JSON; the default if it is gone, or not what it should be: others write these files."""
    return _decode(_content(path), shape, default)


def _content(path: Path) -> bytes:
    """Empty for a file that can not be read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except (OSError, ValueError):
        return b""


def _decode(content: bytes, shape: type[Shape], default: Default) -> Shape | Default:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError:
        return default
