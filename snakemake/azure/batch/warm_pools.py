"""Pools that stay after their run, for the next one that wants such a pool.

Such a pool is named after the digest of its definition, so that runs which want the same look in the same place. One
run at a time has it: who that is stands in the pool's metadata, which changes only on the condition that nobody has
changed the pool meanwhile. A run that has ended leaves a time there instead, until which the pool's formula keeps the
nodes; one that died is over when the lease in the formula is. Where a pool is another run's, there is a second of the
kind, a third.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import INTERVALS, Size, formula, held_until
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchPool

PREFIX = "snakemake-warm-"
RUN, KEPT = "snakemake-run", "snakemake-kept-until"
MOST_OF_A_KIND = 100
GRACE = timedelta(minutes=2)
"""After the end of a lease: the client's clock and the service's need not agree to the second."""

FORGOTTEN = timedelta(days=1)
"""After which a kept pool without nodes is deleted by whoever comes by."""


def is_warm(pool_id: str) -> bool:
    return pool_id.lower().startswith(PREFIX)


def kept_until(pool: "BatchPool") -> datetime | None:
    """Until when a pool's nodes stay that no run has now; None for one that a run has, or that is no such pool."""
    until = _metadata(pool).get(KEPT) if is_warm(pool.id or "") else None
    return datetime.fromisoformat(until) if until else None


@dataclass(frozen=True)
class Claimed:
    """A pool that a run has from now on: `nodes` are there, or coming; `made` says that it is to be made."""

    plan: PoolPlan
    nodes: int = 0
    made: bool = False


class WarmPools:
    """The kept pools of an account. run: the id of the run that asks; metadata: what its pools say of it; keep: for how
    long a pool stays; now: the service's clock (UTC)."""

    def __init__(
        self,
        batch: Batch,
        run: str,
        metadata: Callable[[], Sequence[tuple[str, str]]],
        keep: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._batch, self._run, self._metadata, self._keep, self._now = batch, run, metadata, keep, now

    @property
    def minutes(self) -> int:
        """For which pools are kept."""
        return int(self._keep.total_seconds() // 60)

    def names(self, plan: PoolPlan) -> Iterator[str]:
        for number in range(1, MOST_OF_A_KIND + 1):
            yield f"{PREFIX}{plan.made_of}{'-spot' if plan.buys_spot else ''}-{number}"

    def claim(
        self, plan: PoolPlan, noting: Callable[[str], None], noted_in_vain: Callable[[str], None]
    ) -> Claimed:
        """A pool for the plan: one that nobody has, else the name for a new one. `noting` is called with a name before
        anything is done about it, and `noted_in_vain` if it is somebody else's after all."""
        for name in self.names(plan):
            pool = self._find(name)
            if pool is None:
                noting(name)
                return Claimed(replace(plan, id=name), made=True)
            if not self._is_free(pool):
                continue
            noting(name)
            # What a repeated request finds changed may be its own doing.
            if self._take(pool) or self.is_mine(name):
                nodes = pool.target_low_priority_nodes if plan.buys_spot else pool.target_dedicated_nodes
                return Claimed(replace(plan, id=name), nodes or 0)
            noted_in_vain(name)
        raise BatchError(f"There are {MOST_OF_A_KIND} pools like {plan.id}, and all are in use.")

    def is_mine(self, pool_id: str) -> bool:
        """Whether the pool is there, and this run's: of two that make one at once, the service takes the first."""
        pool = self._find(pool_id)
        return pool is not None and _metadata(pool).get(RUN) == self._run

    def release(self, pool_id: str, size: Size) -> bool:
        """Keeps the pool with these nodes for the next run. False for one that is not this run's, or not there.

        Raises
        ------
        BatchError: not now; again later.
        """
        if not self.is_mine(pool_id):
            return False
        until = self._now() + self._keep
        answer = self._batch.scale_pool(pool_id, formula(size, until), INTERVALS[0])
        if answer == "gone":
            return False
        pool = self._find(pool_id)
        if pool is None:
            return False
        if answer == "too early":
            held = held_until(pool.auto_scale_formula)
            if held is None or held < until:
                raise BatchError(
                    f"The pool {pool_id} was given another size less than 30 seconds ago.", status=503
                )
        kept = {name: value for name, value in _metadata(pool).items() if name != RUN}
        return self._write(pool, kept | {KEPT: f"{until:%Y-%m-%dT%H:%M:%SZ}"})

    def delete_forgotten(self) -> list[str]:
        """Deletes kept pools that have had no nodes for long; their names."""
        deleted = []
        for pool in self._batch.list_pools():
            until = kept_until(pool)
            if until is None or lower(pool.state) != "active" or until + FORGOTTEN >= self._now():
                continue
            if self._batch.delete_unchanged(pool):
                deleted.append(pool.id)
        return deleted

    def _find(self, pool_id: str) -> "BatchPool | None":
        try:
            return self._batch.get_pool(pool_id)
        except BatchError as e:
            if e.status == 404:
                return None
            raise

    def _is_free(self, pool: "BatchPool") -> bool:
        """Nobody has it. A client that lives renews its lease long before that ends."""
        if lower(pool.state) != "active":
            return False
        metadata = _metadata(pool)
        if RUN not in metadata:
            return True
        until = held_until(pool.auto_scale_formula)
        return until is not None and until + GRACE < self._now()

    def _take(self, pool: "BatchPool") -> bool:
        """False if somebody was faster."""
        kept = {name: value for name, value in _metadata(pool).items() if name != KEPT}
        return self._write(pool, kept | dict(self._metadata()))

    def _write(self, pool: "BatchPool", metadata: dict[str, str]) -> bool:
        return self._batch.set_metadata(pool, metadata)


def _metadata(pool: "BatchPool") -> dict[str, str]:
    return {item.name: item.value for item in pool.metadata or []}
