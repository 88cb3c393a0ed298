"""What the kernel need not tell again, and what each of it means to a profile.

Executions are looked at by profiles and by rules, and the kernel has one key for both: it need not tell one again when
both are content. All else is looked at by one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from agent.probe.source import Ticket
from watchkeeper.findings import Behaviour, ProfileKey

Subject = tuple[ProfileKey, tuple[Behaviour, ...]]

HALF_SETTLED = 4_096  # executions that one side has settled; beyond, they are judged again


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
        self._by_profile: dict[bytes, int] = {}
        self._by_rules: set[bytes] = set()

    def settle(self, ticket: Ticket | None, key: ProfileKey | None = None, of: tuple[Behaviour, ...] = ()) -> None:
        """Nothing is to be reported of the ticket's behaviour, which shows ``of`` in the profile of that key."""
        if ticket is None:
            return
        number = self._number_of(key, of) if key is not None and of else 0
        if ticket.event_class != "exec":
            self._memory.settle(ticket, number)
        elif ticket.key in self._by_rules:
            self._by_rules.discard(ticket.key)
            self._memory.settle(ticket, number)
        else:
            if len(self._by_profile) >= HALF_SETTLED:
                self._by_profile.clear()
            self._by_profile[ticket.key] = number

    def settle_by_rules(self, ticket: Ticket | None, by_object: bool) -> None:
        """No rule in force matches the ticket's behaviour; ``by_object``: nor however its object is called."""
        if ticket is None:
            return
        if ticket.event_class != "exec":
            self._memory.settle(ticket, by_object=by_object)
        elif (number := self._by_profile.pop(ticket.key, None)) is not None:
            self._memory.settle(ticket, number)
        else:
            if len(self._by_rules) >= HALF_SETTLED:
                self._by_rules.clear()
            self._by_rules.add(ticket.key)

    def _number_of(self, key: ProfileKey, of: tuple[Behaviour, ...]) -> int:
        return self._numbers.setdefault((key, of), len(self._numbers) + 1)

    def remember(self) -> None:
        """What was settled is stored durably: the kernel may end it from now on."""
        self._memory.remember()

    def forget(self) -> None:
        """Rules or profiles changed: everything is to be judged again."""
        self._numbers.clear()
        self._by_profile.clear()
        self._by_rules.clear()
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
