"""Which containers a node's page tells of."""

from __future__ import annotations

from aggregator.api.models import NoveltyCounters
from aggregator.web.noise import MOST, Noisy, noisiest


def row(whose: str, name: str, event_class: str, *counts: int) -> NoveltyCounters:
    submitted, dropped, withheld, unlisted = counts
    return NoveltyCounters(
        whose=whose, container_id=f"id-{name}", container_name=name, pod_namespace="shop" if name else "",
        pod_name=name and f"{name}-1", event_class=event_class, submitted=submitted, dropped=dropped,
        withheld=withheld, unlisted=unlisted, expired=1, evicted=2,
    )  # fmt: skip


def test_only_losses_and_used_up_shares_are_noise() -> None:
    """Mere novelty is what the kernel is there to tell; classes of one container are summed, withheld come first."""
    assert noisiest([
        row("host", "", "exec", 900, 3, 0, 0), row("container", "web", "open", 9, 0, 0, 0),
        row("container", "job", "open", 50, 2, 2, 9), row("container", "job", "exec", 1, 0, 0, 0),
        row("others", "", "open", 70, 0, 0, 1),
    ]) == [
        Noisy("job", "shop/job-1", ["open", "exec"], 51, 2, 2, 9, 2, 4),
        Noisy("The host", "", ["exec"], 900, 3, 0, 0, 1, 2),
        Noisy("All others", "", ["open"], 70, 0, 0, 1, 1, 2),
    ]  # fmt: skip


def test_the_table_is_short() -> None:
    """An agent may send more rows than anybody reads."""
    assert len(noisiest(row("container", f"c{n}", "open", 1, n, n, 0) for n in range(1, 200))) == MOST
