"""Novelty summed by container, and what of it goes into a heartbeat."""

from __future__ import annotations

from agent import novelty as module
from agent.novelty import MOST_MESSAGES, Counts, Novelties, Novelty, called, messages
from agent.probe.source import NoveltyCounters
from watchkeeper.findings import Container
from watchkeeper.v1 import uplink_pb2 as pb

HOST, WEB, INNER = 1, 7, 8
CONTAINER = Container("c" * 64, "web", pod_name="web-1", pod_namespace="shop")


def find(cgroup: int) -> Container | None:
    return CONTAINER if cgroup in (WEB, INNER) else None


def test_cgroups_of_a_container_are_summed_and_so_are_the_hosts() -> None:
    """One row for all of the host's cgroups, one for the container's own and those made in it."""
    novelties = Novelties(find)
    novelties.take([
        NoveltyCounters(HOST, "open", 1, 2, 3, 4, 5, 6), NoveltyCounters(2, "open", 1), NoveltyCounters(WEB, "open", 5),
        NoveltyCounters(INNER, "open", 7, 1, 1), NoveltyCounters(INNER, "exec", 2),
    ])  # fmt: skip
    assert novelties.each() == [
        Novelty("host", None, {"open": Counts(2, 2, 3, 4, 5, 6)}),
        Novelty("container", CONTAINER, {"open": Counts(12, 1, 1), "exec": Counts(2)}),
    ]


def test_totals_outlive_cgroups_and_counts_that_begin_anew() -> None:
    """A cgroup is told for the last time when it is gone; a share the kernel forgot counts from zero again."""
    novelties = Novelties(find)
    for reading in ([NoveltyCounters(WEB, "open", 5)], [NoveltyCounters(WEB, "open", 9)], [],
                    [NoveltyCounters(WEB, "open", 2, 1)], [NoveltyCounters(WEB, "open", 1, 1)]):  # fmt: skip
        novelties.take(reading)
    assert novelties.each() == [Novelty("container", CONTAINER, {"open": Counts(12, 2)})]


def test_a_name_that_comes_later_is_told() -> None:
    """The container is the same by its id."""
    names = {WEB: Container("c" * 64)}
    novelties = Novelties(names.get)
    novelties.take([NoveltyCounters(WEB, "open", 5)])
    names[WEB] = CONTAINER
    novelties.take([NoveltyCounters(WEB, "open", 6)])
    assert novelties.each() == [Novelty("container", CONTAINER, {"open": Counts(6)})]


def test_the_table_is_bounded_and_loses_no_count() -> None:
    """Ever new containers become others, those quiet for longest first."""
    novelties = Novelties(lambda cgroup: Container(f"{cgroup:064x}"))
    for cgroup in range(1, 1001):
        novelties.take([NoveltyCounters(1, "open", cgroup), NoveltyCounters(cgroup + 1, "exec", 3)])
    each = novelties.each()
    assert len(each) == module.MOST_OWNERS + 1
    assert sum(novelty.total.submitted for novelty in each) == 1000 + 3 * 1000
    assert [novelty.classes for novelty in each if novelty.key == f"{1:064x}"] == [{"open": Counts(1000)}]


def test_a_heartbeat_tells_the_host_and_those_with_most() -> None:
    """Losses before mere novelty; whoever does not fit is summed as others, with what was summed before."""
    each = [Novelty("container", Container(f"{n:064x}"), {"open": Counts(n), "exec": Counts(1)}) for n in range(100)]
    loser = Novelty("container", CONTAINER, {"open": Counts(1, 2, 3, 4, 5, 6)})
    host = Novelty("host", None, {"fork": Counts(1)})
    others = Novelty("others", None, {"open": Counts(1000)})
    told = messages([*each, loser, host, others])
    assert len(told) == MOST_MESSAGES + 2
    assert told[0] == pb.NoveltyCounters(whose="host", event_class="fork", submitted=1)
    assert told[1] == pb.NoveltyCounters(
        whose="container", container_id="c" * 64, container_name="web", pod_namespace="shop", pod_name="web-1",
        event_class="open", submitted=1, dropped=2, withheld=3, unlisted=4, expired=5, evicted=6,
    )  # fmt: skip
    assert told[2] == pb.NoveltyCounters(whose="container", container_id=f"{99:064x}", event_class="exec", submitted=1)
    assert told[-2:] == [
        pb.NoveltyCounters(whose="others", event_class="exec", submitted=76),
        pb.NoveltyCounters(whose="others", event_class="open", submitted=1000 + sum(range(76))),
    ]


def test_hostile_names_fit_into_a_message() -> None:
    """Bytes that are no UTF-8, and names without end."""
    container = Container("c" * 64, "\udcff", pod_name="x" * 10**6)
    [told] = messages([Novelty("container", container, {"open": Counts(1)})])
    assert (told.container_name, len(told.pod_name)) == ("\\udcff", module.wire.MAX_TEXT)


def test_names_are_as_full_as_they_are_known() -> None:
    """Pod and namespace where there are; the beginning of the id where there is no name."""
    assert [called(each) for each in (CONTAINER, Container("c" * 64, "web"), Container("c" * 64), None)] == [
        "shop/web-1/web", "web", "cccccccccccc", "the host",
    ]  # fmt: skip
