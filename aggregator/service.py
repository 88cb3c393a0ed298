"""The aggregator as a whole: wires everything once, runs it, and takes it down in the reverse order.

settings -> authority -> store -> alerts -> rules and policies -> catalogue -> evaluation -> live ->
ingest (gRPC) -> API and dashboard (HTTP)
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from aggregator import ingest, rule_loader
from aggregator.alerts import alerts
from aggregator.alerts.sink import AlertsError
from aggregator.api import secrets
from aggregator.api.app import create_app
from aggregator.authority import Authority, AuthorityError
from aggregator.config import Settings, host_and_port, is_loopback
from aggregator.controls import catalogue
from aggregator.controls.catalogue import CatalogueError
from aggregator.definition_files import DefinitionFiles
from aggregator.definitions import Definitions
from aggregator.detection import Detection
from aggregator.evaluation import Evaluation
from aggregator.identity import Identity
from aggregator.ingest import IngestError, UplinkServicer
from aggregator.live import Live
from aggregator.store.protocol import StoreError
from aggregator.store.sqlite import SqliteStore
from aggregator.store.thread import StoreThread

log = logging.getLogger(__name__)

STORE_FILE = "store.sqlite"
LOCK_FILE = "lock"

_AFTER_NEWS = 0.2  # seconds between two evaluations that news asked for
_GRACE = 1.0  # seconds that requests and streams have to end


class ServiceError(Exception):
    """The aggregator can not start; the message says why and what helps."""


class Service:
    """An async context: inside it everything serves. ``clock`` gives unix seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.token = ""
        self.live = Live()
        self._clock = clock
        self._news = asyncio.Event()
        self._parts = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._host, self._port = host_and_port(settings.api.listen)
        # Whoever can listen on the network could read the token, so only loopback may do without.
        self.tls = settings.api.tls or not is_loopback(self._host)

    @property
    def url(self) -> str:
        """Of API and dashboard."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self.tls else 'http'}://{host}:{self._port}"

    async def __aenter__(self) -> Service:
        try:
            async with AsyncExitStack() as parts:
                await self._start(parts)
                self._parts = parts.pop_all()
        except (AlertsError, AuthorityError, CatalogueError, IngestError, StoreError) as error:
            raise ServiceError(str(error)) from error
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._parts.aclose()

    async def ended(self) -> None:
        """Returns, or raises what was wrong, when a part ended by itself; that is never right."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _start(self, parts: AsyncExitStack) -> None:
        directory = self.settings.state_directory
        parts.enter_context(_held(self.settings))
        authority = Authority(directory)
        self.token = secrets.kept_secret(directory / secrets.TOKEN_FILE)
        self._store = StoreThread(SqliteStore(directory / STORE_FILE, self._clock))
        parts.callback(self._store.close)
        self.alerts = alerts.configured(self.settings.alerts)
        files = DefinitionFiles(self.settings.rules.files, self.settings.policies.files)
        self.definitions = Definitions(self._store, files, rule_loader.make, self._clock, self._redefined)
        self._evaluation = Evaluation(
            self._store.store, catalogue.load(), self.settings.population.nodes, detection=self._detection
        )
        self._servicer = UplinkServicer(
            self._store,
            Identity(self._store),
            self.live,
            self.settings,
            self._news.set,
            self._clock,
            detection=self._detection,
            found=self.alerts.offer,
        )
        await self.definitions.start()
        await self._evaluate()
        await parts.enter_async_context(self._running(self.alerts.run()))
        await parts.enter_async_context(self._serving_agents(authority))
        await parts.enter_async_context(self._serving_people(authority))
        await parts.enter_async_context(self._running(self._evaluate_always()))
        await parts.enter_async_context(self._running(self.definitions.watch()))
        parts.callback(self.live.close)  # last in, so first out: event streams end before the server waits for them

    @asynccontextmanager
    async def _serving_agents(self, authority: Authority) -> AsyncIterator[None]:
        server = await ingest.serve(self.settings, self._servicer, authority)
        try:
            yield
        finally:
            await server.stop(_GRACE)
            await self._servicer.close()

    @asynccontextmanager
    async def _serving_people(self, authority: Authority) -> AsyncIterator[None]:
        listening = self._listening()
        self._port = listening.getsockname()[1]
        directory = self.settings.state_directory
        app = create_app(
            self._store,
            self._evaluation,
            self.definitions,
            self.live,
            authority,
            self.settings,
            token=self.token,
            session_key=secrets.kept_secret(directory / secrets.SESSION_KEY_FILE),
            tls=self.tls,
            push_profile=self._servicer.push_profile,
            evaluate=self._evaluate,
            alerts=lambda: self.alerts.counters,
            clock=self._clock,
        )
        if self.tls:
            authority.server_certificate(self.settings.ingest.server_names)
        server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(_GRACE),
                ssl_certfile=authority.server_certificate_path if self.tls else None,
                ssl_keyfile=authority.server_key_path if self.tls else None,
            )
        )
        async with self._running(server.serve(sockets=[listening])) as task:
            try:
                yield
            finally:
                server.should_exit = True
                await asyncio.wait([task])

    def _listening(self) -> socket.socket:
        try:
            family = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((self._host, self._port), family=family, backlog=512)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ServiceError(
                f"api.listen: {self.settings.api.listen}: {reason}. Choose another address, or end what uses it."
            ) from error

    @asynccontextmanager
    async def _running(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _evaluate_always(self) -> None:
        """Time alone changes statuses, and so does news."""
        while True:
            with contextlib.suppress(TimeoutError):
                # not wait_for, which in Python 3.11 forgets that it was cancelled when news comes at that moment
                async with asyncio.timeout(self.settings.evaluation.interval_seconds):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._evaluate()
            except StoreError as error:
                # A full disk must not take the ingest down, which refuses by itself; /readyz tells of it.
                log.error("the checks could not be judged: %s", error)
            await asyncio.sleep(_AFTER_NEWS)

    def _detection(self) -> Detection:
        return self.definitions.current

    def _redefined(self) -> None:
        """Other rules or policies are in force: nodes must run them, checks are judged by them."""
        self._servicer.push.detection_changed()
        self._news.set()

    async def _evaluate(self) -> None:
        changes = await self._store.call(lambda _store: self._evaluation.run(self._clock()))
        if changes.statuses:
            self.live.publish("status", {"subjects": list(changes.statuses)})
        for key in changes.profiles:
            await self._servicer.push_profile(key)


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's handlers would end only its own part."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT. 0: ended as asked; 1: a part failed; 2: could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return asyncio.run(_run(settings))
    except ServiceError as error:
        sys.stderr.write(f"watchkeeper: {error}\n")
        return 2


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Service(settings) as service:
        loop.add_signal_handler(signal.SIGHUP, service.definitions.look)
        _greet(service)
        asked, failed = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(service.ended())
        await asyncio.wait([asked, failed], return_when=asyncio.FIRST_COMPLETED)
        for task in (asked, failed):
            task.cancel()
        if stop.is_set():
            return 0
    log.error("a part of the aggregator ended by itself", exc_info=failed.exception() if failed.done() else None)
    return 1


def _greet(service: Service) -> None:
    settings = service.settings
    mutual = f", with certificates {settings.ingest.listen_mtls}" if settings.ingest.listen_mtls else ""
    sys.stdout.write(
        f"Agents report to   {settings.ingest.listen}{mutual}\n"
        f"Dashboard and API  {service.url}\n"
        f"Token              {service.token}\n"
        f"                   also in {settings.state_directory / secrets.TOKEN_FILE}\n"
    )
    sys.stdout.flush()


@contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """The state directory, made if missing, for this aggregator alone."""
    directory = settings.state_directory
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServiceError(
            f"state_directory: {directory}: {error.strerror}. Name a directory this user may write to."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ServiceError(
            f"state_directory: {directory} is in use by another aggregator. End that one, or name another directory."
        ) from error
    finally:
        os.close(descriptor)
