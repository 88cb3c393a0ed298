"""Settings of the aggregator."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from aggregator.config import Settings, host_and_port, is_loopback, load_settings
from watchkeeper.settings import SettingsError


def test_defaults_bind_to_loopback() -> None:
    """Without a file nothing is reachable from outside."""
    settings = load_settings(None, {})
    assert settings == Settings()
    assert all(is_loopback(host_and_port(a)[0]) for a in (settings.api.listen, settings.ingest.listen))


def test_file_and_environment_are_laid_over_each_other(tmp_path: Path) -> None:
    """The environment wins over the file, lists are given with commas, paths become paths."""
    file = tmp_path / "aggregator.yaml"
    file.write_text("state_directory: /srv/a\napi: {listen: '127.0.0.1:1'}\ndeadlines: {high_hours: 2}\n")
    settings = load_settings(
        file,
        {
            "WATCHKEEPER_API_LISTEN": "[::1]:2",
            "WATCHKEEPER_POPULATION_NODES": "a, b",
            "WATCHKEEPER_RULES_FILES": "/a,/b",
        },
    )
    assert settings.state_directory == Path("/srv/a")
    assert settings.api.listen == "[::1]:2"
    assert settings.deadlines.high_hours == 2.0
    assert settings.population.nodes == ("a", "b")
    assert settings.rules.files == (Path("/a"), Path("/b"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("state_directory: relative", "state_directory"),
        ("state_directory: 7", "state_directory"),
        ("api: {listen: nowhere}", "api.listen"),
        ("api: {listen: 'a:99999'}", "api.listen"),
        ("ingest: {listen_mtls: '7443'}", "ingest.listen_mtls"),
        ("ingest: {server_names: []}", "ingest.server_names"),
        ("ingest: {maximum_message_bytes: 1}", "ingest.maximum_message_bytes"),
        ("deadlines: {low_hours: 0}", "deadlines.low_hours"),
        ("evaluation: {interval_seconds: 0}", "evaluation.interval_seconds"),
        ("alerts: {file: relative}", "alerts.file"),
        ("alerts: {http_url: 'ftp://example.com/'}", "alerts.http_url"),
        ("alerts: {http_url: 'https://[bad/'}", "alerts.http_url"),
        ("alerts: {http_url: 'http://example.com/', http_headers_file: /h}", "alerts.http_headers_file"),
        ("alerts: {http_ca_file: ca.pem}", "alerts.http_ca_file"),
        ("alerts: {http_timeout_seconds: 0}", "alerts.http_timeout_seconds"),
        ("alerts: {http_concurrency: 0}", "alerts.http_concurrency"),
        ("alerts: {minimum_priority: loud}", "alerts.minimum_priority"),
        ("alerts: {queue: 0}", "alerts.queue"),
        ("alerts: {give_up_seconds: 0}", "alerts.give_up_seconds"),
        ("rules: {files: 7}", "rules.files"),
        ("policies: {file: []}", "file"),
        ("unknown: 1", "unknown"),
        ("api: {lisen: x}", "lisen"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, key: str) -> None:
    """Each unusable value is an error that names its key."""
    file = tmp_path / "aggregator.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=key.replace(".", r"\.")):
        load_settings(file, {})


def test_every_key_has_a_comment() -> None:
    """The comment above a key is its documentation, so none may lack it."""
    import aggregator.config

    lines = Path(aggregator.config.__file__).read_text().splitlines()
    bare = []
    for struct in [Settings, *(type(getattr(Settings(), f.name)) for f in msgspec.structs.fields(Settings))]:
        if not issubclass(struct, msgspec.Struct):
            continue
        for field in msgspec.structs.fields(struct):
            if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
                continue
            at = next(i for i, line in enumerate(lines) if line.startswith(f"    {field.name}: "))
            if not lines[at - 1].strip().startswith("#"):
                bare.append(field.name)
    assert bare == []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("shop.example", False),
    ],
)
def test_loopback_is_told_from_the_world(host: str, loopback: bool) -> None:
    """Only addresses of this machine count as loopback; a name is not trusted to be one."""
    assert is_loopback(host) is loopback
