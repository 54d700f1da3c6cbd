"""Runs: from the moment a task gets a node to the moment it has let go of it.

A task's slots are taken when it is placed and freed when the engine has reported the end of its last run: a kill only asks for
that. A retry is a new run in the same place.
"""

from ..errors import BatchError
from ..wire import finite
from . import jobs, nodes, outcomes, tasks
from .defaults import check_containers
from .entities import Auxiliary, Execution, Failed, Job, Node, Pool, Run, RunKind, Spec, Task
from .instructions import DeleteFiles, KillRun, StartRun, UploadOutputs
from .machine import Machine

RECENT = 10


def begin_task(m: Machine, pool: Pool, node: Node, job: Job, task: Task) -> None:
    """A task has been placed on a node."""
    outcomes.count(job, task, -1)
    task.lifecycle.move(task, "preparing", m.now)
    outcomes.count(job, task, +1)
    task.node = (pool.key, node.id)
    task.execution.start, task.execution.end = m.now, None
    run = Run(m.hex(32), "task", pool.key, node.id, task.slots, job.key, task)
    task.run = run.id
    _register(m, node, job, run)
    node.recent = [other for other in node.recent if other is not task][-RECENT + 1 :] + [task]
    node.total_run += 1
    try:
        check_containers(task.spec, pool.spec)
    except BatchError as error:
        # The pool came after the task, or the job was given another pool.
        _drop(m, run)
        complete(m, job, task, None, outcomes.unfit(str(error)), outcomes.PRE_PROCESSING)
        return
    if "jobPreparationTask" in job.spec:
        prep = node.preps.get(job.key)
        if prep is None:
            prep = node.preps[job.key] = Auxiliary(
                job.spec["jobPreparationTask"]["id"], job.spec["jobPreparationTask"]
            )
            begin_auxiliary(m, node, "prep", prep, job)
        if prep.state == "running":
            run.phase = "waiting"
            prep.waiting.append(run.id)
            return
    _launch(m, pool, node, job, run, task.spec, task.id)


def begin_auxiliary(
    m: Machine, node: Node, kind: RunKind, what: Auxiliary, job: Job | None, fetch: bool = True
) -> None:
    """A start, preparation or release task begins; it takes no slots."""
    run = Run(m.hex(32), kind, node.pool, node.id, 0, job.key if job else None)
    what.execution.start, what.execution.end, what.state = m.now, None, "running"
    _register(m, node, job, run)
    _launch(m, m.pools[node.pool], node, job, run, what.spec, what.id, fetch)


def _register(m: Machine, node: Node, job: Job | None, run: Run) -> None:
    m.runs[run.id] = run
    node.runs[run.id] = run.slots
    if job is not None and run.kind == "task":
        job.runs.add(run.id)
    nodes.show_load(m, node)


def _drop(m: Machine, run: Run) -> None:
    m.runs.pop(run.id, None)
    if run.job and (job := m.jobs.get(run.job)):
        job.runs.discard(run.id)
    if run.task is not None and run.task.run == run.id:
        run.task.run = None
    if node := m.find_node(run.pool, run.node):
        node.runs.pop(run.id, None)
        nodes.show_load(m, node)
    m.dirty.add(run.pool)


def _launch(
    m: Machine, pool: Pool, node: Node, job: Job | None, run: Run, spec: Spec, name: str, fetch: bool = True
) -> None:
    run.phase = "launching"
    if fetch and run.task is not None:
        run.task.files = "kept"
    prep = job.spec["jobPreparationTask"]["id"] if job and "jobPreparationTask" in job.spec else None
    common = job.spec.get("commonEnvironmentSettings", ()) if job else ()
    users = tuple(pool.spec.get("userAccounts", ()))
    m.emit(
        StartRun(
            run.id, run.kind, pool.id, node.id, node.dedicated, job.id if job else None, name,
            spec, tuple(common), prep, users, run.slots, fetch,
        )
    )  # fmt: skip
    limit = finite(
        spec["maxWallClockTime"]
        if run.kind == "release"
        else spec.get("constraints", {}).get("maxWallClockTime")
    )
    if limit is not None:
        m.set_timer(limit, "run-limit", run.id)


def kill(m: Machine, run: Run, intent: str) -> None:
    """Asks for a run's end. What wants it gone (delete, end) outweighs what wants it again (requeue)."""
    weight = {None: 0, "requeue": 1, "end": 2, "delete": 3}
    if weight[intent] > weight[run.intent]:
        run.intent = intent
    if run.phase == "waiting":
        exited(m, run.id, None, None, None)
    elif run.phase != "uploading":
        m.emit(KillRun(run.id))


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
    run.phase = "running"
    if run.task is not None and run.task.state == "preparing":
        run.task.lifecycle.move(run.task, "running", m.now)


