"""How a run comes by its pools, and what becomes of them: made and deleted, or taken from an earlier run and kept for
another one (`snakemake.azure.batch.warm_pools`); sized by the client, or by the service
(`snakemake.azure.batch.autoscale`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from snakemake.azure.batch.autoscale import AutoScale, leased
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import PoolLeases, Size
from snakemake.azure.batch.pools import PoolError, PoolPlan
from snakemake.azure.batch.warm_pools import WarmPools, is_warm
from snakemake.azure.report.journal import Journal


@dataclass
class PoolMaker:
    """For one run, whose id is `run` and whose pools say `metadata` of it. now: the service's clock (UTC). `noting` is
    called before a pool is made or taken, and `noted_in_vain` when it is another run's after all. autoscale: by what
    the service sizes the pools, if it does; keep: for how long pools stay after the run, if they do; leave: leaves one
    with nodes that are kept for failed tasks, if it has such nodes.
    """

    run: str
    batch: Batch
    leases: PoolLeases
    metadata: Callable[[], Sequence[tuple[str, str]]]
    now: Callable[[], datetime]
    say: Callable[[str], None]
    wake: Callable[[], None]
    noting: Callable[[str], None]
    noted_in_vain: Callable[[str], None]
    autoscale: AutoScale | None = None
    keep: timedelta | None = None
    leave: Callable[[str], bool] = lambda pool_id: False
    journal: Journal = field(default_factory=Journal)
    client_id: str = ""
    """Of the identity that the tasks of pools made here have."""
    _kept: dict[str, Size] = field(default_factory=dict)

    @property
    def _warm(self) -> WarmPools | None:
        return WarmPools(self.batch, self.run, self.metadata, self.keep, self.now) if self.keep else None

    def open(self, plan: PoolPlan, nodes: int) -> PoolPlan:
        """A pool for the plan, with `nodes` to begin with; the plan with the pool's name."""
        if warm := self._warm:
            return self._take_or_make(warm, plan, nodes)
        self.noting(plan.id)
        self._make(plan, nodes)
        return plan

    def _take_or_make(self, warm: WarmPools, plan: PoolPlan, nodes: int) -> PoolPlan:
        for name in warm.delete_forgotten():
            self.say(f"Azure Batch: deleted the pool {name}, which nobody has taken for a day.")
        while True:
            claimed = warm.claim(plan, self.noting, self.noted_in_vain)
            if not claimed.made:
                self.take_over(claimed.plan, claimed.nodes)
                self.say(
                    f"Azure Batch: took the pool {claimed.plan.id}, which an earlier run has kept, with "
                    f"{claimed.nodes} nodes."
                )
                return claimed.plan
            self._make(claimed.plan, nodes)
            if warm.is_mine(claimed.plan.id):
                return claimed.plan
            self.leases.forget(claimed.plan.id)
            self.noted_in_vain(claimed.plan.id)

    def take_over(self, plan: PoolPlan, nodes: int) -> None:
        """Another run's pool of this size, which is sized as the run's own are from now on."""
        size = Size(0, nodes) if plan.buys_spot else Size(nodes)
        self.leases.take_over(
            plan.id, size, self._rule(plan, nodes), plan.vm_size, self.now(), scales=plan.scales
        )
        self.wake()

    def _rule(self, plan: PoolPlan, nodes: int) -> str:
        if self.autoscale is None:
            return ""
        return self.autoscale.rule(plan.tasks_per_node, plan.max_nodes, nodes, self.now(), plan.buys_spot)

    def _make(self, plan: PoolPlan, nodes: int) -> None:
        assert plan.os_image is not None
        if self.autoscale and self.autoscale.formula:
            nodes = 0
        rule, identities = self._rule(plan, nodes), plan.definition.identities
        size = Size(0, nodes) if plan.buys_spot else Size(nodes)
        first = self.leases.first(plan.id, size, self.now(), rule, plan.vm_size)
        named = replace(plan, metadata=tuple((dict(plan.metadata) | dict(self.metadata())).items()))
        client_id = self.batch.create_pool(named.options(first.formula, first.interval), identities)
        self.client_id = client_id if identities else ""
        size = first.size
        nodes = size.dedicated + size.spot
        self.journal.note("size", pool=plan.id, dedicated=size.dedicated, spot=size.spot)
        self._try_formula(plan.id, rule)
        kind = "Spot " if plan.buys_spot else ""
        sized = f"at most {plan.max_nodes} nodes, as the service sees fit" if rule else ""
        sized = sized or f"{nodes} of at most {plan.max_nodes} {kind}nodes"
        self.say(
            f"Azure Batch: created the pool {plan.id} ({plan.vm_size}, {plan.slots} task slots per node, "
            f"{sized}, {plan.os_image.offer} {plan.os_image.sku}, image {plan.image})."
        )

    def _try_formula(self, pool_id: str, rule: str) -> None:
        """Whether the service understands a formula, which it says of pools alone."""
        if rule and (problem := self.batch.try_formula(pool_id, leased(rule, self.now()))):
            raise PoolError(f"The service can't size pools by --az-batch-autoscale: {problem.rstrip('.')}.")

    def delete(self, pool_id: str) -> bool | None:
        """Deletes the pool, or keeps it for another run; whether there is one less. None where it is left to end by
        itself."""
        if self.leave(pool_id):
            return None
        size = self.leases.size(pool_id)
        if is_warm(pool_id) and (warm := self._warm):
            return self._release(warm, pool_id, size)
        self.leases.forget(pool_id)
        existed = self.batch.delete_pool(pool_id)
        self.journal.note("pool_gone", pool=pool_id, how="deleted")
        return existed

    def _release(self, warm: WarmPools, pool_id: str, size: Size | None) -> bool:
        """It is not deleted, so False. Its size is kept in mind for another attempt."""
        kept = self._kept.setdefault(pool_id, size or self._size_of(pool_id))
        self.leases.forget(pool_id)
        released = warm.release(pool_id, kept)
        self.journal.note("pool_gone", pool=pool_id, how="kept")
        if released:
            nodes = kept.dedicated + kept.spot
            self.say(f"Azure Batch: kept the pool {pool_id} with {nodes} nodes for {warm.minutes} minutes.")
        return False

    def _size_of(self, pool_id: str) -> Size:
        """Of a pool that the service has sized."""
        try:
            pool = self.batch.get_pool(pool_id)
        except BatchError as e:
            if e.status == 404:
                return Size(0)
            raise
        return Size(pool.target_dedicated_nodes or 0, pool.target_low_priority_nodes or 0)
