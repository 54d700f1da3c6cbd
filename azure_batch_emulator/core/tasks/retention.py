"""How long a task's files stay on their node after its end.

Each job has a queue of the ends of retention, and one timer, for the first of them: both are gone with the job.
https://learn.microsoft.com/rest/api/batchservice/tasks/create-task#batchtaskconstraints
"""

from heapq import heappop, heappush

from ...protocol.wire import finite
from ..entities import Job, Task
from ..machine import Machine
from . import tasks


def begin(m: Machine, job: Job, task: Task) -> None:
    """The task has completed."""
    keep = finite(task.spec["constraints"]["retentionTime"])
    if keep is None:
        return
    try:
        due = m.now + keep
    except OverflowError:
        return  # beyond the calendar: as good as for ever
    heappush(job.retention.queue, (due, task.seq, task.key))
    _set_timer(m, job)


def _set_timer(m: Machine, job: Job) -> None:
    queue, timer = job.retention.queue, job.retention.timer
    if queue and (timer is None or queue[0][0] < timer):
        job.retention.timer = queue[0][0]
        m.set_timer(queue[0][0] - m.now, "retention", job.key, job.seq)


def over(m: Machine, job_key: str, job_seq: int) -> None:
    """The timer has fired. One that an earlier one has taken the place of does nothing."""
    job = m.jobs.get(job_key)
    if job is None or job.seq != job_seq or job.retention.timer is None or job.retention.timer > m.now:
        return
    job.retention.timer = None
    queue = job.retention.queue
    while queue and queue[0][0] <= m.now:
        _, seq, key = heappop(queue)
        task = job.tasks.get(key)
        if task is not None and task.seq == seq and task.state == "completed" and _kept_long_enough(m, task):
            tasks.delete_files(m, job, task)
    _set_timer(m, job)


def _kept_long_enough(m: Machine, task: Task) -> bool:
    """Not if it has been reactivated meanwhile: then it has a later end, and another entry in the queue."""
    keep = finite(task.spec["constraints"]["retentionTime"])
    return keep is not None and task.execution.end is not None and task.execution.end + keep <= m.now
