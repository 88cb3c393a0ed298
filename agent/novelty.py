"""What was new to the kernel, by container: totals since the agent's start that outlive cgroups and containers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent.probe.source import NoveltyCounters
from watchkeeper import wire
from watchkeeper.findings import Container
from watchkeeper.v1 import uplink_pb2 as pb

MOST_OWNERS = 256  # told apart; beyond, those quiet for longest are summed as others
MOST_MESSAGES = 50  # of one heartbeat

Find = Callable[[int], Container | None]


@dataclass(frozen=True, slots=True)
class Counts:
    """As in ``NoveltyCounters``; ``withheld`` is part of ``dropped``, ``unlisted`` of ``submitted``."""

    submitted: int = 0
    dropped: int = 0
    withheld: int = 0
    unlisted: int = 0
    expired: int = 0
    evicted: int = 0

    @property
    def new(self) -> int:
        return self.submitted + self.dropped

    def plus(self, other: Counts) -> Counts:
        return Counts(*(mine + others for mine, others in zip(self._each(), other._each(), strict=True)))

    def since(self, before: Counts) -> Counts:
        """What was gained; counts that fell began anew."""
        gained = tuple(mine - others for mine, others in zip(self._each(), before._each(), strict=True))
        return self if min(gained) < 0 else Counts(*gained)

    def _each(self) -> tuple[int, ...]:
        return self.submitted, self.dropped, self.withheld, self.unlisted, self.expired, self.evicted


@dataclass(frozen=True, slots=True)
class Novelty:
    """What one owner showed, by event class. ``whose``: container, host (all its cgroups together), or others."""

    whose: str
    container: Container | None
    classes: Mapping[str, Counts]

    @property
    def total(self) -> Counts:
        return total(self.classes.values())

    @property
    def key(self) -> str:
        """Tells owners apart."""
        return self.container.id if self.container else self.whose


@dataclass(slots=True)
class _Owner:
    container: Container | None
    classes: dict[str, Counts] = field(default_factory=dict)

    def add(self, event_class: str, counts: Counts) -> None:
        self.classes[event_class] = self.classes.get(event_class, Counts()).plus(counts)


class Novelties:
    """``find`` tells which container a cgroup belongs to, None: the host's."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._last: dict[tuple[int, str], Counts] = {}
        self._host = _Owner(None)
        self._others = _Owner(None)
        self._owners: OrderedDict[str, _Owner] = OrderedDict()  # by container id, quiet for longest first

    def take(self, reading: Iterable[NoveltyCounters]) -> None:
        """All of them, as the source tells them now."""
        last, self._last = self._last, {}
        for each in reading:
            counts = Counts(each.submitted, each.dropped, each.withheld, each.unlisted, each.expired, each.evicted)
            at = each.cgroup, each.event_class
            self._last[at] = counts
            gained = counts.since(last[at]) if at in last else counts
            if gained != Counts():
                self._owner(each.cgroup).add(each.event_class, gained)
        while len(self._owners) > MOST_OWNERS:
            _, quiet = self._owners.popitem(last=False)
            for event_class, counts in quiet.classes.items():
                self._others.add(event_class, counts)

    def each(self) -> list[Novelty]:
        """The host's, each container's and the others', where there are any."""
        owned = [("host", self._host), *(("container", owner) for owner in self._owners.values())]
        return [
            Novelty(whose, owner.container, dict(owner.classes))
            for whose, owner in [*owned, ("others", self._others)]
            if owner.classes
        ]

    def _owner(self, cgroup: int) -> _Owner:
        container = self._find(cgroup)
        if container is None:
            return self._host
        owner = self._owners.setdefault(container.id, _Owner(container))
        owner.container = container  # its name may have come meanwhile
        self._owners.move_to_end(container.id)
        return owner


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    found = Counts()
    for each in counts:
        found = found.plus(each)
    return found


def called(container: Container | None) -> str:
    """How titles name it: namespace/pod/name, what is known of that, else the beginning of its id."""
    if container is None:
        return "the host"
    name = container.name or container.id[:12]
    return "/".join(part for part in (container.pod_namespace, container.pod_name, name) if part)


def messages(novelties: Iterable[Novelty]) -> list[pb.NoveltyCounters]:
    """At most about MOST_MESSAGES: whole owners, those with most losses and novelty first, the rest as others."""
    ordered = sorted(novelties, key=_weight, reverse=True)
    rest = _Owner(None)
    told: list[pb.NoveltyCounters] = []
    for novelty in ordered:
        if novelty.whose != "others" and len(told) + len(novelty.classes) <= MOST_MESSAGES:
            told += _messages(novelty)
            continue
        for event_class, counts in novelty.classes.items():
            rest.add(event_class, counts)
    return told + _messages(Novelty("others", None, rest.classes))


def _weight(novelty: Novelty) -> tuple[bool, int, int]:
    counts = novelty.total
    return novelty.whose == "host", counts.dropped, counts.new


def _messages(novelty: Novelty) -> list[pb.NoveltyCounters]:
    container = novelty.container or Container("")
    return [
        pb.NoveltyCounters(
            whose=novelty.whose,
            container_id=wire.cut(container.id),
            container_name=wire.cut(container.name),
            pod_namespace=wire.cut(container.pod_namespace),
            pod_name=wire.cut(container.pod_name),
            event_class=wire.cut(event_class),
            submitted=counts.submitted,
            dropped=counts.dropped,
            withheld=counts.withheld,
            unlisted=counts.unlisted,
            expired=counts.expired,
            evicted=counts.evicted,
        )
        for event_class, counts in sorted(novelty.classes.items())
    ]
