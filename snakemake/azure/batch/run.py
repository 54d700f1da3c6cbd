"""One run's pools, the Batch job bound to each, and its source archive: made late, deleted at the end.

Nothing exists before the first `submit`. Whatever was made is in `resources` before the request that makes it is sent,
so that `close` deletes it even if the answer never came. `close` may be called at any time, from any thread, any
number of times; it waits for nobody who may himself wait for the service. Making is the other way round: what is about
to be made is noted first, and not made if `close` has begun.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.autoscale import AutoScale
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.fallback import Fallback, Movable, nobody_moves
from snakemake.azure.batch.lease import BACKSTOP, PoolLeases, Size
from snakemake.azure.batch.monitor import Monitor, Verdict
from snakemake.azure.batch.node_health import NodeHealth
from snakemake.azure.batch.pool_definition import POOL_USER, TaskUser
from snakemake.azure.batch.pool_making import PoolMaker
from snakemake.azure.batch.pool_sizes import PoolSizes
from snakemake.azure.batch.pools import PoolError, PoolPlan, PoolView
from snakemake.azure.batch.resources import JOB, POLICY, POOL, SOURCES, TOKEN, Resources
from snakemake.azure.batch.scaling import NextJob
from snakemake.azure.batch.stores import Access, LogStore, SourceStore, Token
from snakemake.azure.batch.task_requests import Rejected
from snakemake.azure.batch.tasks import Task, environment_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOK_EVERY = timedelta(seconds=15)
"""How often a pool and its nodes are looked at while its tasks are open, or it has nodes."""

LOOK_OFTEN_FOR = timedelta(seconds=30)

SAY_EVERY = timedelta(minutes=1)
"""How often the user is told about a pool that has no usable node yet."""


@dataclass
class PoolQueue:
    """A pool and the Batch job bound to it: tasks are added to the job and run on the pool's nodes."""

    pool_id: str
    job_id: str
    monitor: Monitor
    plan: PoolPlan | None
    """How the pool was made; None for a pool that is not the run's to size or to delete."""
    open_slots: dict[str, int] = field(default_factory=dict)
    taken_over: bool = False
    """Whether another run has made it: no task is added."""
    looked: datetime | None = None
    idle_since: datetime | None = None
    seen: str = ""
    said: datetime | None = None
    health: NodeHealth = field(default_factory=NodeHealth)
    broken: set[str] = field(default_factory=set)
    """Nodes that could not be set up, as the last look had it."""


