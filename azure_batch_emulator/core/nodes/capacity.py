"""The cores that a region has left: for low-priority nodes, as the profile says at this time or a plan says, and for
nodes of one VM size, as a plan says."""

from ..entities import Node, Pool
from ..machine import Machine

RETRY_SECONDS = 30.0  # until the region is asked again where it had nothing
_WITHOUT_MACHINE = frozenset({"preempted", "deallocated"})


def cores(m: Machine) -> int | None:
    """All low-priority cores of the region, None for no limit."""
    if m.plan.capacity is not None:
        return m.plan.capacity
    elapsed = (m.now - m.epoch).total_seconds()
    now = None
    for after, count in m.profile.faults.low_priority_capacity:
        if after <= elapsed:
            now = count
    return now


def occupants(m: Machine) -> list[tuple[Pool, Node]]:
    """The low-priority nodes that have a machine."""
    return [
        (pool, node)
        for pool in m.pools.values()
        for node in pool.nodes.values()
        if not node.dedicated and node.state not in _WITHOUT_MACHINE
    ]


def free(m: Machine) -> int | None:
    """Cores that are left; negative when nodes have to go."""
    limit = cores(m)
    return None if limit is None else limit - sum(pool.spec["cores"] for pool, _ in occupants(m))


def room(m: Machine, pool: Pool) -> int:
    """How many more low-priority nodes of the pool's size there is capacity for."""
    left = free(m)
    room = 2**31 if left is None else max(0, left // pool.spec["cores"])
    return min(room, size_room(m, pool))


def size_room(m: Machine, pool: Pool) -> int:
    """How many more nodes of the pool's size, of either kind, the region has machines for."""
    size = pool.spec["vmSize"].lower()
    limit = m.plan.size_cores.get(size)
    if limit is None:
        return 2**31
    taken = sum(
        other.spec["cores"]
        for other in m.pools.values()
        if other.spec["vmSize"].lower() == size
        for node in other.nodes.values()
        if node.state not in _WITHOUT_MACHINE
    )
    return max(0, (limit - taken) // pool.spec["cores"])
