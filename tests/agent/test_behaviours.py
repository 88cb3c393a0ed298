"""From events to behaviours."""

from __future__ import annotations

import os

import pytest

from agent.behaviours import Sensitive, behaviours_of, executed, peer, program
from agent.config import SENSITIVE_PATHS
from agent.process import Known
from watchkeeper.events import (
    AnyEvent,
    Bind,
    Capability,
    Chmod,
    Connect,
    Exec,
    Listen,
    Open,
    Rename,
    Task,
    Unlink,
)
from watchkeeper.findings import Behaviour, BehaviourClass

WHO = Task(10, 100, 1, 1, 0, 0, -1, 7, "app")
APP = Known(10, 100, 1, 1, "/app", inside=True)
SENSITIVE = Sensitive(SENSITIVE_PATHS)


def opened(path: str, flags: int = os.O_RDONLY, created: bool = False) -> Open:
    return Open(at=1.0, task=WHO, path=path, flags=flags, created=created)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (opened("/data/a", os.O_WRONLY), [("written", "/data/a")]),
        (opened("/data/a", os.O_RDONLY, created=True), [("written", "/data/a")]),
        (opened("/data/a"), []),
        (opened("/etc/shadow"), [("sensitive_read", "/etc/shadow")]),
        (
            opened("/run/secrets/kubernetes.io/serviceaccount/..2026_11_23/token"),
            [("sensitive_read", "/run/secrets/kubernetes.io/serviceaccount/..*/token")],
        ),
        (opened("/dev/null", os.O_WRONLY), []),
        (opened("/dev/pts/3", os.O_RDWR), []),
        (opened("/dev/sda", os.O_RDWR), [("written", "/dev/sda")]),
        (opened("pipe:[123]", os.O_WRONLY), []),
        (Unlink(at=1.0, task=WHO, path="/data/17"), [("written", "/data/*")]),
        (Chmod(at=1.0, task=WHO, path="/data/x", mode=0o777), [("written", "/data/x")]),
        (Rename(at=1.0, task=WHO, path="/data/x", new_path="/etc/x"), [("written", "/etc/x"), ("written", "/data/x")]),
        (Rename(at=1.0, task=WHO, path="/data/1", new_path="/data/2"), [("written", "/data/*")]),
        (Listen(at=1.0, task=WHO, address="0.0.0.0", port=8080), [("listening", "tcp/8080")]),
        (Bind(at=1.0, task=WHO, address="0.0.0.0", port=53), [("listening", "udp/53")]),
        (Bind(at=1.0, task=WHO, address="0.0.0.0", port=40123), [("listening", "udp/ephemeral")]),
        (Connect(at=1.0, task=WHO, protocol="tcp", address="10.0.0.5", port=443), [("outbound", "tcp/10.0.0.5:443")]),
        (Connect(at=1.0, task=WHO, protocol="udp", address="10.0.0.5", port=0), []),
        (Connect(at=1.0, task=WHO, protocol="tcp", address="::1", port=80), [("outbound", "tcp/loopback:80")]),
        (Connect(at=1.0, task=WHO, protocol="tcp", address="fd00::1", port=80), [("outbound", "tcp/[fd00::1]:80")]),
        (Capability(at=1.0, task=WHO, name="CAP_SYS_ADMIN"), [("capability", "CAP_SYS_ADMIN")]),
    ],
)
def test_event_becomes_its_behaviours(event: AnyEvent, expected: list[tuple[str, str]]) -> None:
    """Each kind of event gives exactly these classes and objects, acted by the process's program."""
    assert behaviours_of(event, APP, SENSITIVE) == tuple(
        Behaviour(BehaviourClass(kind), "/app", name) for kind, name in expected
    )


def test_unknown_process_is_said_to_be_unknown() -> None:
    """An act of a process whose exec was lost is kept, under the name unknown."""
    event = Listen(at=1.0, task=WHO, address="::", port=1)
    assert behaviours_of(event, None, SENSITIVE) == (Behaviour(BehaviourClass.LISTENING, "unknown", "tcp/1"),)


@pytest.mark.parametrize(
    ("origin", "process"), [("entrypoint", "entrypoint"), ("exec_in", "exec_in"), ("child", "/app")]
)
def test_execution_names_where_it_came_from(origin: str, process: str) -> None:
    """The acting side of an execution is the entry point, an exec from outside, or the parent's program."""
    event = Exec(at=1.0, task=WHO, executable="/bin/ls")
    after = Known(10, 100, 1, 1, "/bin/ls", origin=origin, inside=True)
    assert executed(event, after, APP) == (Behaviour(BehaviourClass.EXECUTED, process, "/bin/ls"),)


def test_program_of_the_upper_layer_is_a_second_behaviour() -> None:
    """So that a known path which was overwritten is told from the image's own."""
    event = Exec(at=1.0, task=WHO, executable="/bin/ls", upper_layer=True)
    after = Known(10, 100, 1, 1, "/bin/ls", origin="child", inside=True)
    assert executed(event, after, APP) == (
        Behaviour(BehaviourClass.EXECUTED, "/app", "/bin/ls"),
        Behaviour(BehaviourClass.EXECUTED, "upper_layer", "/bin/ls"),
    )


@pytest.mark.parametrize("executable", ["/memfd:evil (deleted)", "memfd:evil"])
def test_memfd_has_no_directory(executable: str) -> None:
    """Executions from memory are told by the memfd's name."""
    event = Exec(at=1.0, task=WHO, executable=executable, memfd=True)
    [behaviour] = executed(event, Known(10, 100, 1, 1, executable, origin="child", inside=True), APP)
    assert behaviour.object == "memfd:evil"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.8.8.8", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "loopback"),
    ],
)
def test_peers_are_written_one_way(address: str, expected: str) -> None:
    """Addresses of the host itself fold, version 4 inside version 6 is unwrapped."""
    assert peer(address) == expected


@pytest.mark.parametrize(
    ("executable", "arguments", "expected"),
    [
        ("/bin/busybox", ("/bin/sh", "-c", "id"), "/bin/busybox (sh)"),
        ("/bin/busybox", ("-sh",), "/bin/busybox (sh)"),
        ("/bin/busybox", ("busybox", "wget", "http://x"), "/bin/busybox (wget)"),
        ("/tmp/busybox-x", ("/tmp/busybox-x", "true"), "/tmp/busybox-x (true)"),
        ("/bin/busybox", ("busybox",), "/bin/busybox"),
        ("/bin/busybox", ("ls\n; anything",), "/bin/busybox"),
        ("/bin/busybox", (), "/bin/busybox"),
        ("/usr/bin/python3", ("sh",), "/usr/bin/python3"),
    ],
)
def test_binary_of_many_programs_says_which(executable: str, arguments: tuple[str, ...], expected: str) -> None:
    """busybox runs the program its first argument names; other binaries' arguments change nothing."""
    event = Exec(at=1.0, task=WHO, executable=executable, arguments=arguments)
    after = Known(10, 100, 1, 1, executable, arguments, origin="entrypoint", inside=True)
    assert executed(event, after, None)[0].object == program(after) == expected
