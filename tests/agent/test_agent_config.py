"""The agent's configuration: defaults, overrides, and errors that name key and remedy."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from agent.config import Settings, load, sensitive_names
from watchkeeper.settings import SettingsError


def test_defaults_are_complete_and_the_node_is_the_host() -> None:
    """Without any file the agent is configured, and named after the host."""
    settings = load(None, {})
    assert settings.node == platform.node()
    assert (settings.cluster, settings.heartbeat_seconds) == ("default", 10)


def test_environment_reaches_every_section() -> None:
    """Sections and lists can be given in the environment."""
    settings = load(None, {"WATCHKEEPER_LEARNING_MINIMUM_SECONDS": "6", "WATCHKEEPER_CONTAINERS_CRI_SOCKETS": "/a,/b"})
    assert settings.learning.minimum_seconds == 6
    assert settings.containers.cri_sockets == ("/a", "/b")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("node: 'a b'", "node"),
        ("cluster: ''", "cluster"),
        ("state_directory: here", "state_directory"),
        ("heartbeat_seconds: 0", "heartbeat_seconds"),
        ("uplink: {address: nowhere}", "uplink.address"),
        ("uplink: {token: a, token_file: /b}", "uplink.token"),
        ("uplink: {key_file: /b}", "uplink.key_file"),
        ("probe: {bulk_ring_bytes: 100000}", "probe.bulk_ring_bytes"),
        ("probe: {critical_ring_bytes: 32768}", "probe.critical_ring_bytes"),
        ("probe: {known_behaviours: 1000}", "probe.known_behaviours"),
        ("probe: {replay: /a, record: /b}", "probe.record"),
        ("learning: {decay_seconds: 0}", "learning.decay_seconds"),
        ("learning: {threshold: 0}", "learning.threshold"),
        ("learning: {minimum_seconds: 10, maximum_seconds: 5}", "learning.maximum_seconds"),
        ("spool: {maximum_bytes: 1}", "spool.maximum_bytes"),
        ("drift: {sensitive_paths: [/etc/*]}", "drift.sensitive_paths"),
        ("colour: blue", "colour"),
    ],
)
def test_wrong_value_names_its_key(tmp_path: Path, text: str, key: str) -> None:
    """Each wrong value is refused with the key in the message."""
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=key):
        load(path, {})


def test_kernel_compares_the_last_parts_of_sensitive_paths() -> None:
    """Each sensitive path gives the plain end of its file name."""
    names = sensitive_names(Settings())
    assert {"shadow", "token", "id_rsa"} <= set(names)
    assert not any("*" in name or "/" in name for name in names)
