"""Findings between two writes to the spool, and those about the agent itself for as long as the spool refuses them."""

from __future__ import annotations

from typing import Protocol

from watchkeeper import wire
from watchkeeper.findings import Finding, FindingRepeat

MOST_KEPT = 200  # about the agent itself

Noun = Finding | FindingRepeat


class Append(Protocol):
    """agent.spool.Spool.append_many; ``again``: what is not kept is tried again, so it is not discarded."""

    def __call__(self, records: list[tuple[str, bytes]], *, again: bool = False) -> list[bool]: ...


class Outbox:
    """A finding that the spool refuses is told in full when it happens again. That something was lost does not happen
    again, so findings about the agent itself stay here until they are kept; after ``retry`` they are tried again, and
    not with each write, since on a full disk trying costs more than writing."""

    def __init__(self) -> None:
        self._own: list[Noun] = []
        self._others: list[Noun] = []
        self._is_refused = False

    def put(self, noun: Noun) -> None:
        (self._own if self._is_own(noun) else self._others).append(noun)

    def retry(self) -> None:
        """What was refused is due with the next write."""
        self._is_refused = False

    def write(self, append: Append) -> list[str]:
        """Put what is due into the spool; the ids of findings that were lost."""
        beyond, self._own = self._own[MOST_KEPT:], self._own[:MOST_KEPT]
        others, self._others = self._others, []
        if not self._is_refused:
            self._own = _refused(self._own, append, again=True)
            self._is_refused = bool(self._own)
        lost = _refused(beyond + others, append)
        return [noun.id for noun in lost if isinstance(noun, Finding)]

    def _is_own(self, noun: Noun) -> bool:
        if isinstance(noun, Finding):
            return noun.source == "health"
        return any(noun.id == waiting.id for waiting in self._own)


def _refused(nouns: list[Noun], append: Append, *, again: bool = False) -> list[Noun]:
    if not nouns:
        return []
    kept = append([wire.pack(noun) for noun in nouns], again=again)
    return [noun for noun, is_kept in zip(nouns, kept, strict=True) if not is_kept]
