"""What a run's nodes may cost (`--az-batch-max-cost`): how many may be asked for, and until when they hold without
their client. No I/O, no clock.

What the nodes have cost so far is taken off the amount. What is left has to pay for all nodes that are asked for, for
as long as they could cost something if the client were gone the next moment (`HOLD`): until their lease is over, until
the service has looked at that, and until they have left. So fewer and fewer nodes are asked for as the rest gets
smaller, and no lease ends later than the rest lasts. When the rest does not pay for one node of each pool that wants
some, the amount is reached, once and for all: nothing begins any more, and what runs comes to its end. That is all
that may cost more.

A node that was asked for and that no look has shown yet counts since the last look, or since it was asked for if that
is later: so the rest is never more than it looks. What a preempted node does not cost, it may cost any moment again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from snakemake.azure.batch.targets import NodePrices, Size

EVALUATED = timedelta(minutes=5)
"""How long it takes at most until the service notices the end of a lease.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling"""

LEAVES = timedelta(minutes=2)
"""What a node without a task takes to leave, and to be noticed, while it is paid for."""

SHORTEST = timedelta(seconds=90)
"""Of a lease: the service takes a renewal in 30 seconds."""

AFTER = EVALUATED + LEAVES
HOLD = SHORTEST + AFTER

MORE = 1.25
"""So many times as many nodes must be paid for again before a pool that had to shrink may grow: a node that is given up
and asked for again has to start anew."""


class Spending(Protocol):
    """What is known of the money, and of the nodes that looks have shown."""

    def spent(self, now: datetime) -> float:
        """By the nodes that were seen, those that start included, in the currency of the amount."""
        ...

    def seen(self, pool_id: str) -> tuple[Size, datetime | None]:
        """The nodes that are there and not on their way out, and when the pool was looked at."""
        ...


@dataclass(frozen=True)
class Asked:
    """A pool: the size that is wanted, the one that the service was given last and when, and prices of its nodes."""

    wanted: Size
    given: Size
    since: datetime
    prices: NodePrices


@dataclass(frozen=True)
class Allowed:
    """Sizes by the ids of pools, and the time that no lease may go beyond; None: the rest lasts for ever."""

    sizes: Mapping[str, Size]
    until: datetime | None = None


class Budget:
    """amount: money that all nodes of the run may cost; prices: of a node, by the name of its size; keeps: for how long
    nodes may stay after their last task, for people to look at. `is_reached` once nothing may begin any more."""

    def __init__(
        self,
        amount: float,
        prices: Callable[[str], NodePrices],
        spending: Spending,
        keeps: timedelta = timedelta(0),
    ) -> None:
        self.amount, self.prices, self.spending = amount, prices, spending
        self._after, self.hold = AFTER + keeps, HOLD + keeps
        self.is_reached = False
        self._cut: dict[str, int] = {}

    def left(self, pools: Mapping[str, Asked], now: datetime) -> float:
        """Money, at least so much."""
        unseen = sum(self._unseen(pool_id, asked, now) for pool_id, asked in pools.items())
        return self.amount - self.spending.spent(now) - unseen

    def allow(self, pools: Mapping[str, Asked], now: datetime) -> Allowed:
        """What may be asked for at `now`, of all pools that there are."""
        left = self.left(pools, now)
        rate = left / _hours(self.hold)
        sizes = None if self.is_reached else self._share(pools, rate)
        if sizes is None:
            self.is_reached = True
            return Allowed(dict.fromkeys(pools, Size(0)), now)
        cost = sum(asked.prices.of_size(sizes[pool_id]) for pool_id, asked in pools.items())
        return Allowed(sizes, _later(now, left / cost, self._after) if cost > 0 else None)

    def pays_for(self, price: float) -> bool:
        """Whether the amount is enough to begin with one node that costs so much an hour."""
        return self.amount >= price * _hours(self.hold)

    def _unseen(self, pool_id: str, asked: Asked, now: datetime) -> float:
        seen, looked = self.spending.seen(pool_id)
        since = max(asked.since, looked) if looked else asked.since
        missing = Size(max(0, asked.given.dedicated - seen.dedicated), max(0, asked.given.spot - seen.spot))
        return asked.prices.of_size(missing) * max(0.0, _hours(now - since))

    def _share(self, pools: Mapping[str, Asked], rate: float) -> dict[str, Size] | None:
        """Sizes that cost no more than `rate` an hour; None where that is not enough for one node of each pool."""
        wanted = sum(asked.prices.of_size(asked.wanted) for asked in pools.values())
        if wanted <= rate:
            share = 1.0
        else:
            least = sum(asked.prices.of_size(_one(asked)) for asked in pools.values())
            if least > rate:
                return None
            share = (rate - least) / (wanted - least)
        return {pool_id: self._cut_to(pool_id, asked, share) for pool_id, asked in pools.items()}

    def _cut_to(self, pool_id: str, asked: Asked, share: float) -> Size:
        """One node, and this share of the others that are wanted."""
        wanted, one = asked.wanted, _one(asked)
        size = Size(
            one.dedicated + int((wanted.dedicated - one.dedicated) * share),
            one.spot + int((wanted.spot - one.spot) * share),
        )
        before, number = self._cut.get(pool_id), size.dedicated + size.spot
        if before is not None and before < number < MORE * before + 1:
            spot = min(size.spot, before)
            return Size(min(size.dedicated, before - spot), spot)
        if share < 1.0:
            self._cut[pool_id] = number
        else:
            self._cut.pop(pool_id, None)
        return size


def _one(asked: Asked) -> Size:
    """One node of those that are wanted, of the cheaper kind; none where none is."""
    if asked.wanted.spot:
        return Size(0, 1)
    return Size(min(1, asked.wanted.dedicated))


def _hours(time: timedelta) -> float:
    return time.total_seconds() / 3600


def _later(now: datetime, hours: float, after: timedelta) -> datetime | None:
    """When so much time is over, but for what comes after a lease; None for a time beyond the calendar's."""
    try:
        return now + timedelta(hours=hours) - after
    except OverflowError:
        return None
