"""The private containerd: what it runs, and that it leaves nothing behind, also after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import sandbox_leftovers
from cli.sandbox import Sandbox, SandboxError

IMAGE = "watchkeeper.local/test:1"
SLEEP = ["/bin/sleep", "1000"]
PARENT = "/watchkeeper-test"


def _directory(name: str) -> Path:
    return Path(f"/run/watchkeeper-test-{name}{os.getpid()}")


@pytest.fixture(autouse=True)
def _requirements() -> None:
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in ("containerd", "runc", "ctr")):
        pytest.skip("needs root, containerd and runc")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if os.geteuid() != 0 or shutil.which("containerd") is None:
        pytest.skip("needs root and containerd")
    with Sandbox(_directory("s")) as sandbox:
        sandbox.build_image(IMAGE, {"/opt/app/greeting": (b"hello", 0o640)}, SLEEP)
        yield sandbox


def _cgroups_of(parent: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**{parent}"))


@pytest.mark.containers
def test_programs_run_in_the_container(sandbox: Sandbox) -> None:
    """exec gives exit code, output and errors; files, environment and capabilities are those asked for."""
    container = sandbox.run("web", IMAGE, environment={"PORT": "80"}, capabilities=["NET_ADMIN"])
    looks = "cat /opt/app/greeting; stat -c %a /opt/app/greeting; echo $PORT; grep CapEff /proc/1/status"
    code, output, errors = sandbox.exec(container, ["/bin/sh", "-c", f"{looks}; echo bad >&2; exit 3"])
    greeting, port, capabilities = output.decode().splitlines()
    assert (code, errors) == (3, b"bad\n")
    assert (greeting, port) == ("hello640", "80")
    assert int(capabilities.split()[1], 16) >> 12 & 1 == 1  # CAP_NET_ADMIN
    sandbox.remove(container)


@pytest.mark.containers
def test_containers_share_their_pod(sandbox: Sandbox) -> None:
    """Two containers of one pod have one sandbox, which goes with the last of them."""
    first = sandbox.run("a", IMAGE, pod="both", namespace="demo")
    pod = sandbox.pod_id("demo", "both")
    second = sandbox.run("b", IMAGE, pod="both", namespace="demo")
    assert sandbox.pod_id("demo", "both") == pod
    sandbox.remove(first)
    assert sandbox.exec(second, ["/bin/true"])[0] == 0
    sandbox.remove(second)
    with pytest.raises(KeyError):
        sandbox.pod_id("demo", "both")


@pytest.mark.containers
def test_short_containers_have_ended(sandbox: Sandbox) -> None:
    """run_many names every container it ran, and none of them is left."""
    names = sandbox.run_many(2, IMAGE, ["/bin/true"], pod="short")
    assert sorted(names.values()) == ["short-0", "short-1"]
    for container in names:
        with pytest.raises(SandboxError, match="not found"):
            sandbox.exec(container, ["/bin/true"])


@pytest.mark.containers
def test_failures_say_what_containerd_says(sandbox: Sandbox) -> None:
    """An unknown image, program or short image name gives one clear error."""
    with pytest.raises(SandboxError, match=r"CreateContainer.*no-such"):
        sandbox.run("web", "watchkeeper.local/no-such:1", pod="unknown-image")
    with pytest.raises(SandboxError, match=r"StartContainer.*/no/such"):
        sandbox.run("web", IMAGE, command=["/no/such"], pod="unknown-program")
    with pytest.raises(SandboxError, match="no full image name"):
        sandbox.build_image("busybox", {}, SLEEP)


@pytest.mark.containers
def test_equal_images_have_equal_digests(sandbox: Sandbox) -> None:
    """The digest says what is in the image, and nothing of when it was made."""
    one = sandbox.build_image("watchkeeper.local/one:1", {"/x": (b"1", 0o644)}, SLEEP)
    again = sandbox.build_image("watchkeeper.local/one:1", {"/x": (b"1", 0o644)}, SLEEP)
    other = sandbox.build_image("watchkeeper.local/one:2", {"/x": (b"2", 0o644)}, SLEEP)
    assert one == again
    assert one != other


def test_too_long_a_directory_is_refused() -> None:
    """A directory whose socket's path the kernel would not take is refused with the remedy."""
    with pytest.raises(SandboxError, match="shorter directory"):
        Sandbox(Path("/tmp") / ("x" * 100)).start()


@pytest.mark.containers
def test_stop_leaves_nothing() -> None:
    """After stop() there are no processes, mounts, cgroups and files of it, though containers ran."""
    directory = _directory("t")
    with Sandbox(directory) as sandbox:
        sandbox.build_image(IMAGE, {}, SLEEP)
        sandbox.run("web", IMAGE, cgroup_parent=f"{PARENT}-stop/pod")
        assert sandbox_leftovers.remains(directory) != []
        assert _cgroups_of(f"{PARENT}-stop") != []
    assert sandbox_leftovers.remains(directory) == []
    assert _cgroups_of(f"{PARENT}-stop") == []
    assert not directory.exists()


CRASH = """
import os, signal, sys
from pathlib import Path
from cli.sandbox import Sandbox
sandbox = Sandbox(Path(sys.argv[1]))
sandbox.start()
sandbox.build_image("watchkeeper.local/test:1", {}, ["/bin/sleep", "1000"])
sandbox.run("web", "watchkeeper.local/test:1", cgroup_parent=sys.argv[2] + "/pod")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.containers
def test_clean_after_a_crash() -> None:
    """What a killed process left running is found by its directory alone and taken away; twice is no error."""
    directory = _directory("c")
    crashed = subprocess.run([sys.executable, "-c", CRASH, str(directory), f"{PARENT}-crash"], check=False)
    assert crashed.returncode == -signal.SIGKILL
    assert any(remains.startswith("process") for remains in sandbox_leftovers.remains(directory))
    Sandbox.clean(directory)
    assert sandbox_leftovers.remains(directory) == []
    assert _cgroups_of(f"{PARENT}-crash") == []
    assert not directory.exists()
    Sandbox.clean(directory)


@pytest.mark.containers
def test_others_are_left_alone(sandbox: Sandbox) -> None:
    """Cleaning one sandbox does not touch another's containers."""
    container = sandbox.run("stays", IMAGE)
    with Sandbox(_directory("o")) as other:
        other.build_image(IMAGE, {}, SLEEP)
        other.run("goes", IMAGE)
    assert sandbox.exec(container, ["/bin/true"])[0] == 0
    sandbox.remove(container)
