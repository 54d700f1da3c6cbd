"""Looks at a run's pools now and then: says how they come up, names nodes that do not, has them sized by what is seen
(`snakemake.azure.batch.pool_sizes`), and finds tasks that will not run there (`snakemake.azure.batch.fallback`).

A look costs two requests. So a pool has one every 15 seconds while it has open tasks or nodes, and one every two
seconds for the first half minute of waiting, when people watch it come up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from snakemake.azure.batch.capacity import reason_of, shortage
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.fallback import Fallback
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.node_removal import NodeRemovals
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.pool_sizes import PoolSizes
from snakemake.azure.batch.pools import PoolError, PoolView
from snakemake.azure.report.journal import Journal
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchNode

LOOK_EVERY = timedelta(seconds=15)
"""How often a pool and its nodes are looked at while its tasks are open, or it has nodes."""

LOOK_OFTEN_FOR = timedelta(seconds=30)

SAY_EVERY = timedelta(minutes=1)
"""How often the user is told about a pool that has no usable node yet."""


class PoolWatch:
    """`queues` are the run's, by the keys of places; now: the clock (UTC), and service_now the service's; kept: ids of
    a pool's nodes that stay for failed tasks."""

    def __init__(
        self,
        batch: Batch,
        queues: Mapping[str, PoolQueue],
        fallback: Fallback,
        sizes: PoolSizes,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        now: Callable[[], datetime],
        journal: Journal | None = None,
        removals: NodeRemovals | None = None,
        service_now: Callable[[], datetime] | None = None,
        kept: Callable[[str], Collection[str]] = lambda pool_id: (),
    ) -> None:
        self._removals, self._service_now, self._kept = removals, service_now or now, kept
        self._batch, self._queues, self._fallback, self._sizes = batch, queues, fallback, sizes
        self._say, self._warn, self._now = say, warn, now
        self._journal = journal or Journal()

    def look(self, queue: PoolQueue) -> list[Verdict]:
        """Looks at the queue's pool if it is time; verdicts on tasks that it will not run. While nothing is open there,
        no failure matters."""
        now = self._now()
        if queue.looked is not None and now - queue.looked < self._pause(queue):
            return []
        if queue.open_slots:
            queue.looked = now
            return self._look_at_pool(queue, now)
        if self._removals and not self._others(queue):
            self._removals.rest(queue.pool_id)
        if queue.plan and queue.is_used and not queue.taken_over and not self._others(queue):
            queue.looked, queue.idle_since = now, None
            with suppress(BatchError):
                nodes = self._batch.list_nodes(queue.pool_id) if self._sizes.has_nodes(queue) else ()
                self._sizes.fit(queue, nodes)
        return []

    def _others(self, queue: PoolQueue) -> list[PoolQueue]:
        """Queues of the same pool that have open tasks."""
        return [q for q in self._queues.values() if q.pool_id == queue.pool_id and q.open_slots]

    def _look_at_pool(self, queue: PoolQueue, now: datetime) -> list[Verdict]:
        nodes = self._batch.list_nodes(queue.pool_id)
        view = PoolView.of(self._batch.get_pool(queue.pool_id), nodes)
        queue.idle_since = None if view.usable else queue.idle_since or now
        self._say_how_it_goes(queue, view.summary(), now)
        waited = now - queue.idle_since if queue.idle_since else timedelta(0)
        if queue.short != (short := shortage(view)):
            queue.short = short
            self._journal.note("pool_short", pool=queue.pool_id, why=short)
        verdicts = self._fallback.look(queue, view, waited, now)
        for verdict in verdicts:
            self._sizes.scaling.ended(verdict)
        self._name_broken(queue, view)
        self._note_broken(queue, view, nodes)
        if queue.open_slots and (problem := self._all_bad(queue, view)):
            raise PoolError(problem)
        self._sizes.fit(queue, nodes)
        return verdicts

    def _name_broken(self, queue: PoolQueue, view: PoolView) -> None:
        """Says once of each node that is not set up why, and what becomes of it; it takes no tasks by itself."""
        for node in view.nodes:
            if node.broken and node.id not in queue.broken:
                self._warn(
                    f"Azure Batch: the node {node.id} of the pool {queue.pool_id} is unusable: "
                    f"{(node.error or node.state).rstrip('.')}.{self._what_follows(queue, node.id)}"
                )
        queue.broken = {node.id for node in view.nodes if node.broken}

    def _what_follows(self, queue: PoolQueue, node_id: str) -> str:
        if not queue.open_slots or self._removals is None:
            return ""
        if self.replaces(queue, [node_id]):
            return " It is removed, and another one asked for."
        count = self._removals.limit(queue.pool_id)
        if count is None or queue.said_limit:
            return ""
        queue.said_limit = True
        return (
            f" It stays, and so do others, as {count} nodes of this pool have been removed, and no more are."
        )

    def replaces(self, queue: PoolQueue, node_ids: Collection[str]) -> bool:
        """Whether others come in the places of these broken nodes."""
        plan, removals = queue.plan, self._removals
        return bool(plan and removals and removals.replaces(queue.pool_id, plan.max_nodes, node_ids))

    def _note_broken(self, queue: PoolQueue, view: PoolView, nodes: "Sequence[BatchNode]") -> None:
        """Which nodes may be removed: broken ones, and bad ones that take no tasks, once they have none."""
        if queue.plan is None or self._removals is None:
            return
        together = [q for q in self._queues.values() if q.pool_id == queue.pool_id]
        bad = {node: reason for q in together for node, reason in q.health.bad.items()}
        free = {node.id for node in nodes if not node.running_task_slots_count}
        offline = {node.id for node in nodes if lower(node.state) == "offline"}
        found = {node.id: reason_of(node) for node in view.nodes if node.broken}
        found |= {node: reason for node, reason in bad.items() if node in offline}
        left = free - set(self._kept(queue.pool_id))
        found = {node: reason for node, reason in found.items() if node in left}
        is_ready = view.steady and any(q.open_slots for q in together)
        self._removals.saw(queue.pool_id, queue.plan.max_nodes, found, is_ready, self._service_now())

    def _all_bad(self, queue: PoolQueue, view: PoolView) -> str | None:
        """Why nothing will run any more, if all nodes that the pool may have were taken out."""
        bad = [
            f"{node.id}: {queue.health.bad[node.id]}" for node in view.nodes if node.id in queue.health.bad
        ]
        if self.replaces(queue, queue.health.bad.keys() & {node.id for node in view.nodes}):
            return None
        full = queue.plan is None or len(view.nodes) >= queue.plan.max_nodes
        if view.usable or not view.steady or not full or len(bad) < len(view.nodes) or not bad:
            return None
        return f"All nodes of the pool {queue.pool_id} are bad ({'; '.join(bad)})."

    def _say_how_it_goes(self, queue: PoolQueue, summary: str, now: datetime) -> None:
        """A line when the pool's nodes changed, and while people wait for a first node at least one a minute."""
        waited = now - queue.idle_since if queue.idle_since else timedelta(0)
        overdue = bool(waited) and queue.said is not None and now - queue.said >= SAY_EVERY
        if summary == queue.seen and not overdue:
            return
        queue.seen, queue.said = summary, now
        minutes = int(waited.total_seconds() // 60)
        after = f" after {minutes} min" if minutes else ""
        self._say(f"Azure Batch: pool {queue.pool_id}: {summary}{after}; {len(queue.open_slots)} tasks open.")

    def _pause(self, queue: PoolQueue) -> timedelta:
        """People watch a pool come up, so the first looks are closer together."""
        if queue.idle_since and queue.looked and queue.looked - queue.idle_since < LOOK_OFTEN_FOR:
            return timedelta(seconds=2)
        return LOOK_EVERY
