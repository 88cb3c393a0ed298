"""A small fleet in a real store, as its agents would have reported it, and the application over it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from aggregator import rule_loader
from aggregator.alerts.outbox import Counters
from aggregator.api.app import create_app
from aggregator.authority import Authority
from aggregator.config import PopulationSettings, Settings
from aggregator.controls.catalogue import load
from aggregator.definition_files import DefinitionFiles
from aggregator.definitions import Definitions
from aggregator.evaluation import Evaluation
from aggregator.live import Live
from aggregator.records import (
    ClassCounters,
    EnforcedProfile,
    Gap,
    Knowledge,
    Node,
    NodeInventory,
    NoveltyCounters,
    Triage,
    TriageAction,
)
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread
from watchkeeper.findings import (
    Behaviour,
    BehaviourClass,
    Container,
    Finding,
    Process,
    ProfileEntry,
    ProfileKey,
    ProfileState,
    Severity,
    behaviours_hash,
)

TOKEN = "test-token"
NOW = 1_795_000_000.0
DAY = 86400.0
DRIFT = ("profiling_policy", "profiling_enabled")
HOSTILE = "<script>alert(1)</script>"

SHOP = ProfileKey("prod", "shop", "Deployment/web", "web", "sha256:" + "4f" * 32)
CART = ProfileKey("prod", "shop", "StatefulSet/cart-database", "postgres", "sha256:" + "9a" * 32)
LEARNED = [
    Behaviour(BehaviourClass.EXECUTED, "/bin/httpd", "/www/cgi-bin/lookup"),
    Behaviour(BehaviourClass.EXECUTED, "/www/cgi-bin/lookup", "/bin/date"),
    Behaviour(BehaviourClass.EXECUTED, "/www/cgi-bin/lookup", "/bin/wget"),
    Behaviour(BehaviourClass.WRITTEN, "/bin/date", "/var/log/shop.log"),
    Behaviour(BehaviourClass.LISTENING, "/bin/httpd", "tcp/8080"),
    Behaviour(BehaviourClass.OUTBOUND, "/bin/wget", "tcp/10.0.0.0/8:443"),
    Behaviour(BehaviourClass.CAPABILITY, "/bin/httpd", "CAP_NET_BIND_SERVICE"),
]
WEB = Container(
    "c0ffee" * 10 + "abcd", "web", "containerd", "registry.example/shop/web:2.4.1", SHOP.image_digest,
    "web-6d4cf56db6-x2x9k", "shop", "0c8f", (("app", "shop"), ("pod-template-hash", "6d4cf56db6")),
    NOW - 2 * DAY, "container", "Deployment/web",
)  # fmt: skip


def process(executable: str, *arguments: str) -> Process:
    ancestors = ("/bin/sh[811]", "/www/cgi-bin/lookup[810]", "/bin/httpd[790]")
    return Process(812, executable, arguments, "/www/cgi-bin", 0, -1, "", ancestors, "child")


def drift(number: int, severity: Severity, behaviour: Behaviour, title: str, at: float, **changes: object) -> Finding:
    values: dict[str, object] = {
        "id": f"{number:032x}", "node": "worker-1", "source": "drift", "title": title, "severity": severity,
        "fingerprint": f"{number:064x}", "occurred_at": at, "detected_at": at + 0.01, "profile": SHOP,
        "behaviour": behaviour, "container": WEB, "process": process(behaviour.process, behaviour.process, "-c", "id"),
    }  # fmt: skip
    return Finding(**(values | changes))  # type: ignore[arg-type]


RULES = """
- list: shells
  items: [sh, bash]
- macro: opened_to_write
  condition: (evt.type in (open, openat, openat2) and evt.arg.flags contains O_WRONLY)
- rule: Write below etc
  desc: A file below /etc was opened to be written
  condition: opened_to_write and fd.name startswith /etc
  output: written %fd.name by %proc.name
  priority: ERROR
  tags: [filesystem]
- rule: Read sensitive file untrusted
  desc: A file with secrets was read
  condition: evt.type = openat and fd.name = /etc/shadow and not proc.name in (shells)
  output: read %fd.name by %proc.name
  priority: WARNING
