"""The instances of a multi-instance task: who belongs together, and what each has to know of the others."""

from ..entities import Attempt, Pool, Run, Spec, Subtask, Task
from ..instructions import Part
from ..machine import Machine
from ..states import SUBTASK, Stateful

HELD = ("waiting", "holding", "lost")  # phases in which nothing runs that would report its end


def form(m: Machine, task: Task, members: list[Run], fetch: bool) -> None:
    """The runs of a new attempt live and die together."""
    task.attempt = Attempt([run.id for run in members], fetch)
    task.subtasks = tuple(
        Subtask(run.instance, (run.pool, run.node), Stateful(SUBTASK, "preparing", m.now))
        for run in members[1:]
    )


def members(m: Machine, run: Run) -> list[Run]:
    """The runs that live and die with this one, itself among them."""
    attempt = run.task.attempt if run.task is not None else None
    return [m.runs[name] for name in attempt.runs] if attempt is not None else [run]


def affected(m: Machine, run: Run, intent: str) -> list[Run]:
    """Whom a kill of this run is for. A node that dies unnoticed takes its own instance alone along, for now."""
    if intent == "recover" and (node := m.find_node(run.pool, run.node)) and node.state == "unknown":
        return [run]
    return members(m, run)


def part(m: Machine, pool: Pool, run: Run) -> Part | None:
    """What the node has to know of the other instances."""
    if run.task is None or run.task.attempt is None:
        return None
    where = [m.find_node(other.pool, other.node) for other in members(m, run)]
    hosts = tuple((node.address, pool.spec["cores"]) for node in where if node is not None)
    return Part(run.instance, run.stage == "coordination", hosts)


def coordination(spec: Spec) -> Spec:
    """What every instance runs first; its files are the common ones."""
    settings = spec["multiInstanceSettings"]
    return spec | {
        "commandLine": settings["coordinationCommandLine"],
        "resourceFiles": settings.get("commonResourceFiles", []),
    }


def running(m: Machine, run: Run) -> None:
    subtask = subtask_of(run)
    if subtask is not None and subtask.lifecycle.state == "preparing":
        subtask.lifecycle.move(subtask, "running", m.now)
        subtask.execution.start = m.now


def subtask_of(run: Run) -> Subtask | None:
    return run.task.subtasks[run.instance - 1] if run.task is not None and run.instance else None
