"""What is taken in at the start: processes, listening and bound sockets, in every network namespace."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cgroups import detect
from agent.running import TICK, _endpoint, _stat, _status, processes, same_start
from watchkeeper.events import Bind, Listen, Running

SERVER = """
import socket, sys
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
tcp6 = socket.socket(socket.AF_INET6); tcp6.bind(("::1", 0)); tcp6.listen()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
client = socket.create_connection(tcp.getsockname())
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); peer.connect(udp.getsockname())
print(tcp.getsockname()[1], tcp6.getsockname()[1], udp.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def _server(*prefix: str) -> Iterator[tuple[int, list[int]]]:
    """A process with sockets of every sort: (pid, its ports TCP, TCP over IPv6, UDP)."""
    command = [*prefix, sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        try:
            yield process.pid, ports
        finally:
            process.stdin.close()


def _of(pid: int) -> list[Running | Listen | Bind]:
    return [event for event in processes(detect()) if event.task.pid == pid]


def _sockets(events: list[Running | Listen | Bind]) -> set[tuple[str, str, int]]:
    return {(type(e).__name__, e.address, e.port) for e in events if isinstance(e, Listen | Bind)}


def test_running_process_is_described() -> None:
    """Executable, arguments, directory, user, parent, cgroup and namespace of a process are what /proc says."""
    with _server() as (pid, _):
        [event] = [event for event in _of(pid) if isinstance(event, Running)]
        own = detect()
        assert event.executable == os.path.realpath(sys.executable)
        assert event.arguments == (sys.executable, "-c", SERVER)
        assert event.working_directory == str(Path.cwd())
        assert (event.task.parent_pid, event.task.uid) == (os.getpid(), os.geteuid())
        assert event.task.cgroup == own.id_of(own.path_of(pid))
        assert event.task.network_namespace == Path("/proc/self/ns/net").stat().st_ino


def test_ids_and_environment_are_told_like_the_kernels() -> None:
    """Group, session, capabilities and environment are there from the start, the environment if asked for."""
    code = "import os, sys; os.setsid(); print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    environment = {"SHORT": "1", "LONG": "x" * 9000}
    command = [sys.executable, "-IS", "-c", code]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        pid = process.pid
        [event] = [each for each in _of(pid) if isinstance(each, Running)]
        [silent] = [each for each in processes(detect(), environment=False) if each.task.pid == pid]
        capabilities = int(_status(Path("/proc/self"))["CapEff"], 16)
        process.stdin.close()
    told = event.task
    assert (told.thread, told.virtual_pid, told.virtual_thread, told.group, told.session) == (pid,) * 5
    assert (told.virtual_group, told.virtual_session) == (pid, pid)
    assert (told.effective_uid, told.effective_gid, told.cap_effective) == (os.geteuid(), os.getegid(), capabilities)
    assert (event.environment[0], len("\0".join(event.environment)), event.tty_number) == ("SHORT=1", 4096, 0)
    assert isinstance(silent, Running)
    assert silent.environment == ()


def test_ids_in_a_pid_namespace_are_its_own() -> None:
    """A process in a pid namespace has its number there, and no group that is outside."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with subprocess.Popen(["unshare", "--pid", "--fork", "cat"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        while not (children := Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()):
            time.sleep(0.01)
        [event] = [each for each in _of(int(children[0])) if isinstance(each, Running)]
        process.stdin.close()
    told = event.task
    assert (told.pid, told.virtual_pid, told.group, told.virtual_group) == (int(children[0]), 1, os.getpgid(0), 0)
    assert told.virtual_session == 0


def test_sockets_that_wait_for_others() -> None:
    """Listening TCP and bound UDP sockets are told, in both families; connected ones are not."""
    with _server() as (pid, (tcp, tcp6, udp)):
        assert _sockets(_of(pid)) == {
            ("Listen", "127.0.0.1", tcp),
            ("Listen", "::1", tcp6),
            ("Bind", "127.0.0.1", udp),
        }


def test_a_shared_socket_is_told_once() -> None:
    """A socket that a child inherited is told of the process that was there first."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        os.set_inheritable(listening.fileno(), True)
        port = listening.getsockname()[1]
        with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
            try:
                told = [e.task.pid for e in processes(detect()) if isinstance(e, Listen) and e.port == port]
            finally:
                child.kill()
    assert told == [os.getpid()]


@pytest.mark.kernel
def test_sockets_of_another_network_namespace() -> None:
    """A server inside another network namespace is seen with its ports and that namespace's number."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and ip")
    name = f"watchkeeper-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with _server("ip", "netns", "exec", name) as (pid, (tcp, tcp6, udp)):
            events = _of(pid)
            assert _sockets(events) == {
                ("Listen", "127.0.0.1", tcp),
                ("Listen", "::1", tcp6),
                ("Bind", "127.0.0.1", udp),
            }
            assert {event.task.network_namespace for event in events} == {Path(f"/run/netns/{name}").stat().st_ino}
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_order_is_by_start() -> None:
    """Parents come before their children, so that ancestors are known when they are asked for."""
    running = [event for event in processes(detect()) if isinstance(event, Running)]
    starts = [event.task.start for event in running]
    assert starts == sorted(starts)
    assert os.getpid() in {event.task.pid for event in running}


def test_zombies_and_kernel_threads_are_left_out() -> None:
    """What runs no program is not told."""
    with subprocess.Popen(["true"]) as process:
        while _stat(Path(f"/proc/{process.pid}")).state != "Z":
            time.sleep(0.01)
        told = {event.task.pid for event in processes(detect())}
        assert process.pid not in told
    assert 2 not in told or "kthreadd" not in Path("/proc/2/comm").read_text()


READ_PARENT = """
import os
from agent.cgroups import detect
from agent.running import processes
[told] = [event for event in processes(detect()) if event.task.pid == os.getppid()]
print((told.executable, told.working_directory, told.arguments[1:3], told.task.comm))
"""


def test_what_may_not_be_read_is_missing() -> None:
    """A process that is more powerful than the agent does not show its program; that it is there is told."""
    less = ["setpriv", "--bounding-set=-sys_ptrace,-sys_admin", "--inh-caps=-sys_ptrace,-sys_admin"]
    parent = f"import subprocess; subprocess.run({[*less, sys.executable, '-c', READ_PARENT]!r}, check=True)"
    command = [sys.executable, "-c", parent]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == str(("", "", ("-c", parent), Path(sys.executable).name[:15]))


def test_name_with_brackets(tmp_path: Path) -> None:
    """A process may call itself anything, also what looks like the next columns of its stat line."""
    (tmp_path / "stat").write_text("7 (a) R 9 (b) S 5 7 7 34818 7 4194560 1 1 1 1 1 1 1 1 20 0 1 0 123 1 1\n")
    stat = _stat(tmp_path)
    assert (stat.comm, stat.state, stat.parent, stat.tty, stat.start) == ("a) R 9 (b", "S", 5, 34818, 123 * TICK)


@given(st.integers(0, 2**62), st.integers(0, TICK - 1))
def test_starts_are_compared_by_ticks(ticks: int, rest: int) -> None:
    """The kernel's full nanoseconds are the same start as /proc's ticks, and the next tick is another one."""
    assert same_start(ticks * TICK, ticks * TICK + rest)
    assert not same_start(ticks * TICK + rest, (ticks + 1) * TICK)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0100007F:1F90", ("127.0.0.1", 8080)),
        ("00000000:0050", ("0.0.0.0", 80)),
        ("00000000000000000000000001000000:0016", ("::1", 22)),
        ("0000000000000000FFFF00000100007F:01BB", ("127.0.0.1", 443)),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the samples are of a little-endian machine")
def test_addresses_of_proc_net(text: str, expected: tuple[str, int]) -> None:
    """Addresses are words in the machine's order; IPv4 in IPv6 is told as IPv4."""
    assert _endpoint(text) == expected
