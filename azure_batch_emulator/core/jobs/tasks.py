"""Tasks. https://learn.microsoft.com/rest/api/batchservice/tasks"""

from ...protocol.errors import BatchError
from ..bodies.checks import check_storage
from ..bodies.job_specs import check_task_id
from ..bodies.task_specs import check_fits, task_constraints, task_spec
from ..entities import Execution, Job, Task
from ..machine import Machine
from ..runs.attempts import complete
from ..runs.killing import kill
from ..tasks import consumption, files, outcomes, waiting
from . import jobs

MAX_COLLECTION = 100


def create(m: Machine, job: Job, body: dict) -> Task:
    jobs.check_not_ending(job)
    check_storage(body, m.catalogue)
    spec = task_spec(body, job.spec)
    key = spec["id"].lower()
    check_task_id(key, job.spec)
    if key in job.tasks:
        raise BatchError("TaskExists")
    pool = m.pools.get(job.pool)
    if pool is not None:
        check_fits(spec, pool.spec, needed=False)
    return waiting.add(m, job, spec)


def create_collection(
    m: Machine, job: Job, bodies: list[dict | BatchError]
) -> list[tuple[str, Task | BatchError]]:
    """Adds each task on its own; one that is refused does not keep the others out."""
    jobs.check_not_ending(job)
    results: list[tuple[str, Task | BatchError]] = []
    for body in bodies:
        if isinstance(body, BatchError):
            results.append(("", body))
            continue
        try:
            results.append((body["id"], create(m, job, body)))
        except BatchError as error:
            results.append((body["id"], error))
    return results


def replace(m: Machine, job: Job, task: Task, body: dict) -> None:
    """PUT: only the constraints can change, and those not given are reset."""
    jobs.check_not_ending(job)
    if task.state == "completed":
        raise BatchError("TaskCompleted")
    task.spec["constraints"] = task_constraints(
        body.get("constraints"), job.spec["constraints"]["maxTaskRetryCount"]
    )
    m.touch(task)


def terminate(m: Machine, job: Job, task: Task) -> None:
    if task.state == "completed":
        raise BatchError("TaskCompleted")
    if task.run is not None:
        kill(m, m.runs[task.run], "end")
    else:
        job.withdraw(task)
        complete(m, job, task, None, outcomes.ended_by_user())


def reactivate(m: Machine, job: Job, task: Task) -> None:
    jobs.check_not_ending(job)
    if task.state != "completed":
        raise BatchError("TaskNotCompleted")
    if task.execution.result == "success":
        raise BatchError("TaskSucceeded")
    outcomes.move(job, task, "active", m.now)
    consumption.set_aside(task, task.execution.end or m.now)
    task.execution = Execution(requeues=task.execution.requeues, last_requeue=task.execution.last_requeue)
    m.touch(task)
    waiting.make_ready(m, job, task)


def delete(m: Machine, job: Job, task: Task) -> None:
    """The task is gone at once; what still runs of it is killed, and its files go with it."""
    if job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    job.withdraw(task)
    outcomes.leave(job, task, m.now)
    if task.run is not None:
        job.dying.add(task.key)
        kill(m, m.runs[task.run], "delete")
    else:
        files.delete(m, job, task)
    jobs.end_if_all_complete(m, job)