class BatchRun:
    """The Azure side of one workflow run.

    id: prefix of all names (at most 40 characters); environment: variables for every task, secrets included,
    which travel in the Batch job's common environment settings, as do those of `access`; now: the clock (UTC), and
    service_now the service's. `noted` is called before anything is made, and `wake` when a pool's lease says something
    new. `record` is the URL of the run's record, by which what is left of it can be told from what goes on. requests:
    how they are tried again; note_left: is told, as pairs of kind and name, what can't be deleted now. user and
    run_options: whom all tasks run as, and further options of their containers; tags: names and values
    that pools and Batch jobs get; autoscale: by what the service sizes the pools, if it does;
    keep: for how long pools stay after the run, for another one. spot_patience, movable, has_nodes: see `Fallback`.
    `ahead` tells what the DAG makes ready next.
    """

    def __init__(
        self,
        id: str,
        batch: Batch,
        sources: SourceStore,
        environment: "Mapping[str, str]",
        image: str,
        patience: timedelta,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        now: Callable[[], datetime],
        access: Access | None = None,
        logs: LogStore | None = None,
        leases: PoolLeases | None = None,
        service_now: Callable[[], datetime] | None = None,
        token: Token | None = None,
        noted: "Callable[[BatchRun], None]" = lambda run: None,
        wake: Callable[[], None] = lambda: None,
        record: str = "",
        requests: retry.Patience = retry.process,
        note_left: Callable[[Sequence[tuple[str, str]]], None] = lambda _: None,
        user: TaskUser = POOL_USER,
        run_options: str = "",
        tags: Sequence[tuple[str, str]] = (),
        autoscale: AutoScale | None = None,
        keep: timedelta | None = None,
        spot_patience: timedelta = timedelta(minutes=10),
        movable: Movable = nobody_moves,
        has_nodes: Callable[[str], None] = lambda key: None,
        ahead: Callable[[], Sequence[NextJob]] = tuple,
    ):
        self.id = id
        self.batch = batch
        self.sources = sources
        self.environment = environment
        self.access = access
        self.image = image
        self.user, self.run_options, self.tags = user, run_options, tags
        self.patience = patience
        self.say = say
        self.warn = warn
        self.now = now
        self.leases = leases or PoolLeases(timedelta(minutes=30))
        self.service_now = service_now or now
        self.token = token
        self.noted = noted
        self.wake = wake
        self.record = record
        self.logs = logs
        self.fallback = Fallback(batch, self.leases, warn, wake, patience, spot_patience, movable, has_nodes)
        self.queues: dict[str, PoolQueue] = {}
        self.resources = Resources(requests, warn, note_left)
        self.sizes = PoolSizes(batch, self.leases, self.queues, ahead, wake, warn, self.service_now, keep)
        self.pools = PoolMaker(
            id,
            batch,
            self.leases,
            self.metadata,
            self.service_now,
            say,
            wake,
            self._note_pool,
            self._forget_pool,
            autoscale,
            keep,
        )
        self._taken_over: dict[str, PoolPlan] = {}
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
                if there := next((p for p in self._taken_over.values() if plan.fits(p)), None):
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

    def _job_environment(self) -> "Mapping[str, str]":
        access = self.access.environment() if self.access else {}
        token = self.token.environment() if self.token else {}
        # By this, Azure's SDKs know which of a pool's identities is meant.
        identity = {"AZURE_CLIENT_ID": self.pools.client_id} if self.pools.client_id else {}
        return {**identity, **self.environment, **access, **token}

    def further_environment(self) -> dict[str, str]:
        """Variables for a task that is submitted now, in place of what the Batch job has: for what came up since."""
        return self.access.further() if self.access and self.queues else {}

    def _new_queue(self, pool_id: str, plan: PoolPlan | None) -> PoolQueue:
        from azure.batch import models

        job_id = f"{self.id}-{len(self.queues) + 1}"
        self._job_pools[job_id] = pool_id
        self._making(JOB, job_id, lambda: self.batch.delete_job(job_id))
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

    def _making(self, what: str, name: str, delete: Callable[[], bool]) -> None:
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
            self._taken_over[plan.id] = plan
            self.pools.take_over(plan, nodes)
            self.resources.take_over(POOL, plan.id, lambda: self.pools.delete(plan.id))

    def take_over_tasks(self, job_id: str, pool_id: str, slots: "Mapping[str, int]") -> PoolQueue:
        """Watches these tasks of a Batch job, by their ids, with the slots that each takes."""
        with self._lock:
            queue = PoolQueue(
                pool_id, job_id, Monitor(self.batch, job_id), self._taken_over.get(pool_id), taken_over=True
            )
            queue.open_slots.update(slots)
            queue.monitor.watch(slots)
            self.queues[f"job {job_id}"] = queue
            self.resources.take_over(JOB, job_id, lambda: self.batch.delete_job(job_id))
            for task_id, taken in slots.items():
                self.sizes.scaling.added(pool_id, task_id, taken)
            self.sizes.grow(queue)
            return queue

    def _retire(self, queue: PoolQueue) -> None:
        """Deletes a pool that was taken over when its tasks are over and no job of this run goes there."""
        pool_id = queue.pool_id
        others = [
            q for q in self.queues.values() if q.pool_id == pool_id and (q.open_slots or not q.taken_over)
        ]
        if (
            others
            or pool_id not in self._taken_over
            or any(
                q.plan and q.plan.fits(self._taken_over[pool_id])
                for q in self.queues.values()
                if not q.taken_over
            )
        ):
            return
        for made in [m for m in self.resources.of_kind(POOL) if m.name == pool_id]:
            try:
                made.delete()
            except WorkflowError:
                return  # at the end, then
            self.resources.remove(made)
            del self._taken_over[pool_id]
            self.say(f"Azure Batch: deleted the pool {pool_id}, whose tasks are over.")

    def submit(self, queue: PoolQueue, tasks: Sequence[Task]) -> list[Rejected]:
        """Adds the tasks to the queue; returns those that Batch did not take."""
        with self._lock:
            self._check_open()
            rejected = self.batch.add_tasks(
                queue.job_id, [task.body(self.image, self.user, self.run_options) for task in tasks]
            )
            refused = {r.task_id for r in rejected}
            added = {task.id: task.slots for task in tasks if task.id not in refused}
            queue.open_slots.update(added)
            queue.monitor.watch(added)
            for task in tasks:
                self.fallback.allow(task.id, task.spot_tries, retried=task.retries != 0)
            self.sizes.add(queue, [task for task in tasks if task.id in added])
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
                verdicts += new
                verdicts += self._look(queue)
                if queue.taken_over and new and not queue.open_slots:
                    self._retire(queue)
        return verdicts

    def _look(self, queue: PoolQueue) -> list[Verdict]:
        """Looks at the queue's pool if it is time; verdicts on tasks that it will not run. While nothing is open there,
        no failure matters."""
        now = self.now()
        if queue.looked is not None and now - queue.looked < self._pause(queue):
            return []
        if queue.open_slots:
            queue.looked = now
            return self._look_at_pool(queue, now)
        if queue.plan and not queue.taken_over and not self._others(queue):
            queue.looked, queue.idle_since = now, None
            with suppress(BatchError):
                nodes = self.batch.list_nodes(queue.pool_id) if self.sizes.has_nodes(queue) else ()
                self.sizes.fit(queue, nodes)
        return []

    def _others(self, queue: PoolQueue) -> list[PoolQueue]:
        """Queues of the same pool that have open tasks."""
        return [q for q in self.queues.values() if q.pool_id == queue.pool_id and q.open_slots]

    def _look_at_pool(self, queue: PoolQueue, now: datetime) -> list[Verdict]:
        nodes = self.batch.list_nodes(queue.pool_id)
        view = PoolView.of(self.batch.get_pool(queue.pool_id), nodes)
        queue.idle_since = None if view.usable else queue.idle_since or now
        self._say_how_it_goes(queue, view.summary(), now)
        waited = now - queue.idle_since if queue.idle_since else timedelta(0)
        self._name_broken(queue, view)
        verdicts = self.fallback.look(queue, view, waited, now)
        for verdict in verdicts:
            self.sizes.scaling.ended(verdict)
        if queue.open_slots and (problem := self._all_bad(queue, view)):
            raise PoolError(problem)
        self.sizes.fit(queue, nodes)
        return verdicts

    def _name_broken(self, queue: PoolQueue, view: PoolView) -> None:
        """Says once of each node that is not set up, while others are, why; it takes no tasks by itself."""
        for node in view.nodes:
            if node.broken and node.id not in queue.broken:
                self.warn(
                    f"Azure Batch: the node {node.id} of the pool {queue.pool_id} is unusable: "
                    f"{(node.error or node.state).rstrip('.')}."
                )
        queue.broken = {node.id for node in view.nodes if node.broken}

    def _all_bad(self, queue: PoolQueue, view: PoolView) -> str | None:
        """Why nothing will run any more, if all nodes that the pool may have were taken out."""
        bad = [
            f"{node.id}: {queue.health.bad[node.id]}" for node in view.nodes if node.id in queue.health.bad
        ]
        full = queue.plan is None or len(view.nodes) >= queue.plan.max_nodes
        if view.usable or not view.steady or not full or len(bad) < len(view.nodes) or not bad:
            return None
        return f"All nodes of the pool {queue.pool_id} are bad ({'; '.join(bad)})."

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
        self.warn(f"{bad} {'It gets no more tasks.' if done else 'It takes no tasks now.'}")
        with self._lock:
            if not self._closed:
                self.sizes.take_out(queue, node_id)

    def _say_how_it_goes(self, queue: PoolQueue, summary: str, now: datetime) -> None:
        """A line when the pool's nodes changed, and while people wait for a first node at least one a minute."""
        waited = now - queue.idle_since if queue.idle_since else timedelta(0)
        overdue = bool(waited) and queue.said is not None and now - queue.said >= SAY_EVERY
        if summary == queue.seen and not overdue:
            return
        queue.seen, queue.said = summary, now
        minutes = int(waited.total_seconds() // 60)
        after = f" after {minutes} min" if minutes else ""
        self.say(f"Azure Batch: pool {queue.pool_id}: {summary}{after}; {len(queue.open_slots)} tasks open.")

    def _pause(self, queue: PoolQueue) -> timedelta:
        """People watch a pool come up, so the first looks are closer together."""
        if queue.idle_since and queue.looked and queue.looked - queue.idle_since < LOOK_OFTEN_FOR:
            return timedelta(seconds=2)
        return LOOK_EVERY

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
