"""Puts ready tasks on the free nodes of one pool."""

import math

from . import runs, tasks
from .entities import Job, Node, Pool
from .free_nodes import Refuses
from .machine import Machine
from .scheduler import place, place_together


def dispatch(m: Machine, pool_key: str) -> None:
    pool, line = m.pools.get(pool_key), m.lines.get(pool_key)
    if pool is None or pool.state != "active" or line is None:
        return
    for entry in tuple(line.entries):
        if not pool.free:
            return
        job = m.jobs.get(entry[2])
        if job is None or m.line_entry(job) != entry or job.pool != pool_key or not _serve(m, pool, job):
            line.remove(entry)


def _serve(m: Machine, pool: Pool, job: Job) -> bool:
    """Places what it can of a job's tasks; whether the job has more that only wait for slots."""
    fill = pool.spec["taskSchedulingPolicy"]["nodeFillType"]
    refuses = (
        (lambda node_id: prep_failed(job, pool.nodes[node_id])) if "jobPreparationTask" in job.spec else None
    )
    if job.picky:
        _serve_picky(m, pool, job, fill, refuses)
    while job.ready and _may_begin(job):
        placed = place(job.ready, pool.free, fill, refuses)
        if placed is None:
            return True
        task, node = placed
        runs.begin_task(m, pool, [pool.nodes[node]], job, job.tasks[task.key])
    return bool(job.picky) and job.state == "active"


def _may_begin(job: Job) -> bool:
    most = job.spec["maxParallelTasks"]
    return job.state == "active" and (most == -1 or len(job.runs) < most)


def _serve_picky(m: Machine, pool: Pool, job: Job, fill: str, refuses: Refuses | None) -> None:
    """Tasks that are particular about their nodes, the oldest first; one that finds none is passed by."""
    too_many: float = math.inf  # instances of a gang that found no room: those of the same size won't, either
    for key in sorted(job.picky, key=job.picky.__getitem__):
        if not _may_begin(job):
            return
        task = job.tasks[key]
        if not task.manager and task.instances >= too_many:
            continue
        suitable = (
            (free, number, node)
            for node, (number, free) in pool.free.slots.items()
            if 0 < tasks.need(pool, job, task, pool.nodes[node]) <= free and not (refuses and refuses(node))
        )
        if chosen := place_together(task.instances, suitable, fill):
            del job.picky[key]
            runs.begin_task(m, pool, [pool.nodes[node] for node in chosen], job, task)
        elif not task.manager:
            too_many = task.instances


def prep_failed(job: Job, node: Node) -> bool:
    prep = node.preps.get(job.key)
    return (
        prep is not None
        and prep.state == "completed"
        and not prep.stale
        and prep.execution.result == "failure"
        and prep.spec["waitForSuccess"]
    )
