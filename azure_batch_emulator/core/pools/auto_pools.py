"""Pools that the service makes for a job or a schedule, and deletes with it unless `keepAlive` says otherwise.

https://learn.microsoft.com/azure/batch/nodes-and-pools#autopools
"""

import copy

from ...protocol.errors import BatchError
from ..entities import Failed, Job, JobSchedule
from ..events import JobEnded
from ..machine import Machine
from . import pools

# Why a job has no auto pool, by why the pool was refused.
_CODES = {
    "PoolQuotaReached": "AutoPoolCreationFailedWithQuotaReached",
    "InvalidApplicationPackageReferences": "InvalidApplicationPackageReferencesInAutoPool",
}


def assign(m: Machine, job: Job, schedule: JobSchedule | None) -> None:
    """Gives a new job its pool, which may have to be made first. Without one, `job.error` says why."""
    info = job.spec["poolInfo"]
    if "poolId" in info:
        job.pool_id = info["poolId"]
        return
    auto = info["autoPoolSpecification"]
    shared = schedule if auto["poolLifetimeOption"] == "jobschedule" else None
    if shared is not None and shared.pool_id.lower() in m.pools:
        job.pool_id = shared.pool_id
        return
    prefix = auto.get("autoPoolIdPrefix")
    pool_id = (f"{prefix}_" if prefix else "") + m.hex(32).upper()
    try:
        pools.create(m, copy.deepcopy(auto["pool"]) | {"id": pool_id})
    except BatchError as error:
        # What the specification itself does wrong was refused with the request; the account can be full by now.
        code = _CODES.get(error.code, "InvalidAutoPoolSettings")
        job.error = Failed("UserError", code, error.message, error.values)
        return
    job.pool_id = pool_id
    if shared is not None:
        shared.pool_id = pool_id


def on_job_ended(m: Machine, event: JobEnded) -> None:
    job = event.job
    auto = job.spec["poolInfo"].get("autoPoolSpecification")
    if auto and auto["poolLifetimeOption"] == "job" and not auto["keepAlive"]:
        _give_up(m, job.pool_id)


def schedule_over(m: Machine, schedule: JobSchedule) -> None:
    auto = schedule.spec["jobSpecification"]["poolInfo"].get("autoPoolSpecification")
    if auto is None or not auto["keepAlive"]:
        _give_up(m, schedule.pool_id)


def _give_up(m: Machine, pool_id: str) -> None:
    pool = m.pools.get(pool_id.lower())
    if pool is not None and pool.state == "active":
        pools.delete(m, pool)
