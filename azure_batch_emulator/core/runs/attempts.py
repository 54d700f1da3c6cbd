"""Attempts: what becomes of a task when a run of it has ended.

A task's slots are taken when it is placed and freed when the engine has reported the end of its last run: a kill
only asks for that. A retry is a new run in the same place.
"""

from collections.abc import Sequence

from ..entities import Ended, Execution, Failed, Job, Node, Pool, Run, Task
from ..events import RunEnded, TaskCompleted
from ..instructions import UploadOutputs
from ..machine import Machine
from ..tasks import consumption, files, outcomes, waiting
from . import instances
from .launching import drop, launch, register, unnoticed


def take_nodes(m: Machine, pool: Pool, where: list[Node], job: Job, task: Task, fetch: bool) -> list[Run]:
    """Takes the nodes for one more go of a task; its runs, still to be launched."""
    started = [
        Run(m.hex(32), "task", pool.key, node.id, waiting.need(pool, job, task, node), job.key, task)
        for node in where
    ]
    task.run = started[0].id
    if "multiInstanceSettings" in task.spec:
        for instance, run in enumerate(started):
            run.instance, run.stage = instance, "coordination"
        instances.form(m, task, started, fetch)
    for node, run in zip(where, started, strict=True):
        register(m, node, job, run)
    return started


def run_ended(m: Machine, run: Run, ended: Ended) -> None:
    """The run of a task on one node is over."""
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    if unnoticed(run, node):
        return
    attempt_over(m, job, [node], run, task, ended)
    m.tell(RunEnded(job, [node]))


def attempt_over(
    m: Machine, job: Job, where: Sequence[Node | None], run: Run, task: Task, ended: Ended
) -> None:
    """A task has let go of its nodes (`where`, the primary's first); `run` still stands for it on the first."""
    execution = task.execution
    execution.container_id = ended.container_id or execution.container_id
    there = [node for node in where if node is not None and node.up]
    if run.intent == "delete":
        drop(m, run)
        _end_deleted(m, job, task)
    elif run.intent in ("requeue", "recover"):
        drop(m, run)
        _requeue(m, job, task, counted=run.intent == "requeue")
    elif run.intent == "end":
        drop(m, run)
        complete(m, job, task, None, outcomes.time_is_up() if run.expired else outcomes.ended_by_user())
    elif ended.failure is not None or ended.exit_code is None:
        drop(m, run)
        failure = ended.failure or Failed("ServerError", "Unknown", "The task was lost on its node.")
        complete(m, job, task, None, failure, outcomes.PRE_PROCESSING)
    elif ended.exit_code != 0 and may_retry(task.spec["constraints"]["maxTaskRetryCount"], execution):
        if len(there) == len(where):
            _retry(m, job, there, run, task)
        else:
            drop(m, run)
            _requeue(m, job, task, counted=False)
    else:
        _finish(m, job, where[0], run, task, ended)


def _end_deleted(m: Machine, job: Job, task: Task) -> None:
    """The last of a task that has been deleted; a new one with its id may start now."""
    job.dying.discard(task.key)
    files.delete(m, job, task)
    if again := job.tasks.get(task.key):
        waiting.make_ready(m, job, again)


def may_retry(most: int, execution: Execution) -> bool:
    """Whether a task of any kind is run again after a failure; `most` is -1 for no limit."""
    return most == -1 or execution.retries < most


def _retry(m: Machine, job: Job, where: list[Node], run: Run, task: Task) -> None:
    drop(m, run)
    consumption.set_aside(task, m.now)
    job.statistics.book(m.now).retries += 1
    task.execution.retries += 1
    task.execution.last_retry = task.execution.start = m.now
    pool = m.pools[run.pool]
    for node, again in zip(where, take_nodes(m, pool, where, job, task, fetch=False), strict=True):
        launch(m, pool, node, job, again, task.spec, task.id, fetch=False)


def _finish(m: Machine, job: Job, node: Node | None, run: Run, task: Task, ended: Ended) -> None:
    """The command's last run is over: its output files come next, if there are any for this outcome."""
    success = ended.exit_code == 0
    failure = None if success else outcomes.exit_code_failure(ended.details)
    wanted = ("taskcompletion", "tasksuccess" if success else "taskfailure")
    uploads = tuple(
        f for f in task.spec.get("outputFiles", ()) if f["uploadOptions"]["uploadCondition"] in wanted
    )
    if uploads and node is not None and node.up:
        run.enter("uploading")
        task.execution.exit_code, task.execution.failure = ended.exit_code, failure
        m.emit(UploadOutputs(run.id, node.id, job.id, task.id, uploads, success))
        return
    drop(m, run)
    complete(m, job, task, ended.exit_code, failure)


def upload_over(m: Machine, run: Run, failure: Failed | None) -> None:
    """Output files have been uploaded, or could not be: the task is over."""
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    if unnoticed(run, node):
        return
    drop(m, run)
    if run.intent == "delete":
        _end_deleted(m, job, task)
    elif run.intent == "recover":
        _requeue(m, job, task, counted=False)
    elif failure is not None:
        complete(m, job, task, task.execution.exit_code, failure, outcomes.UPLOAD)
    else:
        complete(m, job, task, task.execution.exit_code, task.execution.failure)
    m.tell(RunEnded(job, [node]))


def _requeue(m: Machine, job: Job, task: Task, *, counted: bool) -> None:
    """`counted`: a user asked for it; what the service does about a node that is gone does not show in the counts."""
    outcomes.move(job, task, "active", m.now)
    if counted:
        task.execution.requeues += 1
        task.execution.last_requeue = m.now
    consumption.set_aside(task, m.now)
    task.execution.start = task.execution.exit_code = task.execution.failure = None
    task.node, task.subtasks = None, ()
    waiting.make_ready(m, job, task)


def complete(
    m: Machine, job: Job, task: Task, exit_code: int | None, failure: Failed | None, stage: str | None = None
) -> None:
    """The task is over, and what follows from that follows."""
    execution = task.execution
    execution.end, execution.exit_code, execution.failure = m.now, exit_code, failure
    execution.result = "failure" if failure else "success"
    outcomes.move(job, task, "completed", m.now)
    if task.node and (node := m.find_node(*task.node)) and not failure:
        node.total_succeeded += 1
    files.keep(m, job, task)
    options = outcomes.exit_options(task, stage)
    if options["dependencyAction"] == "satisfy":
        for dependent in outcomes.satisfy(job, task):
            waiting.make_ready(m, job, dependent)
    m.tell(TaskCompleted(job, task, options))
