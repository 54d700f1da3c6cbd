"""Multi-instance tasks: one attempt of a task on several nodes at once.

Every instance runs the coordination command on its node. Those that are done hold their node, with what the command
left running there, until all are; then the primary, instance 0, runs the task's own command. How that ends is how
the attempt ends, and so is the first failure before it. All nodes are kept until every instance has let go, and
are given back together.
https://learn.microsoft.com/azure/batch/batch-mpi
"""

from dataclasses import replace

from ..entities import Attempt, Ended, Job, Node, Run, Task
from ..events import RunEnded
from ..instructions import KillRun
from ..machine import Machine
from ..tasks import outcomes
from .attempts import attempt_over
from .instances import HELD, members, subtask_of
from .launching import drop, launch, register, unnoticed

# What a kill is for, the weightiest last.
WEIGHT: dict[str | None, int] = {None: 0, "recover": 1, "requeue": 2, "end": 3, "delete": 4}


def exited(m: Machine, run: Run, ended: Ended) -> None:
    """A command of one of its instances is over."""
    task = run.task
    assert task is not None and task.attempt is not None
    node = m.find_node(run.pool, run.node)
    if run.phase in ("holding", "over") or (node is not None and unnoticed(run, node)):
        return
    attempt, subtask = task.attempt, subtask_of(run)
    execution = subtask.execution if subtask is not None else task.execution
    execution.container_id = ended.container_id or execution.container_id
    coordinated = run.stage == "coordination" and ended.exit_code == 0 and ended.failure is None
    if coordinated and attempt.ended is None and run.intent is None:
        run.enter("holding")
        attempt.lingering.append(run.id)
        if all(m.runs[name].phase == "holding" for name in attempt.runs):
            _begin_application(m, task, attempt)
        return
    _let_go(m, run, ended)
    if attempt.ended is None:
        attempt.ended = ended
        for other in members(m, run):
            if run.intent is None:
                other.intent = None  # what it was lost for comes too late
            if other.phase in HELD:
                let_go(m, other)
            elif other.phase != "over":
                m.emit(KillRun(other.id))
    conclude(m, task)


def let_go(m: Machine, run: Run) -> None:
    """An instance that only holds its node, or waits, ends at once: in the service's eyes, if its node is lost."""
    node = m.find_node(run.pool, run.node)
    if node is not None and run.phase != "lost" and unnoticed(run, node):
        return
    _let_go(m, run, Ended(0 if run.phase == "holding" else None))


def _let_go(m: Machine, run: Run, ended: Ended) -> None:
    run.enter("over")
    subtask = subtask_of(run)
    if subtask is None:
        return
    execution = subtask.execution
    execution.end, execution.exit_code = m.now, ended.exit_code
    if ended.exit_code != 0:
        stopped = run.intent is not None or ended.exit_code is None
        failure = outcomes.ended_by_user() if stopped else outcomes.exit_code_failure(ended.details)
        execution.failure = replace(ended.failure or failure)  # the task may show the same, and is another
    execution.result = "failure" if execution.failure else "success"
    subtask.lifecycle.move(subtask, "completed", m.now)


def _begin_application(m: Machine, task: Task, attempt: Attempt) -> None:
    """Everybody is ready: the primary's own command."""
    before = m.runs[attempt.runs[0]]
    job, node = m.jobs[before.job or ""], m.find_node(before.pool, before.node)
    assert node is not None
    run = Run(m.hex(32), "task", before.pool, before.node, before.slots, before.job, task)
    run.stage = "application"
    drop(m, before)
    attempt.runs[0] = task.run = run.id
    register(m, node, job, run)
    elapsed = m.now - task.execution.start if task.execution.start else None
    launch(m, m.pools[run.pool], node, job, run, task.spec, task.id, attempt.fetch, elapsed)


def conclude(m: Machine, task: Task) -> None:
    """When the last instance has let go, the attempt is over."""
    attempt = task.attempt
    if attempt is None:
        return
    instances = [m.runs[name] for name in attempt.runs]
    if any(run.phase != "over" for run in instances):
        return
    task.attempt = None
    for name in attempt.lingering:
        m.emit(KillRun(name))
    primary = instances[0]
    primary.intent = max((run.intent for run in instances), key=WEIGHT.__getitem__)
    primary.expired = any(run.expired for run in instances)
    where: list[Node | None] = [m.find_node(run.pool, run.node) for run in instances]
    for run in instances[1:]:
        drop(m, run)
    job: Job = m.jobs[primary.job or ""]
    attempt_over(m, job, where, primary, task, attempt.ended or Ended())
    m.tell(RunEnded(job, [node for node in where if node is not None]))
