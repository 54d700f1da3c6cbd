"""Tasks that wait for a node: when they are ready for one, and what they need of it."""

from ..bodies.task_specs import share
from ..entities import Job, Node, Pool, Spec, Task
from ..indexes.queues import Waiting
from ..machine import Machine
from ..states import TASK, Stateful
from . import outcomes


def add(m: Machine, job: Job, spec: Spec, *, manager: bool = False) -> Task:
    """A new task of the job, from a body with all defaults."""
    spec = job.latest = share(spec, job.latest)
    task = Task(spec["id"], m.next_seq(), spec, m.now, m.now, m.new_etag(), Stateful(TASK, "active", m.now))
    task.manager = manager
    outcomes.enter(job, task)
    outcomes.await_dependencies(job, task)
    make_ready(m, job, task)
    return task


def make_ready(m: Machine, job: Job, task: Task) -> None:
    """Queues the task if nothing holds it back."""
    if task.state != "active" or task.unmet or task.run is not None or task.key in job.dying:
        return
    if task.manager or "multiInstanceSettings" in task.spec:
        job.constrained[task.key] = task.seq
    else:
        job.ready.add(Waiting(task.key, task.seq, task.slots, _affinity(task)))
    m.line_up(job)


def need(pool: Pool, job: Job, task: Task, node: Node) -> int:
    """How many slots the task takes of a node; 0 where it does not go there at all.

    https://learn.microsoft.com/rest/api/batchservice/jobs/create-job#batchjobmanagertask,
    https://learn.microsoft.com/azure/batch/batch-mpi#requirements-for-multi-instance-tasks
    """
    if "multiInstanceSettings" in task.spec:
        return int(pool.spec["enableInterNodeCommunication"] and node.slots == 1)
    if not task.manager:
        return task.slots
    manager = job.spec["jobManagerTask"]
    if not node.dedicated and not manager["allowLowPriorityNode"]:
        return 0
    return max(node.slots, task.slots) if manager["runExclusive"] else task.slots


def _affinity(task: Task) -> str | None:
    wanted = task.spec.get("affinityInfo", {}).get("affinityId", "")
    return wanted.removeprefix("TVM:").lower() or None