def exited(
    m: Machine, run_id: str, exit_code: int | None, failure: Failed | None, container_id: str | None
) -> None:
    """The engine reports that a run is over. A failure means that the command could not be started."""
    run = m.runs.get(run_id)
    if run is None or run.phase == "uploading":
        return
    if run.kind != "task":
        _auxiliary_exited(m, run, exit_code, failure, container_id)
        return
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    task.execution.container_id = container_id or task.execution.container_id
    if run.intent == "delete":
        _drop(m, run)
        job.dying.discard(task.key)
        tasks.delete_files(m, job, task)
        if again := job.tasks.get(task.key):
            tasks.make_ready(m, job, again)
    elif run.intent == "requeue":
        _drop(m, run)
        _requeue(m, job, task)
    elif run.intent == "end":
        _drop(m, run)
        complete(m, job, task, exit_code, outcomes.time_is_up() if run.expired else outcomes.ended_by_user())
    elif failure is not None or exit_code is None:
        _drop(m, run)
        failure = failure or Failed("ServerError", "Unknown", "The task was lost on its node.")
        complete(m, job, task, None, failure, outcomes.PRE_PROCESSING)
    elif exit_code != 0 and _may_retry(task.spec["constraints"]["maxTaskRetryCount"], task.execution):
        _retry(m, job, node, run, task, exit_code)
    else:
        _finish(m, job, node, run, task, exit_code)
    settle_job(m, job)
    nodes.leave_if_done(m, node)


def _may_retry(most: int, execution: Execution) -> bool:
    return most == -1 or execution.retries < most


def _retry(m: Machine, job: Job, node: Node, run: Run, task: Task, exit_code: int) -> None:
    _drop(m, run)
    task.execution.retries += 1
    task.execution.last_retry = task.execution.start = m.now
    again = Run(m.hex(32), "task", run.pool, run.node, run.slots, run.job, task)
    task.run = again.id
    _register(m, node, job, again)
    _launch(m, m.pools[run.pool], node, job, again, task.spec, task.id, fetch=False)


def _finish(m: Machine, job: Job, node: Node, run: Run, task: Task, exit_code: int) -> None:
    success = exit_code == 0
    wanted = ("taskcompletion", "tasksuccess" if success else "taskfailure")
    uploads = tuple(
        f for f in task.spec.get("outputFiles", ()) if f["uploadOptions"]["uploadCondition"] in wanted
    )
    if uploads:
        run.phase = "uploading"
        task.execution.exit_code = exit_code
        m.emit(UploadOutputs(run.id, node.id, job.id, task.id, uploads, success))
        return
    _drop(m, run)
    complete(m, job, task, exit_code, None if success else outcomes.exit_code_failure())


def uploaded(m: Machine, run_id: str, failure: Failed | None) -> None:
    """The engine has uploaded a task's output files, or failed to."""
    run = m.runs.get(run_id)
    if run is None or run.phase != "uploading":
        return
    task, job, node = run.task, m.jobs.get(run.job or ""), m.find_node(run.pool, run.node)
    assert task is not None and job is not None and node is not None
    _drop(m, run)
    if run.intent == "delete":
        job.dying.discard(task.key)
        tasks.delete_files(m, job, task)
        if again := job.tasks.get(task.key):
            tasks.make_ready(m, job, again)
    elif failure is not None:
        complete(m, job, task, task.execution.exit_code, failure, outcomes.UPLOAD)
    else:
        code = task.execution.exit_code
        complete(m, job, task, code, None if code == 0 else outcomes.exit_code_failure())
    settle_job(m, job)
    nodes.leave_if_done(m, node)


def _requeue(m: Machine, job: Job, task: Task) -> None:
    outcomes.count(job, task, -1)
    task.lifecycle.move(task, "active", m.now)
    outcomes.count(job, task, +1)
    task.execution.requeues += 1
    task.execution.last_requeue = m.now
    task.execution.start = None
    task.node = None
    tasks.make_ready(m, job, task)


