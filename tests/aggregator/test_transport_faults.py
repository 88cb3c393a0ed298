"""Both sides as processes of their own, killed with kill -9: every finding is stored exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.spool import Spool
from aggregator.authority import Authority
from aggregator.identity import issue_token
from aggregator.store.sqlite import SqliteStore
from tests.rig_transport import finding, free_port
from watchkeeper import wire

AGGREGATOR = """
import asyncio, sys
from pathlib import Path
from tests.rig_transport import Aggregator

async def main():
    served = Aggregator(Path(sys.argv[1]), port=int(sys.argv[2]))
    await served.start()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

# Appends findings FIRST to LAST, a few at a time, and reports what is appended and what still waits.
AGENT = """
import asyncio, json, sys
from pathlib import Path
from agent.config import Settings, UplinkSettings
from tests.rig_transport import Agent

async def main():
    directory, uplink, first, last = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    settings = Settings(node="n1", cluster="c1", heartbeat_seconds=1, uplink=UplinkSettings(**uplink))
    async with Agent(settings, directory).running() as agent:
        for number in range(first, last + 1):
            agent.append(number)
            print("appended", number, flush=True)
            if number % 10 == 0:
                await asyncio.sleep(0.01)
        while True:
            print("waiting", agent.spool.records, flush=True)
            await asyncio.sleep(0.02)

asyncio.run(main())
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A child process that is killed with kill -9 at the end."""
    child = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout
        child.stdout.close()


def wait_for(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout
    for said in child.stdout:
        if said.strip() == line:
            return
    pytest.fail(f"the process ended before it said {line!r}")


def prepare(directory: Path, port: int) -> str:
    """The aggregator's state with a token for n1; the agent's uplink settings as JSON."""
    authority = Authority(directory)
    store = SqliteStore(directory / "store.sqlite")
    uplink: dict[str, Any] = {"address": f"127.0.0.1:{port}", "ca_file": str(authority.ca_path)}
    uplink["token"] = issue_token(store, "n1")
    store.close()
    return json.dumps(uplink)


def stored(directory: Path) -> list[tuple[str, int]]:
    """Title and count of each stored finding."""
    store = SqliteStore(directory / "store.sqlite")
    found = [(each.finding.title, each.count) for each in store.findings(limit=100_000)]
    store.close()
    return sorted(found)


def test_findings_survive_kill_9_of_both_sides(tmp_path: Path) -> None:
    """1,000 findings: the aggregator is killed amid them and away for a while, then the agent is killed, too."""
    state, spool, port = tmp_path / "g", tmp_path / "a", free_port()
    uplink = prepare(state, port)
    with running(AGENT, str(spool), uplink, "1", "1000") as agent:
        with running(AGGREGATOR, str(state), str(port)) as aggregator:
            wait_for(aggregator, "up")
            wait_for(agent, "appended 300")
        wait_for(agent, "appended 1000")
        time.sleep(2)
        with running(AGGREGATOR, str(state), str(port)) as aggregator:
            wait_for(aggregator, "up")
            agent.kill()
            agent.wait()
            with running(AGENT, str(spool), uplink, "1001", "1010") as again:
                wait_for(again, "waiting 0")
    assert stored(state) == sorted((f"finding {number}", 1) for number in range(1, 1011))


@pytest.mark.parametrize("moment", [50, 150, 400, 700])
def test_the_agent_is_killed_while_it_sends(tmp_path: Path, moment: int) -> None:
    """Whatever was sent, acknowledged or neither at that moment is stored once."""
    state, spool, port = tmp_path / "g", tmp_path / "a", free_port()
    uplink = prepare(state, port)
    with running(AGGREGATOR, str(state), str(port)) as aggregator:
        wait_for(aggregator, "up")
        with running(AGENT, str(spool), uplink, "1", "800") as agent:
            wait_for(agent, f"appended {moment}")
        left = Spool(spool, 1 << 26)
        appended = left.last_sequence
        left.close()
        assert appended >= moment
        with running(AGENT, str(spool), uplink, str(appended + 1), "800") as agent:
            wait_for(agent, "waiting 0")
    assert stored(state) == sorted((f"finding {number}", 1) for number in range(1, 801))


def test_the_aggregator_is_killed_again_and_again(tmp_path: Path) -> None:
    """Five kills while the agent sends: every finding is stored once, the agent needs no help."""
    state, spool, port = tmp_path / "g", tmp_path / "a", free_port()
    uplink = prepare(state, port)
    with running(AGENT, str(spool), uplink, "1", "1000") as agent:
        for moment in (100, 250, 400, 600, 900):
            with running(AGGREGATOR, str(state), str(port)) as aggregator:
                wait_for(aggregator, "up")
                wait_for(agent, f"appended {moment}")
        with running(AGGREGATOR, str(state), str(port)) as aggregator:
            wait_for(aggregator, "up")
            wait_for(agent, "waiting 0")
    assert stored(state) == sorted((f"finding {number}", 1) for number in range(1, 1001))


def test_a_spool_corrupted_during_an_outage_delivers_what_is_left(tmp_path: Path) -> None:
    """Records on whole pages arrive once, the loss is counted, the agent goes on."""
    state, spool, port = tmp_path / "g", tmp_path / "a", free_port()
    uplink = prepare(state, port)
    waiting = Spool(spool, 1 << 26)
    waiting.append_many([wire.pack(finding(number)) for number in range(1, 1001)])
    waiting.close()
    with (spool / "spool.sqlite").open("r+b") as file:
        file.seek(20 * 4096)
        file.write(bytes(4096))
    with running(AGGREGATOR, str(state), str(port)) as aggregator:
        wait_for(aggregator, "up")
        with running(AGENT, str(spool), uplink, "2001", "2001") as agent:
            wait_for(agent, "waiting 0")
    after = Spool(spool, 1 << 26)
    lost = after.discarded["corrupt"]
    after.close()
    titles = [title for title, count in stored(state) if count == 1]
    assert 0 < lost < 100
    assert len(titles) == len(set(titles)) == 1001 - lost
    assert "finding 2001" in titles
