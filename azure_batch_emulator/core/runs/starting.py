"""A task begins on the nodes that it has been given, after the job's preparation task where it has not run yet."""

from ...protocol.errors import BatchError
from ..bodies.containers import has_containers
from ..bodies.task_specs import check_fits, check_user
from ..entities import Job, Node, NodeTask, Pool, Run, Task
from ..machine import Machine
from ..tasks import outcomes
from . import start_preparation_release
from .attempts import complete, take_nodes
from .launching import drop, launch

RECENT = 10


def begin_task(m: Machine, pool: Pool, where: list[Node], job: Job, task: Task) -> None:
    """A task has been placed: on one node, or on as many as it has instances."""
    outcomes.move(job, task, "preparing", m.now)
    task.node = (pool.key, where[0].id)
    task.execution.start, task.execution.end = m.now, None
    started = take_nodes(m, pool, where, job, task, fetch=True)
    for node in where:
        node.recent = [other for other in node.recent if other is not task][-RECENT + 1 :] + [task]
        node.total_run += 1
    try:
        check_fits(task.spec, pool.spec, needed=False)
        check_user(task.spec, pool.spec)
        misfit = None
    except BatchError as error:
        # The pool came after the task, or the job was given another pool.
        misfit = outcomes.unfit(str(error))
    if misfit is None and has_containers(pool.spec) and "containerSettings" not in task.spec:
        misfit = outcomes.without_container_settings()
    if misfit is not None:
        task.attempt, task.subtasks = None, ()
        for run in started:
            drop(m, run)
        complete(m, job, task, None, misfit, outcomes.PRE_PROCESSING)
        return
    for node, run in zip(where, started, strict=True):
        _launch_after_preparation(m, pool, node, job, run)


def _launch_after_preparation(m: Machine, pool: Pool, node: Node, job: Job, run: Run) -> None:
    assert run.task is not None
    if "jobPreparationTask" in job.spec:
        prep = node.preps.get(job.key)
        if prep is None or prep.stale:
            prep = node.preps[job.key] = NodeTask(
                job.spec["jobPreparationTask"]["id"], job.spec["jobPreparationTask"]
            )
            start_preparation_release.begin(m, node, "prep", prep, job)
        if prep.state == "running":
            run.enter("waiting")
            prep.waiting.append(run.id)
            return
    launch(m, pool, node, job, run, run.task.spec, run.task.id)
