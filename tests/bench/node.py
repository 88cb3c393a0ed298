"""The node that is measured: the real aggregator and the real agent, with upstream's rules in force."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from cli.api import Api
from cli.demo_stage import NODE, Stage
from cli.sandbox import Sandbox
from rules.collector import collect
from rules.rule import Rule
from tests.bench import cost, counters
from tests.bench.counters import Counters

ROOT = Path(__file__).parents[2]
UPSTREAM = ROOT.parent / "shared" / "falco" / "rules"
SYSCALL_FILES = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
DIRECTORY = Path("/run/watchkeeper-bench-agent")
DEFAULT_HEARTBEAT = 10
FAST_HEARTBEAT = 1
IN_FORCE_SECONDS = 40.0
LEARN_SECONDS = 2.0
UNDER_WAY_SECONDS = 0.2  # a heartbeat that arrives sooner may have been written before it was asked for


class NodeError(Exception):
    """The node does not do what is to be measured."""


class Node(Stage):
    """Context manager. ``rules``: how many are to be in force; ``upstream``: whether they are upstream's, else the
    shipped ones; ``restless``: how often the agent did not come to rest."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._only = _only_one()
        super().__init__(directory, patience=60.0)
        self.upstream = all((UPSTREAM / name).exists() for name in SYSCALL_FILES)
        self.rules = 0
        self.restless = 0
        self.api: Api = Api(self.api_url, "")
        self._heartbeat = DEFAULT_HEARTBEAT

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.api.close()
        super().__exit__(kind, error, _)
        self._only.close()

    def begin(self) -> None:
        """Start the aggregator; the agent starts later, and more than once."""
        self.api = self.start_aggregator(self._definitions())

    def start(self, heartbeat: int = DEFAULT_HEARTBEAT) -> None:
        """Start the agent and wait until all rules are in force and it has come to rest."""
        self._heartbeat = heartbeat
        began = time.time()
        self.start_agent(self.api, replay=None, record=None)
        self.wait_for(self._has_rules(began), "to have the rules in force")
        self.settle()

    def settle(self) -> None:
        """Wait until the agent has worked off what there is."""
        self.restless += not cost.comes_to_rest(self.agent)

    def stop(self) -> None:
        """End the agent, and wait until none of its hooks is left."""
        programs = cost.bpf_programs(self.agent)
        self.stop_agent()
        cost.wait_until_gone(programs)

    @property
    def agent(self) -> int:
        """The agent's process id."""
        return self.pid("agent")

    @property
    def processes(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def status(self) -> dict[str, Any]:
        """The API's node; without heartbeat there is none yet."""
        nodes: list[dict[str, Any]] = self.api.get("nodes")["nodes"]
        return next((node for node in nodes if node["name"] == NODE), {})

    def counters(self) -> Counters:
        """Of a heartbeat that was sent after now, when the agent has worked off what there is."""
        self.settle()
        newer = time.time() + UNDER_WAY_SECONDS
        return counters.read(self.wait_for(lambda node: node["heartbeat_at"] > newer, "to send a heartbeat"))

    def wait_for(self, is_so: Callable[[Mapping[str, Any]], bool], what: str) -> dict[str, Any]:
        """Wait until the API's node is so, and return it. Raises NodeError."""
        until = time.monotonic() + IN_FORCE_SECONDS
        while True:
            node = self.status()
            if node and is_so(node):
                return node
            if time.monotonic() > until:
                problems = node.get("detection_problems") if node else "no heartbeat"
                text = f"the agent took more than {IN_FORCE_SECONDS:.0f} s {what}: {problems}"
                raise NodeError(f"{text}\n{self.log_end('agent')}")
            time.sleep(0.1)

    def rules_fired(self) -> dict[str, int]:
        """How often each rule fired in all of the run, the most frequent first."""
        fired: Counter[str] = Counter()
        older: dict[str, float] = {}
        while True:
            page = self.api.get("findings", limit=500, **older)
            for finding in page["findings"]:
                if finding["source"] == "rule":
                    fired[finding["fields"]["rule"]] += finding["count"]
            if page["next_before"] is None:
                return dict(fired.most_common())
            older = {"before": page["next_before"]}

    def run_containers(self, image: str, namespace: str, pods: int, containers: int) -> None:
        """Idle containers in a private containerd, which ends with the node."""
        self._sandbox = Sandbox(self.directory / "containerd")
        self._sandbox.start()
        self._sandbox.build_image(image, {}, ["/bin/sleep", "86400"])
        for pod in range(pods):
            for number in range(containers):
                self._sandbox.run(f"part{number}", image, namespace=namespace, pod=f"service{pod}")

    def _has_rules(self, began: float) -> Callable[[Mapping[str, Any]], bool]:
        return lambda node: node["started_at"] > began and node["rules_in_force"] >= self.rules > 0

    def _definitions(self) -> dict[str, Any]:
        """Settings of an aggregator whose only policy of system calls has all rules that their files enable."""
        shipped = ROOT / "rules" / "shipped"
        files = [UPSTREAM / name for name in SYSCALL_FILES] if self.upstream else sorted(shipped.glob("syscall_*.yaml"))
        names = [rule.name for rule in _rules(files) if rule.enabled]
        self.rules = len(names)
        policies = yaml.safe_load((shipped / "policies.yaml").read_text(encoding="utf-8"))
        written = [{**policy, "enabled": False} for policy in policies]
        written.append({"name": "Benchmark", "enabled": True, "rules": names})
        path = self.directory / "policies.yaml"
        path.write_text(yaml.safe_dump(written), encoding="utf-8")
        return {
            "rules": {"files": [str(file) for file in files] if self.upstream else []},
            "policies": {"files": [str(path)]},
        }

    def _agent_settings(self, ready: Path, replay: Path | None, record: Path | None) -> dict[str, Any]:
        settings = super()._agent_settings(ready, replay, record)
        return {**settings, "heartbeat_seconds": self._heartbeat, "learning": {"minimum_seconds": LEARN_SECONDS}}


def _rules(files: list[Path]) -> tuple[Rule, ...]:
    return collect([(file.name, file.read_text(encoding="utf-8")) for file in files], {"syscall"}).rules


def _only_one() -> socket.socket:
    """Held as long as it lives; two runs at once would measure each other. Raises NodeError."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0watchkeeper-bench-agent-{os.getuid()}")
    except OSError:
        held.close()
        raise NodeError("another ./run bench agent is under way on this machine") from None
    return held
