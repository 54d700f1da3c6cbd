"""A command on a node, from when its slots are taken to when they are given back."""

from datetime import timedelta

from ...protocol.wire import finite
from ..bodies import identities
from ..entities import Job, Node, Pool, Run, Spec
from ..instructions import StartRun
from ..machine import Machine
from . import instances


def register(m: Machine, node: Node, job: Job | None, run: Run) -> None:
    """The run takes its slots of the node."""
    m.runs[run.id] = run
    node.runs[run.id] = run.slots
    if job is not None and run.instance == 0:
        (job.runs if run.kind == "task" else job.prep_release_runs).add(run.id)
    show_load(m, node)


def drop(m: Machine, run: Run) -> None:
    """The run gives its slots back, and is no longer known."""
    m.runs.pop(run.id, None)
    if run.job and (job := m.jobs.get(run.job)):
        job.runs.discard(run.id)
        job.prep_release_runs.discard(run.id)
        m.line_up(job)
    if run.task is not None and run.task.run == run.id:
        run.task.run = None
    if node := m.find_node(run.pool, run.node):
        node.runs.pop(run.id, None)
        show_load(m, node)


def show_load(m: Machine, node: Node) -> None:
    """A node with tasks is running, one without is idle."""
    state = "running" if any(m.runs[run].kind != "release" for run in node.runs if run in m.runs) else "idle"
    if node.state in ("idle", "running") and node.state != state:
        node.lifecycle.move(node, state, m.now)
    m.offer(node)


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
        spec = instances.coordination(spec)
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
            instances.part(m, pool, run),
        )
    )  # fmt: skip
    limit = finite(
        spec["maxWallClockTime"]
        if run.kind == "release"
        else spec.get("constraints", {}).get("maxWallClockTime")
    )
    if limit is not None:
        m.set_timer(limit - (elapsed or timedelta()), "run-limit", run.id)


def unnoticed(run: Run, node: Node) -> bool:
    """Whether the run ended with a node that the service has lost sight of: it learns of that later."""
    if run.intent != "recover" or node.state != "unknown":
        return False
    run.enter("lost")
    return True
