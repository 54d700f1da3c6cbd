"""Asks for the sizes that follow from what a run sees of its pools (`snakemake.azure.batch.scaling`).

A pool grows at once with what is submitted, and goes up or down after each look at it. The lease's thread asks the
service. Nothing that fails here ends a run: it goes on with the nodes that it has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from snakemake.azure.batch.lease import PoolLeases, Size
from snakemake.azure.batch.node_health import NodeHealth
from snakemake.azure.batch.scaling import NextJob, Scaling
from snakemake.azure.batch.tasks import Task

if TYPE_CHECKING:
    from azure.batch.models import BatchNode, BatchTask

    from snakemake.azure.batch.pools import PoolPlan


class Queue(Protocol):
    """A pool and the Batch job on it, as they matter here."""

    pool_id: str
    job_id: str
    plan: "PoolPlan | None"
    open_slots: dict[str, int]
    health: NodeHealth
    broken: set[str]


class Service(Protocol):
    """What is asked of the Batch service, see `snakemake.azure.batch.client.Batch`."""

    def running_tasks(self, job_id: str) -> "list[BatchTask]": ...


class PoolSizes:
    """`queues` are the run's by the keys of places, `ahead` tells what the DAG makes ready next, `wake` is called when
    a lease says something new, and `now` is the service's clock."""

    def __init__(
        self,
        service: Service,
        leases: PoolLeases,
        queues: Mapping[str, Queue],
        ahead: Callable[[], Sequence[NextJob]],
        wake: Callable[[], None],
        warn: Callable[[str], None],
        now: Callable[[], datetime],
    ) -> None:
        self.scaling = Scaling(self._running_tasks, ahead)
        self._service, self._leases, self._queues = service, leases, queues
        self._wake, self._warn, self._now = wake, warn, now
        self._failed = False

    def first(self, plan: "PoolPlan", nodes: int) -> Size:
        """Of a pool that is being made."""
        self.scaling.asked(plan.id, self._now())
        return Size(0, nodes) if plan.buys_spot else Size(nodes)

    def set_size(self, pool_id: str, size: Size) -> None:
        """Wants this many nodes of the pool from now on."""
        self._leases.set_size(pool_id, size)
        self._wake()

    def add(self, queue: Queue, tasks: Iterable[Task]) -> None:
        """Tasks are open now; asks for what they need."""
        for task in tasks:
            self.scaling.added(queue.pool_id, task.id, task.slots, task.rule)
        self.grow(queue)

    def take_out(self, queue: Queue, node_id: str) -> None:
        """The node takes no more tasks; asks for one in its place."""
        self.scaling.took_out(queue.pool_id, node_id)
        self.grow(queue)

    def grow(self, queue: Queue) -> None:
        """Asks at once for the nodes that the pool's open tasks need."""
        self._resize(queue, self.scaling.for_waiting, shrinks=False)

    def fit(self, queue: Queue, nodes: "Iterable[BatchNode]") -> None:
        """Asks for the nodes that the pool needs, or for fewer, by what a look has shown."""
        pools = {key: queue.pool_id for key, queue in self._queues.items()}
        bad = self._bad(queue)

        def advise(pool_id: str, plan: "PoolPlan", now: datetime) -> Size:
            self.scaling.saw(pool_id, nodes, bad, now)
            return self.scaling.advise(pool_id, plan, now, pools)

        self._resize(queue, advise, shrinks=True)

    def has_nodes(self, queue: Queue) -> bool:
        """Whether nodes of the pool have been asked for or seen."""
        size = self._leases.size(queue.pool_id) or Size(0)
        return size.dedicated + size.spot > 0 or self.scaling.has_nodes(queue.pool_id)

    def _bad(self, queue: Queue) -> set[str]:
        together = [q for q in self._queues.values() if q.pool_id == queue.pool_id]
        return set().union(*(q.broken | q.health.bad.keys() for q in together))

    def _resize(
        self, queue: Queue, advise: "Callable[[str, PoolPlan, datetime], Size]", shrinks: bool
    ) -> None:
        if queue.plan is None or (size := self._leases.size(queue.pool_id)) is None:
            return
        now = self._now()
        try:
            wanted = advise(queue.pool_id, queue.plan, now)
        except Exception as e:  # noqa: BLE001
            if not self._failed:
                self._failed = True
                self._warn(f"Azure Batch: the pools' sizes stay as they are ({type(e).__name__}: {e}).")
            return
        if not shrinks:
            wanted = Size(max(wanted.dedicated, size.dedicated), max(wanted.spot, size.spot))
        if wanted != size:
            if wanted.dedicated + wanted.spot > size.dedicated + size.spot:
                self.scaling.asked(queue.pool_id, now)
            self.set_size(queue.pool_id, wanted)

    def _running_tasks(self, pool_id: str) -> Iterator[tuple[str, datetime]]:
        for queue in list(self._queues.values()):
            if queue.pool_id == pool_id and queue.open_slots:
                for task in self._service.running_tasks(queue.job_id):
                    if task.id and task.state_transition_time:
                        yield task.id, task.state_transition_time
