"""From cgroups to containers: births, deaths, what was missed; without a runtime first, then with a real containerd."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket as socket_module
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from agent.cgroups import Hierarchy, detect
from agent.containers import REMEMBERED_SECONDS, Containers
from agent.oci import Files
from cli.sandbox import Sandbox
from watchkeeper.findings import Container, Mount

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
IMAGE = "watchkeeper.local/test:1"
LABELS = {"app": "shop", "pod-template-hash": "6d4cf56db6"}
POD = "shop-6d4cf56db6-bcdfg"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Place:
    """A made-up hierarchy and the files of made-up runtimes."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.hierarchy = Hierarchy(1, "pids", root / "cgroup")
        self.hierarchy.mount.mkdir()
        self.state, self.runc, self.docker = root / "containerd", root / "runc", root / "docker"
        files = Files((self.state,), (self.runc,), root / "storage", root / "podman.json", self.docker)
        self.containers = Containers(self.hierarchy, [], files, self.clock)
        self.named: list[int] = []
        self.containers.on_named = self.named.append

    def cgroup(self, path: str) -> int:
        self.hierarchy.directory(path).mkdir(parents=True, exist_ok=True)
        return self.hierarchy.id_of(path)

    def write(self, path: Path, content: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def bundle(self, identifier: str, annotations: dict[str, str], namespace: str = "k8s.io") -> None:
        tasks = self.state / "io.containerd.runtime.v2.task"
        content = {"annotations": annotations, "linux": {"cgroupsPath": f"/{namespace}/{identifier}"}}
        self.write(tasks / namespace / identifier / "config.json", content)

    def runc_state(self, identifier: str, path: str) -> None:
        content = {"id": identifier, "cgroup_paths": {"pids": f"{self.hierarchy.mount}{path}"}}
        self.write(self.runc / identifier / "state.json", content)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@asynccontextmanager
async def _running(containers: Containers) -> AsyncIterator[None]:
    task = asyncio.create_task(containers.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is awaited here has no event
            await asyncio.sleep(0.01)


def test_host_has_no_container(place: Place) -> None:
    """Units and the root are the host's at once, and so is cgroup 0, which a probe gives when it does not know."""
    place.containers.birth(7, "/system.slice/ssh.service")
    place.containers.birth(1, "/")
    assert [place.containers.find(cgroup) for cgroup in (0, 1, 7)] == [None] * 3
    assert [place.containers.is_pending(cgroup) for cgroup in (0, 1, 7)] == [False] * 3


def test_container_is_known_by_its_bundle(place: Place) -> None:
    """Without a runtime to ask, the bundle's annotations name the container, its pod and its image at birth."""
    place.bundle(
        ID,
        {
            "io.kubernetes.cri.container-name": "web",
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.image-name": IMAGE,
            "io.kubernetes.cri.sandbox-id": OTHER,
            "io.kubernetes.cri.sandbox-name": POD,
            "io.kubernetes.cri.sandbox-namespace": "demo",
            "io.kubernetes.cri.sandbox-uid": "u",
        },
    )
    place.containers.birth(7, f"/k8s.io/{ID}")
    found = place.containers.find(7)
    assert found is not None
    assert found == Container(
        id=ID,
        name="web",
        runtime="containerd",
        image=IMAGE,
        pod_name=POD,
        pod_namespace="demo",
        pod_uid="u",
        started_at=found.started_at,
        workload="Deployment/shop",
    )
    assert found.started_at > 0
    assert not place.containers.is_pending(7)
    assert place.containers.running() == [found]


def test_crio_and_docker_files_name_containers(place: Place) -> None:
    """CRI-O's annotations and Docker's own description are understood as well."""
    annotations = {
        "io.kubernetes.container.name": "web",
        "io.kubernetes.pod.name": "shop",
        "io.kubernetes.pod.namespace": "demo",
        "io.kubernetes.cri-o.ImageName": IMAGE,
        "io.kubernetes.cri-o.ImageRef": OTHER,
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.cri-o.Labels": '{"app": "shop"}',
    }
    place.bundle(ID, annotations)
    place.containers.birth(7, f"/kubepods.slice/crio-{ID}.scope")
    points = {
        "/data": {"Source": "/srv/db", "Destination": "/data", "RW": True, "Mode": "z", "Propagation": "rprivate"}
    }
    config = {
        "Name": "/db",
        "Image": f"sha256:{ID}",
        "Config": {"Image": "db:2", "Labels": None},
        "MountPoints": points,
    }
    place.write(place.docker / OTHER / "config.v2.json", config)
    place.write(place.docker / OTHER / "hostconfig.json", {"Privileged": True})
    place.containers.birth(8, f"/docker/{OTHER}")
    crio, docker = place.containers.find(7), place.containers.find(8)
    assert crio is not None
    assert (crio.runtime, crio.name, crio.image_digest, crio.labels) == (
        "cri-o",
        "web",
        f"sha256:{OTHER}",
        (("app", "shop"),),
    )
    assert docker is not None
    assert (docker.name, docker.image, docker.image_digest, docker.workload) == (
        "db",
        "db:2",
        f"sha256:{ID}",
        "Container/db",
    )
    assert (docker.privileged, docker.mounts) == (True, (Mount("/srv/db", "/data", "z", True, "rprivate"),))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"annotations": 3}', '{"annotations": null}', "\0"])
def test_broken_files_leave_the_id(place: Place, content: str) -> None:
    """Whatever stands in a bundle, the container is told by its id and the workload by it too."""
    place.bundle(ID, {})
    (place.state / "io.containerd.runtime.v2.task" / "k8s.io" / ID / "config.json").write_text(content)
    place.containers.birth(7, f"/k8s.io/{ID}")
    found = place.containers.find(7)
    assert found is not None
    assert (found.id, found.kind, found.image_digest) == (ID, "container", "")
    assert found.workload == f"Container/{ID}"


def test_cgroups_made_inside_belong_to_the_container(place: Place) -> None:
    """A nested cgroup is its container's; its death is not the container's, and the container's is."""
    place.containers.birth(7, f"/k8s.io/{ID}")
    place.containers.birth(8, f"/k8s.io/{ID}/inner")
    place.containers.birth(9, f"/k8s.io/{ID}/inner/system.slice")
    assert place.containers.find(9) == place.containers.find(8) == place.containers.find(7) is not None
    place.containers.death(9)
    assert len(place.containers.running()) == 1
    place.containers.death(7)
    assert place.containers.running() == []


def test_names_outlive_the_container_for_a_while(place: Place) -> None:
    """For a minute after its death a container is still found, then it is forgotten and its memory freed."""
    place.containers.birth(7, f"/k8s.io/{ID}")
    place.containers.death(7)
    place.clock.now += REMEMBERED_SECONDS - 1
    place.containers.birth(8, f"/k8s.io/{OTHER}")
    assert place.containers.find(7) is not None
    place.clock.now += 1
    place.containers.birth(9, "/x.service")
    assert place.containers.find(7) is None
    assert place.containers.find(8) is not None


def test_a_reused_cgroup_id_is_another_container(place: Place) -> None:
    """A birth under a known id and another path replaces what the id meant, and no later forgetting undoes it."""
    place.containers.birth(7, f"/k8s.io/{ID}")
    place.containers.death(7)
    place.containers.birth(7, f"/k8s.io/{OTHER}")
    place.clock.now += REMEMBERED_SECONDS + 1
    place.containers.birth(8, "/x.service")
    found = place.containers.find(7)
    assert found is not None
    assert found.id == OTHER


def test_a_missed_death_does_not_merge_two_containers(place: Place) -> None:
    """The same path under a new cgroup id is a new container of that name, as with runc run after runc delete."""
    place.runc_state("web", "/web")
    place.containers.birth(7, "/web")
    place.containers.birth(8, "/web")
    assert len(place.containers.running()) == 1
    place.containers.death(8)
    assert place.containers.running() == []


def test_memory_is_bounded(place: Place) -> None:
    """However many containers and cgroups come and go within a minute, only so many are remembered."""
    place.containers.birth(1, f"/k8s.io/{ID}")
    for cgroup in range(2, 30_000):
        place.containers.birth(cgroup, f"/k8s.io/{ID}/{cgroup}" if cgroup % 2 else f"/k8s.io/{cgroup:064x}")
        place.containers.death(cgroup)
    assert sum(place.containers.find(cgroup) is not None for cgroup in range(30_000)) <= 8_200


async def test_free_name_is_found_when_the_state_is_written(place: Place) -> None:
    """A cgroup with a free name is pending until runc writes its state, then it is that container."""
    async with _running(place.containers):
        place.containers.birth(7, "/web")
        assert place.containers.is_pending(7)
        await asyncio.sleep(0.05)
        place.runc_state("web", "/web")
        await _until(lambda: not place.containers.is_pending(7))
    found = place.containers.find(7)
    assert found is not None
    assert (found.id, found.name, found.runtime, found.workload) == ("web", "web", "runc", "Container/web")
    assert place.named == [7]


async def test_free_name_nobody_claims_is_the_hosts(place: Place) -> None:
    """A cgroup no runtime knows stops to be pending as the host's, and whoever waits is told."""
    async with _running(place.containers):
        place.containers.birth(7, "/mine")
        place.clock.now += 2
        await _until(lambda: place.named == [7])
    assert place.containers.find(7) is None
    assert not place.containers.is_pending(7)


def test_ctr_container_is_found_by_its_bundle(place: Place) -> None:
    """``ctr run`` makes /NAMESPACE/NAME, which the bundle of that name proves to be a container."""
    place.bundle("web", {}, namespace="default")
    place.containers.birth(7, "/default/web")
    place.containers.birth(8, "/default/web/inner")
    found = place.containers.find(8)
    assert found is not None
    assert (found.id, found.name, found.runtime) == ("web", "web", "containerd")


async def test_naming_goes_on_after_an_interruption(place: Place, tmp_path: Path) -> None:
    """Whom run() was asking about when it was cancelled it asks about again when it is run again."""
    asked = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(be_silent, tmp_path / "silent.sock")
    containers = Containers(place.hierarchy, [tmp_path / "silent.sock"], Files((place.state,), (place.runc,)))
    containers.birth(7, f"/k8s.io/{ID}")
    async with _running(containers):
        await asked.wait()
    assert containers.is_pending(7)
    async with _running(containers):
        await _until(lambda: not containers.is_pending(7))
    server.close()


async def test_a_missed_birth_is_found(place: Place) -> None:
    """An event of a cgroup never heard of has the hierarchy looked through; what is gone by then is the host's."""
    alive = place.cgroup(f"/k8s.io/{ID}")
    async with _running(place.containers):
        assert place.containers.is_pending(alive)
        assert place.containers.is_pending(alive + 1_000_000)
        place.clock.now += 5
        await _until(lambda: set(place.named) == {alive, alive + 1_000_000})
    found = place.containers.find(alive)
    assert found is not None
    assert found.id == ID
    assert place.containers.find(alive + 1_000_000) is None


def test_scan_notices_births_and_deaths(place: Place) -> None:
    """A scan takes in what exists and lets die what does not any more."""
    first = place.cgroup(f"/k8s.io/{ID}")
    place.containers.scan()
    assert [container.id for container in place.containers.running()] == [ID]
    place.hierarchy.directory(f"/k8s.io/{ID}").rmdir()
    place.cgroup(f"/k8s.io/{OTHER}")
    place.containers.scan()
    assert [container.id for container in place.containers.running()] == [OTHER]
    assert place.containers.find(first) is not None


# With a real containerd, which is there for all of these tests.


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in ("containerd", "runc", "ctr")):
        pytest.skip("needs root, containerd and runc")
    with Sandbox(Path(f"/run/watchkeeper-test-b{os.getpid()}")) as sandbox:
        sandbox.build_image(IMAGE, {}, ["/bin/sleep", "1000"])
        yield sandbox


