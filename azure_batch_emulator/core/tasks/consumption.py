"""What tasks take of their nodes, for the statistics that `views.statistics` shows."""

from datetime import datetime

from ..entities import Ended, Run, Task
from ..ledger import Tally
from ..machine import Machine


def spend(m: Machine, run: Run, ended: Ended) -> None:
    """A run of a task has ended: what its processes took of the node's processors."""
    used = Tally(user=ended.user_time, kernel=ended.kernel_time)
    if run.task is None or used == Tally():
        return
    _spent(run.task).add(used)
    if job := m.jobs.get(run.job or ""):
        job.statistics.book(m.now).add(used)


def set_aside(task: Task, until: datetime) -> None:
    """The task's present execution is to be forgotten, but for the time that it took."""
    if task.execution.start is not None:
        _spent(task).wall += until - task.execution.start


def _spent(task: Task) -> Tally:
    if task.spent is None:
        task.spent = Tally()
    return task.spent
