"""Pools and tasks that a run has taken over from another one: they are used, watched and sized as its own are, and a
pool that nobody needs goes when the tasks in it are over. How they are found is in `snakemake.azure.batch.recovery`.
"""

from collections.abc import Callable, Mapping, MutableMapping

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.monitor import Monitor
from snakemake.azure.batch.pool_making import PoolMaker
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.pool_sizes import PoolSizes
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.resources import JOB, POOL, Resources


class TakenOver:
    """`queues` are the run's, by the keys of places; those of tasks that were taken over are added to them. Whoever
    calls holds the run's lock."""

    def __init__(
        self,
        batch: Batch,
        queues: MutableMapping[str, PoolQueue],
        pools: PoolMaker,
        sizes: PoolSizes,
        resources: Resources,
        say: Callable[[str], None],
    ) -> None:
        self._batch, self._queues, self._pools, self._sizes = batch, queues, pools, sizes
        self._resources, self._say = resources, say
        self._plans: dict[str, PoolPlan] = {}

    @property
    def plans(self) -> tuple[PoolPlan, ...]:
        """Those of the pools."""
        return tuple(self._plans.values())

    def fitting(self, plan: PoolPlan) -> PoolPlan | None:
        """A pool in which jobs can run that the plan is meant for."""
        return next((there for there in self._plans.values() if plan.fits(there)), None)

    def add_pool(self, plan: PoolPlan, nodes: int) -> None:
        """Keeps the pool, and lets fitting jobs run in it. `nodes` is its size."""
        self._plans[plan.id] = plan
        self._pools.take_over(plan, nodes)
        self._resources.take_over(POOL, plan.id, lambda: self._pools.delete(plan.id))

    def add_tasks(self, job_id: str, pool_id: str, slots: Mapping[str, int]) -> PoolQueue:
        """Watches these tasks of a Batch job, by their ids, with the slots that each takes."""
        queue = PoolQueue(
            pool_id, job_id, Monitor(self._batch, job_id), self._plans.get(pool_id), taken_over=True
        )
        queue.open_slots.update(slots)
        queue.monitor.watch(slots)
        self._queues[f"job {job_id}"] = queue
        self._resources.take_over(JOB, job_id, lambda: self._batch.delete_job(job_id))
        for task_id, taken in slots.items():
            self._sizes.scaling.added(pool_id, task_id, taken)
        self._sizes.grow(queue)
        return queue

    def retire(self, queue: PoolQueue) -> None:
        """Deletes a pool that was taken over when its tasks are over and no job of this run goes there."""
        pool_id = queue.pool_id
        plan = self._plans.get(pool_id)
        if plan is None or self._is_needed(plan):
            return
        for made in [m for m in self._resources.of_kind(POOL) if m.name == pool_id]:
            try:
                made.delete()
            except WorkflowError:
                return  # at the end, then
            self._resources.remove(made)
            del self._plans[pool_id]
            self._say(f"Azure Batch: deleted the pool {pool_id}, whose tasks are over.")

    def _is_needed(self, plan: PoolPlan) -> bool:
        """Whether it has open tasks, or jobs of this run go there, or would."""
        queues = self._queues.values()
        has_tasks = any(q.pool_id == plan.id and (q.open_slots or not q.taken_over) for q in queues)
        return has_tasks or any(q.plan and q.plan.fits(plan) for q in queues if not q.taken_over)
