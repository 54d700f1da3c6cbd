"""Timers, by the first word of their key."""

from collections.abc import Callable

from . import job_schedules, jobs, nodes, pools, runs, scaling, tasks
from .machine import Machine


def fire(m: Machine, kind: str, *args) -> None:
    _HANDLERS[kind](m, *args)


_HANDLERS: dict[str, Callable[..., None]] = {
    "autoscale": scaling.evaluation_due,
    "autoscale-sample": scaling.sample_due,
    "allocate": pools.allocate,
    "resize-timeout": pools.resize_timed_out,
    "boot": nodes.boot,
    "remove-node": nodes.take_down,
    "run-limit": runs.limit_reached,
    "job-limit": jobs.limit_reached,
    "job-schedule": job_schedules.due,
    "retention": tasks.retention_over,
}
