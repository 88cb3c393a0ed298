"""What is made of the runtime's answers: digests, workloads, kinds."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from agent import cri
from agent.cri import CriError, Runtime
from watchkeeper.findings import Container
from watchkeeper.v1 import cri_pb2

HEX = "ab" * 32
MANIFEST = "sha256:" + "cd" * 32


@pytest.mark.parametrize(
    ("reference", "image", "expected"),
    [
        (f"docker.io/library/web@{MANIFEST}", None, MANIFEST),
        (f"sha256:{HEX}", None, f"sha256:{HEX}"),
        (HEX, None, f"sha256:{HEX}"),
        (f"sha256:{HEX}", cri_pb2.Image(id=f"sha256:{HEX}", repo_digests=[f"a/b@{MANIFEST}"]), MANIFEST),
        ("web:1", cri_pb2.Image(id=HEX), f"sha256:{HEX}"),
        ("web:1", None, ""),
        ("", None, ""),
    ],
)
def test_digest_of_the_image(reference: str, image: cri_pb2.Image | None, expected: str) -> None:
    """The manifest's digest is preferred, then the configuration's; a tag is none."""
    assert cri.digest(reference, image) == expected


@pytest.mark.parametrize(
    ("pod", "labels", "expected"),
    [
        ("web-6d4cf56db6-abcde", {"pod-template-hash": "6d4cf56db6"}, "Deployment/web"),
        ("a-b-c-7f-x2x4z", {"pod-template-hash": "7f"}, "Deployment/a-b-c"),
        ("cut-off-name-abcde", {"pod-template-hash": "6d4cf56db6"}, "Deployment/cut-off-name"),
        (
            "db-12",
            {"statefulset.kubernetes.io/pod-name": "db-12", "controller-revision-hash": "db-5"},
            "StatefulSet/db",
        ),
        ("agent-x7k2p", {"controller-revision-hash": "5d", "pod-template-generation": "1"}, "DaemonSet/agent"),
        ("import-9xkzp", {"job-name": "import"}, "Job/import"),
        ("import-9xkzp", {"batch.kubernetes.io/job-name": "import"}, "Job/import"),
        ("backup-28391040-abcde", {"job-name": "backup-28391040"}, "CronJob/backup"),
        ("web-6d4cf56db6-bcdfg", {}, "Deployment/web"),
        ("web-6d4cf56db6-bcdfg", {"app": "web"}, "Pod/web-6d4cf56db6-bcdfg"),
        ("shop", {"app": "shop"}, "Pod/shop"),
        ("", {}, "Container/main"),
    ],
)
def test_workload_by_labels(pod: str, labels: dict[str, str], expected: str) -> None:
    """The labels of the pod's controller tell kind and name of the workload."""
    assert cri.workload("main", pod, labels) == expected


def _status(name: str) -> cri_pb2.ContainerStatus:
    return cri_pb2.ContainerStatus(
        id=HEX,
        metadata=cri_pb2.ContainerMetadata(name=name),
        created_at=1_000_000_000,
        image=cri_pb2.ImageSpec(image="web:1"),
        image_ref=f"web@{MANIFEST}",
        labels={"io.kubernetes.pod.name": "shop", "io.kubernetes.pod.namespace": "demo", "io.kubernetes.pod.uid": "u"},
    )


def _pod(annotations: dict[str, str]) -> cri_pb2.PodSandboxStatus:
    metadata = cri_pb2.PodSandboxMetadata(name="shop", uid="u", namespace="demo")
    return cri_pb2.PodSandboxStatus(id="s", metadata=metadata, labels={"app": "shop"}, annotations=annotations)


def test_container_with_its_pod() -> None:
    """Everything the two answers tell stands in the container; a start that is not yet known is its creation."""
    assert cri.describe("containerd", _status("web"), _pod({}), None) == Container(
        id=HEX,
        name="web",
        runtime="containerd",
        image="web:1",
        image_digest=MANIFEST,
        pod_name="shop",
        pod_namespace="demo",
        pod_uid="u",
        labels=(("app", "shop"),),
        started_at=1.0,
        kind="container",
        workload="Pod/shop",
    )


def test_container_without_its_pod() -> None:
    """When the sandbox is gone the kubelet's labels on the container still name the pod."""
    found = cri.describe("containerd", _status("web"), None, None)
    assert (found.pod_name, found.pod_namespace, found.pod_uid, found.labels) == ("shop", "demo", "u", ())


APPLIED = json.dumps({"spec": {"initContainers": [{"name": "setup"}], "containers": [{"name": "web"}]}})


@pytest.mark.parametrize(
    ("name", "annotation", "expected"),
    [
        ("setup", APPLIED, "init"),
        ("web", APPLIED, "container"),
        ("debugger-x7k2p", APPLIED, "ephemeral"),
        ("setup", "no JSON", "container"),
        ("setup", '{"spec": 5}', "container"),
    ],
)
def test_kind_of_container(name: str, annotation: str, expected: str) -> None:
    """Init containers are told by the applied specification, ephemeral ones by their generated name."""
    pod = _pod({"kubectl.kubernetes.io/last-applied-configuration": annotation})
    assert cri.describe("x", _status(name), pod, None).kind == expected


def test_labels_are_bounded() -> None:
    """Only so many labels of so much text are kept, so that nobody fills the agent's memory with them."""
    kept = cri.own_labels({f"{number:03}": "x" * 1000 for number in range(100)})
    assert len(kept) == cri.LABELS
    assert {len(value) for _, value in kept} == {cri.LABEL_LENGTH}


async def test_a_runtime_that_is_down_is_named(tmp_path: Path) -> None:
    """Asking a socket nobody listens on fails with an error that names the socket."""
    runtime = Runtime(tmp_path / "none.sock")
    with pytest.raises(CriError, match=r"none\.sock, ContainerStatus"):
        await runtime.container(HEX)
    await runtime.close()


def test_only_present_sockets_are_asked(tmp_path: Path) -> None:
    """Missing paths, plain files and second names of one socket are passed over."""
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        (tmp_path / "link.sock").symlink_to(path)
        (tmp_path / "file.sock").write_text("")
        assert cri.present([path, tmp_path / "link.sock", tmp_path / "file.sock", tmp_path / "none.sock"]) == [path]
