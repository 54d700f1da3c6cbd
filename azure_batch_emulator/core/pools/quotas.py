"""What the account may have: pools, active jobs and schedules, cores.

Cores of dedicated nodes are limited in all and by VM family, those of low-priority nodes in all. A quota on cores
refuses no request: it shows in a pool's resizeErrors.
https://learn.microsoft.com/azure/batch/batch-quota-limit
"""

import re

from ...protocol.errors import BatchError
from ..entities import Pool, ResizeError
from ..machine import Machine

_SIZE = re.compile(r"Standard_([A-Za-z]+)\d+(?:-\d+)?([a-z]*)_?(.*)", re.IGNORECASE)


def check_pools(m: Machine) -> None:
    if m.profile.pools is not None and len(m.pools) >= m.profile.pools:
        raise BatchError("PoolQuotaReached")


def check_jobs(m: Machine) -> None:
    """For a new job or job schedule; completed ones don't count."""
    most = m.profile.jobs
    if most is None:
        return
    active = sum(one.state != "completed" for one in (*m.jobs.values(), *m.job_schedules.values()))
    if active >= most:
        raise BatchError("ActiveJobAndScheduleQuotaReached")


def vm_family(vm_size: str) -> str:
    """The name of a size's family as quotas use it, such as standardDSv3Family for Standard_D2s_v3."""
    match = _SIZE.fullmatch(vm_size)
    if not match:
        return f"{vm_size}Family"
    letters, features, version = match.groups()
    return f"standard{(letters + features).upper()}{version.replace('_', '')}Family"


def affordable(m: Machine, pool: Pool, dedicated: bool) -> tuple[int, ResizeError | None]:
    """How many more nodes of a kind the quotas let the pool have, and the error when it wants more."""
    limits: list[tuple[int, ResizeError]] = []
    if dedicated:
        family = vm_family(pool.spec["vmSize"])
        if m.profile.dedicated_cores is not None:
            left = m.profile.dedicated_cores - _used(m, True)
            error = ResizeError("AccountCoreQuotaReached", "The specified account has reached core quota")
            limits.append((left, error))
        for name, quota in m.profile.family_cores:
            if name.lower() == family.lower():
                text = f"The specified account has reached VM series core quota for {name}"
                left = quota - _used(m, True, family)
                limits.append((left, ResizeError("AccountVMSeriesCoreQuotaReached", text)))
    elif m.profile.low_priority_cores is not None:
        text = "The specified account has reached the quota of low priority cores"
        left = m.profile.low_priority_cores - _used(m, False)
        limits.append((left, ResizeError("AccountLowPriorityCoreQuotaReached", text)))
    if not limits:
        return 2**31, None
    least, tightest = min(limits, key=lambda limit: limit[0])
    return max(0, least // pool.spec["cores"]), tightest


def _used(m: Machine, dedicated: bool, family: str | None = None) -> int:
    """Cores of the account's nodes, those that leave, are preempted or deallocated included."""
    return sum(
        pool.spec["cores"]
        for pool in m.pools.values()
        if family is None or vm_family(pool.spec["vmSize"]) == family
        for node in pool.nodes.values()
        if node.dedicated == dedicated
    )