class Watched:
    """Containers of the real machine; births and deaths come from looking at the hierarchy again and again."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.hierarchy = detect()
        self.containers = Containers(self.hierarchy, [sandbox.socket])

    async def __aenter__(self) -> Watched:
        self._tasks = [asyncio.create_task(self.containers.run()), asyncio.create_task(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self.containers.scan()
            await asyncio.sleep(0.003)

    def by_id(self, identifier: str) -> Container | None:
        """The container with this id, dead or alive, once it is named."""
        cgroups = [cgroup for cgroup, entry in self.containers._of.items() if entry.container.id == identifier]
        return next((self.containers.find(c) for c in cgroups if not self.containers.is_pending(c)), None)

    async def named(self, identifier: str) -> Container:
        await _until(lambda: self.by_id(identifier) is not None)
        found = self.by_id(identifier)
        assert found is not None
        return found


@pytest.mark.containers
async def test_container_older_than_the_agent(sandbox: Sandbox) -> None:
    """One scan finds a container that was there before, and CRI tells all its names, labels and the image's digest."""
    digest = sandbox.build_image(IMAGE, {}, ["/bin/sleep", "1000"])
    identifier = sandbox.run("web", IMAGE, namespace="demo", pod=POD, labels=LABELS)
    containers = Containers(detect(), [sandbox.socket])
    containers.scan()
    async with _running(containers):
        await _until(lambda: any(c.id == identifier for c in containers.running()))
    [found] = [container for container in containers.running() if container.id == identifier]
    assert found == Container(
        id=identifier,
        name="web",
        runtime="containerd",
        image=IMAGE,
        image_digest=digest,
        pod_name=POD,
        pod_namespace="demo",
        pod_uid=found.pod_uid,
        labels=tuple(sorted(LABELS.items())),
        started_at=found.started_at,
        kind="container",
        workload="Deployment/shop",
        privileged=False,
        host_network=True,
        host_pid=False,
        host_ipc=False,
    )
    assert len(found.pod_uid) == 36
    assert abs(found.started_at - time.time()) < 600
    sandbox.remove(identifier)


