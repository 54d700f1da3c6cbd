"""Kills: somebody wants a run to end."""

from ..entities import Ended, Node, Run
from ..instructions import KillRun
from ..machine import Machine
from ..tasks import consumption
from . import attempts, multi_instance
from .instances import HELD, affected
from .multi_instance import WEIGHT


def kill(m: Machine, run: Run, intent: str) -> None:
    """Asks for a run's end, and that of the other instances of a multi-instance task. What wants it gone (delete, end)
    outweighs what wants it again (requeue, recover)."""
    together = affected(m, run, intent)
    for one in together:
        one.intent = max(one.intent, intent, key=WEIGHT.__getitem__)
    for one in together:
        if one.task is not None and one.task.attempt is not None and one.phase in HELD:
            multi_instance.let_go(m, one)
        elif one.phase in ("waiting", "lost"):
            task_run_ended(m, one, Ended())
        elif one.phase not in ("uploading", "over"):
            m.emit(KillRun(one.id))
    if run.task is not None:
        multi_instance.conclude(m, run.task)


def kill_node_runs(m: Machine, node: Node, intent: str) -> None:
    """Kills all that runs on a node."""
    for run_id in list(node.runs):
        if run := m.runs.get(run_id):
            kill(m, run, intent)


def limit_reached(m: Machine, run_id: str) -> None:
    """The time that the command may take is over."""
    run = m.runs.get(run_id)
    if run is not None and run.intent is None and run.phase != "uploading":
        run.expired = True
        kill(m, run, "end")


def task_run_ended(m: Machine, run: Run, ended: Ended) -> None:
    """A run of a task is over, or was never to begin."""
    consumption.spend(m, run, ended)
    if run.task is not None and run.task.attempt is not None:
        multi_instance.exited(m, run, ended)
    else:
        attempts.run_ended(m, run, ended)
