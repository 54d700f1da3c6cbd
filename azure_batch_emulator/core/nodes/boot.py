"""Nodes come: they boot, run a start task, and take tasks.

https://learn.microsoft.com/azure/batch/nodes-and-pools
"""

from .. import chance
from ..entities import Failed, Node, NodeTask, Pool
from ..events import StartTaskEnded
from ..instructions import BootNode
from ..machine import Machine
from ..runs import start_preparation_release
from ..states import NODE, Stateful
from . import endpoints, faults, usage
from .transitions import become_idle, move, start_boot


def create(m: Machine, pool: Pool, dedicated: bool) -> Node:
    """A new node of the pool, which boots when its machine is there."""
    node_id = f"tvmps_{m.hex(64)}_{'d' if dedicated else 'p'}"
    number = m.next_seq()
    slots = pool.spec["taskSlotsPerNode"]
    node = Node(node_id, pool.key, number, dedicated, slots, Stateful(NODE, "creating", m.now), m.now, m.now)
    endpoints.number(pool, node)
    usage.start_metering(m, node)
    pool.nodes[node_id] = node
    start_boot(m, node, m.profile.delay("boot", m.random) + chance.lateness(m))
    return node


def boot(m: Machine, pool_key: str, node_id: str, number: int) -> None:
    """The machine is there; its images and its start task are not yet."""
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != number or node.state not in ("creating", "rebooting", "starting"):
        return
    keep = node.state == "rebooting"
    if node.state != "starting":
        move(m, node, "starting")
    spec = m.pools[pool_key].spec
    containers = spec["virtualMachineConfiguration"].get("containerConfiguration", {})
    m.emit(
        BootNode(
            pool_key,
            node_id,
            node.boot,
            keep,
            node.number,
            spec["vmSize"],
            node.slots,
            tuple(containers.get("containerImageNames", ())),
            tuple(containers.get("containerRegistries", ())),
            tuple(spec.get("applicationPackageReferences", ())),
            tuple(spec.get("mountConfiguration", ())),
        )
    )


def booted(m: Machine, pool_key: str, node_id: str, number: int, failure: Failed | None) -> None:
    """The engine has made the node ready, or could not: its start task comes next, if it has one."""
    node = m.find_node(pool_key, node_id)
    if node is None or node.state != "starting" or node.boot != number:
        return
    if failure is not None:
        node.errors.append(failure)
        move(m, node, "unusable")
        return
    if chance.boot_fails(m):
        faults.out_of_reach(m, node)
        return
    node.booted = m.now
    faults.await_mishaps(m, node)
    spec = m.pools[pool_key].spec.get("startTask")
    if spec is None:
        become_idle(m, node)
        return
    node.start = NodeTask("startup", spec)
    if spec["waitForSuccess"]:
        move(m, node, "waitingforstarttask")
    else:
        become_idle(m, node)
    start_preparation_release.begin(m, node, "start", node.start, None)


def on_start_task_ended(m: Machine, event: StartTaskEnded) -> None:
    node = event.node
    assert node.start is not None
    if node.state != "waitingforstarttask":
        return
    if node.start.execution.result == "success":
        become_idle(m, node)
    else:
        move(m, node, "starttaskfailed")
