"""Timers, by the first word of their key."""

from collections.abc import Callable

from .jobs import job_schedules, jobs
from .machine import Machine
from .nodes import boot, faults, leaving, node_operations
from .pools import allocation, resizing, scaling
from .runs import killing
from .tasks import files


def fire(m: Machine, kind: str, *args) -> None:
    _HANDLERS[kind](m, *args)


_HANDLERS: dict[str, Callable[..., None]] = {
    "autoscale": scaling.evaluation_due,
    "autoscale-sample": scaling.sample_due,
    "allocate": allocation.allocate,
    "resize-timeout": resizing.resize_timed_out,
    "boot": boot.boot,
    "deallocated": node_operations.deallocated,
    "mishap": faults.mishap,
    "loss-noticed": faults.loss_noticed,
    "recover": faults.recover,
    "restore": faults.restoration_due,
    "capacity": faults.capacity_changed,
    "remove-node": leaving.take_down,
    "run-limit": killing.limit_reached,
    "job-limit": jobs.limit_reached,
    "job-schedule": job_schedules.due,
    "retention": files.retention_over,
}
