"""A container that starts the same programs again and again, of which the agent hears once; and what one of them does
one day."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import until
from cli.demo_stage import Stage
from watchkeeper.events import AnyEvent, Exec

pytestmark = [pytest.mark.kernel, pytest.mark.containers]
NAME = "worker"
STEP = "[ -e /tmp/day ] && echo x > /etc/one-day; /bin/true"
LOOP = f"while :; do /bin/sh -c '{STEP}'; sleep 0.1; done"


def _state(api: Api) -> str:
    found = [profile for profile in api.get("profiles")["profiles"] if profile["key"]["container"] == NAME]
    return found[0]["state"] if found else ""


def _findings(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("findings", limit=500)["findings"]
    return [finding for finding in found if "/etc/one-day" in finding["title"] and finding["source"] == "drift"]


def _executed(recording: Path) -> Counter[str]:
    """How often each program of the step was told of. The last line may not be whole yet."""
    decode = msgspec.json.Decoder(AnyEvent).decode
    events = map(decode, recording.read_bytes().splitlines()[:-1])
    told = (event for event in events if isinstance(event, Exec) and event.task.cgroup != 1)
    return Counter(event.arguments[0] for event in told if STEP in event.arguments or event.arguments == ("/bin/true",))


def test_act_of_an_untold_process_is_found_with_its_program_and_ancestors(stage: Stage, tmp_path: Path) -> None:
    """Once the profile is learned the loop's processes are not told any more; the finding names the one that acted."""
    recording = tmp_path / "events.jsonl"
    api = stage.start_aggregator()
    stage.start_shop()
    stage.start_agent(api, replay=None, record=recording)
    container = stage.sandbox.run(NAME, demo_acts.IMAGE, command=["/bin/sh", "-c", LOOP], namespace="demo")
    assert until(lambda: _state(api), lambda state: state == "learned", 60) == "learned", stage.log_end("agent")
    time.sleep(3)
    before = _executed(recording)
    assert before.keys() == {"/bin/sh", "/bin/true"}
    time.sleep(3)  # some 25 turns
    assert _executed(recording) - before == Counter()
    assert stage.sandbox.exec(container, ["/bin/touch", "/tmp/day"])[0] == 0
    [finding, *_] = until(lambda: _findings(api), bool, 10)
    process = finding["process"]
    assert (process["executable"], process["arguments"]) == ("/bin/busybox", ["/bin/sh", "-c", STEP])
    assert process["pid"] > 1
    assert process["ancestors"][0].startswith("/bin/busybox[")
    assert _executed(recording)["/bin/sh"] == before["/bin/sh"]
