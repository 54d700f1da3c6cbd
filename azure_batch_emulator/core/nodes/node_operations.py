"""What users ask of single nodes: reboot, reimage, deallocate, start; scheduling on and off.

The node's state changes at once; what is on it ends by the given option, and the operation goes on when it has.
A reboot keeps the node's files and runs the start task again; a deallocated node loses its disk.
https://learn.microsoft.com/rest/api/batchservice/nodes
"""

from ...protocol.errors import BatchError
from ..entities import Node
from ..machine import Machine
from ..runs.killing import kill, kill_node_runs
from ..runs.launching import show_load
from . import usage
from .leaving import pursue
from .transitions import move, start_boot, wipe

_BUSY = {
    "creating": "NodeBeingCreated",
    "starting": "NodeBeingStarted",
    "waitingforstarttask": "NodeBeingStarted",
    "rebooting": "NodeBeingRebooted",
    "unusable": "NodeStateUnusable",
    "unknown": "NodeStateUnusable",
}


def reboot(m: Machine, node: Node, option: str) -> None:
    _check(node, node.up or node.state == "starttaskfailed")
    go_down(m, node)
    _end_start_task(m, node)
    pursue(m, node, "reboot", option)


def go_down(m: Machine, node: Node) -> None:
    """The node will start again, with what is on its disk."""
    move(m, node, "rebooting")
    node.boot = m.next_seq()
    for prep in node.preps.values():
        if prep.spec["rerunOnNodeRebootAfterSuccess"] and prep.execution.result == "success":
            prep.stale = True


def _end_start_task(m: Machine, node: Node) -> None:
    """A start task that runs beside the node's tasks does not hold the operation up."""
    for run_id in list(node.runs):
        if (run := m.runs.get(run_id)) and run.kind == "start":
            kill(m, run, "end")


def reimage(m: Machine, node: Node) -> None:
    """Only for pools with a cloud service configuration, which there are no more."""
    raise BatchError("OperationNotValidOnNode")


def deallocate(m: Machine, node: Node, option: str) -> None:
    _check(node, node.up)
    move(m, node, "deallocating")
    node.boot = m.next_seq()
    _end_start_task(m, node)
    pursue(m, node, "deallocate", option)


def deallocated(m: Machine, pool_key: str, node_id: str, boot: int) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != boot or node.state != "deallocating":
        return
    move(m, node, "deallocated")
    usage.stop_metering(m, m.pools[pool_key], node)
    wipe(m, node)


def start(m: Machine, node: Node) -> None:
    _check(node, node.state == "deallocated")
    move(m, node, "starting")
    usage.start_metering(m, node)
    start_boot(m, node, m.profile.delay("boot", m.random))


def _check(node: Node, possible: bool) -> None:
    if not possible or node.leaving:
        raise not_now(node)


def not_now(node: Node) -> BatchError:
    """Why something can't be done with a node in its state."""
    return BatchError(_BUSY.get(node.state, "OperationNotValidOnNode"), [("NodeState", node.state)])


def enable_scheduling(m: Machine, node: Node) -> None:
    if node.schedulable:
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    if node.state != "offline":
        raise BatchError("OperationNotValidOnNode")
    node.schedulable = True
    move(m, node, "idle")
    show_load(m, node)
    m.dirty.add(node.pool)


def disable_scheduling(m: Machine, node: Node, option: str) -> None:
    if not node.schedulable:
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    if not node.usable:
        raise BatchError("OperationNotValidOnNode")
    node.schedulable = False
    move(m, node, "offline")
    if option != "taskcompletion":
        kill_node_runs(m, node, "end" if option == "terminate" else "requeue")
