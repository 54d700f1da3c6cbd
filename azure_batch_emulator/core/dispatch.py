"""Puts ready tasks on the free nodes of one pool."""

from . import runs
from .entities import Job, Node, Pool
from .machine import Machine
from .scheduler import place


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
    most = job.spec["maxParallelTasks"]
    while job.state == "active" and job.ready and (most == -1 or len(job.runs) < most):
        placed = place(job.ready, pool.free, fill, refuses)
        if placed is None:
            return True
        task, node = placed
        runs.begin_task(m, pool, pool.nodes[node], job, job.tasks[task.key])
    return False


def prep_failed(job: Job, node: Node) -> bool:
    prep = node.preps.get(job.key)
    return (
        prep is not None
        and prep.state == "completed"
        and prep.execution.result == "failure"
        and prep.spec["waitForSuccess"]
    )
