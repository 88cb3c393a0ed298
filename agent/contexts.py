"""What processes are by the context that the kernel tells of them (bpf/contexts.h): heard once, of the first of a kind.

The kernel does not tell the forks and executions it knows, so this is where one finds what a process is that shows up
with something new. What is forgotten here the kernel must unlearn, so that it tells it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

CONTEXTS = 4_096

Process = TypeVar("Process")


@dataclass(frozen=True, slots=True)
class Lineage(Generic[Process]):
    """The first process of its context as it was then, and its ancestors, the parent first."""

    process: Process
    ancestors: tuple[Process, ...]


class Contexts(Generic[Process]):
    """Bounded; what was not asked for longest goes first. ``on_forgotten`` is called with each context that goes."""

    def __init__(self, most: int = CONTEXTS) -> None:
        self.on_forgotten: Callable[[bytes], None] = lambda _context: None
        self._most = most
        self._heard: OrderedDict[bytes, Lineage[Process]] = OrderedDict()

    def hear(self, context: bytes, process: Process, ancestors: tuple[Process, ...]) -> None:
        self._heard[context] = Lineage(process, ancestors)
        self._heard.move_to_end(context)
        if len(self._heard) > self._most:
            forgotten, _ = self._heard.popitem(last=False)
            self.on_forgotten(forgotten)

    def find(self, context: bytes) -> Lineage[Process] | None:
        found = self._heard.get(context)
        if found is not None:
            self._heard.move_to_end(context)
        return found

    def __len__(self) -> int:
        return len(self._heard)
