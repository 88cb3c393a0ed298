"""The demo's stage: an aggregator, an agent and a container of its own on this host, all in one directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import yaml

from cli import demo_acts, demo_guardian
from cli.api import Api
from cli.credentials import write_secret

if TYPE_CHECKING:
    from cli.sandbox import Sandbox

NODE = "demo-node"
CLUSTER = "demo"


class StageError(Exception):
    """A part of the demo did not come up; the message holds the end of its log."""


class Stage:
    """Context manager; what it starts and mounts is gone afterwards, whatever happens in between. ``patience``: how
    many seconds a part may take to come up. ``probe``: further settings of the agents' probe."""

    def __init__(self, directory: Path, *, patience: float = 30.0) -> None:
        self.directory = directory
        self.patience = patience
        self.probe: Mapping[str, Any] = {}
        self.ingest_port, self.api_port, self.shop_port, self.listen_port, self.out_port = free_ports(5)
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self.token = ""
        self._guardian: subprocess.Popen[bytes] | None = None
        self._sandbox: Sandbox | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        demo_guardian.clean(self.directory)
        self.directory.mkdir(parents=True, mode=0o700)
        self._guardian = demo_guardian.spawn(self.directory)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(self._processes.values()):
            process.terminate()
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait()
        signal.signal(signal.SIGINT, ignored)

    def start_aggregator(self, settings: Mapping[str, Any] | None = None) -> Api:
        """Start it (``settings``: further sections), wait until it is ready, and return a client with its token."""
        state = self.directory / "aggregator"
        self._spawn(
            "aggregator",
            {
                "state_directory": str(state),
                "ingest": {"listen": f"127.0.0.1:{self.ingest_port}"},
                "api": {"listen": f"127.0.0.1:{self.api_port}"},
                "population": {"nodes": [NODE]},
                "evaluation": {"interval_seconds": 1},
                **(settings or {}),
            },
        )
        self._wait("aggregator", lambda: (state / "api-token").exists() and Api(self.api_url, "").ready())
        self.token = (state / "api-token").read_text(encoding="utf-8").strip()
        return Api(self.api_url, self.token)

    def start_agent(self, api: Api, *, replay: Path | None, record: Path | None) -> float:
        """Start it and return the seconds until it captured."""
        secret = api.post(f"nodes/{NODE}/token")["token"]
        write_secret(self.directory / "node-token", secret)
        return self._start_agent("agent", replay, record)

    def start_successor(self, name: str) -> float:
        """Start another agent for the same node, which waits for the one that runs to end; as start_agent()."""
        return self._start_agent(name, None, None)

    def start_shop(self) -> None:
        """A private containerd, the shop's image, its container."""
        from cli.sandbox import Sandbox

        self._sandbox = Sandbox(self.directory / "containerd")
        self._sandbox.start()
        command = demo_acts.shop_command(self.shop_port)
        self._sandbox.build_image(demo_acts.IMAGE, demo_acts.image_files(), command)

    @property
    def sandbox(self) -> Sandbox:
        """The private containerd, which start_shop() started."""
        assert self._sandbox is not None
        return self._sandbox

    def run_shop(self) -> str:
        """Run the shop's container; returns its id once it answers."""
        assert self._sandbox is not None
        container = self._sandbox.run(
            demo_acts.CONTAINER,
            demo_acts.IMAGE,
            namespace=demo_acts.NAMESPACE,
            pod=demo_acts.POD,
            labels=demo_acts.LABELS,
            environment={"SERVER_PORT": str(self.shop_port)},
        )
        self._wait("shop", lambda: accepts(self.shop_port))
        return container

    def run_short_lived(self, count: int, command: list[str]) -> dict[str, str]:
        """Run ``count`` containers of one pod, one after the other; returns id -> name. For tests."""
        assert self._sandbox is not None
        return self._sandbox.run_many(count, demo_acts.IMAGE, command, namespace=demo_acts.NAMESPACE)

    def stop_agent(self, name: str = "agent") -> None:
        """Ask the agent to end and wait until it has written everything."""
        self._processes[name].terminate()
        self._processes[name].wait(20)

    def kill(self, name: str) -> None:
        """kill -9."""
        self._processes[name].kill()
        self._processes[name].wait()

    def _start_agent(self, name: str, replay: Path | None, record: Path | None) -> float:
        ready = self.directory / f"{name}-ready"
        ready.unlink(missing_ok=True)
        began = time.monotonic()
        self._spawn("agent", self._agent_settings(ready, replay, record), name)
        self._wait(name, ready.exists)
        return time.monotonic() - began

    def _agent_settings(self, ready: Path, replay: Path | None, record: Path | None) -> dict[str, Any]:
        probe = {"replay": str(replay)} if replay else {"record": str(record)} if record else {}
        sockets = [str(self._sandbox.socket)] if self._sandbox else []
        return {
            "node": NODE,
            "cluster": CLUSTER,
            "state_directory": str(self.directory / "agent"),
            "ready_file": str(ready),
            "heartbeat_seconds": 2,
            "probe": {**self.probe, **probe},
            "containers": {"cri_sockets": sockets},
            "learning": {"minimum_seconds": 6, "decay_seconds": 1.5, "threshold": 0.5},
            "uplink": {
                "address": f"127.0.0.1:{self.ingest_port}",
                "ca_file": str(self.directory / "aggregator" / "ca.pem"),
                "token_file": str(self.directory / "node-token"),
                "server_name": "localhost",
            },
        }

    def _spawn(self, command: str, settings: dict[str, Any], name: str = "") -> None:
        """Start a sub-command of the program; what is called ``name`` (else like the command) from now on."""
        name = name or command
        config = self.directory / f"{name}.yaml"
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", command, "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        demo_guardian.note_process(self.directory, process.pid)
        self._processes[name] = process

    def _wait(self, name: str, is_up: Callable[[], bool]) -> None:
        until = time.monotonic() + self.patience
        while not is_up():
            process = self._processes.get(name)
            if process is not None and process.poll() is not None:
                raise StageError(f"the {name} ended with status {process.returncode}:\n{self.log_end(name)}")
            if time.monotonic() > until:
                raise StageError(f"the {name} was not up within {self.patience:.0f} s:\n{self.log_end(name)}")
            time.sleep(0.02)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def log_end(self, name: str) -> str:
        """The last lines of a part's log."""
        try:
            return "\n".join((self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-12:])
        except OSError as error:
            return f"(no log: {error.strerror})"


def default_directory() -> Path:
    """Short, because unix sockets live in it. Without root a new one each time, which nobody else can prepare."""
    if os.geteuid() == 0:
        return Path("/run/watchkeeper-demo")
    return Path(tempfile.mkdtemp(prefix="watchkeeper-demo-"))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(0.2)
        return client.connect_ex(("127.0.0.1", port)) == 0
