"""Make a small OCI image from Debian's static busybox, so that the demo and the tests need no registry."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Files = Mapping[str, tuple[bytes, int]]

BUSYBOX = Path("/bin/busybox")
MEDIA = "application/vnd.oci.image."
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DIRECTORIES = ("dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/log")
BASE_FILES: Files = {
    "/etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
    "/etc/shadow": (b"root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n", 0o640),
    "/etc/group": (b"root:x:0:\nnogroup:x:65534:\n", 0o644),
    "/etc/hosts": (b"127.0.0.1 localhost\n::1 localhost\n", 0o644),
    "/etc/hostname": (b"localhost\n", 0o644),
    "/etc/crontab": (b"# m h dom mon dow user command\n", 0o644),
}


class ImageError(Exception):
    """The image can not be made; the message names what is missing and the remedy."""


def write(path: Path, name: str, files: Files, command: Sequence[str]) -> str:
    """Write a tar of an OCI layout with one image ``name`` to ``path``; returns the manifest's digest.

    ``files``: absolute path -> (content, mode), besides busybox with its applets and a minimal /etc.
    """
    layer = _layer({**BASE_FILES, **files})
    blobs = {_digest(layer): layer}
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Entrypoint": list(command), "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA + "manifest.v1+json",
        "config": _add(blobs, config, "config.v1+json"),
        "layers": [{"mediaType": MEDIA + "layer.v1.tar", "digest": _digest(layer), "size": len(layer)}],
    }
    described = _add(blobs, manifest, "manifest.v1+json")
    named = {
        **described,
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
    }
    with tarfile.open(path, "w") as archive:
        _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for digest, blob in blobs.items():
            _put(archive, "blobs/" + digest.replace(":", "/"), blob)
        _put(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [named]}).encode())
    return str(described["digest"])


def _layer(files: Files) -> bytes:
    if not BUSYBOX.exists():
        raise ImageError(f"{BUSYBOX} is missing; install the package busybox-static")
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        made: set[str] = set()
        for directory in DIRECTORIES:
            _make_directory(archive, directory, made)
        _make_directory(archive, "tmp", made, 0o1777)
        _put(archive, "bin/busybox", BUSYBOX.read_bytes(), 0o755, made)
        for applet in _applets():
            link = tarfile.TarInfo(applet)
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "/bin/busybox", 0o777
            _make_directory(archive, applet.rpartition("/")[0], made)
            archive.addfile(link)
        for path, (content, mode) in sorted(files.items()):
            _put(archive, path.lstrip("/"), content, mode, made)
    return output.getvalue()


def _applets() -> list[str]:
    listed = subprocess.run([BUSYBOX, "--list-full"], check=True, capture_output=True, text=True).stdout
    paths = {name if "/" in name else f"bin/{name}" for name in listed.split()}
    return sorted(paths - {"bin/busybox"})


def _make_directory(archive: tarfile.TarFile, path: str, made: set[str], mode: int = 0o755) -> None:
    if not path or path in made:
        return
    _make_directory(archive, path.rpartition("/")[0], made)
    made.add(path)
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _put(archive: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644, made: set[str] | None = None) -> None:
    if made is not None:
        _make_directory(archive, path.rpartition("/")[0], made)
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _add(blobs: dict[str, bytes], document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Add a JSON blob; returns its descriptor."""
    blob = json.dumps(document, sort_keys=True).encode()
    blobs[_digest(blob)] = blob
    return {"mediaType": MEDIA + kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
