"""Runs pytest on a kernel of Debian's: in a virtual machine that sees this machine's files, and changes none of them.

The root is this machine's, read-only through 9p, under a tmpfs that ends with the machine; so the checkout, its .venv,
BCC and containerd are there as they are here. Nothing is installed: the kernel's package is unpacked, for the run only.

    python tests/vm/run.py [--kernel PACKAGE | FILE.deb] [--minutes N] [PYTEST ARGUMENTS]

Exits with pytest's status; 124 when the time was up, 125 when the machine did not come up or crashed.
"""

from __future__ import annotations

import argparse
import lzma
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
NEWEST = "linux-image-amd64"  # the package that names the release's kernel
TIME_UP, NO_MACHINE = 124, 125

# With what they depend on, enough to see the host's files; further modules are loaded from a share on demand.
BOOT_MODULES = ("drivers/virtio", "fs/9p", "fs/fscache", "fs/netfs", "fs/overlayfs", "net/9p")


class VmError(Exception):
    """The machine can not be made; the message says what is missing."""


def main() -> int:
    options, pytest = _parser().parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="watchkeeper-vm-") as temporary:
        directory = Path(temporary)
        try:
            kernel = _unpack(_package(options.kernel, directory), directory / "kernel")
            initramfs = _initramfs(kernel, directory, _session(pytest, options.patience))
        except VmError as error:
            print(f"vm: {error}", file=sys.stderr)
            return NO_MACHINE
        command = _machine(kernel, initramfs, directory / "status")
        return _run(command, directory / "status", options.minutes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Runs pytest on a kernel of Debian's, in a virtual machine.")
    parser.add_argument("--kernel", default=NEWEST, help="a package apt knows, or a .deb file (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=20, help="how long it may take (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=120, help="seconds a test waits for an event (default: 120)")
    return parser


def _package(wanted: str, directory: Path) -> Path:
    """The .deb file of the kernel, downloaded into the directory where it is none yet."""
    if wanted.endswith(".deb"):
        return Path(wanted)
    depends = _output("apt-cache", "depends", "--important", wanted).split()
    name = next((word for word in depends[1:] if word.startswith("linux-image-")), wanted)
    _output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name, cwd=directory)
    return next(directory.glob("linux-image-*.deb"))


def _unpack(package: Path, directory: Path) -> Path:
    """Returns the directory with boot/vmlinuz-VERSION and lib/modules/VERSION."""
    _output("dpkg-deb", "-x", str(package), str(directory))
    if (directory / "usr/lib/modules").is_dir():
        (directory / "lib").symlink_to("usr/lib")
    for module in directory.glob("lib/modules/*/kernel/**/*.ko.xz"):  # busybox reads them plain only
        module.with_suffix("").write_bytes(lzma.decompress(module.read_bytes()))
        module.unlink()
    _output("busybox", "depmod", "-b", str(directory), _version(directory))
    return directory


def _version(kernel: Path) -> str:
    return next((kernel / "lib/modules").iterdir()).name


def _session(pytest: Sequence[str], patience: float) -> str:
    """What the machine runs; its own first program, hence the last line."""
    variables = {"PATH": os.environ["PATH"], "HOME": "/root", "WATCHKEEPER_TEST_PATIENCE": f"{patience:g}"}
    return "\n".join(
        [
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            f"cd {shlex.quote(str(REPOSITORY))}",
            "exec </dev/null >/dev/ttyS0 2>&1",
            'echo "vm: $(uname -r), up after $(cut -d " " -f 1 /proc/uptime) s"',
            shlex.join([".venv/bin/python", "-m", "pytest", *pytest]),
            "echo $? >/dev/ttyS1",
            "exec busybox poweroff -f",
            "",
        ]
    )


def _initramfs(kernel: Path, directory: Path, session: str) -> Path:
    root = directory / "initramfs"
    for name in ("bin", "dev", "host", "proc", "root", "sys", "top"):
        (root / name).mkdir(parents=True)
    shutil.copy(_busybox(), root / "bin/busybox")
    shutil.copy(HERE / "init", root / "init")
    (root / "session").write_text(session, encoding="utf-8")
    version = _version(kernel)
    source, target = kernel / "lib/modules" / version, root / "lib/modules" / version
    for name in BOOT_MODULES:
        if (source / "kernel" / name).is_dir():
            shutil.copytree(source / "kernel" / name, target / "kernel" / name)
    for index in ("modules.dep", "modules.builtin"):
        shutil.copy(source / index, target)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    archive = subprocess.run(
        ["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), capture_output=True, check=True
    )
    (directory / "initramfs.cpio").write_bytes(archive.stdout)
    return directory / "initramfs.cpio"


def _busybox() -> str:
    if (path := shutil.which("busybox")) is None:
        raise VmError("busybox is not there; install the package busybox-static")
    return path


def _machine(kernel: Path, initramfs: Path, status: Path) -> list[str]:
    version = _version(kernel)
    share = "local,readonly=on,security_model=none,multidevs=remap"
    return [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "3G", "-smp", "2",
        "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(kernel / f"boot/vmlinuz-{version}"), "-initrd", str(initramfs),
        "-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off random.trust_cpu=on",
        "-virtfs", f"{share},mount_tag=host,path=/",
        "-virtfs", f"{share},mount_tag=modules,path={kernel / 'lib/modules'}",
        "-serial", "stdio", "-serial", f"file:{status}",
    ]  # fmt: skip


def _run(command: Sequence[str], status: Path, minutes: float) -> int:
    began = time.monotonic()
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=minutes * 60, check=False)
    except FileNotFoundError:
        print("vm: qemu-system-x86_64 is not there; install the package qemu-system-x86", file=sys.stderr)
        return NO_MACHINE
    except subprocess.TimeoutExpired:
        print(f"vm: not done after {minutes:g} minutes", file=sys.stderr)
        return TIME_UP
    print(f"vm: ended after {time.monotonic() - began:.0f} s", file=sys.stderr)
    said = status.read_text().strip() if status.exists() else ""
    return int(said) if said.isdecimal() else NO_MACHINE


def _output(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        raise VmError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
