"""Which addresses a domain name stands for. Asking never waits: what is not known is looked up by a thread of its own.

Until the first answer a name stands for nothing, so the first connection to it may go by unnoticed. The API server's
own names need no look-up where Kubernetes tells its address in the environment.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

MOST = 1024  # names; they come from rules
MOST_ADDRESSES = 64  # of one name
FRESH_SECONDS = 60.0

_API_SERVER = "kubernetes.default"
_API_ADDRESS = "KUBERNETES_SERVICE_HOST"
_NONE: frozenset[str] = frozenset()

Resolve = Callable[[str], Iterable[str]]
"""The addresses of a name; raises OSError when there is none."""


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: frozenset[str]
    until: float


def resolve(name: str) -> list[str]:
    """By the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Domains:
    """``addresses`` and ``name_of`` may be asked by any thread. ``close`` ends the thread once its look-up is done.

    ``changes`` counts the look-ups that had another answer than the one before.
    """

    def __init__(
        self,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.changes = 0
        self._resolve = resolve
        self._clock = clock
        self._api_server = frozenset(filter(None, [environment.get(_API_ADDRESS, "")]))
        self._answers: dict[str, _Answer] = {}
        self._names: dict[str, str] = {}
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def addresses(self, name: str) -> frozenset[str]:
        """As of the last look-up, which is renewed when it is old."""
        if self._api_server and _is_api_server(name):
            return self._api_server
        answer = self._answers.get(name)
        if answer is None or self._clock() >= answer.until:
            self._ask(name)
        return answer.addresses if answer is not None else _NONE

    def name_of(self, address: str) -> str:
        if address in self._api_server:
            return f"{_API_SERVER}.svc"
        return self._names.get(address, "")

    def close(self) -> None:
        self._asked.put(None)

    def _ask(self, name: str) -> None:
        """Once for each name that is not answered yet, or not any more."""
        with self._lock:
            old = self._answers.get(name)
            if old is None and len(self._answers) >= MOST:
                return
            self._answers[name] = _Answer(old.addresses if old else _NONE, self._clock() + FRESH_SECONDS)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="domains", daemon=True)
                self._thread.start()
        self._asked.put(name)

    def _run(self) -> None:
        while (name := self._asked.get()) is not None:
            try:
                found = frozenset(sorted(self._resolve(name))[:MOST_ADDRESSES])
            except (OSError, UnicodeError):
                found = _NONE
            self._learn(name, found)

    def _learn(self, name: str, found: frozenset[str]) -> None:
        with self._lock:
            self.changes += self._answers[name].addresses != found
            for address in self._answers[name].addresses - found:
                if self._names.get(address) == name:
                    del self._names[address]
            self._names.update(dict.fromkeys(found, name))
            self._answers[name] = _Answer(found, self._clock() + FRESH_SECONDS)


def _is_api_server(name: str) -> bool:
    """kubernetes.default, and the longer forms with svc and any cluster's domain."""
    name = name.rstrip(".")
    return name == _API_SERVER or name == f"{_API_SERVER}.svc" or name.startswith(f"{_API_SERVER}.svc.")
