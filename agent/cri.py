"""Ask the node's container runtimes, over the CRI's unix sockets, what a container is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import Message

from agent.container_spec import UNTOLD, Facts, from_info, with_facts
from watchkeeper.findings import Container
from watchkeeper.v1 import cri_pb2 as cri

SOCKETS = (
    Path("/run/containerd/containerd.sock"),
    Path("/run/crio/crio.sock"),
    Path("/var/run/cri-dockerd.sock"),
)
SECONDS = 2.0  # for one answer
RECONNECT = [(f"grpc.{which}_reconnect_backoff_ms", 1000) for which in ("initial", "min", "max")]
LABELS = 64
LABEL_LENGTH = 256

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_DEBUGGER = re.compile(r"debugger-[a-z0-9]{5}\Z")
_GENERATED = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Response = TypeVar("Response", bound=Message)


class CriError(Exception):
    """A runtime gave no answer; it may be down, or busy."""


class _Named(msgspec.Struct):
    name: str = ""


class _PodSpec(msgspec.Struct):
    initContainers: list[_Named] = []  # noqa: N815, RUF100 - Kubernetes' spelling


class _Applied(msgspec.Struct):
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


@dataclass(frozen=True, slots=True)
class Told:
    """A runtime's answer about a container. ``sandbox``: id of its pod's sandbox, "" where it was not told."""

    status: cri.ContainerStatus
    sandbox: str
    facts: Facts


class Runtime:
    """The runtime behind one socket. Connects when first asked, and again when it was restarted."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._version = "runtime.v1"
        self._name = ""
        self._channel: grpc.aio.Channel | None = None

    async def name(self) -> str:
        """What it calls itself: containerd, cri-o, docker."""
        if not self._name:
            answer = await self._call("Runtime", "Version", cri.VersionRequest(), cri.VersionResponse)
            self._name = str(answer.runtime_name) if answer else ""
        return self._name

    async def container(self, container: str) -> Told | None:
        """What the runtime tells of the container; None: it is unknown to it."""
        request = cri.ContainerStatusRequest(container_id=container, verbose=True)
        answer = await self._call("Runtime", "ContainerStatus", request, cri.ContainerStatusResponse)
        if answer is None:
            return None
        sandbox, facts = from_info(answer.info.get("info", "{}"))
        return Told(answer.status, sandbox, facts)

    async def pod(self, sandbox: str) -> cri.PodSandboxStatus | None:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox)
        answer = await self._call("Runtime", "PodSandboxStatus", request, cri.PodSandboxStatusResponse)
        return answer.status if answer else None

    async def image(self, reference: str) -> cri.Image | None:
        """The image by name, id or digest."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=reference))
        answer = await self._call("Image", "ImageStatus", request, cri.ImageStatusResponse)
        return answer.image if answer and answer.HasField("image") else None

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, service: str, method: str, request: Message, response: type[Response]) -> Response | None:
        """The answer, None for "not found"."""
        if self._channel is None:
            # Without an authority of its own the socket's path becomes one, which Go's gRPC refuses.
            options = [("grpc.default_authority", "localhost"), *RECONNECT]
            self._channel = grpc.aio.insecure_channel(f"unix:{self.socket}", options)
        while True:
            call: grpc.aio.UnaryUnaryMultiCallable[Message, Response] = self._channel.unary_unary(
                f"/{self._version}.{service}Service/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=response.FromString,
            )
            try:
                return await call(request, timeout=SECONDS)
            except grpc.aio.AioRpcError as error:
                match error.code():
                    case grpc.StatusCode.NOT_FOUND:
                        return None
                    case grpc.StatusCode.UNIMPLEMENTED if self._version == "runtime.v1":
                        self._version = "runtime.v1alpha2"  # the same on the wire; containerd < 1.6, CRI-O < 1.23
                    case _:
                        raise CriError(f"{self.socket}, {method}: {error.details()}") from error


def present(sockets: Sequence[Path]) -> list[Path]:
    """Those that exist now, each once though links may give it several names."""
    return list({path.resolve(): path for path in reversed(sockets) if path.is_socket()}.values())[::-1]


def describe(
    runtime: str,
    status: cri.ContainerStatus,
    pod: cri.PodSandboxStatus | None,
    image: cri.Image | None,
    facts: Facts = UNTOLD,
) -> Container:
    """The container as the runtime tells it."""
    labels = status.labels
    name, namespace, uid, pod_labels = _pod_parts(status, pod)
    container = status.metadata.name or labels.get("io.kubernetes.container.name", "")
    found = Container(
        id=status.id,
        name=container,
        runtime=runtime,
        image=status.image.image,
        image_digest=digest(status.image_ref, image),
        pod_name=name,
        pod_namespace=namespace,
        pod_uid=uid,
        labels=own_labels({**labels, **pod_labels}),
        started_at=(status.started_at or status.created_at) / 1e9,
        kind=_kind(container, dict(pod.annotations) if pod else {}),
        workload=workload(container, name, pod_labels),
    )
    return with_facts(found, facts)


def describe_sandbox(runtime: str, pod: cri.PodSandboxStatus) -> Container:
    """The container that holds a pod's namespaces. It is called like its pod."""
    metadata = pod.metadata
    return Container(
        id=pod.id,
        name=metadata.name,
        runtime=runtime,
        pod_name=metadata.name,
        pod_namespace=metadata.namespace,
        pod_uid=metadata.uid,
        labels=own_labels(dict(pod.labels)),
        started_at=pod.created_at / 1e9,
        kind="sandbox",
        workload=workload("", metadata.name, dict(pod.labels)),
    )


