"""The aggregator as a whole: starts, serves, tells what is wrong, and ends."""

from __future__ import annotations

import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import msgspec
import pytest

from aggregator.config import AlertsSettings, ApiSettings, IngestSettings, Settings
from aggregator.service import Service, ServiceError
from tests.rig_transport import finding, until

PROGRAM = (
    "import sys; from pathlib import Path; from aggregator.config import load_settings; "
    "from aggregator.service import main; sys.exit(main(load_settings(Path(sys.argv[1]), {})))"
)


def _settings(directory: Path, **api: object) -> Settings:
    return Settings(
        state_directory=directory / "state",
        ingest=IngestSettings(listen="127.0.0.1:0"),
        api=ApiSettings(**({"listen": "127.0.0.1:0"} | api)),  # type: ignore[arg-type]
    )


async def test_everything_serves_inside_the_context(tmp_path: Path) -> None:
    """Ready at once, the token opens the API, checks were judged; afterwards nothing listens."""
    async with Service(_settings(tmp_path)) as service:
        async with httpx.AsyncClient(base_url=service.url) as client:
            assert (await client.get("/readyz")).status_code == 200
            headers = {"authorization": f"Bearer {service.token}"}
            report = (await client.get("/api/v1/controls", headers=headers)).json()
        statuses = {control["status"] for family in report["families"] for control in family["controls"]}
        assert statuses == {"not_assessed"}
        address = service.url
    async with httpx.AsyncClient(base_url=address) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")


async def test_state_is_private_and_kept(tmp_path: Path) -> None:
    """The directory and its secrets are the owner's; a second start has the same token."""
    settings = _settings(tmp_path)
    async with Service(settings) as service:
        token = service.token
    async with Service(settings) as service:
        assert service.token == token
    directory = settings.state_directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {modes[name] for name in ("api-token", "session-key", "ca-key.pem", "server-key.pem")} == {0o600}


