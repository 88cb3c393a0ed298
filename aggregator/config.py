"""The aggregator's configuration: every key, its default, and what is checked beyond its type.

Read with ``load_settings``; the comment of a key is its documentation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from rules.rule import Priority
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


class RulesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Rule files, or directories of them, loaded after the shipped ones, which they may change; followed while running.
    files: tuple[Path, ...] = ()


class PoliciesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Policy files, or directories of them; a policy replaces the shipped one of its name; followed while running.
    files: tuple[Path, ...] = ()


class AlertsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Tell each finding on standard output in Falco's JSON form, one a line.
    stdout: bool = False
    # Append each finding to this file in Falco's JSON form, one a line; opened anew when it is rotated; empty: none.
    file: str = ""
    # Post each finding in Falco's JSON form to this URL, such as that of Falcosidekick; empty: none.
    http_url: str = ""
    # File with headers for these requests, one "Name: value" a line, such as a token; read again when they are denied.
    http_headers_file: str = ""
    # PEM file with the authority that signed the receiver's certificate; empty: the system's authorities.
    http_ca_file: str = ""
    # Seconds in which the receiver must answer.
    http_timeout_seconds: float = 10.0
    # Requests under way at once.
    http_concurrency: int = 4
    # Lowest priority that is told: emergency, alert, critical, error, warning, notice, informational, debug.
    minimum_priority: str = "debug"
    # Alerts that wait for each of the outputs; what comes when there is no room is dropped and counted.
    queue: int = 10_000
    # Seconds after which an alert that can not be delivered is given up and counted.
    give_up_seconds: float = 3600.0


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
    alerts: AlertsSettings = AlertsSettings()
    rules: RulesSettings = RulesSettings()
    policies: PoliciesSettings = PoliciesSettings()


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
    yield from _alerts_requirements(settings.alerts)


def _alerts_requirements(alerts: AlertsSettings) -> Iterable[tuple[str, bool, str]]:
    for key in ("file", "http_headers_file", "http_ca_file"):
        path = getattr(alerts, key)
        yield f"alerts.{key}", not path or Path(path).is_absolute(), f'"{path}" must be an absolute path or empty'
    scheme, host = _scheme_and_host(alerts.http_url)
    usable = not alerts.http_url or (scheme in ("http", "https") and bool(host))
    yield "alerts.http_url", usable, "must be an http or https URL, or empty"
    # What the headers hold would be read on the way.
    safe = not alerts.http_headers_file or not alerts.http_url or scheme == "https" or is_loopback(host)
    yield "alerts.http_headers_file", safe, "needs an https URL"
    yield "alerts.http_timeout_seconds", 0 < alerts.http_timeout_seconds <= 300, "must be more than 0 and at most 300"
    yield "alerts.http_concurrency", 1 <= alerts.http_concurrency <= 64, "must be from 1 to 64"
    known = alerts.minimum_priority.upper() in Priority.__members__
    yield "alerts.minimum_priority", known, f'"{alerts.minimum_priority}" is no priority'
    yield "alerts.queue", 1 <= alerts.queue <= 1_000_000, "must be from 1 to 1000000"
    yield "alerts.give_up_seconds", alerts.give_up_seconds > 0, "must be greater than 0"


def _scheme_and_host(text: str) -> tuple[str, str]:
    """Both empty for what is no URL."""
    try:
        url = urlsplit(text)
        return (url.scheme, url.hostname or "") if text.isprintable() and url.port != 0 else ("", "")
    except ValueError:
        return "", ""


def _is_address(listen: str) -> bool:
    try:
        host_and_port(listen)
    except ValueError:
        return False
    return True
