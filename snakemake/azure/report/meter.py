"""What a run has spent so far, while it goes on: the events of its journal, as they are noted.

It costs a few microseconds an event, and for an answer what is open, not what has been.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from snakemake.azure.batch.targets import Size
from snakemake.azure.report.node_times import LEAVING, NodeTime, NodeTimes


class Meter(NodeTimes):
    """`looked` tells when a pool was looked at last. `take` is for one thread at a time, all else for any."""

    def __init__(self, looked: Callable[[str], datetime | None] = lambda pool_id: None) -> None:
        super().__init__()
        self._looked = looked
        self._closed: dict[str, float] = defaultdict(float)

    def money(self, now: datetime) -> dict[str, float]:
        """By currency, at `now` by the clock of the events; of nodes that are there until now."""
        sums = defaultdict(float, self._closed)
        for node in list(self.open.values()):
            currency, cost = self._cost(node, now)
            sums[currency] += cost
        return dict(sums)

    def spent(self, now: datetime) -> float:
        """The same in one number, where there is one currency."""
        return sum(self.money(now).values())

    def seen(self, pool_id: str) -> tuple[Size, datetime | None]:
        """The nodes that are there and not on their way out, and when the pool was looked at."""
        there = [n for n in list(self.open.values()) if n.pool == pool_id and n.state not in LEAVING]
        spot = sum(node.spot for node in there)
        return Size(len(there) - spot, spot), self._looked(pool_id)

    @property
    def sources(self) -> list[str]:
        """Where the prices are from, with their date."""
        return sorted({pool.source for pool in list(self.pools.values())} - {""})

    def _close(self, node: NodeTime, end: datetime) -> None:
        super()._close(node, end)
        currency, cost = self._cost(node, end)
        self._closed[currency] += cost

    def _cost(self, node: NodeTime, end: datetime) -> tuple[str, float]:
        pool = self.pools.get(node.pool)
        if pool is None or not pool.own:
            return "", 0.0
        hours = max(0.0, (end - node.begin).total_seconds() / 3600)
        return pool.currency, hours * (pool.price_of(node.spot) or 0.0)