async def test_other_than_loopback_is_served_with_tls(tmp_path: Path) -> None:
    """On 0.0.0.0 plain HTTP gets nothing; with our authority trusted, HTTPS answers and the cookie is secure."""
    settings = _settings(tmp_path, listen="0.0.0.0:0")
    async with Service(settings) as service:
        assert service.url.startswith("https://")
        port = service.url.rpartition(":")[2]
        trust = ssl.create_default_context(cafile=settings.state_directory / "ca.pem")
        async with httpx.AsyncClient(verify=trust, base_url=f"https://localhost:{port}") as client:
            assert (await client.get("/healthz")).status_code == 200
            answer = await client.post("/login", data={"token": service.token})
            assert "secure" in answer.headers["set-cookie"].lower()
            assert answer.headers["strict-transport-security"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/healthz")


async def test_agents_need_a_credential(tmp_path: Path) -> None:
    """The ingest speaks TLS with our authority, and refuses who proves nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = Settings(tmp_path / "state", IngestSettings(address), ApiSettings("127.0.0.1:0"))
    async with Service(settings):
        authority = (settings.state_directory / "ca.pem").read_bytes()
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority)) as channel:
            stream = channel.stream_stream("/watchkeeper.v1.Uplink/Stream")()
            assert await stream.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_two_aggregators_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second one says why it does not start; the first goes on."""
    async with Service(_settings(tmp_path)) as first:
        with pytest.raises(ServiceError, match="in use by another aggregator"):
            await Service(_settings(tmp_path)).__aenter__()
        async with httpx.AsyncClient(base_url=first.url) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    return directory


@pytest.fixture
def config(tmp_path: Path, rules: Path) -> Path:
    path = tmp_path / "aggregator.yaml"
    path.write_text(
        f"state_directory: {tmp_path}/state\ningest: {{listen: '127.0.0.1:0'}}\napi: {{listen: '127.0.0.1:0'}}\n"
        f"rules: {{files: [{rules}]}}\n"
    )
    return path


def _refusal(config: Path) -> str:
    """What the program says when it does not start: one line and exit status 2."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, config], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("watchkeeper: ")]
    assert len(lines) == 1
    return lines[0]


def test_unusable_state_directory_is_named(config: Path, tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "state").write_text("")
    assert f"state_directory: {tmp_path}/state" in _refusal(config)


def test_damaged_store_is_named(config: Path, tmp_path: Path) -> None:
    """A store that is no database is not overwritten."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "store.sqlite").write_bytes(b"no database at all" * 1000)
    assert "store.sqlite" in _refusal(config)
    assert (tmp_path / "state" / "store.sqlite").read_bytes().startswith(b"no database")


@pytest.mark.parametrize("section", ["api", "ingest"])
def test_port_in_use_is_named(config: Path, section: str) -> None:
    """Either port, with the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config.write_text(
            config.read_text().replace(f"{section}: {{listen: '127.0.0.1:0'", f"{section}: {{listen: '{address}'")
        )
        assert address in _refusal(config)


@pytest.fixture
def running(config: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The program, with its address and token as it printed them."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    printed = [process.stdout.readline().split() for _ in range(4)]
    yield process, printed[1][-1], printed[2][-1]
    process.kill()
    process.communicate()


def test_a_hangup_reads_the_rules_again(running: tuple[subprocess.Popen[str], str, str], rules: Path) -> None:
    """A rule written into the configured directory is loaded, and a file with an error beside it is refused."""
    process, url, token = running
    headers = {"authorization": f"Bearer {token}"}

    def told() -> tuple[set[str], int]:
        answer = httpx.get(f"{url}/api/v1/rules", headers=headers).json()
        return {rule["name"] for rule in answer["rules"]}, len(answer["refused"])

    shipped, refused = told()
    assert shipped
    assert refused == 0
    rule = "- rule: Mine\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: NOTICE\n"
    for text, expected in ((rule, (shipped | {"Mine"}, 0)), (rule + "- rule: [", (shipped | {"Mine"}, 1))):
        (rules / "site.yaml").write_text(text)
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while told() != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        assert told() == expected


async def test_shipped_rules_and_policies_are_in_force(tmp_path: Path) -> None:
    """At the first start, without an error; what is loaded is sealed."""
    async with Service(_settings(tmp_path)) as service:
        current = service.definitions.current
        assert current.errors == frozenset()
        assert current.in_force
        assert current.set_for("any").policies
        headers = {"authorization": f"Bearer {service.token}"}
        async with httpx.AsyncClient(base_url=service.url, headers=headers) as client:
            sealed = (await client.get("/api/v1/evidence", params={"stream": "definitions"})).json()["evidence"]
    assert [link["kind"] for link in sealed] == ["files", "files"]


async def test_findings_are_told_outside(tmp_path: Path) -> None:
    """What an agent reports is in the alerts' file once it is committed."""
    alerts = tmp_path / "alerts.jsonl"
    settings = msgspec.structs.replace(_settings(tmp_path), alerts=AlertsSettings(file=str(alerts)))
    async with Service(settings) as service:
        service.alerts.offer(finding(7))
        await until(lambda: alerts.exists() and "finding 7" in alerts.read_text())
        async with httpx.AsyncClient(base_url=service.url) as client:
            text = (await client.get("/metrics", headers={"authorization": f"Bearer {service.token}"})).text
    assert 'watchkeeper_alerts_total{outcome="delivered",sink="file"} 1.0' in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_cleanly_with_streams_open(
    running: tuple[subprocess.Popen[str], str, str], number: signal.Signals, tmp_path: Path
) -> None:
    """Asked to end while a browser listens: the stream ends, status 0, no traceback, and the store is whole."""
    process, url, token = running
    headers = {"authorization": f"Bearer {token}"}
    with httpx.stream("GET", f"{url}/api/v1/events", headers=headers, timeout=30) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        process.send_signal(number)
        assert [line for line in lines if line.startswith("data:")] == []
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in errors
    database = sqlite3.connect(tmp_path / "state" / "store.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
