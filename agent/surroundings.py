"""What rules may ask about that is not in the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rules.sources.activity import Accounts, Domains
from watchkeeper.findings import Container


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``accounts`` gives the names of users in a container (None: on the host) as a process of it, by its id, has
    them. ``domain_changes``: how often a domain name came to stand for other addresses."""

    node: str
    accounts: Callable[[Container | None, int], Accounts]
    domains: Domains
    domain_changes: Callable[[], int] = lambda: 0


def unknown(node: str) -> Surroundings:
    """Of a recording: the machine is not there any more to be asked. Root is root everywhere."""
    nobody = _Unknown()
    return Surroundings(node, lambda _container, _pid: nobody, nobody)


class _Unknown:
    def user(self, uid: int) -> str:
        return "root" if uid == 0 else ""

    def home(self, uid: int) -> str:
        return "/root" if uid == 0 else ""

    def shell(self, uid: int) -> str:
        return ""

    def group(self, gid: int) -> str:
        return "root" if gid == 0 else ""

    def addresses(self, name: str) -> frozenset[str]:
        return frozenset()

    def name_of(self, address: str) -> str:
        return ""
