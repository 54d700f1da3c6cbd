"""Tasks. https://learn.microsoft.com/rest/api/batchservice/tasks"""

from ...protocol.errors import BatchError
from ..bodies.checks import check_storage
from ..bodies.job_specs import MANAGER_ONLY, check_task_id
from ..bodies.task_specs import check_fits, share, task_constraints, task_spec
from ..entities import Execution, Job, Node, Pool, Spec, Task
from ..instructions import DeleteFiles
from ..jobs import jobs
from ..machine import Machine
from ..nodes import nodes
from ..placing.scheduler import Waiting
from ..runs import runs
from ..states import TASK, Stateful
from ..views import statistics
from . import outcomes

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
        check_fits(spec, pool.spec)
    return _add(m, job, spec)


def add_manager(m: Machine, job: Job) -> None:
    """The job manager task of a new job."""
    given = job.spec["jobManagerTask"]
    spec = {name: value for name, value in given.items() if name not in MANAGER_ONLY}
    _add(m, job, spec, manager=True)


def _add(m: Machine, job: Job, spec: Spec, *, manager: bool = False) -> Task:
    spec = job.latest = share(spec, job.latest)
    task = Task(spec["id"], m.next_seq(), spec, m.now, m.now, m.new_etag(), Stateful(TASK, "active", m.now))
    task.manager = manager
    outcomes.enter(job, task)
    outcomes.await_dependencies(job, task)
    make_ready(m, job, task)
    return task


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


def make_ready(m: Machine, job: Job, task: Task) -> None:
    """Queues the task if nothing holds it back."""
    if task.state != "active" or task.unmet or task.run is not None or task.key in job.dying:
        return
    if task.manager or "multiInstanceSettings" in task.spec:
        job.constrained[task.key] = task.seq
    else:
        job.ready.add(Waiting(task.key, task.seq, task.slots, _affinity(task)))
    m.line_up(job)


def need(pool: Pool, job: Job, task: Task, node: Node) -> int:
    """How many slots the task takes of a node; 0 where it does not go there at all.

    https://learn.microsoft.com/rest/api/batchservice/jobs/create-job#batchjobmanagertask,
    https://learn.microsoft.com/azure/batch/batch-mpi#requirements-for-multi-instance-tasks
    """
    if "multiInstanceSettings" in task.spec:
        return int(pool.spec["enableInterNodeCommunication"] and node.slots == 1)
    if not task.manager:
        return task.slots
    manager = job.spec["jobManagerTask"]
    if not node.dedicated and not manager["allowLowPriorityNode"]:
        return 0
    return max(node.slots, task.slots) if manager["runExclusive"] else task.slots


def _affinity(task: Task) -> str | None:
    wanted = task.spec.get("affinityInfo", {}).get("affinityId", "")
    return wanted.removeprefix("TVM:").lower() or None


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
        runs.kill(m, m.runs[task.run], "end")
    else:
        job.withdraw(task)
        runs.complete(m, job, task, None, outcomes.ended_by_user())


def reactivate(m: Machine, job: Job, task: Task) -> None:
    jobs.check_not_ending(job)
    if task.state != "completed":
        raise BatchError("TaskNotCompleted")
    if task.execution.result == "success":
        raise BatchError("TaskSucceeded")
    outcomes.move(job, task, "active", m.now)
    statistics.set_aside(task, task.execution.end or m.now)
    task.execution = Execution(requeues=task.execution.requeues, last_requeue=task.execution.last_requeue)
    m.touch(task)
    make_ready(m, job, task)


def delete(m: Machine, job: Job, task: Task) -> None:
    """The task is gone at once; what still runs of it is killed, and its files go with it."""
    if job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    job.withdraw(task)
    outcomes.leave(job, task, m.now)
    if task.run is not None:
        job.dying.add(task.key)
        runs.kill(m, m.runs[task.run], "delete")
    else:
        delete_files(m, job, task)
    jobs.end_if_all_complete(m, job)


def delete_files(m: Machine, job: Job, task: Task) -> None:
    if task.files != "kept":
        return
    task.files = "cleaned"
    for place in task.places:
        if node := m.find_node(*place):
            m.emit(DeleteFiles(node.id, job.id, task.id))
            nodes.proceed(m, node)
