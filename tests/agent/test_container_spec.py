"""Privileges and mounts by OCI specifications and by what containerd and CRI-O answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from agent.container_spec import LONGEST, MOST_MOUNTS, Facts, Spec, facts_of, from_info, from_spec, with_facts
from watchkeeper.findings import Container, Mount

EVERYTHING = ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"]
ALL_DEVICES = [{"allow": False, "access": "rwm"}, {"allow": True, "access": "rwm"}]
SOME_DEVICES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
]


def _spec(bounding: list[str], devices: list[dict[str, Any]], masked: list[str]) -> dict[str, Any]:
    return {
        "process": {"capabilities": {"bounding": bounding}},
        "linux": {"maskedPaths": masked, "resources": {"devices": devices}},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "rslave", "ro"]},
            {"destination": "/logs", "type": "none", "source": "/var/log", "options": ["rbind", "rw"]},
        ],
    }


MOUNTS = (Mount("/srv", "/data", "", False, "rslave"), Mount("/var/log", "/logs", "", True, ""))


@pytest.mark.parametrize(
    ("bounding", "devices", "masked", "privileged"),
    [
        (EVERYTHING, ALL_DEVICES, [], True),
        (EVERYTHING, ALL_DEVICES, ["/proc/kcore"], False),
        (EVERYTHING, SOME_DEVICES, [], False),
        (["CAP_CHOWN"], ALL_DEVICES, [], False),
    ],
)
def test_specification(bounding: list[str], devices: list[dict[str, Any]], masked: list[str], privileged: bool) -> None:
    """A container is privileged that has the capabilities, all devices and no hidden paths; binds are its mounts."""
    spec = msgspec.convert(_spec(bounding, devices, masked), Spec)
    assert from_spec(spec) == Facts(privileged, MOUNTS)


def test_specification_that_tells_nothing() -> None:
    """Whether a container of which only part is known is privileged stays open."""
    assert from_spec(Spec()) == Facts(None, ())


def test_containerd_tells_the_config() -> None:
    """containerd repeats the kubelet's wishes: they go before what can be read from the specification."""
    config = {
        "mounts": [{"container_path": "/host", "host_path": "/", "propagation": 2}],
        "linux": {"security_context": {"privileged": True}},
    }
    info = {"sandboxID": "s", "config": config, "runtimeSpec": _spec([], [], ["/proc/kcore"])}
    assert from_info(json.dumps(info)) == ("s", Facts(True, (Mount("/", "/host", "", True, "rshared"),)))


def test_crio_tells_privileged_beside_the_specification() -> None:
    """CRI-O says it in a field of its own; the mounts are the specification's."""
    info = {"sandboxID": "s", "privileged": True, "runtimeSpec": _spec([], [], [])}
    assert from_info(json.dumps(info)) == ("s", Facts(True, MOUNTS))


def test_a_namespace_that_is_left_out_is_the_hosts() -> None:
    """A container without a network of its own is in the host's; whose a joined one is nobody knows."""
    spec = {"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc", "path": "/proc/17/ns/ipc"}, {"type": "mount"}]}}
    assert from_spec(msgspec.convert(spec, Spec)) == Facts(None, (), host_network=True, host_pid=False, host_ipc=None)


def test_containerd_tells_the_pods_namespaces() -> None:
    """The kubelet wishes for the host's network, and for no other namespace of it."""
    context = {"namespace_options": {"network": 2, "pid": 1}}
    info = {"sandboxID": "s", "config": {"linux": {"security_context": context}}}
    told = Facts(False, (), host_network=True, host_pid=False, host_ipc=False)
    assert from_info(json.dumps(info)) == ("s", told)


def test_facts_are_given_to_a_container_and_taken_from_it() -> None:
    """Nothing of them is lost between."""
    facts = Facts(True, (Mount("/", "/host"),), True, False, None)
    assert facts_of(with_facts(Container("c"), facts)) == facts


@pytest.mark.parametrize("info", ["", "{", "[]", '{"config": 3}', "{}"])
def test_other_answers_tell_nothing(info: str) -> None:
    """Whatever else stands there, nothing is made up."""
    assert from_info(info) == ("", Facts(None, ()))


def test_mounts_are_bounded() -> None:
    """Only so many mounts are kept, and none with an endless path."""
    mounts = [{"container_path": f"/{number}", "host_path": "/"} for number in range(MOST_MOUNTS + 5)]
    mounts.insert(0, {"container_path": "/" * (LONGEST + 1), "host_path": "/"})
    _, facts = from_info(json.dumps({"config": {"mounts": mounts}}))
    assert [mount.destination for mount in facts.mounts] == [f"/{number}" for number in range(MOST_MOUNTS)]
