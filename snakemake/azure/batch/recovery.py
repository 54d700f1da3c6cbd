"""What another run has left in the Batch account, and how it is taken over or ended.

Each task says in its environment which job it runs and what that job does (`TaskMark`), so that a client which knows
nothing but the ids of the Batch jobs can tell which of its own jobs are under way.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.kept_nodes import kept_until
from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.batch.monitor import Verdict, judge
from snakemake.azure.batch.pool_definition import DEFINITION
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.warm_pools import RUN, is_warm
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchPool

MARK = "SNAKEMAKE_AZBATCH_JOB"
AT_ONCE = 16
END_PATIENCE = 60.0
"""Seconds that the end of tasks is waited for. Those of nodes that nobody reaches take longer; they can't write."""


@dataclass(frozen=True)
class TaskMark:
    """Which job a task runs, and what it does: digests that are the same for the same, whoever makes them; and which
    attempt of the job it is, from 1.
    """

    job: str
    work: str
    attempt: int

    def environment(self) -> dict[str, str]:
        return {MARK: f"{self.job}:{self.work}:{self.attempt}"}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "TaskMark | None":
        """None for a task that has none."""
        try:
            job, work, attempt = environment.get(MARK, "").split(":")
            return cls(job, work, int(attempt))
        except ValueError:
            return None


@dataclass(frozen=True)
class LeftTask:
    """A task of another run. `verdict` is None while it waits or runs; `created` is the service's time (UTC),
    `slots` are the task slots that it takes.
    """

    id: str
    job_id: str
    pool_id: str
    mark: TaskMark
    created: datetime
    slots: int
    verdict: Verdict | None = None

    @property
    def is_open(self) -> bool:
        return self.verdict is None

    @property
    def succeeded(self) -> bool:
        return self.verdict is not None and self.verdict.success

    @classmethod
    def of(cls, task: ListedTask, job_id: str, pool_id: str) -> "LeftTask | None":
        """None for a task that is none of ours."""
        mark = TaskMark.of(task.environment)
        if mark is None or task.created is None:
            return None
        return cls(
            id=task.id,
            job_id=job_id,
            pool_id=pool_id,
            mark=mark,
            created=task.created,
            slots=task.slots,
            verdict=judge(task) if task.completed else None,
        )


def tasks_left(batch: Batch, jobs: Iterable[tuple[str, str]]) -> list[LeftTask]:
    """The tasks of these Batch jobs (each with its pool's id). What still waits in a Batch job that has come to its end
    will never run, and is left out.
    """
    found: list[LeftTask] = []
    for job_id, pool_id in jobs:
        job = batch.get_job(job_id)
        if job is None:
            continue
        goes_on = lower(job.state) == "active"
        for task in batch.all_tasks(job_id):
            left = LeftTask.of(task, job_id, pool_id)
            if left is not None and (goes_on or not left.is_open):
                found.append(left)
    return found


def newest(tasks: Iterable[LeftTask]) -> dict[str, LeftTask]:
    """The newest task of each job, by the digest of the job."""
    found: dict[str, LeftTask] = {}
    for task in sorted(tasks, key=lambda task: (task.created, task.mark.attempt)):
        found[task.mark.job] = task
    return found


def pools_left(batch: Batch, pools: Iterable[tuple[str, str]], max_nodes: int) -> list[tuple[PoolPlan, int]]:
    """Those of the pools (each with the id of the run that had it) that are still there, not being deleted, and not
    another run's by now, with the sizes that they are to have."""
    found = []
    for pool_id, run in pools:
        try:
            pool = batch.get_pool(pool_id)
        except BatchError as e:
            if e.status == 404:
                continue
            raise
        metadata = {item.name: item.value for item in pool.metadata or []}
        if lower(pool.state) != "active" or kept_until(pool):
            continue  # with the node of a failed task, it ends by itself
        if not (is_warm(pool_id) and metadata.get(RUN) != run):
            found.append((_plan_of(pool, max_nodes), pool.target_dedicated_nodes or 0))
    return found


def _plan_of(pool: "BatchPool", max_nodes: int) -> PoolPlan:
    machine = pool.virtual_machine_configuration
    containers = machine.container_configuration if machine else None
    images = (containers.container_image_names if containers else None) or [""]
    metadata = {item.name: item.value for item in pool.metadata or []}
    return PoolPlan(
        pool.id or "",
        pool.vm_size or "",
        pool.task_slots_per_node or 1,
        max_nodes,
        images[0],
        None,
        made_of=metadata.get(DEFINITION, ""),
        scales=pool.enable_auto_scale is not False,
    )


def end_tasks(
    batch: Batch,
    tasks: Sequence[LeftTask],
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> int:
    """Ends the tasks and waits until they have ended; how many had not after END_PATIENCE."""
    if not tasks:
        return 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda task: batch.terminate_task(task.job_id, task.id), tasks))
    end = now() + END_PATIENCE
    while True:
        states = {
            (job_id, task): state
            for job_id in {task.job_id for task in tasks}
            for task, state in _states(batch, job_id).items()
        }
        running = sum(states.get((task.job_id, task.id), "completed") not in ("completed",) for task in tasks)
        if not running or now() > end:
            return running
        pause(0.5)


def jobs_gone(
    batch: Batch,
    job_ids: Sequence[str],
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> bool:
    """Waits until Batch jobs that are being deleted are gone; False when they still were there after END_PATIENCE."""
    end = now() + END_PATIENCE
    while any(batch.get_job(job_id) is not None for job_id in job_ids):
        if now() > end:
            return False
        pause(0.5)
    return True


def _states(batch: Batch, job_id: str) -> dict[str, str]:
    try:
        return batch.task_states(job_id)
    except BatchError as e:
        if e.status == 404:
            return {}
        raise
