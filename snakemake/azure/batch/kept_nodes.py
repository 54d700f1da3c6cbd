"""Nodes that are kept for a while after a task has failed on them, to be looked at.

Which nodes leave a pool that gets smaller, the service chooses, and a single one can be given up only while no formula
sizes the pool, and so no lease holds it. So a node is kept by two things. While the run goes on, its pool is not asked
for fewer nodes. And what the pool gives up, at the end of the run or when the lease is over, leaves as
`retaineddata`: a node stays until the time is over for which it keeps the directories of its tasks, which is as long as
failed ones are to be kept. Then it goes by itself, whoever lives.
https://learn.microsoft.com/rest/api/batchservice/pools/remove-nodes#batchnodedeallocationoption

A kept node takes no other tasks, so that nothing changes there, unless its pool could not have another one. There is
one for each rule: a thousand jobs may fail for the same reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import INTERVALS, RETAINED, PoolLeases, Size, formula
from snakemake.azure.report.journal import Journal

if TYPE_CHECKING:
    from azure.batch.models import BatchPool

    from snakemake.azure.batch.pools import PoolPlan

KEPT = "snakemake-failed-kept-until"
"""Metadata of a pool that a run has left with such nodes."""


@dataclass(frozen=True)
class Kept:
    """A node, the task that it is kept for with its Batch job and its rule, and until when (UTC, the service's clock).
    `closed`: it takes no other tasks."""

    pool_id: str
    node_id: str
    job_id: str
    task_id: str
    rule: str
    until: datetime
    spot: bool = False
    closed: bool = True

    def sentence(self) -> str:
        """Where it is and how its files are read; pools of a run have no port for SSH."""
        others = (
            "takes no other tasks"
            if self.closed
            else "goes on with other tasks, as its pool may have one node"
        )
        task = f"--job-id {self.job_id} --task-id {self.task_id}"
        return (
            f"Azure Batch: the node {self.node_id} of the pool {self.pool_id} is kept until "
            f"{self.until:%Y-%m-%d %H:%M} UTC for the task {self.task_id}, which failed there, and {others}. The "
            f"task's files: az batch task file list {task} --recursive (and task file download); the node's: az batch "
            f"node file list --pool-id {self.pool_id} --node-id {self.node_id} --recursive. It has no port for SSH."
        )


class Queue(Protocol):
    """A pool and the Batch job on it, as they matter here."""

    pool_id: str
    job_id: str
    plan: "PoolPlan | None"


class Ended(Protocol):
    """A task that has failed, as a verdict has it."""

    @property
    def task_id(self) -> str: ...
    @property
    def node_id(self) -> str: ...
    @property
    def ended(self) -> datetime | None: ...


@dataclass
class KeptNodes:
    """Those of one run. keep: for how long, None for not at all; now: the service's clock (UTC)."""

    batch: Batch
    leases: PoolLeases
    warn: Callable[[str], None]
    now: Callable[[], datetime]
    keep: timedelta | None = None
    journal: Journal = field(default_factory=Journal)
    _kept: list[Kept] = field(default_factory=list)
    _left: set[str] = field(default_factory=set)

    def of_pool(self, pool_id: str) -> list[Kept]:
        """Those that are to be there still."""
        return [kept for kept in self._kept if kept.pool_id == pool_id and kept.until > self.now()]

    def least(self, pool_id: str, size: Size, asked: Size) -> Size:
        """`size`, or what is asked for now where the pool may not get smaller."""
        if not self.of_pool(pool_id):
            return size
        return Size(max(size.dedicated, asked.dedicated), max(size.spot, asked.spot))

    def add(self, queue: Queue, verdict: Ended, rule: str) -> None:
        """Keeps the node of a task that has failed for good, if that is to be; says so."""
        if self.keep is None or not verdict.node_id:
            return
        until = (verdict.ended or self.now()) + self.keep
        if until <= self.now() or any(kept.rule == rule and kept.until > self.now() for kept in self._kept):
            return
        if queue.plan is None:
            self.warn(
                f"Azure Batch: the node {verdict.node_id} of the pool {queue.pool_id} is not kept for the failed task "
                f"{verdict.task_id}: the pool is not this run's own, and its owner's formula or size says what stays."
            )
            return
        here = {kept.node_id for kept in self.of_pool(queue.pool_id)} | {verdict.node_id}
        closed = len(here) < queue.plan.max_nodes
        try:
            nodes = [node for node in self.batch.list_nodes(queue.pool_id) if node.id == verdict.node_id]
            if closed and nodes:
                self.batch.disable_node(queue.pool_id, verdict.node_id)
        except BatchError as e:
            self.warn(f"Azure Batch: the node {verdict.node_id} could not be kept: {e}")
            return
        if not nodes:
            self.warn(f"Azure Batch: the node {verdict.node_id} is gone, and can't be kept.")
            return
        spot = nodes[0].is_dedicated is False
        kept = Kept(queue.pool_id, verdict.node_id, queue.job_id, verdict.task_id, rule, until, spot, closed)
        self._kept.append(kept)
        self.leases.retain(queue.pool_id, True, self.now())
        self.journal.note(
            "kept", pool=kept.pool_id, node=kept.node_id, task=kept.task_id, rule=rule, until=until
        )
        self.warn(kept.sentence())

    def look(self) -> None:
        """Gives back those whose time is over."""
        over = [kept for kept in self._kept if kept.until <= self.now()]
        for kept in over:
            self._kept.remove(kept)
            if not self.of_pool(kept.pool_id):
                self.leases.retain(kept.pool_id, False, self.now())
            if kept.closed and not any(k.node_id == kept.node_id for k in self._kept):
                try:
                    self.batch.enable_node(kept.pool_id, kept.node_id)
                except BatchError as e:
                    self.warn(f"Azure Batch: the node {kept.node_id} takes no tasks: {e}")

    # -- the end of the run --------------------------------------------------------------------------------------------

    def leave_pool(self, pool_id: str) -> bool:
        """Where the pool has such nodes: leaves it to end by itself, in place of its deletion. False where it has none.

        Raises
        ------
        BatchError: not now; again later.
        """
        if pool_id in self._left:
            return True
        here = self.of_pool(pool_id)
        if not here:
            return False
        until = max(kept.until for kept in here)
        spot = len({kept.node_id for kept in here if kept.spot})
        size = Size(len({kept.node_id for kept in here}) - spot, spot)
        self.leases.forget(pool_id)
        answer = self.batch.scale_pool(pool_id, formula(size, until, RETAINED), INTERVALS[0])
        if answer == "gone":
            return False
        if answer == "too early":
            raise BatchError(
                f"The pool {pool_id} was given another size less than 30 seconds ago.", status=503
            )
        pool = self.batch.get_pool(pool_id)
        metadata = {item.name: item.value for item in pool.metadata or []}
        if not self.batch.set_metadata(pool, metadata | {KEPT: f"{until:%Y-%m-%dT%H:%M:%SZ}"}):
            raise BatchError(f"The pool {pool_id} has just been changed.", status=503)
        self._left.add(pool_id)
        self.journal.note("pool_gone", pool=pool_id, how="kept")
        return True

    def leave_job(self, job_id: str) -> bool:
        """Where the job has the task of such a node: ends it, in place of its deletion, with which the task's files
        would go. False where it has none."""
        if not any(kept.job_id == job_id and kept.until > self.now() for kept in self._kept):
            return False
        self.batch.terminate_job(job_id)
        return True

    def stays(self) -> list[tuple[str, str, str]]:
        """Ids of the pools that have been left, and of each a Batch job whose tasks they have; and until when."""
        return [
            (kept.pool_id, kept.job_id, f"{kept.until:%Y-%m-%d %H:%M} UTC")
            for kept in self._kept
            if kept.pool_id in self._left
        ]


# -- what other runs see of them ---------------------------------------------------------------------------------------


def kept_until(pool: "BatchPool") -> datetime | None:
    """Until when a run that is over has left the pool for its failed tasks; None where none has."""
    until = {item.name: item.value for item in pool.metadata or []}.get(KEPT)
    return datetime.fromisoformat(until) if until else None


def is_kept(batch: Batch, pool_id: str) -> bool:
    """Whether the pool is there, and not to be deleted yet."""
    try:
        until = kept_until(batch.get_pool(pool_id))
    except BatchError as e:
        if e.status == 404:
            return False
        raise
    return until is not None and until > batch.clock.now()


def is_kept_with_its_pool(batch: Batch, job_id: str) -> bool:
    """The same for a Batch job."""
    job = batch.get_job(job_id)
    pool_id = (job.pool_info.pool_id if job and job.pool_info else None) or ""
    return bool(pool_id) and is_kept(batch, pool_id)
