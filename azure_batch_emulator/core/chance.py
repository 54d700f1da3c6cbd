"""What happens by chance, at the profile's rates, or because somebody has planned it for the next occasion."""

from datetime import datetime, timedelta

from .machine import Machine
from .profile import NONE

STALL = "stall"
ALLOCATION_FAULTS = (
    "AllocationFailed", "AccountCoreQuotaReached", "AccountLowPriorityCoreQuotaReached", "AccountSpotCoreQuotaReached",
    "AccountVMSeriesCoreQuotaReached", "UnsupportedVMSize", "BatchOutOfCapacity",
    "OverconstrainedAllocationRequestError", STALL,
)  # fmt: skip


SHORTAGES = ("AllocationFailed", "BatchOutOfCapacity", "OverconstrainedAllocationRequestError")
"""What a region says that has no machines, or none as they are asked for."""


def _strikes(m: Machine, rate: float) -> bool:
    return rate > 0 and m.random.random() < rate


def lateness(m: Machine) -> float:
    """Seconds by which a machine is late."""
    return m.profile.delay("lateness", m.random) if _strikes(m, m.profile.faults.late_nodes) else 0.0


def found_from(m: Machine) -> datetime | None:
    """When requests find what is made now; None for at once."""
    if m.plan.not_found is not None:
        return m.now + timedelta(seconds=m.plan.not_found)
    if m.profile.not_found == NONE:
        return None
    return m.now + timedelta(seconds=m.profile.delay("not_found", m.random))


def boot_fails(m: Machine) -> bool:
    if m.plan.boots:
        m.plan.boots -= 1
        return True
    return _strikes(m, m.profile.faults.boot_failures)


def start_task_fails(m: Machine) -> bool:
    if m.plan.start_tasks:
        m.plan.start_tasks -= 1
        return True
    return _strikes(m, m.profile.faults.start_task_failures)


def resizes_blindly(m: Machine) -> bool:
    """Whether the nodes that go are chosen without a look at their tasks."""
    return _strikes(m, m.profile.faults.blind_resizes)


def allocation_fault(m: Machine) -> str | None:
    """One of ALLOCATION_FAULTS for the allocation that is due now, or None."""
    if m.plan.allocations:
        return m.plan.allocations.pop(0)
    if _strikes(m, m.profile.faults.allocation_failures):
        return m.random.choice(SHORTAGES)
    return STALL if _strikes(m, m.profile.faults.allocation_stalls) else None
