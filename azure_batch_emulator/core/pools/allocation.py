"""Where a pool's nodes come from: quotas, the region's low-priority capacity, and what can go wrong.

Nodes come all at once after the profile's delay. What quotas forbid ends the resize with an error; low-priority
capacity that is missing may still come, so the resize goes on until it times out.
https://learn.microsoft.com/troubleshoot/azure/hpc/batch/azure-batch-pool-resizing-failure
"""

from dataclasses import replace

from ..entities import Pool, ResizeError
from ..machine import Machine
from ..nodes import faults, nodes
from . import capacity, pools, quotas

MAX_LINKED_NODES = 100  # of both kinds in a pool with inter-node communication
MAX_NODES = 2000  # of each kind in a pool, as documented for pools of managed images,
MAX_SPOT_OF_IMAGE = 1000  # which have fewer Spot nodes
KINDS = {True: "dedicated", False: "low priority"}


def start(m: Machine, pool: Pool) -> None:
    """Asks for the nodes that a pool is short of, unless they have been asked for."""
    if not pool.pending and (pools.missing(pool, True) > 0 or pools.missing(pool, False) > 0):
        pool.pending = True
        m.set_timer(m.profile.delay("allocation", m.random), "allocate", pool.key, pool.resize)


def allocate(m: Machine, pool_key: str, resize: int) -> None:
    """The allocation delay is over."""
    pool = m.pools.get(pool_key)
    if pool is None or not pool.pending or pool.resize != resize:
        return
    fault = faults.allocation_fault(m)
    if fault == faults.STALL:
        return  # until the resize times out
    pool.pending = False
    reference = pool.spec["virtualMachineConfiguration"]["imageReference"]
    unbootable = m.catalogue.unbootable(pool.spec["vmSize"], reference)
    for kind in (True, False):
        if pools.missing(pool, kind) <= 0:
            continue
        if unbootable is not None:
            _note(pool, refused("AllocationFailed", kind, unbootable, "BadRequest"))
        elif fault is not None:
            _note(pool, could_not(fault, kind, "The fault was asked for or drawn from the profile."))
        elif _grant(m, pool, kind):
            pool.pending = True
    if pool.pending:
        delay = max(capacity.RETRY_SECONDS, m.profile.delay("allocation", m.random))
        m.set_timer(delay, "allocate", pool.key, pool.resize)
    pools.settle(m, pool)


def _most(pool: Pool, dedicated: bool) -> int:
    managed = "virtualMachineImageId" in pool.spec["virtualMachineConfiguration"]["imageReference"]
    return MAX_SPOT_OF_IMAGE if managed and not dedicated else MAX_NODES


def _grant(m: Machine, pool: Pool, dedicated: bool) -> bool:
    """Makes what can be had of a kind; True when more of it may come later."""
    want = pools.missing(pool, dedicated)
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
    granted = allowed if dedicated else min(allowed, capacity.room(m, pool))
    for _ in range(granted):
        nodes.create(m, pool, dedicated)
    if allowed < want and error is not None:
        _note(pool, error)
    return granted < allowed


def _note(pool: Pool, error: ResizeError) -> None:
    if error not in pool.errors:
        pool.errors.append(error)


def could_not(code: str, dedicated: bool, reason: str = "", because: str = "") -> ResizeError:
    text = f"Desired number of {KINDS[dedicated]} nodes could not be allocated{because}"
    return ResizeError(code, text, reason)


def refused(code: str, dedicated: bool, reason: str, provider: str) -> ResizeError:
    """What the provider of the machines says is in the error's values."""
    return replace(could_not(code, dedicated, reason), provider=provider)


def give_up(pool: Pool, code: str, because: str) -> None:
    """No more nodes will come in this resize."""
    pool.pending = False
    for kind in (True, False):
        if pools.missing(pool, kind) > 0:
            _note(pool, could_not(code, kind, because=because))
