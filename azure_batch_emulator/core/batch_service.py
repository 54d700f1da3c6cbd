"""The Batch service of one account: runs stimuli, and says who reacts to what.

Requests and timers call downwards: a job's deletion kills the runs of its tasks. What goes the other way (a run has
ended, so its job may be over, so its pool may go) is told as an event, of which whoever tells it knows nothing more.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from . import events
from .instructions import Instruction
from .jobs import job_schedules, jobs
from .machine import Machine
from .nodes import boot, leaving
from .placing.dispatch import dispatch
from .placing.preemption import make_room
from .pools import auto_pools, resizing

T = TypeVar("T")


# Who reacts to what, in this order.
REACTIONS: dict[type[events.Event], tuple[Callable[[Machine, Any], None], ...]] = {
    events.RunEnded: (jobs.on_run_ended, leaving.on_run_ended),
    events.TaskCompleted: (jobs.on_task_completed,),
    events.StartTaskEnded: (boot.on_start_task_ended,),
    events.TaskFilesDeleted: (leaving.on_task_files_deleted,),
    events.NodeRemoved: (jobs.on_node_removed, resizing.on_node_removed),
    events.JobEnded: (auto_pools.on_job_ended, job_schedules.on_job_ended),
}


class BatchService(Machine):
    """The machine with what follows from each stimulus."""

    def apply(self, now: datetime, stimulus: Callable[..., T], *args: Any) -> tuple[T, list[Instruction]]:
        """Runs a stimulus at a time, schedules what it made possible, and hands over the instructions."""
        self.now = max(now, self.now)
        result = stimulus(self, *args)
        self.dirty |= self.holding
        while self.dirty:
            pool = self.dirty.pop()
            dispatch(self, pool)
            if pool in self.pressing:
                self.pressing.discard(pool)
                make_room(self, pool)
        instructions, self._out = self._out, []
        return result, instructions

    def tell(self, event: events.Event) -> None:
        for react in REACTIONS[type(event)]:
            react(self, event)