@pytest.mark.containers
@pytest.mark.parametrize("privileged", [False, True])
async def test_privileges_and_mounts_are_told(sandbox: Sandbox, tmp_path: Path, privileged: bool) -> None:
    """The CRI and the bundle tell the same: whether a container is privileged, and what of the host it sees."""
    (tmp_path / "data").mkdir()
    name = f"mounting-{privileged}".lower()
    source = str(tmp_path / "data")
    identifier = await asyncio.to_thread(
        sandbox.run, name, IMAGE, namespace="demo", pod=name, privileged=privileged, mounts={"/data": source}
    )
    async with Watched(sandbox) as watched:
        told = await watched.named(identifier)
    bundled = Files(states=(sandbox.directory,)).describe("containerd", identifier)
    assert bundled is not None
    mount = Mount(source, "/data", writable=False, propagation="private")
    assert (told.privileged, told.mounts) == (privileged, (mount,))
    assert bundled.container.privileged is privileged
    assert mount in bundled.container.mounts
    await asyncio.to_thread(sandbox.remove, identifier)


@pytest.mark.containers
async def test_sandbox_container_is_told_apart(sandbox: Sandbox) -> None:
    """A pod's pause container is a sandbox, called like the pod."""
    async with Watched(sandbox) as watched:
        identifier = await asyncio.to_thread(sandbox.run, "web", IMAGE, namespace="demo", pod="pauses")
        await watched.named(identifier)
        pod_id = sandbox.pod_id("demo", "pauses")
        found = await watched.named(pod_id)
        assert (found.kind, found.name, found.pod_namespace) == ("sandbox", "pauses", "demo")
        await asyncio.to_thread(sandbox.remove, identifier)


