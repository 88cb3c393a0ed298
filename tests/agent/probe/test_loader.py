"""Every reason for which the probe can not start names the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.probe import loader
from agent.probe.source import ProbeError

ROOT = Path(loader.__file__).resolve().parents[2]
START = """
import os, sys
from pathlib import Path
if sys.argv[1] == "nobody": os.setuid(65534)
from agent.cgroups import Hierarchy
from agent.probe.loader import start
from agent.probe.sizes import Sizes
from agent.probe.source import ProbeError
try:
    start(Sizes(int(sys.argv[2])), os.getpid(), Hierarchy(1, sys.argv[3], Path("/")), [])
except ProbeError as error:
    print(error)
"""


def attempt(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> str:
    paths = os.pathsep.join([environment.pop("first", ""), str(ROOT), str(ROOT / "proto")])
    done = subprocess.run(
        [*prefix, sys.executable, "-c", START, *arguments],
        env=os.environ | environment | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")


def test_without_root_it_says_so(root):
    """An ordinary user is told to start as root."""
    assert attempt("nobody", "65536", "pids").endswith("start the agent as root")


@pytest.mark.parametrize("size", ["0", "1000", "4097", "12288"])
def test_ring_sizes_that_can_not_be(root, size):
    """A size the kernel would refuse is refused by the key's name."""
    assert attempt("root", size, "pids") == f"probe.bulk_ring_bytes is {size}; it must be a power of two, at least 4096"


@pytest.mark.kernel
def test_unknown_controller_is_named(root):
    """A hierarchy the kernel does not have is named."""
    assert attempt("root", "65536", "nonsense").startswith("this kernel has no cgroup controller 'nonsense'")


@pytest.mark.kernel
def test_without_bcc_the_package_is_named(root, tmp_path):
    """PyPI's other bcc is recognised for what it is."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text("")
    message = attempt("root", "65536", "pids", first=str(tmp_path))
    assert "install the package python3-bpfcc (not PyPI's bcc, which is another program)" in message


@pytest.mark.kernel
def test_other_process_ids_are_refused(root):
    """In a process-id namespace of its own the agent would misname every process."""
    message = attempt("root", "65536", "pids", prefix=("unshare", "--pid", "--fork", "--mount-proc"))
    assert message.endswith("run its pod with hostPID: true")


@pytest.mark.kernel
def test_without_btf_it_says_so(root, tmp_path):
    """A kernel that does not describe its structures is told apart."""
    hide = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'
    message = attempt("root", "65536", "pids", prefix=("unshare", "--mount", "sh", "-c", hide))
    assert "CONFIG_DEBUG_INFO_BTF=y" in message


@pytest.mark.kernel
def test_child_that_dies_is_told_with_its_words(root, tmp_path):
    """A crash of the compiling child is an error with what it said, not a hang."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc" / "__init__.py").write_text("import os\nos.write(2, b'last words\\n')\nos._exit(3)\n")
    message = attempt("root", "65536", "pids", first=str(tmp_path))
    assert message == "the compiling child ended without an answer; it said: last words"


def test_replay_needs_no_kernel(tmp_path):
    """A missing recording is a clear error, too."""
    from agent.probe.replay import ReplaySource

    with pytest.raises(ProbeError, match="can not be read: No such file"):
        ReplaySource(tmp_path / "none")
