"""Runs: from the moment a task gets a node to the moment it has let go of it.

A task's slots are taken when it is placed and freed when the engine has reported the end of its last run: a kill
only asks for that. A retry is a new run in the same place.
"""

from collections.abc import Sequence
from datetime import timedelta

from ...protocol.errors import BatchError
from ...protocol.wire import finite
from ..bodies import identities
from ..bodies.task_specs import check_fits, check_user
from ..entities import Ended, Execution, Failed, Job, Node, NodeTask, Pool, Run, Spec, Task
from ..instructions import KillRun, StartRun, UploadOutputs
from ..jobs import jobs
from ..machine import Machine
from ..nodes import nodes
from ..tasks import outcomes, retention, tasks
from ..views import statistics
from . import multi_instance, start_preparation_release

RECENT = 10
WEIGHT: dict[str | None, int] = {None: 0, "recover": 1, "requeue": 2, "end": 3, "delete": 4}


def begin_task(m: Machine, pool: Pool, where: list[Node], job: Job, task: Task) -> None:
    """A task has been placed: on one node, or on as many as it has instances."""
    outcomes.move(job, task, "preparing", m.now)
    task.node = (pool.key, where[0].id)
    task.execution.start, task.execution.end = m.now, None
    started = _attempt(m, pool, where, job, task, fetch=True)
    for node in where:
        node.recent = [other for other in node.recent if other is not task][-RECENT + 1 :] + [task]
        node.total_run += 1
    try:
        check_fits(task.spec, pool.spec)
        check_user(task.spec, pool.spec)
    except BatchError as error:
        # The pool came after the task, or the job was given another pool.
        task.attempt, task.subtasks = None, ()
        for run in started:
            drop(m, run)
        complete(m, job, task, None, outcomes.unfit(str(error)), outcomes.PRE_PROCESSING)
        return
    for node, run in zip(where, started, strict=True):
        _launch_after_preparation(m, pool, node, job, run)


def _attempt(m: Machine, pool: Pool, where: list[Node], job: Job, task: Task, fetch: bool) -> list[Run]:
    """Takes the nodes for one more go of a task; its runs, still to be launched."""
    started = [
        Run(m.hex(32), "task", pool.key, node.id, tasks.need(pool, job, task, node), job.key, task)
        for node in where
    ]
    task.run = started[0].id
    if "multiInstanceSettings" in task.spec:
        for instance, run in enumerate(started):
            run.instance, run.stage = instance, "coordination"
        multi_instance.form(m, task, started, fetch)
    for node, run in zip(where, started, strict=True):
        register(m, node, job, run)
    return started


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


def register(m: Machine, node: Node, job: Job | None, run: Run) -> None:
    m.runs[run.id] = run
    node.runs[run.id] = run.slots
    if job is not None and run.instance == 0:
        (job.runs if run.kind == "task" else job.prep_release_runs).add(run.id)
    nodes.show_load(m, node)


def drop(m: Machine, run: Run) -> None:
    m.runs.pop(run.id, None)
    if run.job and (job := m.jobs.get(run.job)):
        job.runs.discard(run.id)
        job.prep_release_runs.discard(run.id)
        m.line_up(job)
    if run.task is not None and run.task.run == run.id:
        run.task.run = None
    if node := m.find_node(run.pool, run.node):
        node.runs.pop(run.id, None)
        nodes.show_load(m, node)


def launch(
    m: Machine,
    pool: Pool,
    node: Node,
    job: Job | None,
    run: Run,
    spec: Spec,
    name: str,
    fetch: bool = True,
    elapsed: timedelta | None = None,
) -> None:
    """Has the engine start a command; `elapsed` is how much of its time limit is over already."""
    if run.stage == "coordination":
        spec = multi_instance.coordination(spec)
    run.enter("launching")
    if fetch and run.task is not None:
        run.task.files = "kept"
    prep = job.spec["jobPreparationTask"]["id"] if job and "jobPreparationTask" in job.spec else None
    common = job.spec.get("commonEnvironmentSettings", ()) if job else ()
    users = tuple(pool.spec.get("userAccounts", ()))
    m.emit(
        StartRun(
            run.id, run.kind, pool.id, node.id, node.dedicated, job.id if job else None, name,
            spec, tuple(common), prep, users, run.slots, fetch, identities.of_pool(pool.spec),
            multi_instance.part(m, pool, run),
        )
    )  # fmt: skip
    limit = finite(
        spec["maxWallClockTime"]
        if run.kind == "release"
        else spec.get("constraints", {}).get("maxWallClockTime")
    )
    if limit is not None:
        m.set_timer(limit - (elapsed or timedelta()), "run-limit", run.id)


def kill(m: Machine, run: Run, intent: str) -> None:
    """Asks for a run's end, and that of the other instances of a multi-instance task. What wants it gone (delete, end)
    outweighs what wants it again (requeue, recover)."""
    together = multi_instance.affected(m, run, intent)
    for one in together:
        one.intent = max(one.intent, intent, key=WEIGHT.__getitem__)
    for one in together:
        if one.task is not None and one.task.attempt is not None and one.phase in multi_instance.HELD:
            multi_instance.let_go(m, one)
        elif one.phase in ("waiting", "lost"):
            exited(m, one.id, Ended())
        elif one.phase not in ("uploading", "over"):
            m.emit(KillRun(one.id))
    if run.task is not None:
        multi_instance.conclude(m, run.task)