@pytest.mark.containers
@pytest.mark.parametrize("parent", ["", "/kubepods-watchkeeper/burstable/pod0a1b2c3d-1111-2222-3333-444455556666"])
async def test_containers_of_50_ms_are_named(sandbox: Sandbox, parent: str) -> None:
    """Containers that live for 50 ms and are removed at once have name, pod and digest all the same."""
    digest = sandbox.build_image(IMAGE, {}, ["/bin/sleep", "1000"])
    command = ["/bin/sleep", "0.05"]
    pod = f"many{len(parent)}"
    async with Watched(sandbox) as watched:
        expected = await asyncio.to_thread(
            sandbox.run_many, 10, IMAGE, command, namespace="demo", pod=pod, cgroup_parent=parent
        )
        found = [await watched.named(identifier) for identifier in expected]
    assert {container.id: container.name for container in found} == expected
    assert {(c.pod_name, c.pod_namespace, c.image_digest) for c in found} == {(pod, "demo", digest)}


@pytest.mark.containers
async def test_removed_container_is_not_running(sandbox: Sandbox) -> None:
    """After its removal a container is still found by its cgroup but runs no more."""
    async with Watched(sandbox) as watched:
        identifier = await asyncio.to_thread(sandbox.run, "brief", IMAGE, pod="brief")
        named = await watched.named(identifier)
        assert named in watched.containers.running()
        await asyncio.to_thread(sandbox.remove, identifier)
        await _until(lambda: all(c.id != identifier for c in watched.containers.running()))
        assert watched.by_id(identifier) == named


