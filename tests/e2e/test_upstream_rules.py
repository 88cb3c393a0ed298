"""Upstream's syscall rules, unmodified, on the real kernel and real containers: an act for each, and the rule fires."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.api import Api
from cli.demo_stage import Stage
from cli.requirements import missing_for_live_run
from tests.e2e.upstream import acts
from tests.e2e.upstream.acts import HOST, PLAIN, PRIVILEGED, START, TERMINAL, Act

pytestmark = [pytest.mark.kernel, pytest.mark.containers]

HERE = Path(__file__).parent
UPSTREAM = HERE.parents[2] / "shared" / "falco" / "rules"
FILES = ("falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml")
IMAGE = "watchkeeper.local/actors:1"
PATIENCE = float(os.environ.get("WATCHKEEPER_TEST_PATIENCE", "20"))  # seconds


class Theatre:
    """The stage with its containers, and every rule hit so far by rule."""

    def __init__(self, stage: Stage, api: Api, directory: Path) -> None:
        self._stage = stage
        self._api = api
        self._directory = directory
        self._containers: dict[str, str] = {}

    def open(self) -> None:
        """Start the containers; that alone makes some rules fire."""
        program = _compiled(self._directory)
        files = {f"/actors/{name}": (program.read_bytes(), 0o755) for name in acts.NAMES}
        sandbox = self._stage.sandbox
        sandbox.build_image(IMAGE, {**acts.FILES, **files}, ["/bin/sleep", "86400"])
        self._containers[PLAIN] = sandbox.run("plain", IMAGE, pod="plain")
        self._containers[PRIVILEGED] = sandbox.run(
            "privileged", IMAGE, pod="privileged", privileged=True, mounts={"/mnt": "/etc"}
        )
        sandbox.run("terminal", IMAGE, pod="terminal", command=["/bin/sh"], tty=True)
        sandbox.run("visitor", IMAGE, pod="terminal", command=["/usr/bin/whoami"], tty=True)

    def play(self, act: Act) -> str:
        """Returns what the actor says of it."""
        if act.where == HOST:
            name = Path(act.command[0]).name
            copy = self._directory / name
            if not copy.exists():
                shutil.copy(self._directory / "actor", copy)
            return subprocess.run([copy, *act.command[1:]], check=False, capture_output=True, text=True).stdout
        if act.where in (PLAIN, PRIVILEGED):
            return self._stage.sandbox.exec(self._containers[act.where], act.command)[1].decode("utf-8", "replace")
        return ""

    def hits(self) -> dict[str, list[dict[str, Any]]]:
        """Rule -> the fields of each finding it made."""
        found: dict[str, list[dict[str, Any]]] = {}
        before: dict[str, float] = {}
        while True:
            page = self._api.get("findings", limit=500, **before)
            for finding in page["findings"]:
                if finding["source"] == "rule":
                    fields = {**finding["fields"], "container": finding["container"]}
                    found.setdefault(fields["rule"], []).append(fields)
            if page["next_before"] is None:
                return found
            before = {"before": page["next_before"]}


def _compiled(directory: Path) -> Path:
    program = directory / "actor"
    source = HERE / "upstream" / "actor.c"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    return program


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    if missing := missing_for_live_run():
        pytest.skip("; ".join(missing))
    if not UPSTREAM.is_dir():
        pytest.skip(f"upstream's rule files are not there: {UPSTREAM.name}")
    directory = tmp_path_factory.mktemp("upstream")
    policies = directory / "policies.yaml"
    names = [act.rule for act in (*acts.STABLE, *acts.FURTHER)]
    policies.write_text(yaml.safe_dump([{"name": "Upstream", "enabled": True, "rules": names}]))
    settings = {
        "rules": {"files": [str(UPSTREAM / name) for name in FILES]},
        "policies": {"files": [str(policies)]},
    }
    before = os.environ.get("KUBERNETES_SERVICE_HOST")
    os.environ["KUBERNETES_SERVICE_HOST"] = acts.API_SERVER
    with Stage(Path(f"/run/watchkeeper-upstream-{os.getpid()}"), patience=max(PATIENCE, 30.0)) as stage:
        api = stage.start_aggregator(settings)
        stage.start_shop()
        stage.start_agent(api, replay=None, record=None)
        _wait_for_rules(stage, api)
        theatre = Theatre(stage, api, directory)
        theatre.open()
        yield theatre
    if before is None:
        del os.environ["KUBERNETES_SERVICE_HOST"]
    else:
        os.environ["KUBERNETES_SERVICE_HOST"] = before


def _wait_for_rules(stage: Stage, api: Api) -> None:
    until = time.monotonic() + PATIENCE
    while not any(node["rules_in_force"] for node in api.get("nodes")["nodes"]):
        assert time.monotonic() < until, stage.log_end("agent")
        time.sleep(0.1)


@pytest.mark.parametrize("act", [*acts.STABLE, *acts.FURTHER], ids=lambda act: act.rule)
def test_upstream_rule_fires(theatre: Theatre, act: Act) -> None:
    """The rule as upstream wrote it fires for the act, with the right fields; a call the kernel does not have can not
    be made."""
    if act.call and f"{act.call}: -1 {os.strerror(errno.ENOSYS)}" in theatre.play(act):
        return
    theatre.play(act)
    until = time.monotonic() + PATIENCE
    closest: dict[str, object] = {}
    while time.monotonic() < until:
        for fields in theatre.hits().get(act.rule, []):
            told = json.loads(fields["output_fields"])
            closest = {name: told.get(name) for name in act.fields}
            in_container = (fields["container"] is None) == (act.where == HOST)
            if closest == dict(act.fields) and in_container:
                return
        time.sleep(0.2)
    pytest.fail(f"{act.rule}: {'told ' + str(closest) if closest else 'did not fire'}, expected {dict(act.fields)}")


def test_every_upstream_rule_has_an_act_or_a_reason() -> None:
    """No syscall rule of upstream's files is left out silently."""
    if not UPSTREAM.is_dir():
        pytest.skip(f"upstream's rule files are not there: {UPSTREAM.name}")
    names = {item["rule"] for file in FILES for item in yaml.safe_load((UPSTREAM / file).read_text()) if "rule" in item}
    played = {act.rule for act in (*acts.STABLE, *acts.FURTHER)}
    assert played | set(acts.UNREACHABLE) == names
    assert START in {act.where for act in acts.FURTHER} and TERMINAL in {act.where for act in acts.STABLE}
