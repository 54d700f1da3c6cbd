"""One run's pools, the Batch job bound to each, and its source archive: made late, deleted at the end.

Nothing exists before the first `submit`. Whatever was made is in `resources` before the request that makes it is sent,
so that `close` deletes it even if the answer never came. `close` may be called at any time, from any thread, any
number of times; it waits for nobody who may himself wait for the service. Making is the other way round: what is about
to be made is noted first, and not made if `close` has begun.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.fallback import Fallback
from snakemake.azure.batch.kept_nodes import KeptNodes
from snakemake.azure.batch.lease import BACKSTOP, PoolLeases, Size
from snakemake.azure.batch.monitor import Monitor, Verdict
from snakemake.azure.batch.node_removal import NodeRemovals
from snakemake.azure.batch.pool_making import PoolMaker
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.pool_sizes import PoolSizes
from snakemake.azure.batch.pool_watch import PoolWatch
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.resources import JOB, POLICY, POOL, SOURCES, TOKEN, Resources
from snakemake.azure.batch.run_settings import UNKNOWN, Listeners, PoolRules, TaskDefaults, Workload
from snakemake.azure.batch.stores import Stores
from snakemake.azure.batch.taken_over import TakenOver
from snakemake.azure.batch.task_requests import Rejected
from snakemake.azure.batch.tasks import Task, environment_settings


class BatchRun:
    """The Azure side of one workflow run.

    id: prefix of all names (at most 40 characters); now: the clock (UTC), and service_now the service's; record: URL of
    the run's record, by which what is left of it can be told from what goes on; requests: how they are tried again.
    """

    sizes_class: type[PoolSizes] = PoolSizes
    """The policy by which pools are sized."""

    def __init__(
        self,
        id: str,
        batch: Batch,
        tasks: TaskDefaults,
        stores: Stores,
        rules: PoolRules,
        listeners: Listeners,
        now: Callable[[], datetime],
        workload: Workload = UNKNOWN,
        leases: PoolLeases | None = None,
        removals: NodeRemovals | None = None,
        service_now: Callable[[], datetime] | None = None,
        record: str = "",
        requests: retry.Patience = retry.process,
    ):
        self.id, self.batch, self.tasks, self.record = id, batch, tasks, record
        self.sources, self.access = stores.sources, stores.access
        self.logs, self.token = stores.logs, stores.token
        self.tags = rules.tags
        self.say, self.warn, self.noted = listeners.say, listeners.warn, listeners.noted
        self.journal = listeners.journal
        self.leases = leases = leases or PoolLeases(timedelta(minutes=30))
        self.removals = removals or NodeRemovals(leases)
        service_now = service_now or now
        self.queues: dict[str, PoolQueue] = {}
        self.resources = Resources(requests, self.warn, listeners.note_left)
        wake, keep = listeners.wake, rules.keep
        self.kept_nodes = KeptNodes(batch, leases, self.warn, service_now, rules.keep_failed, self.journal)
        self.fallback = Fallback(
            batch,
            leases,
            self.warn,
            wake,
            rules.patience,
            rules.spot_patience,
            workload.movable,
            workload.has_nodes,
            self.removals.replaces,
        )
        self.sizes = self.sizes_class(
            batch,
            leases,
            self.queues,
            workload.ahead,
            wake,
            self.warn,
            service_now,
            keep,
            self.journal,
            self.kept_nodes.least,
            self.removals.removed,
        )
        self.pools = PoolMaker(
            id,
            batch,
            leases,
            self.metadata,
            service_now,
            self.say,
            wake,
            self._note_pool,
            self._forget_pool,
            rules.autoscale,
            keep,
            self.kept_nodes.leave_pool,
            self.journal,
        )
        self.watch = PoolWatch(
            batch,
            self.queues,
            self.fallback,
            self.sizes,
            self.say,
            self.warn,
            now,
            self.journal,
            self.removals,
            service_now,
            lambda pool_id: [kept.node_id for kept in self.kept_nodes.of_pool(pool_id)],
        )
        self.taken_over = TakenOver(batch, self.queues, self.pools, self.sizes, self.resources, self.say)
        self._job_pools: dict[str, str] = {}
        self._lock = threading.RLock()
        self._closed = False

    def open_queue(self, key: str, plan: PoolPlan, nodes: int) -> PoolQueue:
        """The queue for `key`, with a pool of its own, made now if it is not there yet."""
        with self._lock:
            self._check_open()
            if key not in self.queues:
                self._open_access()
                self._upload_sources()
                if there := self.taken_over.fitting(plan):
                    plan = replace(plan, id=there.id)
                else:
                    plan = self._open_pool(plan, nodes)
                    self.resources.confirm(plan.id)
                    self.sizes.made(plan.id)
                self.queues[key] = self._new_queue(plan.id, plan)
            return self.queues[key]

    def _open_pool(self, plan: PoolPlan, nodes: int) -> PoolPlan:
        try:
            return self.pools.open(plan, nodes)
        except BatchError as e:
            if e.status == 400:  # what is refused is not made, and not waited for to be deleted
                self.leases.forget(plan.id)
                self._forget_pool(plan.id)
            raise

    def _note_pool(self, pool_id: str) -> None:
        self._making(POOL, pool_id, lambda: self.pools.delete(pool_id))

    def _forget_pool(self, pool_id: str) -> None:
        for made in [m for m in self.resources.of_kind(POOL) if m.name == pool_id]:
            self.resources.remove(made)

    def join_queue(self, key: str, pool_id: str) -> PoolQueue:
        """The queue for `key` on a pool that exists and stays."""
        with self._lock:
            self._check_open()
            if key not in self.queues:
                self._open_access()
                self._upload_sources()
                self.queues[key] = self._new_queue(pool_id, None)
            return self.queues[key]

    def _check_open(self) -> None:
        if self._closed:
            raise WorkflowError("The run is shutting down; no more jobs are submitted to Azure Batch.")

    def _open_access(self) -> None:
        """First of all, so that it is last to go, and makes the container that the sources go to."""
        if self.access and self.id not in self.made(POLICY):
            self._making(POLICY, self.id, self.access.revoke)
            self.access.environment()

    def _upload_sources(self) -> None:
        if self.token and not self.resources.has(f"az://{self.token.name}"):
            self._making(TOKEN, f"az://{self.token.name}", self.token.delete)
            self.token.allow()
        if not self.resources.has(f"az://{self.sources.name}"):
            self._making(SOURCES, f"az://{self.sources.name}", self.sources.delete)
            if self.logs:
                self._making("logs of tasks", f"az://{self.logs.name}", self.logs.delete)
            self.sources.upload()
            self.say(f"Azure Batch: uploaded the workflow's sources to az://{self.sources.name}.")

    def _job_environment(self) -> Mapping[str, str]:
        access = self.access.environment() if self.access else {}
        token = self.token.environment() if self.token else {}
        # By this, Azure's SDKs know which of a pool's identities is meant.
        identity = {"AZURE_CLIENT_ID": self.pools.client_id} if self.pools.client_id else {}
        return {**identity, **self.tasks.environment, **access, **token}

    def further_environment(self) -> dict[str, str]:
        """Variables for a task that is submitted now, in place of what the Batch job has: for what came up since."""
        return self.access.further() if self.access and self.queues else {}

    def _new_queue(self, pool_id: str, plan: PoolPlan | None) -> PoolQueue:
        from azure.batch import models

        job_id = f"{self.id}-{len(self.queues) + 1}"
        self._job_pools[job_id] = pool_id
        self._making(JOB, job_id, lambda: self._delete_job(job_id))
        self.batch.create_job(
            models.BatchJobCreateOptions(
                id=job_id,
                pool_info=models.BatchPoolInfo(pool_id=pool_id),
                common_environment_settings=environment_settings(self._job_environment()) or None,
                constraints=models.BatchJobConstraints(max_wall_clock_time=BACKSTOP),
                metadata=[
                    models.BatchMetadataItem(name=name, value=value) for name, value in self.metadata()
                ],
            )
        )
        self.resources.confirm(job_id)
        self.say(f"Azure Batch: created the job {job_id} on the pool {pool_id}.")
        return PoolQueue(pool_id, job_id, Monitor(self.batch, job_id), plan)

    def _delete_job(self, job_id: str) -> bool | None:
        return None if self.kept_nodes.leave_job(job_id) else self.batch.delete_job(job_id)

    def metadata(self) -> list[tuple[str, str]]:
        """Names and values by which pools and Batch jobs are known as this run's."""
        return [
            ("snakemake-run", self.id),
            *([("snakemake-record", self.record)] if self.record else []),
            *self.tags,
        ]

    def job_ids(self) -> tuple[str, ...]:
        """Ids of all Batch jobs that have to go on."""
        return tuple(queue.job_id for queue in list(self.queues.values()))

    @property
    def open_tasks(self) -> int:
        """How many tasks have no verdict yet."""
        return sum(queue.monitor.open_tasks for queue in list(self.queues.values()))

    def queue_of(self, job_id: str) -> PoolQueue:
        """The queue of a Batch job; raises StopIteration for one that is not the run's."""
        return next(queue for queue in self.queues.values() if queue.job_id == job_id)

    def _making(self, what: str, name: str, delete: Callable[[], bool | None]) -> None:
        self.resources.add(what, name, delete)
        self._check_open()
        self.noted(self)

    def made(self, what: str) -> tuple[str, ...]:
        """Names of what there is, or may be, of a kind, and of this run's own making."""
        return tuple(made.name for made in self.resources.of_kind(what) if not made.taken_over)

    def jobs(self) -> tuple[tuple[str, str], ...]:
        """Ids of the run's own Batch jobs, each with its pool's."""
        return tuple((job_id, self._job_pools[job_id]) for job_id in self.made(JOB))

    # -- what another run has left ---------------------------------------------------------------------------

    def take_over(self, what: str, name: str, delete: Callable[[], bool]) -> None:
        """Deletes it at the end with what this run has made."""
        with self._lock:
            self.resources.take_over(what, name, delete)

    def take_over_pool(self, plan: PoolPlan, nodes: int) -> None:
        """Keeps the pool, and lets fitting jobs run in it. `nodes` is its size."""
        with self._lock:
            self.taken_over.add_pool(plan, nodes)

    def take_over_tasks(self, job_id: str, pool_id: str, slots: Mapping[str, int]) -> PoolQueue:
        """Watches these tasks of a Batch job, by their ids, with the slots that each takes."""
        with self._lock:
            return self.taken_over.add_tasks(job_id, pool_id, slots)

    def submit(self, queue: PoolQueue, tasks: Sequence[Task]) -> list[Rejected]:
        """Adds the tasks to the queue; returns those that Batch did not take."""
        common = self.tasks
        with self._lock:
            self._check_open()
            rejected = self.batch.add_tasks(
                queue.job_id, [task.body(common.image, common.user, common.run_options) for task in tasks]
            )
            refused = {r.task_id for r in rejected}
            added = {task.id: task.slots for task in tasks if task.id not in refused}
            queue.is_used = True
            queue.open_slots.update(added)
            queue.monitor.watch(added)
            for task in tasks:
                self.fallback.allow(task.id, task.spot_tries, retried=task.retries != 0)
            taken = [task for task in tasks if task.id in added]
            for task in taken:
                self.journal.note("submitted", **task.noted(queue.job_id, queue.pool_id))
            self.sizes.add(queue, taken)
            return rejected

    def set_size(self, pool_id: str, dedicated: int, spot: int = 0) -> None:
        """Wants this many nodes of the run's pool from now on; the lease's thread asks for them."""
        self.sizes.set_size(pool_id, Size(dedicated, spot))

    def poll(self) -> list[Verdict]:
        """New verdicts of all queues.

        Raises
        ------
        PoolError: a pool with open tasks will not run them, as all its nodes are bad.
        BatchError: the service could not be asked.
        """
        verdicts: list[Verdict] = []
        with self._lock:
            if self._closed:
                return verdicts
            for queue in list(self.queues.values()):
                new = queue.monitor.poll()
                for verdict in new:
                    queue.open_slots.pop(verdict.task_id, None)
                    self.sizes.scaling.ended(verdict)
                    if self.logs and not verdict.success:
                        self.logs.expect(verdict.task_id)
                if any(v.node_id and not self.journal.knows(queue.pool_id, v.node_id) for v in new):
                    queue.looked = None  # before the node is gone again
                together = [*new, *self.watch.look(queue)]
                for verdict in together:
                    self.journal.note("ended", **verdict.noted(queue.pool_id))
                verdicts += together
                if queue.taken_over and new and not queue.open_slots:
                    self.taken_over.retire(queue)
            self.kept_nodes.look()
        return verdicts

    def take_out(self, queue: PoolQueue, node_id: str, reason: str) -> None:
        """Lets a bad node take no more tasks; in a pool that is not the run's own, that is for its owner to do."""
        bad = f"Azure Batch: the node {node_id} of the pool {queue.pool_id} is bad: {reason}."
        if queue.plan is None:
            self.warn(
                f"{bad} The pool is not this run's own, so take it out by hand: az batch node scheduling disable "
                f"--pool-id {queue.pool_id} --node-id {node_id}"
            )
            return
        try:
            done = self.batch.disable_node(queue.pool_id, node_id)
        except BatchError as e:
            self.warn(f"{bad} It could not be taken out: {e}")
            return
        then = " It is removed when it has none." if self.watch.replaces(queue, [node_id]) else ""
        self.warn(f"{bad} {'It gets no more tasks.' if done else 'It takes no tasks now.'}{then}")
        with self._lock:
            if not self._closed:
                self.sizes.take_out(queue, node_id)

    def keep_node(self, queue: PoolQueue, verdict: Verdict, rule: str) -> None:
        """Keeps the node of a task of the rule that has failed for good, where that was asked for."""
        with self._lock:
            if not self._closed:
                self.kept_nodes.add(queue, verdict, rule)

    def log_file(self, queue: PoolQueue, task_id: str, name: str) -> bytes | None:
        """A log of a task: as its node has it, else as the task stored it; None if there is neither."""
        places = [lambda: self.batch.task_file(queue.job_id, task_id, name)]
        if self.logs:
            places.append(partial(self.logs.fetch, task_id, name))
        for fetch in places:
            try:
                if data := fetch():
                    return data
            except WorkflowError as e:
                self.warn(f"Azure Batch: cannot read {name} of the task {task_id}: {e}")
        return None

    def close(self) -> Iterator[str]:
        """Deletes all that this run made, and yields what was deleted (`Resources.delete_all`)."""
        self._closed = True
        yield from self.resources.delete_all()

    @property
    def left(self) -> list[tuple[str, str]]:
        """Kind and name of what could not be deleted."""
        return self.resources.left