@pytest.fixture
def runc_container(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """(name, start) of a container that runc alone runs, in its default place."""
    name = f"watchkeeper-test-{os.getpid()}"
    root = Path("/run/runc")
    existed = root.exists()
    (tmp_path / "rootfs" / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", tmp_path / "rootfs" / "bin" / "busybox")
    subprocess.run(["runc", "spec"], check=True, cwd=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/busybox", "sleep", "1000"])
    (tmp_path / "config.json").write_text(json.dumps(config))

    def start() -> None:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["runc", "run", "--detach", name], check=True, cwd=tmp_path, **quiet)

    yield name, start
    subprocess.run(["runc", "delete", "--force", name], check=True)
    if not existed:
        root.rmdir()


@pytest.mark.containers
async def test_plain_runc_container_is_recognised(
    sandbox: Sandbox, runc_container: tuple[str, Callable[[], None]]
) -> None:
    """A container that runc alone started is told by its id."""
    name, start = runc_container
    async with Watched(sandbox) as watched:
        await asyncio.to_thread(start)
        found = await watched.named(name)
    assert (found.name, found.runtime, found.workload) == (name, "runc", f"Container/{name}")


@pytest.mark.containers
async def test_name_comes_when_the_runtime_is_back(sandbox: Sandbox, tmp_path: Path) -> None:
    """While a runtime does not answer, a container goes by its bundle's names; the digest follows when it does."""
    identifier = sandbox.run("late", IMAGE, pod="late")
    socket = tmp_path / "runtime.sock"
    with silent(socket):
        files = Files(states=(sandbox.directory,))
        containers = Containers(detect(), [socket], files)
        containers.scan()
        async with _running(containers):
            await _until(lambda: any(c.id == identifier for c in containers.running()))
            [early] = [c for c in containers.running() if c.id == identifier]
            assert (early.name, early.image_digest) == ("late", "")
            socket.unlink()
            socket.symlink_to(sandbox.socket)
            await _until(lambda: any(c.id == identifier and c.image_digest for c in containers.running()))
    sandbox.remove(identifier)


@contextmanager
def silent(path: Path) -> Iterator[None]:
    """A socket that accepts connections and never answers."""
    with socket_module.socket(socket_module.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield
