"""Timers, by the first word of their key."""

from collections.abc import Callable

from .jobs import job_schedules, jobs
from .machine import Machine
from .nodes import faults, node_operations, nodes
from .pools import allocation, pools, scaling
from .runs import runs
from .tasks import retention


def fire(m: Machine, kind: str, *args) -> None:
    _HANDLERS[kind](m, *args)


_HANDLERS: dict[str, Callable[..., None]] = {
    "autoscale": scaling.evaluation_due,
    "autoscale-sample": scaling.sample_due,
    "allocate": allocation.allocate,
    "resize-timeout": pools.resize_timed_out,
    "boot": nodes.boot,
    "deallocated": node_operations.deallocated,
    "mishap": faults.mishap,
    "loss-noticed": faults.loss_noticed,
    "recover": faults.recover,
    "restore": faults.restoration_due,
    "capacity": faults.capacity_changed,
    "remove-node": nodes.take_down,
    "run-limit": runs.limit_reached,
    "job-limit": jobs.limit_reached,
    "job-schedule": job_schedules.due,
    "retention": retention.over,
}
