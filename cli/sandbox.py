"""A private containerd for the demo and the tests: its own root, state, socket and images; no other is touched.

Needs root, containerd, runc and busybox-static. Pods are on the node's network, so no CNI plugins are needed.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from cli import oci_image, sandbox_leftovers
from watchkeeper.v1 import cri_pb2 as cri

PAUSE_IMAGE = "watchkeeper.local/pause:1"
LONGEST_SOCKET_PATH = 107
NODE = cri.NamespaceOption(network=cri.NODE, pid=cri.CONTAINER, ipc=cri.POD)
UNUSED = ["snapshotter.v1.aufs", "snapshotter.v1.btrfs", "snapshotter.v1.devmapper", "snapshotter.v1.zfs"]
UNUSED += ["internal.v1.tracing", "tracing.processor.v1.otlp"]

Response = TypeVar("Response", bound=Message)


class SandboxError(Exception):
    """The private containerd, or something asked of it, failed; the message holds its own words."""


class Sandbox:
    """Context manager; start() may also be called by hand, stop() then too."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.socket = self.directory / "containerd.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None
        self._pods: dict[tuple[str, str], tuple[str, cri.PodSandboxConfig]] = {}
        self._pod_of: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Clear what a crashed run left in the directory, start containerd, import the pause image."""
        if len(str(self.socket) + ".ttrpc") > LONGEST_SOCKET_PATH:
            raise SandboxError(f"{self.socket} is too long for a unix socket; choose a shorter directory")
        sandbox_leftovers.remove(self.directory)
        self.directory.mkdir(parents=True, mode=0o700)
        config = self.directory / "config.toml"
        config.write_text(_config(self.directory), encoding="utf-8")
        with (self.directory / "containerd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["containerd", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        # Without this option the socket's path becomes the :authority header, which Go's gRPC refuses.
        self._channel = grpc.insecure_channel(f"unix:{self.socket}", [("grpc.default_authority", "localhost")])
        try:
            self._wait_until_up(30.0)
            self.build_image(PAUSE_IMAGE, {}, ["/bin/sleep", "2147483647"])
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Remove the pods, end containerd, and leave nothing behind."""
        if self._process is not None and self._process.poll() is None:
            for pod, _ in self._pods.values():
                self._remove_pod(pod)
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._channel is not None:
            self._channel.close()
        self._pods.clear()
        self._pod_of.clear()
        sandbox_leftovers.remove(self.directory)

    @staticmethod
    def clean(directory: Path) -> None:
        """As stop(), for a sandbox whose process crashed; does nothing where there is none."""
        sandbox_leftovers.remove(directory)

    def build_image(self, name: str, files: oci_image.Files, command: Sequence[str]) -> str:
        """Import busybox with these files as image ``name`` (host/path:tag); returns the manifest's digest."""
        host, _, rest = name.partition("/")
        if "." not in host or ":" not in rest:
            raise SandboxError(f"{name} is no full image name; write it like watchkeeper.local/name:1")
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            archive = Path(directory) / "image.tar"
            digest = oci_image.write(archive, name, files, command)
            base = name.rpartition(":")[0]
            self._ctr("images", "import", "--digests", "--base-name", base, str(archive))
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=name))
        until = time.monotonic() + 10
        while not self._image("ImageStatus", request, cri.ImageStatusResponse).image.repo_digests:
            if time.monotonic() > until:
                raise SandboxError(f"containerd did not list {name} after it was imported")
            time.sleep(0.01)  # its CRI plugin hears of images by events
        return digest

    def run(
        self,
        name: str,
        image: str,
        *,
        command: Sequence[str] = (),
        namespace: str = "default",
        pod: str = "",
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        capabilities: Sequence[str] = (),
        privileged: bool = False,
        tty: bool = False,
        mounts: Mapping[str, str] | None = None,
        cgroup_parent: str = "",
    ) -> str:
        """Start a container in the pod (default: called like the container), which is made where it is not there yet.

        Without a command the image's own runs. Labels are the pod's. ``mounts``: path in the container -> path on the
        host, read-only. Returns the container's id.
        """
        key = (namespace, pod or name)
        if key not in self._pods:
            self._pods[key] = self._run_pod(key, dict(labels or {}), cgroup_parent, privileged)
        pod_id, pod_config = self._pods[key]
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name, attempt=len(self._pod_of)),
            image=cri.ImageSpec(image=image),
            command=command,
            envs=[cri.KeyValue(key=key, value=value) for key, value in (environment or {}).items()],
            labels={**_pod_labels(pod_config), "io.kubernetes.container.name": name},
            mounts=[
                cri.Mount(container_path=path, host_path=source, readonly=True)
                for path, source in (mounts or {}).items()
            ],
            tty=tty,
            linux=cri.LinuxContainerConfig(
                security_context=cri.LinuxContainerSecurityContext(
                    namespace_options=NODE,
                    privileged=privileged,
                    capabilities=cri.Capability(add_capabilities=capabilities),
                )
            ),
        )
        request = cri.CreateContainerRequest(pod_sandbox_id=pod_id, config=config, sandbox_config=pod_config)
        container = self._call("CreateContainer", request, cri.CreateContainerResponse).container_id
        self._pod_of[container] = key
        self._call("StartContainer", cri.StartContainerRequest(container_id=container), cri.StartContainerResponse)
        return container

    def run_many(
        self,
        count: int,
        image: str,
        command: Sequence[str],
        *,
        namespace: str = "default",
        pod: str = "many",
        cgroup_parent: str = "",
    ) -> dict[str, str]:
        """Start and remove ``count`` containers of one pod one after the other; returns id -> name. For tests."""
        names: dict[str, str] = {}
        for number in range(count):
            name = f"{pod}-{number}"
            container = self.run(
                name, image, command=command, namespace=namespace, pod=pod, cgroup_parent=cgroup_parent
            )
            names[container] = name
            self.wait(container)
            self._remove_container(container)
        return names

    def pod_id(self, namespace: str, pod: str) -> str:
        """Id of the pod's own container."""
        return self._pods[namespace, pod][0]

    def wait(self, container: str, seconds: float = 10.0) -> int:
        """Wait until the container has ended; returns its exit code."""
        request = cri.ContainerStatusRequest(container_id=container)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self._call("ContainerStatus", request, cri.ContainerStatusResponse).status
            if status.state == cri.CONTAINER_EXITED:
                return status.exit_code
            time.sleep(0.01)
        raise SandboxError(f"container {container} still runs after {seconds:.0f} s")

    def exec(self, container: str, arguments: Sequence[str], seconds: int = 30) -> tuple[int, bytes, bytes]:
        """Run a program in the container, as a probe or ``kubectl exec`` would: (exit code, stdout, stderr)."""
        request = cri.ExecSyncRequest(container_id=container, cmd=arguments, timeout=seconds)
        response = self._call("ExecSync", request, cri.ExecSyncResponse)
        return response.exit_code, response.stdout, response.stderr

    def remove(self, container: str) -> None:
        """Kill and remove the container, and its pod when that was its last."""
        key = self._pod_of.get(container)
        self._remove_container(container)
        if key is not None and key not in self._pod_of.values():
            self._remove_pod(self._pods.pop(key)[0])

    def _remove_container(self, container: str) -> None:
        request = cri.RemoveContainerRequest(container_id=container)
        self._call("RemoveContainer", request, cri.RemoveContainerResponse)
        self._pod_of.pop(container, None)

    def _run_pod(
        self, key: tuple[str, str], labels: Mapping[str, str], cgroup_parent: str, privileged: bool
    ) -> tuple[str, cri.PodSandboxConfig]:
        namespace, name = key
        sandbox_leftovers.note_parent(self.directory, cgroup_parent or "/k8s.io")
        uid = str(uuid.uuid4())
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, uid=uid, namespace=namespace),
            linux=cri.LinuxPodSandboxConfig(
                cgroup_parent=cgroup_parent,
                security_context=cri.LinuxSandboxSecurityContext(namespace_options=NODE, privileged=privileged),
            ),
        )
        config.labels.update({**labels, **_pod_labels(config)})
        request = cri.RunPodSandboxRequest(config=config)
        return self._call("RunPodSandbox", request, cri.RunPodSandboxResponse).pod_sandbox_id, config

    def _remove_pod(self, pod: str) -> None:
        self._call("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=pod), cri.StopPodSandboxResponse)
        self._call("RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=pod), cri.RemovePodSandboxResponse)

    def _wait_until_up(self, seconds: float) -> None:
        assert self._process is not None
        until = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                raise SandboxError(f"containerd ended with status {self._process.returncode}:\n{self._log_end()}")
            try:
                self._call("Version", cri.VersionRequest(), cri.VersionResponse)
                return
            except SandboxError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def _call(self, method: str, request: Message, response: type[Response], service: str = "Runtime") -> Response:
        assert self._channel is not None, "start() the sandbox first"
        call: grpc.UnaryUnaryMultiCallable[Message, Response] = self._channel.unary_unary(
            f"/runtime.v1.{service}Service/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return call(request, timeout=60)
        except grpc.RpcError as error:
            raise SandboxError(f"containerd, {method}: {error.details()}") from error

    def _image(self, method: str, request: Message, response: type[Response]) -> Response:
        return self._call(method, request, response, "Image")

    def _ctr(self, *arguments: str) -> None:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SandboxError(f"ctr {arguments[0]} {arguments[1]}: {done.stderr.strip()}")

    def _log_end(self) -> str:
        return "\n".join((self.directory / "containerd.log").read_text(errors="replace").splitlines()[-15:])


def _pod_labels(config: cri.PodSandboxConfig) -> dict[str, str]:
    """The labels a kubelet puts on everything of a pod."""
    metadata = config.metadata
    return {
        "io.kubernetes.pod.name": metadata.name,
        "io.kubernetes.pod.namespace": metadata.namespace,
        "io.kubernetes.pod.uid": metadata.uid,
    }


def _config(directory: Path) -> str:
    """containerd's settings. OOM scores are left alone: to lower them takes CAP_SYS_RESOURCE, which may be missing."""
    plugin = 'plugins."io.containerd.grpc.v1.cri"'
    sections: dict[str, dict[str, Any]] = {
        "": {
            "version": 2,
            "root": f"{directory}/root",
            "state": str(directory),
            "disabled_plugins": [f"io.containerd.{name}" for name in UNUSED],
        },
        "grpc": {"address": f"{directory}/containerd.sock"},
        'plugins."io.containerd.internal.v1.opt"': {"path": f"{directory}/opt"},
        plugin: {
            "sandbox_image": PAUSE_IMAGE,
            "restrict_oom_score_adj": True,
            "disable_apparmor": True,
            "disable_tcp_service": True,
            "netns_mounts_under_state_dir": True,
        },
        f"{plugin}.cni": {"bin_dir": f"{directory}/cni", "conf_dir": f"{directory}/cni"},
        f"{plugin}.containerd": {"snapshotter": _snapshotter(directory)},
        f"{plugin}.containerd.runtimes.runc": {"runtime_type": "io.containerd.runc.v2"},
        f"{plugin}.containerd.runtimes.runc.options": {"Root": f"{directory}/runc", "SystemdCgroup": False},
    }
    lines: list[str] = []
    for name, section in sections.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    return "\n".join(lines) + "\n"


def _snapshotter(directory: Path) -> str:
    """overlayfs where a mount of it works in this directory, else native (copies)."""
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        layers = {name: Path(temporary) / name for name in ("lowerdir", "upperdir", "workdir", "point")}
        for path in layers.values():
            path.mkdir()
        point = layers.pop("point")
        options = ",".join(f"{name}={path}" for name, path in layers.items())
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(point)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            return "native"
        subprocess.run(["umount", str(point)], check=True)
    return "overlayfs"
