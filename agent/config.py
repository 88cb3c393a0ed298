"""The agent's configuration: every key, its default, and what is checked beyond its type.

Read with ``watchkeeper.settings.load``; the comment of a key is its documentation.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper import settings as configuration
from watchkeeper.settings import SettingsError

# A file name (the last part) without wildcards lets the kernel pick the reads that matter out of all reads.
SENSITIVE_PATHS = (
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "*/.ssh/id_rsa",
    "*/.ssh/id_ecdsa",
    "*/.ssh/id_ed25519",
    "*/.ssh/authorized_keys",
    "*/.aws/credentials",
    "*/.docker/config.json",
    "*/.kube/config",
    "*/secrets/kubernetes.io/serviceaccount/*token",
    "*/secrets/eks.amazonaws.com/serviceaccount/*token",
)


class UplinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Host and port of the aggregator's gRPC endpoint.
    address: str = "127.0.0.1:7443"
    # PEM file with the authority that signed the aggregator's certificate; empty: the system's authorities.
    ca_file: str = ""
    # This node's token; prefer token_file, which other users can not read from the environment.
    token: str = ""
    # File with this node's token, read again for every connection, so that it may be renewed in place.
    token_file: str = ""
    # PEM file with this node's certificate for mutual TLS, instead of a token.
    certificate_file: str = ""
    # PEM file with the key of certificate_file.
    key_file: str = ""
    # Name expected in the aggregator's certificate, if it is not the host of the address.
    server_name: str = ""


class ProbeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Bytes of the ring buffer for files, connections and system calls; a power of two from 64 KiB to 1 GiB.
    bulk_ring_bytes: int = 2 * 1024 * 1024
    # Bytes of the ring buffer for processes and containers; a power of two from 64 KiB to 1 GiB.
    critical_ring_bytes: int = 2 * 1024 * 1024
    # How many judged behaviours the kernel remembers, some 100 bytes each; a power of two from 1024 to 4194304. One
    # container may take a quarter.
    known_behaviours: int = 64 * 1024
    # Take events from this recording instead of the kernel.
    replay: str = ""
    # Write every event to this file, from which it can be replayed.
    record: str = ""


class ContainersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Sockets of the container runtimes to ask for names; those that do not exist are passed over.
    cri_sockets: tuple[str, ...] = ("/run/containerd/containerd.sock", "/run/crio/crio.sock")


class LearningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # A profile is learned no sooner than after so many seconds of watching its containers run.
    minimum_seconds: float = 3600.0
    # Time constant by which earlier novelty is forgotten: after so many seconds 37 % of it counts.
    decay_seconds: float = 900.0
    # A profile is learned when the novelty left is at most this many behaviours.
    threshold: float = 0.5
    # Learning ends after so many seconds of watching even if new behaviour still comes; 0: never.
    maximum_seconds: float = 0.0


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Bytes of records kept while the aggregator can not be reached; what does not fit is counted as discarded.
    maximum_bytes: int = 256 * 1024 * 1024


class DriftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Files whose reading is a behaviour. "*" matches anything, "/" too; the last part must have a plain end.
    sensitive_paths: tuple[str, ...] = SENSITIVE_PATHS


class RulesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Of the rules that one event matches tell only the first, in the order of the rule files, instead of all.
    first_match: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Name of this node; must be the one its token or certificate was made for. Empty: the host's name.
    node: str = ""
    # Name of the cluster; profiles are shared by its nodes.
    cluster: str = "default"
    # Directory for the spool and the profiles; made if missing, readable by its owner only.
    state_directory: str = "/var/lib/watchkeeper"
    # Seconds between two heartbeats, 1 to 300. After three silent ones the node counts as unwatched.
    heartbeat_seconds: int = 10
    # File that is touched when the agent captures, for a readiness probe; empty: none.
    ready_file: str = ""
    uplink: UplinkSettings = UplinkSettings()
    probe: ProbeSettings = ProbeSettings()
    containers: ContainersSettings = ContainersSettings()
    learning: LearningSettings = LearningSettings()
    spool: SpoolSettings = SpoolSettings()
    drift: DriftSettings = DriftSettings()
    rules: RulesSettings = RulesSettings()


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read, check and complete the configuration; raises SettingsError."""
    return checked(configuration.load(Settings, path, environment))


