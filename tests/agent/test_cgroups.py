"""Recognition of containers by their cgroups' paths, and the choice of the hierarchy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cgroups import CgroupError, Hierarchy, container_id, detect, is_parent, is_unit

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
POD = "pod0a1b2c3d-1111-2222-3333-444455556666"
SLICE = "kubepods-burstable-pod0a1b2c3d_1111_2222_3333_444455556666.slice"

PATHS = {
    f"/k8s.io/{ID}": ("containerd", ID),
    f"/kubepods/burstable/{POD}/{ID}": ("cri", ID),
    f"/kubepods/{POD}/{ID}": ("cri", ID),
    f"/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{ID}.scope": ("containerd", ID),
    f"/kubepods.slice/kubepods-burstable.slice/{SLICE}/cri-containerd-{ID}.scope/inner/x": ("containerd", ID),
    f"/system.slice/containerd.service/{SLICE}:cri-containerd:{ID}": ("containerd", ID),
    f"/kubepods.slice/{SLICE}/crio-{ID}.scope": ("cri-o", ID),
    f"/kubepods.slice/{SLICE}/crio-{ID}.scope/container": ("cri-o", ID),
    f"/kubepods/besteffort/{POD}/crio-{ID}": ("cri-o", ID),
    f"/kubepods.slice/{SLICE}/docker-{ID}.scope": ("docker", ID),
    f"/docker/{ID}": ("docker", ID),
    f"/system.slice/docker-{ID}.scope": ("docker", ID),
    f"/docker/{ID}/init.scope": ("docker", ID),
    f"/machine.slice/libpod-{ID}.scope": ("podman", ID),
    f"/machine.slice/libpod-{ID}.scope/container": ("podman", ID),
    f"/libpod_parent/libpod-{ID}": ("podman", ID),
    f"/default/{ID}": ("containerd", ID),
    f"/system.slice/nerdctl-{ID}.scope": ("containerd", ID),
    f"/kubepods/burstable/{POD}/{ID}/{OTHER}": ("cri", ID),
    f"/docker/{ID}/docker/{OTHER}": ("docker", ID),
    f"/docker/{ID}/kubelet/kubepods/{POD}/{OTHER}": ("cri", OTHER),
    f"/docker/{ID}/kubepods/besteffort": ("docker", ID),
    "/": None,
    "": None,
    "/system.slice/ssh.service": None,
    "/user.slice/user-1000.slice/session-3.scope": None,
    f"/kubepods.slice/{SLICE}/crio-conmon-{ID}.scope": None,
    f"/machine.slice/libpod-conmon-{ID}.scope": None,
    f"/kubepods/burstable/{POD}": None,
    f"/docker/{ID[:-1]}": None,
    f"/docker/{ID}0": None,
    f"/docker/{ID.upper()}": None,
    "/process_api/c07eaeac231efdded7b570136909bfb3": None,
    "/default/web": None,
}


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_every_runtime(path: str) -> None:
    """Each runtime's style of cgroup path gives its runtime and id, the host's give none."""
    assert container_id(path) == PATHS[path]


@given(st.text())
def test_arbitrary_paths_are_judged(path: str) -> None:
    """No text makes recognition fail, and what it recognises stands in the path."""
    found = container_id(path)
    assert found is None or found[1] in path
    assert is_unit(path) in (True, False)
    assert is_parent(path) in (True, False)


PIECES = st.sampled_from(
    ["kubepods", "kubepods.slice", POD, SLICE, "docker", "k8s.io", "x", "a.service", OTHER[:32], ""]
)


@given(st.lists(PIECES, max_size=5), st.sampled_from(["", "cri-containerd-", "crio-", "docker-", "libpod-"]), st.text())
def test_what_is_made_inside_belongs_to_the_container(above: list[str], prefix: str, below: str) -> None:
    """Below the first container, wherever that lies, nothing but a Kubernetes node in a container is another one."""
    top = "/".join(["", *above, f"{prefix}{ID}{'.scope' if prefix else ''}"])
    inside = top + "/" + below.replace("kubepods", "")
    assert container_id(inside) == container_id(top)
    assert container_id(top) is not None


def test_units_of_the_service_manager() -> None:
    """Services, slices and scopes are units; a directory with a free name is not, nor is runc's scope."""
    units = ["/", "/init.scope", "/system.slice", "/system.slice/a.service", "/user.slice/session-1.scope/"]
    assert [is_unit(path) for path in units] == [True] * 5
    assert [is_unit(path) for path in ["/web", "/default/web", "/system.slice/runc-web.scope"]] == [False] * 3


MOUNTS = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
V2 = "41 31 0:38 / /sys/fs/cgroup{} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "3{0} 31 0:3{0} / /sys/fs/cgroup/{1} rw - cgroup cgroup rw,{1}\n"


@pytest.mark.parametrize(
    ("mounted", "expected"),
    [
        (V2.format(""), Hierarchy(2, "", Path("/sys/fs/cgroup"))),
        (
            MOUNTS + V1.format(1, "memory") + V1.format(2, "pids") + V2.format("/unified"),
            Hierarchy(1, "pids", Path("/sys/fs/cgroup/pids")),
        ),
        (MOUNTS + V1.format(1, "cpu,cpuacct"), Hierarchy(1, "cpu", Path("/sys/fs/cgroup/cpu,cpuacct"))),
        (
            MOUNTS + V1.format(1, "name=systemd") + V2.format(r"/a\040b"),
            Hierarchy(2, "", Path("/sys/fs/cgroup/a b")),
        ),
    ],
)
def test_choice_of_the_hierarchy(tmp_path: Path, mounted: str, expected: Hierarchy) -> None:
    """A v1 controller where runc uses one, otherwise v2; options and escapes of mountinfo are understood."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" + mounted)
    assert detect(mountinfo) == expected


def test_no_hierarchy_says_what_to_mount(tmp_path: Path) -> None:
    """Without any cgroup mount the error names the remedy."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n")
    with pytest.raises(CgroupError, match="mount one"):
        detect(mountinfo)


def test_lines_of_proc_pid_cgroup() -> None:
    """The hierarchy's own line counts, colons in the path are kept, a missing line is the root."""
    text = f"9:name=systemd:/s\n3:cpu,cpuacct:/c:d\n0::/kubepods/{ID}\n"
    assert Hierarchy(1, "cpuacct", Path("/x")).parse(text) == "/c:d"
    assert Hierarchy(2, "", Path("/x")).parse(text) == f"/kubepods/{ID}"
    assert Hierarchy(1, "pids", Path("/x")).parse(text) == "/"


def test_this_process_has_a_cgroup() -> None:
    """The real hierarchy tells this process's cgroup, and the walk comes past it."""
    hierarchy = detect()
    path = hierarchy.path_of(os.getpid())
    assert (hierarchy.id_of(path), path) in set(hierarchy.walk())