"""
AUDIT_RULES = """
- rule: Anonymous Request Allowed
  desc: Nobody said who asks, and was let in
  condition: ka.user.name = system:anonymous
  output: allowed %ka.verb
  priority: WARNING
  source: k8s_audit
- rule: Attach/Exec Pod
  desc: Somebody entered a pod
  condition: ka.verb = create and ka.target.subresource in (exec, attach)
  output: entered %ka.target.name
  priority: NOTICE
  source: k8s_audit
"""
POLICIES = """
policies:
  - name: Files
    description: What must not be written or read
    enabled: true
    rules: [Write below etc, Read sensitive file untrusted]
  - name: Inadvised K8s User Activity
    description: Users act where they should not
    rules: [Anonymous Request Allowed]
    severity: high
  - name: Shop
    enabled: true
    scope: {clusters: [prod], namespaces: [shop, "team-*"], labels: {tier: front}}
    rules: [Attach/Exec Pod]
"""

FINDINGS = [
    drift(1, Severity.CRITICAL, Behaviour(BehaviourClass.EXECUTED, "/bin/sh", "/tmp/busybox-x"),
          "Program outside the profile: /tmp/busybox-x", NOW - 240),
    drift(2, Severity.HIGH, Behaviour(BehaviourClass.SENSITIVE_READ, "/bin/sh", "/etc/shadow"),
          "Sensitive file read: /etc/shadow", NOW - 180),
    drift(3, Severity.HIGH, Behaviour(BehaviourClass.LISTENING, "/bin/httpd", "tcp/4444"),
          "New listening port: tcp/4444", NOW - 120),
    drift(4, Severity.MEDIUM, Behaviour(BehaviourClass.WRITTEN, "/bin/sh", "/etc/crontab"),
          "File written outside the profile: /etc/crontab", NOW - 60),
    drift(5, Severity.LOW, Behaviour(BehaviourClass.OUTBOUND, "/bin/wget", "tcp/203.0.113.7:8443"),
          f"New outbound peer in {HOSTILE}", NOW - 3 * DAY,
          container=Container("bad0" * 16, HOSTILE, "containerd", f"img{HOSTILE}", kind="container"),
          node="worker-2", process=process("/bin/wget", "wget", HOSTILE), fields=(("note", HOSTILE),)),
]  # fmt: skip


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Fleet:
    """``pushed``: the profiles that nodes would have been sent."""

    app: FastAPI
    store: StoreThread
    evaluation: Evaluation
    definitions: Definitions
    live: Live
    clock: Clock
    settings: Settings
    pushed: list[ProfileKey] = field(default_factory=list)

    def client(self, token: str = TOKEN) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://aggregator", headers=headers)


def define(directory: Path) -> DefinitionFiles:
    """Rules and policies as if they were shipped."""
    directory.mkdir()
    for name, text in (("rules.yaml", RULES), ("audit.yaml", AUDIT_RULES), ("policies.yaml", POLICIES)):
        (directory / name).write_text(text)
    return DefinitionFiles(shipped=directory)


def seed(store: SqliteStore, evaluation: Evaluation, clock: Clock, detection: str = "") -> None:
    """Two days of a fleet: two nodes that report, one silent; a learned and a learning profile; findings.
    ``detection``: hash of the rules that the first node runs."""
    hashed = behaviours_hash(set(LEARNED))
    enforced = EnforcedProfile(SHOP, ProfileState.LEARNED, hashed, 2, True)
    counters = (
        ClassCounters("exec", 48213, 40112, 8101, 0, 8101, 0, 39004),
        ClassCounters("open", 20481733, 20401221, 80512, 0, 80512, 0, 20330118),
        ClassCounters("listen", 14, 2, 12, 0, 12, 0, 0),
        ClassCounters("connect", 91834, 90011, 1823, 0, 1823, 0, 88240),
    )
    lost = (ClassCounters("open", 9214, 100, 8900, 214, 8680, 6, 60),)
    noisy = (
        NoveltyCounters("host", "", "", "", "", "exec", 41, 0, 0, 0, 0, 0),
        NoveltyCounters("container", "bad0" * 16, HOSTILE, "shop", "bad-1", "open", 8012, 213, 210, 4096, 3, 17),
        NoveltyCounters("container", WEB.id, "web", "shop", WEB.pod_name, "open", 740, 1, 0, 0, 2, 0),
        NoveltyCounters("container", WEB.id, "web", "shop", WEB.pod_name, "exec", 38, 0, 0, 0, 0, 0),
        NoveltyCounters("others", "", "", "", "", "open", 107, 0, 0, 0, 0, 0),
    )
    worker = Node(
        "worker-1", "prod", "0.1.0", "6.18.0-1-amd64", NOW - 9 * DAY, NOW - 4, 10, NOW - 2 * DAY, "attached", (),
        counters, "ab" * 32, 43 << 20, 611.4, 3, 40960, (), (enforced,), NOW - 30, 7, detection_hash=detection,
        rules_in_force=2, knowledge=Knowledge(12034, 65536, 7),
        last_gap=Gap(NOW - 2 * DAY - 0.4, NOW - 2 * DAY, "update"),
    )  # fmt: skip
    second = Node(
        "worker-2", "prod", "0.1.0", "6.18.0-1-amd64", NOW - 9 * DAY, NOW - 6, 10, NOW - DAY, "degraded",
        ("connect4",), lost, "ab" * 32, 47 << 20, 320.0, 0, 4096, (("profile_delta", 2),), (enforced,), NOW - 30, 4,
        detection_problems=("this kernel does not tell of openat2: too old",), novelty=noisy,
        knowledge=Knowledge(65536, 65536, 3),
    )  # fmt: skip
    silent = Node("worker-3", "prod", "0.1.0", "6.18.0-1-amd64", NOW - 9 * DAY, NOW - 3 * DAY, 10, NOW - 8 * DAY,
                  "attached", resident_bytes=40 << 20)  # fmt: skip
    for node in (worker, second, silent):
        store.enrol(node)
        store.heartbeat(node)
    with store.ingest() as batch:
        entries = [ProfileEntry(b, NOW - 9 * DAY, NOW - 600) for b in LEARNED]
        batch.profile_delta("worker-1", SHOP, ProfileState.LEARNED, 5 * DAY, entries, NOW - 8 * DAY)
        first = ProfileEntry(Behaviour(BehaviourClass.EXECUTED, "", "/usr/bin/postgres"), NOW - 900, NOW - 20)
        batch.profile_delta("worker-2", CART, ProfileState.LEARNING, 900, [first], NOW - 20)
        batch.inventory(NodeInventory("worker-1", NOW - 4, (WEB,)))
        batch.inventory(NodeInventory("worker-2", NOW - 6, ()))
        for finding in FINDINGS:
            batch.finding(finding, finding.occurred_at + DAY, DRIFT)
        batch.repeat(FINDINGS[1].id, 1203, NOW - 5)
    store.triage(FINDINGS[3].id, Triage(TriageAction.ACKNOWLEDGE, "admin", "change 4711 is rolled back", NOW - 30))
    evaluation.run(clock())


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    clock = Clock()
    store = StoreThread(SqliteStore(tmp_path / "store.sqlite", clock))
    nodes = ("worker-1", "worker-2", "worker-3", "worker-4")
    settings = Settings(state_directory=tmp_path, population=PopulationSettings(nodes))
    definitions = Definitions(store, define(tmp_path / "shipped"), rule_loader.make, clock)
    await definitions.start()
    evaluation = Evaluation(store.store, load(), nodes, detection=lambda: definitions.current)
    live = Live()
    pushed: list[ProfileKey] = []

    async def push(key: ProfileKey) -> None:
        pushed.append(key)

    async def evaluate() -> None:
        await store.call(lambda _: evaluation.run(clock()))

    app = create_app(
        store, evaluation, definitions, live, Authority(tmp_path), settings,
        token=TOKEN, session_key="test-key", push_profile=push, evaluate=evaluate,
        alerts=lambda: {"http": Counters(7, 1, 3)}, clock=clock,
    )  # fmt: skip
    hash = definitions.current.hash_for("prod")
    await store.call(lambda s: seed(s, evaluation, clock, hash))  # type: ignore[arg-type]
    yield Fleet(app, store, evaluation, definitions, live, clock, settings, pushed)
    live.close()
    store.close()


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with fleet.client() as client:
        yield client


@pytest.fixture
async def url(fleet: Fleet) -> AsyncIterator[str]:
    """The application on a real server on loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(fleet.app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    fleet.live.close()
    server.should_exit = True
    await serving
