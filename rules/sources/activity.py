"""One event of the syscall source with everything around it that rules may ask for. The agent makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from watchkeeper.events import Exec, Syscall
from watchkeeper.findings import Container


class Process(Protocol):
    """A process as the agent's table knows it (``agent.process.Known``): what its last exec, or its parent's, made
    it. ``name`` is the kernel's comm; ``started_at``: nanoseconds since 1970; times of the executable likewise, 0:
    unknown."""

    @property
    def pid(self) -> int: ...
    @property
    def parent_pid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def executable(self) -> str: ...
    @property
    def arguments(self) -> tuple[str, ...]: ...
    @property
    def working_directory(self) -> str: ...
    @property
    def environment(self) -> tuple[str, ...]: ...
    @property
    def tty_number(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def login_uid(self) -> int: ...
    @property
    def session(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def virtual_pid(self) -> int: ...
    @property
    def virtual_group(self) -> int: ...
    @property
    def virtual_session(self) -> int: ...
    @property
    def started_at(self) -> int: ...
    @property
    def inode(self) -> int: ...
    @property
    def changed_at(self) -> int: ...
    @property
    def modified_at(self) -> int: ...
    @property
    def upper_layer(self) -> bool: ...
    @property
    def lower_layer(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    @property
    def memfd(self) -> bool: ...
    @property
    def capabilities(self) -> tuple[int, int, int] | None:
        """Effective, permitted and inheritable ones since its last exec; None: unknown."""
        ...


class Accounts(Protocol):
    """Names of users and groups as the container (or the host) knows them; "" where it does not."""

    def user(self, uid: int) -> str: ...
    def home(self, uid: int) -> str: ...
    def shell(self, uid: int) -> str: ...
    def group(self, gid: int) -> str: ...


class Domains(Protocol):
    """Domain names and addresses. Never blocks: what is not known yet is asked for in the background."""

    def addresses(self, name: str) -> frozenset[str]:
        """The addresses the name stands for now; empty when unknown."""
        ...

    def name_of(self, address: str) -> str:
        """One of the names asked for whose address this is; ""."""
        ...


@dataclass(frozen=True, slots=True)
class Activity:
    """``number``: evt.num, from 1. ``process`` None: the process is not known (its exec was lost).

    ``ancestor(n)``: 1 is the parent. ``leader``: the leader of its session. ``container`` None: the host.
    """

    event: Exec | Syscall
    number: int
    process: Process | None
    ancestor: Callable[[int], Process | None]
    leader: Callable[[], Process | None]
    container: Container | None
    accounts: Accounts
    domains: Domains
    node: str
