"""Which containers of a node burdened the kernel's memory or the ring: a table of its page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aggregator.api.models import NoveltyCounters

MOST = 20


@dataclass(slots=True)
class Noisy:
    """One container, the host or all others; ``classes`` as the agent told them."""

    name: str
    where: str
    classes: list[str]
    submitted: int = 0
    dropped: int = 0
    withheld: int = 0
    unlisted: int = 0
    expired: int = 0
    evicted: int = 0


def noisiest(counters: Iterable[NoveltyCounters]) -> list[Noisy]:
    """Those with events dropped, or that found no place in their share: the most withheld first, MOST of them."""
    found: dict[tuple[str, str], Noisy] = {}
    for each in counters:
        noisy = found.setdefault((each.whose, each.container_id), Noisy(_name(each), _where(each), []))
        noisy.classes.append(each.event_class)
        noisy.submitted += each.submitted
        noisy.dropped += each.dropped
        noisy.withheld += each.withheld
        noisy.unlisted += each.unlisted
        noisy.expired += each.expired
        noisy.evicted += each.evicted
    loud = [noisy for noisy in found.values() if noisy.dropped or noisy.unlisted]
    return sorted(loud, key=lambda noisy: (noisy.withheld, noisy.dropped, noisy.unlisted), reverse=True)[:MOST]


def _name(counters: NoveltyCounters) -> str:
    if counters.whose == "container":
        return counters.container_name or counters.container_id[:12]
    return "All others" if counters.whose == "others" else "The host"


def _where(counters: NoveltyCounters) -> str:
    return "/".join(part for part in (counters.pod_namespace, counters.pod_name) if part)
