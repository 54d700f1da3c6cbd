"""A node's two disks: that of its system, and the temporary one, which tasks lie on where the size has one.

A node whose disk is full takes no tasks any more: it is unusable, and says why. Nobody repairs it.
https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

from ...protocol.errors import BatchError
from ..entities import Failed, Node, Pool
from ..machine import Machine
from ..runs.killing import kill_node_runs
from .transitions import move

OS, TEMPORARY = "os", "temporary"
DISKS = (OS, TEMPORARY)
GIB = 1 << 30
# Of the image's own; osDisk/diskSizeGB of the pool makes it larger.
_OS_GIB = {"ubuntu-hpc": 64}
_OS_GIB_OF_OTHERS = 30
_NAMES = {OS: "The disk of the operating system", TEMPORARY: "The temporary disk"}


def disk_of_tasks(m: Machine, pool: Pool) -> tuple[str, int]:
    """Which disk tasks lie on, and its bytes."""
    size = m.catalogue.sizes[pool.spec["vmSize"].lower()]
    if size.temp_disk_gib > 0:
        return TEMPORARY, int(size.temp_disk_gib * GIB)
    machine = pool.spec["virtualMachineConfiguration"]
    own = _OS_GIB.get(machine["imageReference"].get("offer", "").lower(), _OS_GIB_OF_OTHERS)
    return OS, max(own, machine.get("osDisk", {}).get("diskSizeGB", 0)) * GIB


def fill(m: Machine, node: Node, disk: str | None = None) -> None:
    """The disk is full; None stands for the one that tasks lie on. What runs on the node is requeued."""
    if not node.alive or node.state == "unusable":
        raise BatchError("OperationNotValidOnNode", [("Reason", f"The node is {node.state}.")])
    name = _NAMES[disk or disk_of_tasks(m, m.pools[node.pool])[0]]
    details = (("Message", f"{name} is full. Delete jobs, tasks or files to free up space."),)
    node.errors.append(
        Failed("ServerError", "DiskFull", "There is not enough disk space on the node", details)
    )
    move(m, node, "unusable")
    kill_node_runs(m, node, "recover")


def filled(m: Machine, pool_key: str, node_id: str, boot: int) -> None:
    """The engine has found that the disk of the node, in this start of it, has no room left."""
    node = m.find_node(pool_key, node_id)
    if node is not None and node.boot == boot and node.alive and node.state != "unusable":
        fill(m, node)
