"""The agent on a full disk: it lives, counts and reports what it had to discard, and works again when there is room."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli import demo_acts
from cli.api import Api
from cli.demo import Arrivals, learn, until
from cli.demo_stage import NODE, Stage

if TYPE_CHECKING:
    from conftest import Writes

DISCARDED = "Records were discarded: the spool is full or can not be written"

pytestmark = [pytest.mark.kernel, pytest.mark.containers]


@pytest.fixture
def small(stage: Stage) -> Iterator[Stage]:
    """A stage whose agent keeps its state on a file system of 3 MiB."""
    state = stage.directory / "agent"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "watchkeeper-test", str(state)], check=True)
    try:
        yield stage
    finally:
        stage.kill("agent")
        subprocess.run(["umount", str(state)], check=True)


def _fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    continue
            except OSError as error:
                assert error.errno == errno.ENOSPC


def _node(api: Api) -> dict[str, Any]:
    node: dict[str, Any] = api.get(f"nodes/{NODE}")
    return node


def _titles(api: Api) -> set[str]:
    """Of the findings about the agent itself."""
    findings = api.get("findings", limit=500)["findings"]
    return {finding["title"] for finding in findings if finding["source"] == "health"}


def test_full_disk_is_survived_counted_and_reported(small: Stage, thousand_writes: Writes) -> None:
    """With the aggregator away and no room for 1,000 findings, what is lost shows in the node's report afterwards."""
    api = small.start_aggregator()
    small.start_shop()
    small.start_agent(api, replay=None, record=None)
    small.run_shop()
    learn(small, api, print)
    pid = small.pid("agent")
    small.kill("aggregator")
    filler = small.directory / "agent" / "filler"
    _fill(filler)
    demo_acts.visit(small.shop_port, thousand_writes.injection)
    time.sleep(2)
    assert Path(f"/proc/{pid}").exists()
    api = small.start_aggregator()
    assert until(lambda: _node(api)["discarded"].get("finding", 0) > 0, bool, 30), _node(api)
    filler.unlink()
    arrivals = Arrivals(api)
    act = demo_acts.acts(small.listen_port, small.out_port)[3]
    demo_acts.visit(small.shop_port, f"x; {act.injection}")
    assert arrivals.wait_for(act, 20) is not None
    assert DISCARDED in until(lambda: _titles(api), lambda titles: DISCARDED in titles, 10)
