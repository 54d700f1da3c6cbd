"""Where a pool's nodes come from: quotas, the region's low-priority capacity, and what can go wrong.

Nodes come all at once after the profile's delay. What quotas forbid ends the resize with an error; low-priority
capacity that is missing may still come, so the resize goes on until it times out.
https://learn.microsoft.com/troubleshoot/azure/hpc/batch/azure-batch-pool-resizing-failure
"""

from .. import chance
from ..entities import Pool, ResizeError
from ..machine import Machine
from ..nodes import boot, capacity
from . import quotas
from .resizing import could_not, missing, note, refused, settle

MAX_LINKED_NODES = 100  # of both kinds in a pool with inter-node communication
MAX_NODES = 2000  # of each kind in a pool, as documented for pools of managed images,
MAX_SPOT_OF_IMAGE = 1000  # which have fewer Spot nodes


def allocate(m: Machine, pool_key: str, resize: int) -> None:
    """The allocation delay is over."""
    pool = m.pools.get(pool_key)
    if pool is None or not pool.pending or pool.resize != resize:
        return
    fault = chance.allocation_fault(m)
    if fault == chance.STALL:
        return  # until the resize times out
    pool.pending = False
    reference = pool.spec["virtualMachineConfiguration"]["imageReference"]
    unbootable = m.catalogue.unbootable(pool.spec["vmSize"], reference)
    for kind in (True, False):
        if missing(pool, kind) <= 0:
            continue
        if unbootable is not None:
            note(pool, refused("AllocationFailed", kind, unbootable, "BadRequest"))
        elif fault is not None:
            note(pool, _of_fault(fault, kind))
        elif _grant(m, pool, kind):
            pool.pending = True
    if pool.pending:
        delay = max(capacity.RETRY_SECONDS, m.profile.delay("allocation", m.random))
        m.set_timer(delay, "allocate", pool.key, pool.resize)
    settle(m, pool)


def _most(pool: Pool, dedicated: bool) -> int:
    managed = "virtualMachineImageId" in pool.spec["virtualMachineConfiguration"]["imageReference"]
    return MAX_SPOT_OF_IMAGE if managed and not dedicated else MAX_NODES


def _grant(m: Machine, pool: Pool, dedicated: bool) -> bool:
    """Makes what can be had of a kind; True when more of it may come later."""
    want = missing(pool, dedicated)
    linked = pool.spec["enableInterNodeCommunication"]
    present = sum(1 for node in pool.nodes.values() if linked or node.dedicated == dedicated)
    most = MAX_LINKED_NODES if linked else _most(pool, dedicated)
    affordable, error = quotas.affordable(m, pool, dedicated)
    possible = min(affordable, max(0, most - present))
    if possible < affordable:
        code = "CommunicationEnabledPoolReachedMaxVMCount" if linked else "AllocationFailed"
        kind = "with inter-node communication" if linked else "of this kind"
        error = could_not(code, dedicated, f"A pool has at most {most} nodes {kind}.")
    allowed = min(want, possible)
    if dedicated and allowed > (machines := capacity.size_room(m, pool)):
        # What dedicated nodes there are comes, and the rest is refused, as by a quota; Spot capacity may still come.
        allowed, error = machines, refused("AllocationFailed", True, _NO_MACHINES, "AllocationFailed")
    granted = allowed if dedicated else min(allowed, capacity.room(m, pool))
    for _ in range(granted):
        boot.create(m, pool, dedicated)
    if allowed < want and error is not None:
        note(pool, error)
    return granted < allowed


_NO_MACHINES = (
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about "
    "improving likelihood of allocation success at https://aka.ms/allocation-guidance"
)
# How the provider of the machines names what Batch passes on; the others are the service's own.
_PROVIDERS = {
    "AllocationFailed": "AllocationFailed",
    "BatchOutOfCapacity": "ZonalAllocationFailed",
    "OverconstrainedAllocationRequestError": "OverconstrainedAllocationRequest",
}


def _of_fault(code: str, dedicated: bool) -> ResizeError:
    reason = "The fault was asked for or drawn from the profile."
    if code in _PROVIDERS:
        return refused(code, dedicated, reason, _PROVIDERS[code])
    return could_not(code, dedicated, reason)
