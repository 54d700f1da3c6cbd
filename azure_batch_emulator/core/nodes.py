"""Nodes: they come, boot, run a start task, take tasks, and leave.

https://learn.microsoft.com/azure/batch/nodes-and-pools
"""

from ..errors import BatchError
from . import auxiliaries, endpoints, jobs, pools, runs, usage
from .entities import Auxiliary, Failed, Node, Pool
from .instructions import BootNode, RemoveNode
from .machine import Machine
from .states import NODE, Stateful


def create(m: Machine, pool: Pool, dedicated: bool) -> Node:
    node_id = f"tvmps_{m.hex(64)}_{'d' if dedicated else 'p'}"
    number = m.next_seq()
    slots = pool.spec["taskSlotsPerNode"]
    node = Node(node_id, pool.key, number, dedicated, slots, Stateful(NODE, "creating", m.now), m.now)
    endpoints.number(pool, node)
    usage.start_metering(m, node)
    pool.nodes[node_id] = node
    m.set_timer(m.profile.delay("boot", m.random), "boot", pool.key, node_id)
    return node


def boot(m: Machine, pool_key: str, node_id: str) -> None:
    """The machine is there; its images and its start task are not yet."""
    node = m.find_node(pool_key, node_id)
    if node is None or node.state != "creating":
        return
    node.lifecycle.move(node, "starting", m.now)
    spec = m.pools[pool_key].spec
    containers = spec["virtualMachineConfiguration"].get("containerConfiguration", {})
    m.emit(
        BootNode(
            pool_key,
            node_id,
            node.number,
            spec["vmSize"],
            node.slots,
            tuple(containers.get("containerImageNames", ())),
            tuple(containers.get("containerRegistries", ())),
            tuple(spec.get("applicationPackageReferences", ())),
        )
    )


def booted(m: Machine, pool_key: str, node_id: str, failure: Failed | None) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.state != "starting":
        return
    if failure is not None:
        node.errors.append(failure)
        node.lifecycle.move(node, "unusable", m.now)
        return
    node.booted = m.now
    spec = m.pools[pool_key].spec.get("startTask")
    if spec is None:
        become_idle(m, node)
        return
    node.start = Auxiliary("startup", spec)
    if spec["waitForSuccess"]:
        node.lifecycle.move(node, "waitingforstarttask", m.now)
    else:
        become_idle(m, node)
    auxiliaries.begin(m, node, "start", node.start, None)


def become_idle(m: Machine, node: Node) -> None:
    node.lifecycle.move(node, "idle", m.now)
    m.offer(node)


def start_task_over(m: Machine, node: Node) -> None:
    """The start task has completed, for good or ill."""
    assert node.start is not None
    if node.state != "waitingforstarttask":
        return
    if node.start.execution.result == "success":
        become_idle(m, node)
    else:
        node.lifecycle.move(node, "starttaskfailed", m.now)


def show_load(m: Machine, node: Node) -> None:
    """A node with tasks is running, one without is idle."""
    state = "running" if any(m.runs[run].kind != "release" for run in node.runs if run in m.runs) else "idle"
    if node.state in ("idle", "running") and node.state != state:
        node.lifecycle.move(node, state, m.now)
    m.offer(node)


def leave(m: Machine, node: Node, option: str) -> None:
    """The node takes no more tasks and goes when those on it are over: ended, requeued, or (taskcompletion) done;
    with retaineddata when their files have been cleaned up as well."""
    node.leaving, node.retaining = True, option == "retaineddata"
    m.offer(node)
    if option not in ("taskcompletion", "retaineddata"):
        runs.kill_node_runs(m, node, "end" if option == "terminate" else "requeue")
    leave_if_done(m, node)


def leave_if_done(m: Machine, node: Node) -> None:
    if not node.leaving or node.state == "leavingpool":
        return
    if node.runs or (node.retaining and _holds_data(m, node)):
        return
    node.lifecycle.move(node, "leavingpool", m.now)
    # Jobs must not wait for what ran here.
    node.preps, node.releases = {}, {}
    m.set_timer(m.profile.delay("removal", m.random), "remove-node", node.pool, node.id)


def _holds_data(m: Machine, node: Node) -> bool:
    return any(
        task.files == "kept" and task.node == (node.pool, node.id)
        for job in m.jobs_on(node.pool)
        for task in job.tasks.values()
    )


def take_down(m: Machine, pool_key: str, node_id: str) -> None:
    if m.find_node(pool_key, node_id) is not None:
        m.emit(RemoveNode(pool_key, node_id))


def removed(m: Machine, pool_key: str, node_id: str) -> None:
    """The engine has taken the node down."""
    pool = m.pools.get(pool_key)
    node = pool.nodes.pop(node_id, None) if pool else None
    if pool is None or node is None:
        return
    usage.stop_metering(m, pool, node)
    pool.free.set(node.id, node.number, 0)
    for job in m.jobs_on(pool_key):
        jobs.settle(m, job)
    pools.settle(m, pool)


def enable_scheduling(m: Machine, node: Node) -> None:
    if node.schedulable:
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    if node.state != "offline":
        raise BatchError("OperationNotValidOnNode")
    node.schedulable = True
    node.lifecycle.move(node, "idle", m.now)
    show_load(m, node)


def disable_scheduling(m: Machine, node: Node, option: str) -> None:
    if not node.schedulable:
        raise BatchError("NodeAlreadyInTargetSchedulingState")
    if not node.usable:
        raise BatchError("OperationNotValidOnNode")
    node.schedulable = False
    node.lifecycle.move(node, "offline", m.now)
    m.offer(node)
    if option != "taskcompletion":
        runs.kill_node_runs(m, node, "end" if option == "terminate" else "requeue")