def digest(reference: str, image: cri.Image | None = None) -> str:
    """``sha256:…`` of the image's manifest where the runtime knows it, else of its configuration, else ""."""
    candidates: list[str] = [reference, *(sorted(image.repo_digests) if image else ())]
    for candidate in candidates:
        _, separator, found = candidate.rpartition("@")
        if separator:
            return found
    configurations: list[str] = [reference, image.id if image else ""]
    for candidate in configurations:
        if candidate.startswith("sha256:"):
            return candidate
        if _HEX.match(candidate):
            return f"sha256:{candidate}"
    return ""


def own_labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """The user's labels, sorted and bounded; those that only repeat the pod's names are left out."""
    kept = sorted((key, value) for key, value in labels.items() if not key.startswith("io.kubernetes."))
    return tuple((key[:LABEL_LENGTH], value[:LABEL_LENGTH]) for key, value in kept[:LABELS])


def workload(container: str, pod: str, labels: dict[str, str]) -> str:
    """Kind and name of what owns the pod, by the labels its controller gave it; "Container/NAME" without a pod.

    Where no label is known, a name that a Deployment generates (template hash and suffix) is taken as such.
    """
    if not pod:
        return f"Container/{container}"
    if job := labels.get("batch.kubernetes.io/job-name") or labels.get("job-name"):
        scheduled = re.fullmatch(r"(.+)-\d{8,10}", job)
        return f"CronJob/{scheduled[1]}" if scheduled else f"Job/{job}"
    if "statefulset.kubernetes.io/pod-name" in labels or "apps.kubernetes.io/pod-index" in labels:
        return f"StatefulSet/{re.sub(r'-[0-9]+$', '', pod)}"
    if template := labels.get("pod-template-hash"):
        before, found, _ = pod.rpartition(f"-{template}-")
        return f"Deployment/{before if found else _without_suffix(pod)}"
    if "controller-revision-hash" in labels:
        return f"DaemonSet/{_without_suffix(pod)}"
    if not labels and (guessed := _GENERATED.fullmatch(pod)):
        return f"Deployment/{guessed[1]}"
    return f"Pod/{pod}"


def _without_suffix(pod: str) -> str:
    return re.sub(r"-[a-z0-9]{5}$", "", pod)


def _pod_parts(status: cri.ContainerStatus, pod: cri.PodSandboxStatus | None) -> tuple[str, str, str, dict[str, str]]:
    """Name, namespace, uid and labels of the pod; without its sandbox, what the kubelet wrote on the container."""
    if pod is not None:
        return pod.metadata.name, pod.metadata.namespace, pod.metadata.uid, dict(pod.labels)
    labels = dict(status.labels)
    prefix = "io.kubernetes.pod."
    return labels.get(prefix + "name", ""), labels.get(prefix + "namespace", ""), labels.get(prefix + "uid", ""), {}


def _kind(container: str, annotations: dict[str, str]) -> str:
    """The CRI does not tell init and ephemeral containers from others. Pods made by ``kubectl apply`` carry their
    specification, and ``kubectl debug`` has its own way to name; in other cases it is "container"."""
    if _DEBUGGER.match(container):
        return "ephemeral"
    try:
        applied = msgspec.json.decode(annotations.get(_APPLIED, "{}"), type=_Applied)
    except msgspec.MsgspecError:
        return "container"
    return "init" if any(init.name == container for init in applied.spec.initContainers) else "container"
