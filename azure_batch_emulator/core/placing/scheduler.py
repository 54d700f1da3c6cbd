"""Which waiting task goes to which node. Pure: queues and free slots in, one placement at a time out.

Jobs go by priority, then by age; tasks of a job by age. Of all jobs of one priority, tasks that need certain
nodes (multi-instance tasks and job managers) go first. A task that needs more slots than any node has free is passed
by, so that it does not hold up smaller ones. `spread` takes the node with the most free slots, `pack` the one
with the fewest that still fit; a task's affinity wins when that node has room.
https://learn.microsoft.com/azure/batch/batch-parallel-node-tasks
"""

from collections.abc import Iterable

from ..indexes.free_nodes import FreeNodes, Refuses
from ..indexes.queues import ReadyQueue, Waiting


def place(
    queue: ReadyQueue, free: FreeNodes, fill: str, refuses: Refuses | None = None
) -> tuple[Waiting, str] | None:
    """Takes the oldest task that fits anywhere out of the queue, and says which node it goes to. The slots are taken
    by who begins the task."""
    task = queue.peek(free.most(refuses))
    if task is None:
        return None
    node = free.choose(task.slots, fill, task.affinity, refuses)
    assert node is not None
    queue.discard(task.key)
    return task, node


def place_together(count: int, suitable: Iterable[tuple[int, int, str]], fill: str) -> list[str]:
    """`count` different nodes of the suitable ones (each as its free slots, number and id), or none at all."""
    found = sorted(suitable, key=lambda node: (node[0] if fill == "pack" else -node[0], node[1]))
    return [node for _, _, node in found[:count]] if len(found) >= count else []