def complete(
    m: Machine, job: Job, task: Task, exit_code: int | None, failure: Failed | None, stage: str | None = None
) -> None:
    """The task is over, and what follows from that follows."""
    outcomes.count(job, task, -1)
    execution = task.execution
    execution.end, execution.exit_code, execution.failure = m.now, exit_code, failure
    execution.result = "failure" if failure else "success"
    task.lifecycle.move(task, "completed", m.now)
    outcomes.count(job, task, +1)
    if task.node and (node := m.find_node(*task.node)) and not failure:
        node.total_succeeded += 1
    tasks.set_retention(m, job, task)
    options = outcomes.exit_options(task, stage)
    if options["dependencyAction"] == "satisfy":
        for dependent in outcomes.satisfy(job, task):
            tasks.make_ready(m, job, dependent)
    if job.spec["onTaskFailure"] == "performexitoptionsjobaction" and job.state == "active":
        if options["jobAction"] == "terminate":
            jobs.begin_termination(m, job, "TaskFailed")
        elif options["jobAction"] == "disable":
            jobs.disable(m, job, "requeue")
    jobs.end_if_all_complete(m, job)


def _auxiliary_exited(
    m: Machine, run: Run, exit_code: int | None, failure: Failed | None, container_id: str | None
) -> None:
    node = m.find_node(run.pool, run.node)
    job = m.jobs.get(run.job) if run.job else None
    assert node is not None
    what = (
        node.start
        if run.kind == "start"
        else (node.preps if run.kind == "prep" else node.releases)[run.job or ""]
    )
    assert what is not None
    _drop(m, run)
    execution, spec = what.execution, what.spec
    retries = spec.get("maxTaskRetryCount", spec.get("constraints", {}).get("maxTaskRetryCount", 0))
    execution.container_id = container_id
    if exit_code not in (None, 0) and run.intent is None and _may_retry(retries, execution):
        execution.retries += 1
        execution.last_retry = m.now
        begin_auxiliary(m, node, run.kind, what, job, fetch=False)
        return
    if run.intent is not None and failure is None:
        failure = outcomes.time_is_up() if run.expired else outcomes.ended_by_user()
    elif failure is None and exit_code != 0:
        failure = outcomes.exit_code_failure()
    execution.end, execution.exit_code, execution.failure = m.now, exit_code, failure
    execution.result = "failure" if failure else "success"
    what.state = "completed"
    if run.kind == "start":
        nodes.start_task_over(m, node)
    elif run.kind == "prep" and job is not None:
        _prep_over(m, node, job, what)
    if job is not None:
        settle_job(m, job)
    nodes.leave_if_done(m, node)


def _prep_over(m: Machine, node: Node, job: Job, prep: Auxiliary) -> None:
    """Starts the tasks that waited for the preparation task, or, where it failed, gives them back."""
    waiting, prep.waiting = prep.waiting, []
    good = prep.execution.result == "success" or not prep.spec["waitForSuccess"]
    for run_id in waiting:
        run = m.runs.get(run_id)
        if run is None or run.task is None:
            continue
        if good:
            _launch(m, m.pools[run.pool], node, job, run, run.task.spec, run.task.id)
        else:
            task = run.task
            _drop(m, run)
            outcomes.count(job, task, -1)
            task.lifecycle.move(task, "active", m.now)
            outcomes.count(job, task, +1)
            task.execution.start, task.node = None, None
            tasks.make_ready(m, job, task)


def settle_job(m: Machine, job: Job) -> None:
    """Takes a job that is being disabled, terminated or deleted to its next step once its tasks have let go."""
    if job.runs or job.state not in ("disabling", "terminating", "deleting"):
        return
    if job.state == "disabling":
        job.lifecycle.move(job, "disabled", m.now)
        m.touch(job)
        return
    pool = m.pools.get(job.pool)
    here = [node for node in pool.nodes.values() if job.key in node.preps and node.alive] if pool else []
    if not job.released:
        job.released = True
        for node in here:
            for run in [m.runs[r] for r in node.runs if r in m.runs and m.runs[r].job == job.key]:
                kill(m, run, "end")
            if "jobReleaseTask" in job.spec and node.preps[job.key].state == "completed":
                release = node.releases[job.key] = Auxiliary(
                    job.spec["jobReleaseTask"]["id"], job.spec["jobReleaseTask"]
                )
                begin_auxiliary(m, node, "release", release, job)
    if any(run.job == job.key for node in here for run in [m.runs[r] for r in node.runs if r in m.runs]):
        return
    if job.state == "terminating":
        job.lifecycle.move(job, "completed", m.now)
        job.ended = m.now
        m.touch(job)
        return
    for node in pool.nodes.values() if pool else ():
        node.preps.pop(job.key, None)
        node.releases.pop(job.key, None)
        m.emit(DeleteFiles(node.id, job.id))
    del m.jobs[job.key]


def forget_auxiliaries(m: Machine, node: Node) -> None:
    """The node leaves: jobs must not wait for what ran on it."""
    node.preps, node.releases = {}, {}
