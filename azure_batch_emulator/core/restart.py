"""The service goes on after a restart, with nothing left of what ran on its nodes.

To clients it is as if every node had been rebooted by the service: what ran is requeued (which does not show in its
requeue count), a node keeps its disk and runs its start task again. A node that was still starting begins once more
with an empty disk; a preparation task that ran is run again with the next task; a release task that ran has failed.
"""

from .entities import ALIVE, Ended, Node
from .machine import Machine
from .nodes import leaving, node_operations
from .nodes.transitions import start_boot, wipe
from .runs import reports

_REBOOTED = ALIVE - {"starting"}


def resume(m: Machine) -> None:
    """The first stimulus after a restart."""
    every = [node for pool in m.pools.values() for node in pool.nodes.values()]
    states = [node.state for node in every]
    for node, state in zip(every, states, strict=True):
        if state in _REBOOTED:
            node_operations.go_down(m, node)
    _interrupt(m)
    for node, state in zip(every, states, strict=True):
        _continue(m, node, state)


def _continue(m: Machine, node: Node, before: str) -> None:
    """`before` is the node's state at the restart."""
    if before == "leavingpool":
        leaving.take_down(m, node.pool, node.id)
    elif before == "starting":
        wipe(m, node)
        start_boot(m, node, 0.0)
    elif before in _REBOOTED and node.state == "rebooting":
        start_boot(m, node, m.profile.delay("reboot", m.random))


def _interrupt(m: Machine) -> None:
    """Every run is over. Tasks go first: none may be launched because a preparation task has ended."""
    for run in sorted(m.runs.values(), key=lambda run: run.kind != "task"):
        if run.phase == "uploading":
            run.enter("running")
        run.intent = run.intent or "recover"
        reports.exited(m, run.id, Ended())
