"""Take away everything a private containerd left: processes, mounts, cgroups, sockets, its directory.

Works from what lies on disk and in /proc alone, so it also cleans up after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cli.running_process import start_time

SHIM_SOCKETS = Path("/run/containerd/s")  # compiled into the shim; shared with any other containerd
CGROUPS = Path("/sys/fs/cgroup")


def remove(directory: Path) -> None:
    """End and delete all that belongs to the containerd whose files are below ``directory``."""
    directory = directory.resolve()
    bundles = list(directory.glob("io.containerd.runtime.v2.task/*/*"))
    sockets = [address for bundle in bundles if (address := _shim_socket(bundle)) is not None]
    paths = {path for bundle in bundles if (path := _cgroup_path(bundle))}
    _end(lambda: _pids_of(directory, "containerd"))  # first, or it would start and clean things meanwhile
    cgroups = [root / path.lstrip("/") for root in _hierarchies() for path in sorted(paths)]
    _end(lambda: [pid for cgroup in cgroups for pid in _members(cgroup)])
    _end(lambda: _pids_of(directory, "containerd-shim"))
    for point in _mounts_below(directory):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    for cgroup in cgroups:
        for inner, _, _ in os.walk(cgroup, topdown=False):
            _remove_directory(Path(inner))
        _remove_empty(cgroup.parent)
    for root in _hierarchies():
        for parent in _noted_parents(directory):
            _remove_empty(root / parent)
    for address in sockets:
        address.unlink(missing_ok=True)
    for shared in (SHIM_SOCKETS, SHIM_SOCKETS.parent):
        with contextlib.suppress(OSError):  # not empty: another containerd's
            shared.rmdir()
    if directory.exists():
        shutil.rmtree(directory)


def note_parent(directory: Path, cgroup: str) -> None:
    """Remember that containers were put below this cgroup, so that it goes too once it is empty."""
    with (directory / "cgroups").open("a", encoding="utf-8") as file:
        file.write(cgroup + "\n")


def remains(directory: Path) -> list[str]:
    """What of it is still there, for tests: processes and mounts."""
    directory = directory.resolve()
    pids = [*_pids_of(directory, "containerd"), *_pids_of(directory, "containerd-shim")]
    return [f"process {pid}" for pid in pids] + [f"mount {point}" for point in _mounts_below(directory)]


def _shim_socket(bundle: Path) -> Path | None:
    try:
        address = Path((bundle / "address").read_text(encoding="utf-8").strip().removeprefix("unix://"))
    except OSError:
        return None
    return address if address.parent == SHIM_SOCKETS else None


def _cgroup_path(bundle: Path) -> str:
    try:
        path: object = json.loads((bundle / "config.json").read_bytes())["linux"]["cgroupsPath"]
    except (OSError, ValueError, KeyError):
        return ""
    return str(path)


def _noted_parents(directory: Path) -> list[str]:
    try:
        noted = (directory / "cgroups").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return sorted({line.strip("/") for line in noted if line.strip("/")})


def _pids_of(directory: Path, program: str) -> list[int]:
    """Processes of this program (its name begins so) that carry this directory in an argument."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        name = arguments[0].rpartition("/")[2]
        wanted = name == program or (program == "containerd-shim" and name.startswith(program))
        if wanted and any(argument.startswith(f"{directory}/") for argument in arguments[1:]):
            found.append(int(entry.name))
    return found


def _end(find: Callable[[], list[int]], patience: float = 10.0) -> None:
    """Kill what ``find()`` finds until it finds nothing more."""
    until = time.monotonic() + patience
    while (pids := [pid for pid in find() if start_time(pid)]) and time.monotonic() < until:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _hierarchies() -> list[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()] if CGROUPS.exists() else []


def _members(cgroup: Path) -> list[int]:
    pids: list[int] = []
    for directory, _, _ in os.walk(cgroup):
        with contextlib.suppress(OSError):
            pids += [int(line) for line in Path(directory, "cgroup.procs").read_text(encoding="ascii").split()]
    return pids


def _remove_empty(cgroup: Path) -> None:
    """The cgroup if it is empty, and its parents that are empty then, but never a root."""
    while not cgroup.exists() or (_is_inner(cgroup) and _remove_directory(cgroup)):
        cgroup = cgroup.parent


def _is_inner(cgroup: Path) -> bool:
    """A cgroup that is not a hierarchy's root: these files are in all but the roots (version 2, version 1)."""
    if (cgroup / "cgroup.type").exists():
        return True
    return (cgroup / "notify_on_release").exists() and not (cgroup / "release_agent").exists()


def _remove_directory(path: Path) -> bool:
    """False: it holds processes or children that are not ours."""
    if path.exists() and any(entry.is_dir() for entry in os.scandir(path)):
        return False
    for _ in range(50):
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                return False
            time.sleep(0.02)  # its last process is still being reaped
        else:
            return True
    return False


def _mounts_below(directory: Path) -> list[str]:
    """Mount points below, innermost first."""
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{directory}/")]
