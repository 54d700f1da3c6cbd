"""The statistics that `$expand=stats` asks for.

Those of pools, jobs and job schedules are rolled up every so often (the profile's `statisticsSeconds`), those of tasks
are always of the present.
https://learn.microsoft.com/rest/api/batchservice/jobs/get-job#batchjobstatistics
"""

from datetime import datetime, timedelta

from ...protocol.wire import format_duration, format_time
from ..entities import Job, JobSchedule, Pool, Task
from ..ledger import ZERO, Ledger, Tally
from ..machine import Machine


def of_task(m: Machine, task: Task, url: str) -> dict | None:
    """None before the task has been on a node."""
    execution, spent = task.execution, task.spent or Tally()
    if execution.start is None and task.spent is None:
        return None
    until = execution.end or m.now if execution.start else m.now
    wall = spent.wall + (until - execution.start if execution.start else ZERO)
    wait = (execution.start or m.now) - task.created
    return _range(url, task.created, until) | _resources(Tally(wall, spent.user, spent.kernel), wait)


def of_job(m: Machine, job: Job, url: str) -> dict | None:
    return _of_tasks(job.statistics, m, job.created, url)


def of_job_schedule(m: Machine, schedule: JobSchedule, url: str) -> dict | None:
    """The sum of its jobs, those that are gone included."""
    whole = schedule.statistics.copy()
    for job in m.jobs_of(schedule):
        whole.absorb(job.statistics, m.now)
    return _of_tasks(whole, m, schedule.created, url)


def of_pool(m: Machine, pool: Pool, url: str) -> dict | None:
    told = pool.statistics.told(m.now)
    if told is None:
        return None
    tally, until = told
    shown = _range(url, pool.created, until)
    times = {name: shown[name] for name in ("startTime", "lastUpdateTime")}
    return shown | {
        "usageStats": times | {"dedicatedCoreTime": format_duration(tally.wall)},
        "resourceStats": times | dict.fromkeys(_POOL_SHARES, 0.0) | dict.fromkeys(_POOL_OPERATIONS, "0"),
    }


# What nobody measures.
_POOL_OPERATIONS = ("diskReadIOps", "diskWriteIOps")
_POOL_SHARES = (
    "avgCPUPercentage", "avgMemoryGiB", "peakMemoryGiB", "avgDiskGiB", "peakDiskGiB", "diskReadGiB", "diskWriteGiB",
    "networkReadGiB", "networkWriteGiB",
)  # fmt: skip
_TASK_INPUT_OUTPUT = {"readIOps": "0", "writeIOps": "0", "readIOGiB": 0.0, "writeIOGiB": 0.0}


def _of_tasks(ledger: Ledger, m: Machine, start: datetime, url: str) -> dict | None:
    told = ledger.told(m.now)
    if told is None:
        return None
    tally, until = told
    # The time that tasks waited is said to be no part of a job's statistics.
    return (
        _range(url, start, until)
        | _resources(tally, ZERO)
        | {
            "numSucceededTasks": str(tally.succeeded),
            "numFailedTasks": str(tally.failed),
            "numTaskRetries": str(tally.retries),
        }
    )


def _range(url: str, start: datetime, until: datetime) -> dict:
    return {"url": f"{url}/stats", "startTime": format_time(start), "lastUpdateTime": format_time(until)}


def _resources(tally: Tally, wait: timedelta) -> dict:
    return _TASK_INPUT_OUTPUT | {
        "userCPUTime": format_duration(tally.user),
        "kernelCPUTime": format_duration(tally.kernel),
        "wallClockTime": format_duration(tally.wall),
        "waitTime": format_duration(wait),
    }
