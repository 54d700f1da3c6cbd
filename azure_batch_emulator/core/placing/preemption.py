"""Tasks of jobs with `allowTaskPreemption` make room for those of jobs with a higher priority.

Looked at when such a job gets something to do (`Machine.pressing`), for what waits in the order in which it would be
placed. Where the room that it needs is neither free nor about to be, tasks are requeued: those of the lowest priority
first, of these the youngest, and no more than it takes. Job managers stay. Until those have let go, nothing of a lower
priority begins that could take the room.
https://learn.microsoft.com/rest/api/batchservice/jobs/create-job#request-body
"""

from collections import defaultdict
from collections.abc import Iterator

from ..entities import Job, Node, Pool, Run, Task
from ..indexes.free_nodes import Refuses
from ..indexes.queues import CONSTRAINED
from ..machine import Machine
from ..runs import instances
from ..runs.killing import kill
from ..tasks import waiting
from .dispatch import may_begin, refusal


def make_room(m: Machine, pool_key: str) -> None:
    """For all that waits on a pool."""
    pool, line = m.pools.get(pool_key), m.lines.get(pool_key)
    if pool is None or pool.state != "active" or line is None:
        return
    room = _Room(m, pool)
    for entry in tuple(line.entries):
        job = m.jobs.get(entry[3])
        if job is None or m.line_entry(job, entry[1]) != entry:
            continue
        most = job.spec["maxParallelTasks"]
        left = len(job.tasks) if most == -1 else most - len(job.runs)
        for task in _waiting(job, entry[1]):
            if left <= 0 or not may_begin(job):
                break
            if not room.take(job, task):
                if entry[1] == CONSTRAINED and pool.key in m.holding:
                    return  # nobody behind it may begin
                break
            left -= 1


def _waiting(job: Job, kind: int) -> Iterator[Task]:
    keys = (
        sorted(job.constrained, key=job.constrained.__getitem__)
        if kind == CONSTRAINED
        else (w.key for w in job.ready)
    )
    return (job.tasks[key] for key in keys)


class _Room:
    """The slots of a pool's usable nodes that are free, or about to be, and not yet spoken for."""

    def __init__(self, m: Machine, pool: Pool) -> None:
        self._m, self._pool = m, pool
        self._left: dict[str, int] = {}
        self._victims: dict[str, list[Run]] = defaultdict(list)
        for node in pool.nodes.values():
            if node.usable:
                here = [m.runs[run] for run in node.runs]
                self._left[node.id] = node.free + sum(run.slots for run in here if run.intent is not None)
                self._victims[node.id] = sorted(filter(self._may_go, here), key=self._worth)

    def _may_go(self, run: Run) -> bool:
        job = self._m.jobs.get(run.job or "")
        task = run.task
        return (
            job is not None
            and task is not None
            and not task.manager
            and job.spec["allowTaskPreemption"]
            and run.intent is None
            and run.phase not in ("uploading", "over", "lost")
        )

    def _worth(self, run: Run) -> tuple[int, float]:
        """The least comes first."""
        assert run.task is not None and run.task.execution.start is not None
        return self._m.jobs[run.job or ""].spec["priority"], -run.task.execution.start.timestamp()

    def take(self, job: Job, task: Task) -> bool:
        """Finds room for a task on as many nodes as it needs, and requeues what is in the way; or changes nothing."""
        refuses = refusal(self._pool, job)
        found = sorted(
            (
                ([self._worth(run) for run in victims], node.number, node, needed, victims)
                for node, needed, victims in self._places(job, task, refuses)
            ),
            key=lambda place: place[:2],
        )[: task.instances]
        if len(found) < task.instances:
            return False
        for _, _, node, needed, victims in found:
            for run in victims:
                self._requeue(run, job.spec["priority"])
            self._left[node.id] -= needed
        return True

    def _places(self, job: Job, task: Task, refuses: Refuses | None) -> Iterator[tuple[Node, int, list[Run]]]:
        """The nodes that the task could go to, what it takes there, and who would have to go."""
        for name, left in self._left.items():
            node = self._pool.nodes[name]
            needed = waiting.need(self._pool, job, task, node)
            if not 0 < needed <= node.slots or (refuses and refuses(name)):
                continue
            going: list[Run] = []
            for run in self._victims[name]:
                if left >= needed:
                    break
                if run.intent is None and self._m.jobs[run.job or ""].spec["priority"] < job.spec["priority"]:
                    going.append(run)
                    left += run.slots
            if left >= needed:
                yield node, needed, going

    def _requeue(self, run: Run, priority: int) -> None:
        if run.intent is not None:
            return  # it went with another instance
        making = self._m.making_room.setdefault(self._pool.key, {})
        for member in instances.members(self._m, run):
            making[member.id] = priority
            if member.node in self._left:
                self._left[member.node] += member.slots
        kill(self._m, run, "requeue")
