"""Control groups: which hierarchy tells containers apart, and which container a path belongs to.

The cgroup id used everywhere is the directory's inode number, which the kernel calls ``kn->id``. Ids are not used
again while the machine runs, unlike process ids and namespace numbers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Controllers that runc always joins, best first: pids is where service managers and sandboxes of build machines
# interfere least; a memory hierarchy may already be split by whoever started the agent.
CONTROLLERS = ("pids", "devices", "memory", "freezer", "cpu", "cpuacct", "blkio", "cpuset")

_ID = r"[0-9a-f]{64}"
_RUNTIMES = {
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "docker": "docker",
    "libpod": "podman",
}
_SCOPE = re.compile(rf"(?:(?:cri-)?(?P<engine>crio|docker|libpod|nerdctl|containerd)-(?P<id>{_ID})(?:\.scope)?)\Z")
_COLON = re.compile(rf".*:(?P<engine>cri-containerd|crio|docker|libpod|nerdctl):(?P<id>{_ID})\Z", re.DOTALL)
_BARE = re.compile(rf"{_ID}\Z")
_UNIT = re.compile(r"(?!runc-).+\.(?:service|slice|scope|socket|mount|swap)\Z", re.DOTALL)
_PARENT = re.compile(r"(?:k8s\.io|kubepods.*|pod[0-9a-f-]{32,36}|docker|libpod_parent|moby)\Z", re.DOTALL)


class CgroupError(Exception):
    """No usable cgroup hierarchy; the message names what is missing and the remedy."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The one cgroup tree that is looked at. ``controller`` is "" for version 2."""

    version: int
    controller: str
    mount: Path

    def path_of(self, pid: int) -> str:
        """The process's cgroup relative to the mount, "/" for the root. OSError when the process is gone."""
        return self.parse(Path(f"/proc/{pid}/cgroup").read_text())

    def parse(self, text: str) -> str:
        """The line of this hierarchy in the text of a /proc/PID/cgroup file; "/" when it has none."""
        for line in text.splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if self.version == 2 and number == "0" and not controllers:
                return path
            if self.version == 1 and self.controller in controllers.split(","):
                return path
        return "/"

    def id_of(self, path: str) -> int:
        """The kernel's id of the cgroup at this relative path. OSError when it is gone."""
        return self.directory(path).stat().st_ino

    def directory(self, path: str) -> Path:
        return self.mount / path.lstrip("/")

    def walk(self) -> Iterator[tuple[int, str]]:
        """(id, relative path) of every cgroup there is, parents first."""
        root = os.fspath(self.mount)
        for directory, _, _ in os.walk(root):
            try:
                inode = Path(directory).stat().st_ino
            except FileNotFoundError:
                continue  # it died while we walked
            yield inode, directory[len(root) :] or "/"


def detect(mountinfo: Path = Path("/proc/self/mountinfo")) -> Hierarchy:
    """Choose the hierarchy by what is mounted: a v1 controller's where there is one (on hybrid machines runc leaves
    the v2 tree alone), else v2."""
    version_1: dict[str, Path] = {}
    version_2: list[Path] = []
    for line in mountinfo.read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(_unescape(before.split(" ")[4]))
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            version_2.append(mount)
        elif kind == "cgroup":
            for option in options.rsplit(" ", 1)[-1].split(","):
                version_1.setdefault(option, mount)
    for controller in CONTROLLERS:
        if controller in version_1:
            return Hierarchy(1, controller, version_1[controller])
    if version_2:
        return Hierarchy(2, "", version_2[0])
    raise CgroupError(
        "no cgroup hierarchy is mounted; mount one (cgroup2 on /sys/fs/cgroup), or give the agent's pod the host's"
    )


def _unescape(path: str) -> str:
    """Undo the octal escapes of mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def container_id(path: str) -> tuple[str, str] | None:
    """(runtime, container id) by the shape of a cgroup's path alone, or None.

    The outermost container counts, so that cgroups made inside a container belong to it. The exception is a
    Kubernetes node that is itself a container (kind): there, what lies below ``kubepods`` counts. Runtimes: containerd,
    cri-o, docker, podman, and "cri" where the shape leaves open which runtime serves the kubelet. Names chosen
    freely (``ctr run``, plain ``runc``) have no shape; agent.oci finds those by the runtime's own files.
    """
    segments = [segment for segment in path.split("/") if segment]
    pods = next((i for i, segment in enumerate(segments) if segment.startswith("kubepods")), 0)
    for start in (pods, 0):
        for index in range(start, len(segments)):
            if found := _segment(segments, index):
                return found
    return None


def _segment(segments: list[str], index: int) -> tuple[str, str] | None:
    segment = segments[index]
    if match := _SCOPE.match(segment) or _COLON.match(segment):
        engine = match["engine"]
        return _RUNTIMES.get(engine, "containerd"), match["id"]
    if not _BARE.match(segment):
        return None
    above = segments[:index]
    if any(name.startswith("kubepods") for name in above):
        return "cri", segment
    return ("docker" if above and above[-1] == "docker" else "containerd"), segment


def is_unit(path: str) -> bool:
    """True for the root and a service manager's units: the host's, unless container_id knows them."""
    name = path.rstrip("/").rpartition("/")[2]
    return not name or bool(_UNIT.match(name))


def is_parent(path: str) -> bool:
    """True for the directories in which runtimes put containers."""
    return bool(_PARENT.match(path.rpartition("/")[2]))
