"""Asks for the sizes that follow from what a run sees of its pools (`snakemake.azure.batch.scaling`).

A pool grows at once with what is submitted, and goes up or down after each look at it. The lease's thread asks the
service. Nothing that fails here ends a run: it goes on with the nodes that it has.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from snakemake.azure.batch.lease import PoolLeases, Size
from snakemake.azure.batch.node_health import NodeHealth
from snakemake.azure.batch.scaling import NextJob, Scaling
from snakemake.azure.batch.sizing import SETTLE
from snakemake.azure.batch.tasks import Task
from snakemake.azure.report.journal import Journal

if TYPE_CHECKING:
    from azure.batch.models import BatchNode

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

    def runs_on_nodes(self, job_id: str) -> dict[str, tuple[str, datetime | None]]: ...


class PoolSizes:
    """`queues` are the run's by the keys of places, `ahead` tells what the DAG makes ready next, `wake` is called when
    a lease says something new, and `now` is the service's clock. Where pools are kept for other runs, idle nodes stay
    for as long as that (`keep`) while the run goes on, too. `least` has the last word: of a pool, its size and the one
    that is asked for now. `removed`: ids of a pool's nodes that have been removed, and leave."""

    def __init__(
        self,
        service: Service,
        leases: PoolLeases,
        queues: Mapping[str, Queue],
        ahead: Callable[[], Sequence[NextJob]],
        wake: Callable[[], None],
        warn: Callable[[str], None],
        now: Callable[[], datetime],
        keep: timedelta | None = None,
        journal: Journal | None = None,
        least: Callable[[str, Size, Size], Size] = lambda pool_id, size, asked: size,
        removed: Callable[[str], Iterable[str]] = lambda pool_id: (),
    ) -> None:
        self.scaling = Scaling(self._running_tasks, ahead, max(SETTLE, keep or SETTLE))
        self._service, self._leases, self._queues = service, leases, queues
        self._wake, self._warn, self._now, self._least = wake, warn, now, least
        self._removed = removed
        self._journal = journal or Journal()
        self._failed = False

    def made(self, pool_id: str) -> None:
        """The pool has just been asked for, with its first nodes."""
        self.scaling.asked(pool_id, self._now())

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
        self._resize(queue, self.scaling.for_waiting)

    def fit(self, queue: Queue, nodes: "Sequence[BatchNode]") -> None:
        """Asks for the nodes that the pool needs, or for fewer, by what a look has shown."""
        pools = {key: queue.pool_id for key, queue in self._queues.items()}
        bad = self._bad(queue)
        self._journal.saw(queue.pool_id, nodes)

        def see(pool_id: str, now: datetime) -> None:
            self.scaling.saw(pool_id, nodes, bad, now)

        def advise(pool_id: str, plan: "PoolPlan", asked: Size, now: datetime) -> Size:
            return self.scaling.advise(pool_id, plan, asked, now, pools)

        self._resize(queue, advise, see)

    def has_nodes(self, queue: Queue) -> bool:
        """Whether nodes of the pool have been asked for or seen; the journal notes when the last of them has left."""
        size = self._leases.size(queue.pool_id) or Size(0)
        seen = self.scaling.has_nodes(queue.pool_id) or self._journal.has_nodes(queue.pool_id)
        return size.dedicated + size.spot > 0 or seen

    def _bad(self, queue: Queue) -> set[str]:
        together = [q for q in self._queues.values() if q.pool_id == queue.pool_id]
        return set().union(*(q.broken | q.health.bad.keys() for q in together))

    def _resize(
        self,
        queue: Queue,
        advise: "Callable[[str, PoolPlan, Size, datetime], Size]",
        see: Callable[[str, datetime], None] = lambda pool_id, now: None,
    ) -> None:
        if queue.plan is None or (size := self._leases.size(queue.pool_id)) is None:
            return
        now = self._now()
        try:
            left = self.scaling.remove(queue.pool_id, self._removed(queue.pool_id))
            see(queue.pool_id, now)
            asked = Size(max(0, size.dedicated - left.dedicated), max(0, size.spot - left.spot))
            wanted = advise(queue.pool_id, queue.plan, asked, now)
        except Exception as e:  # noqa: BLE001
            if not self._failed:
                self._failed = True
                self._warn(f"Azure Batch: the pools' sizes stay as they are ({type(e).__name__}: {e}).")
            return
        wanted = self._least(queue.pool_id, wanted, asked)
        if wanted != size:
            if wanted.dedicated + wanted.spot > size.dedicated + size.spot:
                self.scaling.asked(queue.pool_id, now)
            self.set_size(queue.pool_id, wanted)

    def _running_tasks(self, pool_id: str) -> Iterator[tuple[str, datetime]]:
        for queue in list(self._queues.values()):
            if queue.pool_id == pool_id and queue.open_slots:
                for task_id, (_, since) in self._service.runs_on_nodes(queue.job_id).items():
                    if since:
                        yield task_id, since
