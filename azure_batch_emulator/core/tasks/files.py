"""The files of tasks on their nodes, and how long they stay there after the task's end.

Each job has a queue of the ends of retention, and one timer, for the first of them: both are gone with the job.
https://learn.microsoft.com/rest/api/batchservice/tasks/create-task#batchtaskconstraints
"""

from heapq import heappop, heappush

from ...protocol.wire import finite
from ..entities import Job, Task
from ..events import TaskFilesDeleted
from ..instructions import DeleteFiles
from ..machine import Machine


def delete(m: Machine, job: Job, task: Task) -> None:
    """Has the files of a task deleted, on each of its nodes."""
    if task.files != "kept":
        return
    task.files = "cleaned"
    for place in task.places:
        if node := m.find_node(*place):
            m.emit(DeleteFiles(node.id, job.id, task.id))
            m.tell(TaskFilesDeleted(node))


def keep(m: Machine, job: Job, task: Task) -> None:
    """The task has completed: its files stay for its retention time."""
    length = finite(task.spec["constraints"]["retentionTime"])
    if length is None:
        return
    try:
        due = m.now + length
    except OverflowError:
        return  # beyond the calendar: as good as for ever
    heappush(job.retention.queue, (due, task.seq, task.key))
    _set_timer(m, job)


def _set_timer(m: Machine, job: Job) -> None:
    queue, timer = job.retention.queue, job.retention.timer
    if queue and (timer is None or queue[0][0] < timer):
        job.retention.timer = queue[0][0]
        m.set_timer(queue[0][0] - m.now, "retention", job.key, job.seq)


def retention_over(m: Machine, job_key: str, job_seq: int) -> None:
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
            delete(m, job, task)
    _set_timer(m, job)


def _kept_long_enough(m: Machine, task: Task) -> bool:
    """Not if it has been reactivated meanwhile: then it has a later end, and another entry in the queue."""
    length, end = finite(task.spec["constraints"]["retentionTime"]), task.execution.end
    return length is not None and end is not None and end + length <= m.now
