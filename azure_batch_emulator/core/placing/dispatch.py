"""Puts ready tasks on the free nodes of one pool."""

import math

from ..entities import Job, Node, Pool, Task
from ..indexes.free_nodes import Refuses
from ..indexes.queues import CONSTRAINED
from ..machine import Machine
from ..runs.starting import begin_task
from ..tasks import waiting
from .scheduler import place, place_together


def dispatch(m: Machine, pool_key: str) -> None:
    """Nodes that are kept for a multi-instance task are looked at again after each stimulus (`Machine.holding`): there
    are many ways in which such a task, or a node that it needs, can go."""
    m.holding.discard(pool_key)
    pool, line = m.pools.get(pool_key), m.lines.get(pool_key)
    if pool is None or pool.state != "active" or line is None:
        return
    least = _made_for(m, pool_key)
    for entry in tuple(line.entries):
        negative, kind, _, key = entry
        if not pool.free or (least is not None and -negative < least):
            return
        job = m.jobs.get(key)
        if job is None or m.line_entry(job, kind) != entry or job.pool != pool_key:
            line.remove(entry)
        elif kind == CONSTRAINED:
            if _serve_constrained(m, pool, job):
                m.holding.add(pool_key)
                return
            if not job.constrained or job.state != "active":
                line.remove(entry)
        elif not _serve(m, pool, job):
            line.remove(entry)


def _made_for(m: Machine, pool_key: str) -> int | None:
    """The highest priority that room is being made for on a pool."""
    making = m.making_room.get(pool_key)
    if not making:
        return None
    for run in [run for run in making if run not in m.runs]:
        del making[run]
    return max(making.values(), default=None)


def _serve(m: Machine, pool: Pool, job: Job) -> bool:
    """Places what it can of a job's ordinary tasks; whether the job has more that only wait for slots."""
    refuses = refusal(pool, job)
    while job.ready and may_begin(job):
        placed = place(job.ready, pool.free, _fill(pool), refuses)
        if placed is None:
            return True
        task, node = placed
        begin_task(m, pool, [pool.nodes[node]], job, job.tasks[task.key])
    return False


def _fill(pool: Pool) -> str:
    return pool.spec["taskSchedulingPolicy"]["nodeFillType"]


def refusal(pool: Pool, job: Job) -> Refuses | None:
    """Which nodes the job may not use: those where its preparation task has failed."""
    if "jobPreparationTask" not in job.spec:
        return None
    return lambda node_id: prep_failed(job, pool.nodes[node_id])


def may_begin(job: Job) -> bool:
    """Whether another task of the job may begin at all."""
    most = job.spec["maxParallelTasks"]
    return job.state == "active" and (most == -1 or len(job.runs) < most)


def _serve_constrained(m: Machine, pool: Pool, job: Job) -> bool:
    """Places tasks that need certain nodes, the oldest first. A multi-instance task that finds too few
    nodes free, but that the pool has enough nodes for, keeps them for itself: whether that is so, and nobody behind it
    may begin. Whatever else finds no room is passed by."""
    refuses = refusal(pool, job)
    too_many: float = math.inf  # instances of a task that found no room: one of the same size won't, either
    for key in sorted(job.constrained, key=job.constrained.__getitem__):
        if not may_begin(job):
            return False
        task = job.tasks[key]
        if not task.manager and task.instances >= too_many:
            continue
        suitable = (
            (free, number, node)
            for node, (number, free) in pool.free.slots.items()
            if 0 < waiting.need(pool, job, task, pool.nodes[node]) <= free and not (refuses and refuses(node))
        )
        if chosen := place_together(task.instances, suitable, _fill(pool)):
            del job.constrained[key]
            begin_task(m, pool, [pool.nodes[node] for node in chosen], job, task)
        elif not task.manager:
            if _will_fit(m, pool, job, task, refuses):
                return True
            too_many = task.instances
    return False


def _will_fit(m: Machine, pool: Pool, job: Job, task: Task, refuses: Refuses | None) -> bool:
    """Whether enough nodes would suit a multi-instance task, if they were free. Those of job managers do not count:
    they may well wait for this task."""
    if len(pool.nodes) < task.instances:
        return False
    suitable = sum(
        1
        for node in pool.nodes.values()
        if node.usable
        and 0 < waiting.need(pool, job, task, node) <= node.slots
        and not (refuses and refuses(node.id))
        and not _has_manager(m, node)
    )
    return suitable >= task.instances


def _has_manager(m: Machine, node: Node) -> bool:
    return any((task := m.runs[run].task) is not None and task.manager for run in node.runs)


def prep_failed(job: Job, node: Node) -> bool:
    prep = node.preps.get(job.key)
    return (
        prep is not None
        and prep.state == "completed"
        and not prep.stale
        and prep.execution.result == "failure"
        and prep.spec["waitForSuccess"]
    )
