"""What the kernel need not tell again, and what each of it means to a profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from agent.probe.source import Ticket
from watchkeeper.findings import Behaviour, ProfileKey

Subject = tuple[ProfileKey, tuple[Behaviour, ...]]


class Memory(Protocol):
    """What is asked of the source of events: see ``agent.probe.source.Source``."""

    def settle(self, ticket: Ticket, subject: int = 0, by_object: bool = False) -> None: ...

    def remember(self) -> None: ...

    def forget(self) -> None: ...

    def forget_behaviours(self, cgroup: int) -> None: ...

    def seen(self) -> Iterable[int]: ...


class Remembered:
    """Numbers the subjects by which the kernel tells what was seen again; 0 stands for what belongs to no profile."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._numbers: dict[Subject, int] = {}

    def settle(self, ticket: Ticket | None, key: ProfileKey | None = None, of: tuple[Behaviour, ...] = ()) -> None:
        """Nothing is to be reported of the ticket's behaviour, which shows ``of`` in the profile of that key."""
        if ticket is None:
            return
        if key is None or not of:
            self._memory.settle(ticket)
            return
        number = self._numbers.setdefault((key, of), len(self._numbers) + 1)
        self._memory.settle(ticket, number)

    def settle_by_rules(self, ticket: Ticket | None, by_object: bool) -> None:
        """No rule in force matches the ticket's behaviour; ``by_object``: nor however its object is called."""
        if ticket is not None:
            self._memory.settle(ticket, by_object=by_object)

    def remember(self) -> None:
        """What was settled is stored durably: the kernel may end it from now on."""
        self._memory.remember()

    def forget(self) -> None:
        """Rules or profiles changed: everything is to be judged again."""
        self._numbers.clear()
        self._memory.forget()

    def forget_cgroup(self, cgroup: int) -> None:
        """The cgroup's container is another one than was thought."""
        self._memory.forget_behaviours(cgroup)

    def seen(self) -> Iterator[Subject]:
        """What profiles know that occurred again since the last call."""
        subjects = list(self._numbers)
        for number in self._memory.seen():
            if number <= len(subjects):
                yield subjects[number - 1]
