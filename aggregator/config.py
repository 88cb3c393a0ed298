"""The aggregator's configuration: every key, its default, and what is checked beyond its type.

Read with ``load_settings``; the comment of a key is its documentation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from watchkeeper import settings as configuration
from watchkeeper.settings import SettingsError


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Address on which agents report with a token (TLS with the aggregator's own authority). Port 0: any free one.
    listen: str = "127.0.0.1:7443"
    # Address on which agents report with a client certificate (mutual TLS); empty: none.
    listen_mtls: str = ""
    # Names and IP addresses the server's certificate is valid for, as agents and browsers use them.
    server_names: tuple[str, ...] = ("localhost", "127.0.0.1")
    # Largest message taken from an agent, in bytes.
    maximum_message_bytes: int = 4 * 1024 * 1024


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Address of API and dashboard. Other than loopback it is always served with TLS. Port 0: any free one.
    listen: str = "127.0.0.1:8080"
    # Serve HTTPS with the aggregator's own authority on loopback, too.
    tls: bool = False


class PopulationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Names of all nodes that must be watched. Empty: those that ever reported, so one that never came is not missed.
    nodes: tuple[str, ...] = ()


class DeadlinesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Hours within which a critical finding must be triaged; afterwards it is overdue and fails its checks.
    critical_hours: float = 24.0
    # The same for findings of high severity.
    high_hours: float = 24.0
    # The same for findings of medium severity.
    medium_hours: float = 7 * 24.0
    # The same for findings of low severity and information.
    low_hours: float = 30 * 24.0


class EvaluationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Seconds between two judgements of all checks; time alone makes observations stale.
    interval_seconds: float = 5.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Directory for the store, the authority and the API token; made if missing, readable by its owner only.
    state_directory: Path = Path("/var/lib/watchkeeper/aggregator")
    ingest: IngestSettings = IngestSettings()
    api: ApiSettings = ApiSettings()
    population: PopulationSettings = PopulationSettings()
    deadlines: DeadlinesSettings = DeadlinesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()


def load_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read and check the configuration; SettingsError names the first key that is wrong and the remedy."""
    settings = configuration.load(Settings, path, environment)
    for key, right, remedy in _requirements(settings):
        if not right:
            raise SettingsError(f"{key}: {remedy}")
    return settings


def host_and_port(listen: str) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 host may stand in brackets. ValueError when it is no address."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(listen)
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _requirements(settings: Settings) -> Iterable[tuple[str, bool, str]]:
    yield "state_directory", settings.state_directory.is_absolute(), "must be an absolute path"
    for key, listen in (("ingest.listen", settings.ingest.listen), ("api.listen", settings.api.listen)):
        yield key, _is_address(listen), f'"{listen}" must be "host:port", such as "127.0.0.1:8080"'
    mtls = settings.ingest.listen_mtls
    yield "ingest.listen_mtls", not mtls or _is_address(mtls), f'"{mtls}" must be "host:port" or empty'
    yield "ingest.server_names", bool(settings.ingest.server_names), "must name at least one host or address"
    size = settings.ingest.maximum_message_bytes
    yield "ingest.maximum_message_bytes", 1 << 16 <= size <= 1 << 30, "must be from 65536 to 1073741824"
    for field in msgspec.structs.fields(DeadlinesSettings):
        yield f"deadlines.{field.name}", getattr(settings.deadlines, field.name) > 0, "must be greater than 0"
    yield "evaluation.interval_seconds", settings.evaluation.interval_seconds >= 0.1, "must be at least 0.1"


def _is_address(listen: str) -> bool:
    try:
        host_and_port(listen)
    except ValueError:
        return False
    return True
