"""Start, preparation and release tasks: they run beside a node's tasks and take no slots.

https://learn.microsoft.com/azure/batch/batch-job-prep-release
"""

from .. import chance
from ..entities import Ended, Job, Node, NodeTask, Run, RunKind
from ..events import RunEnded, StartTaskEnded
from ..machine import Machine
from ..tasks import consumption, outcomes, waiting
from .attempts import may_retry
from .killing import kill
from .launching import drop, launch, register


def begin(m: Machine, node: Node, kind: RunKind, what: NodeTask, job: Job | None, fetch: bool = True) -> None:
    """A start, preparation or release task begins; it takes no slots."""
    run = Run(m.hex(32), kind, node.pool, node.id, 0, job.key if job else None)
    what.execution.start, what.execution.end, what.state = m.now, None, "running"
    register(m, node, job, run)
    launch(m, m.pools[node.pool], node, job, run, what.spec, what.id, fetch)


def exited(m: Machine, run: Run, ended: Ended) -> None:
    """A run of such a task is over: it is run again, or has completed, and what waited for it goes on."""
    node = m.find_node(run.pool, run.node)
    job = m.jobs.get(run.job) if run.job else None
    assert node is not None
    what = (
        node.start
        if run.kind == "start"
        else (node.preps if run.kind == "prep" else node.releases).get(run.job or "")
    )
    drop(m, run)
    if what is None:
        # Its job was deleted while the node was out of reach.
        m.tell(RunEnded(None, [node]))
        return
    if run.kind == "start" and ended.exit_code == 0 and run.intent is None and chance.start_task_fails(m):
        ended = Ended(1, None, ended.container_id)
    execution, spec = what.execution, what.spec
    exit_code, failure = ended.exit_code, ended.failure
    retries = spec.get("maxTaskRetryCount", spec.get("constraints", {}).get("maxTaskRetryCount", 0))
    execution.container_id = ended.container_id
    if exit_code not in (None, 0) and run.intent is None and may_retry(retries, execution):
        execution.retries += 1
        execution.last_retry = m.now
        begin(m, node, run.kind, what, job, fetch=False)
        return
    if run.intent is not None and failure is None:
        failure = outcomes.time_is_up() if run.expired else outcomes.ended_by_user()
    elif failure is None and exit_code != 0:
        failure = outcomes.exit_code_failure(ended.details)
    execution.end, execution.exit_code, execution.failure = m.now, exit_code, failure
    execution.result = "failure" if failure else "success"
    what.state = "completed"
    if run.kind == "start":
        m.tell(StartTaskEnded(node))
    elif run.kind == "prep" and job is not None:
        _prep_over(m, node, job, what)
        if run.intent in ("requeue", "recover"):
            what.stale = True  # it did not complete, so it runs again
    m.tell(RunEnded(job, [node]))


def _prep_over(m: Machine, node: Node, job: Job, prep: NodeTask) -> None:
    """Starts the tasks that waited for the preparation task, or, where it failed, gives them back."""
    held_up, prep.waiting = prep.waiting, []
    good = prep.execution.result == "success" or not prep.spec["waitForSuccess"]
    for run_id in held_up:
        run = m.runs.get(run_id)
        if run is None or run.task is None or run.phase != "waiting":
            continue
        if good:
            launch(m, m.pools[run.pool], node, job, run, run.task.spec, run.task.id)
        elif run.task.attempt is not None:
            # All instances go elsewhere together.
            kill(m, run, "requeue")
        else:
            task = run.task
            drop(m, run)
            outcomes.move(job, task, "active", m.now)
            consumption.set_aside(task, m.now)
            task.execution.start, task.node = None, None
            waiting.make_ready(m, job, task)