def kill_node_runs(m: Machine, node: Node, intent: str) -> None:
    for run_id in list(node.runs):
        if run := m.runs.get(run_id):
            kill(m, run, intent)


def limit_reached(m: Machine, run_id: str) -> None:
    run = m.runs.get(run_id)
    if run is not None and run.intent is None and run.phase != "uploading":
        run.expired = True
        kill(m, run, "end")


def running(m: Machine, run_id: str) -> None:
    """The engine has started the command."""
    run = m.runs.get(run_id)
    if run is None or run.phase != "launching":
        return
    run.enter("running")
    multi_instance.running(m, run)
    job = m.jobs.get(run.job or "")
    if job is not None and run.task is not None and run.task.state == "preparing":
        outcomes.move(job, run.task, "running", m.now)


def exited(m: Machine, run_id: str, ended: Ended) -> None:
    """The engine reports that a run is over. A failure means that the command could not be started."""
    run = m.runs.get(run_id)
    if run is None or run.phase == "uploading":
        return
    if run.kind != "task":
        start_preparation_release.exited(m, run, ended)
        return
    statistics.spend(m, run, ended)
    if run.task is not None and run.task.attempt is not None:
        multi_instance.exited(m, run, ended)
        return
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    if unnoticed(run, node):
        return
    attempt_over(m, job, [node], run, task, ended)
    jobs.settle(m, job)
    nodes.proceed(m, node)


def attempt_over(
    m: Machine, job: Job, where: Sequence[Node | None], run: Run, task: Task, ended: Ended
) -> None:
    """A task has let go of its nodes (`where`, the primary's first); `run` still stands for it on the first."""
    execution = task.execution
    execution.container_id = ended.container_id or execution.container_id
    there = [node for node in where if node is not None and node.up]
    if run.intent == "delete":
        drop(m, run)
        _bury(m, job, task)
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


def _bury(m: Machine, job: Job, task: Task) -> None:
    """The last of a task that has been deleted; a new one with its id may start now."""
    job.dying.discard(task.key)
    tasks.delete_files(m, job, task)
    if again := job.tasks.get(task.key):
        tasks.make_ready(m, job, again)


def may_retry(most: int, execution: Execution) -> bool:
    return most == -1 or execution.retries < most


def _retry(m: Machine, job: Job, where: list[Node], run: Run, task: Task) -> None:
    drop(m, run)
    statistics.set_aside(task, m.now)
    job.statistics.book(m.now).retries += 1
    task.execution.retries += 1
    task.execution.last_retry = task.execution.start = m.now
    pool = m.pools[run.pool]
    for node, again in zip(where, _attempt(m, pool, where, job, task, fetch=False), strict=True):
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


def uploaded(m: Machine, run_id: str, failure: Failed | None) -> None:
    """The engine has uploaded a task's output files, or failed to."""
    run = m.runs.get(run_id)
    if run is None or run.phase != "uploading":
        return
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    if unnoticed(run, node):
        return
    drop(m, run)
    if run.intent == "delete":
        _bury(m, job, task)
    elif run.intent == "recover":
        _requeue(m, job, task, counted=False)
    elif failure is not None:
        complete(m, job, task, task.execution.exit_code, failure, outcomes.UPLOAD)
    else:
        complete(m, job, task, task.execution.exit_code, task.execution.failure)
    jobs.settle(m, job)
    nodes.proceed(m, node)


def unnoticed(run: Run, node: Node) -> bool:
    """Whether the run ended with a node that the service has lost sight of: it learns of that later."""
    if run.intent != "recover" or node.state != "unknown":
        return False
    run.enter("lost")
    return True


def _requeue(m: Machine, job: Job, task: Task, *, counted: bool) -> None:
    """`counted`: a user asked for it; what the service does about a node that is gone does not show in the counts."""
    outcomes.move(job, task, "active", m.now)
    if counted:
        task.execution.requeues += 1
        task.execution.last_requeue = m.now
    statistics.set_aside(task, m.now)
    task.execution.start = task.execution.exit_code = task.execution.failure = None
    task.node, task.subtasks = None, ()
    tasks.make_ready(m, job, task)


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
    retention.begin(m, job, task)
    options = outcomes.exit_options(task, stage)
    if options["dependencyAction"] == "satisfy":
        for dependent in outcomes.satisfy(job, task):
            tasks.make_ready(m, job, dependent)
    if task.manager and job.spec["jobManagerTask"]["killJobOnCompletion"] and job.state in jobs.OPEN:
        jobs.begin_termination(m, job, "JMComplete")
    if job.spec["onTaskFailure"] == "performexitoptionsjobaction" and job.state == "active":
        if options["jobAction"] == "terminate":
            jobs.begin_termination(m, job, "TaskFailed")
        elif options["jobAction"] == "disable":
            jobs.disable(m, job, "requeue")
    jobs.end_if_all_complete(m, job)