def checked(settings: Settings) -> Settings:
    """``settings`` with the node's name filled in; SettingsError names the first key that is wrong and the remedy."""
    for key, right, remedy in _requirements(settings):
        if not right:
            raise SettingsError(f"{key}: {remedy}")
    return settings if settings.node else msgspec.structs.replace(settings, node=_hostname())


def sensitive_names(settings: Settings) -> tuple[str, ...]:
    """The last parts of the sensitive paths without leading wildcards: what the kernel compares file names with."""
    return tuple(sorted({path.rsplit("/", 1)[-1].lstrip("*") for path in settings.drift.sensitive_paths}))


def _requirements(settings: Settings) -> list[tuple[str, bool, str]]:
    uplink, probe, learning = settings.uplink, settings.probe, settings.learning
    host, _, port = uplink.address.rpartition(":")
    return [
        ("node", _is_name(settings.node or _hostname()), 'must be without spaces and "/"; set it to the node\'s name'),
        (
            "cluster",
            _is_name(settings.cluster),
            'must not be empty or hold spaces or "/"; set it to the cluster\'s name',
        ),
        ("state_directory", settings.state_directory.startswith("/"), "must be an absolute path"),
        ("heartbeat_seconds", 1 <= settings.heartbeat_seconds <= 300, "must be from 1 to 300; 10 suits most fleets"),
        ("uplink.address", bool(host) and port.isdigit(), 'must be "host:port", such as "watchkeeper:7443"'),
        ("uplink.token", not (uplink.token and uplink.token_file), "is set beside uplink.token_file; keep one of them"),
        (
            "uplink.key_file",
            bool(uplink.key_file) == bool(uplink.certificate_file),
            "and uplink.certificate_file belong together; set both or none",
        ),
        *(
            (f"probe.{key}", _is_ring(size), f"{size} is not a power of two from 65536 to 1073741824; 2097152 is usual")
            for key, size in (
                ("bulk_ring_bytes", probe.bulk_ring_bytes),
                ("critical_ring_bytes", probe.critical_ring_bytes),
            )
        ),
        (
            "probe.known_behaviours",
            _is_power(probe.known_behaviours, 1 << 10, 1 << 22),
            f"{probe.known_behaviours} is not a power of two from 1024 to 4194304; 65536 is usual",
        ),
        ("probe.record", not (probe.record and probe.replay), "is set beside probe.replay; keep one"),
        ("learning.minimum_seconds", learning.minimum_seconds >= 0, "must not be negative; 3600 is usual"),
        ("learning.decay_seconds", learning.decay_seconds > 0, "must be greater than 0; 900 is usual"),
        ("learning.threshold", learning.threshold > 0, "must be greater than 0, or learning never ends; 0.5 is usual"),
        (
            "learning.maximum_seconds",
            learning.maximum_seconds == 0 or learning.maximum_seconds >= learning.minimum_seconds,
            "must be 0 (without end) or at least learning.minimum_seconds",
        ),
        ("spool.maximum_bytes", settings.spool.maximum_bytes >= 1 << 20, "must be at least 1048576 (1 MiB)"),
        *(_sensitive(path) for path in settings.drift.sensitive_paths),
    ]


def _sensitive(path: str) -> tuple[str, bool, str]:
    name = path.rsplit("/", 1)[-1].lstrip("*")
    right = path.startswith(("/", "*")) and bool(name) and not set(name) & set("*?[")
    return "drift.sensitive_paths", right, f'"{path}" must begin with "/" or "*" and end with a plain file name'


def _is_ring(size: int) -> bool:
    return _is_power(size, 1 << 16, 1 << 30)


def _is_power(number: int, least: int, most: int) -> bool:
    return least <= number <= most and number & (number - 1) == 0


def _is_name(name: str) -> bool:
    return bool(name) and not any(character.isspace() or character == "/" for character in name)


def _hostname() -> str:
    return platform.node() or "localhost"
