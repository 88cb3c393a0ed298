"""Domain names and addresses, looked up beside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from agent import domains
from agent.domains import FRESH_SECONDS, Domains


class Resolver:
    """Answers from a table."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {"db.example": ["10.0.0.1", "10.0.0.2"]}
        self.asked: list[str] = []
        self.now = 0.0

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        if name not in self.table:
            raise OSError(f"no such name: {name}")
        return self.table[name]


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def names(resolver: Resolver) -> Iterator[Domains]:
    found = Domains(resolver, lambda: resolver.now, {})
    yield found
    found.close()


def _until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("the look-up did not end")


def test_the_first_question_starts_a_look_up(names: Domains, resolver: Resolver) -> None:
    """A name stands for nothing until it was looked up, then for all its addresses, and they for it."""
    assert names.addresses("db.example") == frozenset()
    _until(lambda: names.addresses("db.example") == {"10.0.0.1", "10.0.0.2"})
    assert names.name_of("10.0.0.2") == "db.example"
    assert names.name_of("10.0.0.3") == ""
    assert resolver.asked == ["db.example"]


def test_old_answers_are_renewed(names: Domains, resolver: Resolver) -> None:
    """An old answer still counts while the new one is looked up; then addresses that are gone have no name any more."""
    _until(lambda: bool(names.addresses("db.example")))
    resolver.table["db.example"] = ["10.0.0.9"]
    resolver.now = FRESH_SECONDS
    assert names.addresses("db.example") == {"10.0.0.1", "10.0.0.2"}
    _until(lambda: names.addresses("db.example") == {"10.0.0.9"})
    assert names.name_of("10.0.0.9") == "db.example"
    assert names.name_of("10.0.0.1") == ""
    assert resolver.asked == ["db.example", "db.example"]


def test_unknown_names_stand_for_nothing(names: Domains, resolver: Resolver) -> None:
    """A name nobody knows is asked for once, not for each event."""
    names.addresses("nowhere.example")
    _until(lambda: "nowhere.example" in resolver.asked)
    assert names.addresses("nowhere.example") == frozenset()
    assert resolver.asked == ["nowhere.example"]


def test_names_are_bounded(names: Domains, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many names no further one is looked up."""
    monkeypatch.setattr(domains, "MOST", 1)
    names.addresses("db.example")
    names.addresses("other.example")
    _until(lambda: bool(names.addresses("db.example")))
    assert resolver.asked == ["db.example"]


@pytest.mark.parametrize(
    "name",
    [
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "kubernetes.default.svc.corp.example.",
    ],
)
def test_the_api_server_is_known_from_the_environment(resolver: Resolver, name: str) -> None:
    """Its names need no look-up, so the very first connection to it is recognised."""
    names = Domains(resolver, lambda: 0.0, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert names.addresses(name) == {"10.96.0.1"}
    assert names.name_of("10.96.0.1") == "kubernetes.default.svc"
    assert names.addresses("kubernetes.default.evil.example") == frozenset()
    names.close()


def test_the_system_resolves() -> None:
    """The look-up itself is the system's."""
    assert "127.0.0.1" in domains.resolve("127.0.0.1")
