"""Puts ready tasks on the free nodes of one pool."""

from . import runs, tasks
from .machine import Machine
from .scheduler import Lane, place


def dispatch(m: Machine, pool_key: str) -> None:
    pool = m.pools.get(pool_key)
    if pool is None or pool.state != "active":
        return
    free = {node.id: node.free for node in pool.nodes.values() if node.usable and node.free > 0}
    if not free:
        return
    jobs = [job for job in m.jobs_on(pool_key) if job.state == "active" and len(job.ready)]
    lanes = []
    for job in sorted(jobs, key=lambda job: (-job.spec["priority"], job.seq)):
        most = job.spec["maxParallelTasks"]
        room = None if most == -1 else most - len(job.runs)
        banned = (
            frozenset(
                node.id
                for node in pool.nodes.values()
                if (prep := node.preps.get(job.key))
                and prep.state == "completed"
                and prep.execution.result == "failure"
                and prep.spec["waitForSuccess"]
            )
            if "jobPreparationTask" in job.spec
            else frozenset()
        )
        lanes.append(Lane(job.key, job.ready, room, banned))
    for placement in place(lanes, free, pool.spec["taskSchedulingPolicy"]["nodeFillType"]):
        job = m.jobs[placement.job]
        task = job.tasks[placement.task]
        if job.state == "active":
            runs.begin_task(m, pool, pool.nodes[placement.node], job, task)
        else:
            # A placement before this one has ended or disabled the job.
            tasks.make_ready(m, job, task)
