"""What goes wrong with nodes and allocations, by the profile's rates or because somebody asked for it.

A preempted low-priority node has lost its machine and its disk; it comes back with its id when there is capacity.
A lost node stops answering: its state is unknown until the service gives it up, requeues its tasks and starts it anew.
Neither shows in the counts of tasks, and both leave what runs elsewhere alone.
https://learn.microsoft.com/azure/batch/batch-spot-vms,
https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

from datetime import timedelta

from ...protocol.errors import BatchError
from .. import chance
from ..entities import Ended, Node
from ..machine import Machine
from ..runs.killing import kill_node_runs, task_run_ended
from . import capacity, usage
from .leaving import proceed
from .transitions import move, start_boot, wipe

RESTORE_WITHIN = timedelta(hours=48)


def begin(m: Machine) -> None:
    """The service starts, perhaps again: what is still to change in the region's capacity is due at its time."""
    for after, _ in m.profile.faults.low_priority_capacity:
        if (due := m.epoch + timedelta(seconds=after)) >= m.now:
            m.set_timer(due - m.now, "capacity")


# Preemption


def preempt(m: Machine, node: Node) -> None:
    """The region takes a low-priority node's machine back."""
    if node.dedicated or node.state in ("preempted", "deallocated", "leavingpool"):
        raise BatchError("OperationNotValidOnNode", [("Reason", f"The node is {_description(node)}.")])
    move(m, node, "preempted")
    usage.stop_metering(m, m.pools[node.pool], node)
    _lose_machine(m, node)
    node.goal, node.retaining = "leave" if node.leaving else "restore", False
    proceed(m, node)


def _description(node: Node) -> str:
    return "dedicated" if node.dedicated else node.state


def _lose_machine(m: Machine, node: Node) -> None:
    """What ran on it is over; reports and timers of this start come too late."""
    node.boot = m.next_seq()
    kill_node_runs(m, node, "recover")


def restoration_due(m: Machine, pool_key: str, node_id: str, boot: int) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != boot or node.state != "preempted":
        return
    if m.now > node.lifecycle.since + RESTORE_WITHIN:
        return
    if capacity.room(m, m.pools[pool_key]):
        restore(m, node)
    else:
        delay = max(capacity.RETRY_SECONDS, m.profile.delay("restoration", m.random))
        m.set_timer(delay, "restore", pool_key, node_id, boot)


def restore(m: Machine, node: Node) -> None:
    """A machine has been found for a preempted node: it starts anew, with its id."""
    move(m, node, "creating")
    wipe(m, node)
    usage.start_metering(m, node)
    node.booted = None
    start_boot(m, node, m.profile.delay("boot", m.random) + chance.lateness(m))


def capacity_changed(m: Machine) -> None:
    """Nodes beyond the region's capacity are preempted, whichever; where there is room, preempted ones come back."""
    while (left := capacity.free(m)) is not None and left < 0:
        victims = [node for _, node in capacity.occupants(m) if node.state != "leavingpool"]
        if not victims:
            return
        preempt(m, m.random.choice(victims))
    for pool in m.pools.values():
        for node in pool.nodes.values():
            # One whose tasks have not let go yet is restored when they have.
            if node.state == "preempted" and node.goal is None and not node.runs:
                restoration_due(m, pool.key, node.id, node.boot)


def set_capacity(m: Machine, cores: int | None) -> None:
    """The region's low-priority cores from now on; None goes back to what the profile says."""
    m.plan.capacity = cores
    capacity_changed(m)


# Loss


def lose(m: Machine, node: Node) -> None:
    """The node's machine dies; the service only misses its heartbeats."""
    if not node.alive:
        raise BatchError("OperationNotValidOnNode", [("Reason", f"The node is {node.state}.")])
    move(m, node, "unknown")
    _lose_machine(m, node)
    m.set_timer(m.profile.delay("loss", m.random), "loss-noticed", node.pool, node.id, node.boot)


def loss_noticed(m: Machine, pool_key: str, node_id: str, boot: int) -> None:
    """The service gives the node up: what it believed to run there is requeued."""
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != boot or node.state != "unknown":
        return
    out_of_reach(m, node)
    for run_id in list(node.runs):
        if (run := m.runs.get(run_id)) and run.phase == "lost":
            task_run_ended(m, run, Ended())


def out_of_reach(m: Machine, node: Node) -> None:
    """Unusable without an error: the service can't talk to it, and will start it on another machine."""
    move(m, node, "unusable")
    node.goal, node.retaining = "leave" if node.leaving else "recover", False
    proceed(m, node)


def recover(m: Machine, pool_key: str, node_id: str, boot: int) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != boot or node.state != "unusable":
        return
    move(m, node, "starting")
    wipe(m, node)
    start_boot(m, node, m.profile.delay("boot", m.random) + chance.lateness(m))


# Chance


def await_mishaps(m: Machine, node: Node) -> None:
    """Draws when the node, which has just started, will be preempted and lost."""
    rates = m.profile.faults
    for what, per_hour in (
        ("preempt", rates.preemptions_per_node_hour),
        ("lose", rates.losses_per_node_hour),
    ):
        if per_hour > 0 and not (what == "preempt" and node.dedicated):
            m.set_timer(m.random.expovariate(per_hour / 3600), "mishap", what, node.pool, node.id, node.boot)


def mishap(m: Machine, what: str, pool_key: str, node_id: str, boot: int) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != boot:
        return
    if what == "preempt" and node.state not in ("deallocated", "leavingpool"):
        preempt(m, node)
    elif what == "lose" and node.alive:
        lose(m, node)
