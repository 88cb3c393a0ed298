"""Kernel structures as the running kernel describes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.probe import btf as btf_module
from agent.probe.btf import NOWHERE, Btf, definitions

pytestmark = pytest.mark.kernel

LACKING = """
import json, os, sys
from pathlib import Path
from agent.probe import btf, compile, kernel
real = btf.Btf.offset
def offset(self, structure, path):
    known = structure == "pt_regs" or f"{structure}.{path}" in kernel.ESSENTIAL
    return real(self, structure, path) if known else None
btf.Btf.offset = offset
request = {"self_pid": 1, "bulk_bytes": 65536, "critical_bytes": 65536, "known_entries": 1024, "sensitive_names": []}
request |= {"cgroup_version": 2, "cgroup_controller": "", "kept_in": ""}
answer, descriptors = compile.build(request, Path(sys.argv[1]))
print(json.dumps([answer["missing"], len(answer["missing_members"]) > 20]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def kernel():
    if not Path("/sys/kernel/btf/vmlinux").exists():
        pytest.skip("this kernel has no BTF")
    found = Btf()
    yield found
    found.close()


def test_members_are_found_through_anonymous_ones(kernel):
    """Dotted paths and members of anonymous unions have offsets; what is not there has none."""
    assert kernel.offset("list_head", "next") == 0
    assert kernel.offset("list_head", "prev") == 8
    common = kernel.offset("sock", "__sk_common")
    assert kernel.offset("sock", "__sk_common.skc_daddr") == common + kernel.offset("sock_common", "skc_daddr")
    assert kernel.offset("sock_common", "skc_rcv_saddr") == kernel.offset("sock_common", "skc_daddr") + 4
    assert [kernel.offset(*path) for path in (("list_head", "none"), ("no_such", "next"), ("sock", "a.b"))] == [
        None
    ] * 3


def test_enumerators_and_tracepoints(kernel):
    """Values of enumerators, and how many arguments a tracepoint passes."""
    assert kernel.enumerator("pid_type", "PIDTYPE_TGID") == 1
    assert kernel.enumerator("pid_type", "NONE") is None
    assert kernel.tracepoint_arguments("sched_process_fork") == 2
    assert kernel.tracepoint_arguments("no_such_event") is None


def test_definitions_put_members_where_they_are(kernel):
    """The generated text pads to the offset; a missing member lies where nothing can be read, and is named."""
    number = kernel.structure("list_head")
    text, missing = definitions(kernel, {"list_head": {"prev": "void *", "none.at": "int[2]"}})
    assert (text, missing) == (
        "struct list_head;\n"
        "struct list_head { union {\n"
        "  struct { char _before_prev[8]; void * prev; } __attribute__((packed));\n"
        f"  struct {{ char _before_none_at[{NOWHERE}]; int none_at[2]; }} __attribute__((packed));\n"
        "}; };\n"
        "#define SIZE_list_head 16\n"
        "#define HAS_list_head_prev 1\n"
        f"#define TYPE_OF(pointer) _Generic((pointer), struct list_head *: {number}, default: 0)\n",
        ["list_head.none.at"],
    )


def test_kernel_that_lacks_members_still_gets_every_hook(tmp_path):
    """Another kernel's structures may lack members: the hooks load all the same."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(btf_module.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", LACKING, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": f"{root}:{root / 'proto'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [{}, True]
