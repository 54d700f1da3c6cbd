"""Which waiting task goes to which node. Pure: queues and free slots in, one placement at a time out.

Jobs go by priority, then by age; tasks of a job by age. Of all jobs of one priority, tasks that need certain
nodes (multi-instance tasks and job managers) go first. A task that needs more slots than any node has free is passed
by, so that it does not hold up smaller ones. `spread` takes the node with the most free slots, `pack` the one
with the fewest that still fit; a task's affinity wins when that node has room.
https://learn.microsoft.com/azure/batch/batch-parallel-node-tasks
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ..indexes.free_nodes import FreeNodes, Refuses


@dataclass(frozen=True, slots=True)
class Waiting:
    key: str
    seq: int
    slots: int
    affinity: str | None = None


@dataclass
class ReadyQueue:
    """Tasks that wait for a node, by slots and then by age. Removal is lazy."""

    _heaps: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    _members: dict[str, Waiting] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def __iter__(self) -> Iterator[Waiting]:
        """In the order in which they came."""
        return iter(self._members.values())

    def add(self, waiting: Waiting) -> None:
        if waiting.key not in self._members:
            self._members[waiting.key] = waiting
            heappush(self._heaps.setdefault(waiting.slots, []), (waiting.seq, waiting.key))

    def discard(self, key: str) -> None:
        self._members.pop(key, None)

    def peek(self, most_slots: int) -> Waiting | None:
        """The oldest task that needs no more than `most_slots`."""
        best: Waiting | None = None
        for slots, heap in list(self._heaps.items()):
            if slots > most_slots:
                continue
            while heap:
                member = self._members.get(heap[0][1])
                if member is not None and (member.seq, member.slots) == (heap[0][0], slots):
                    break
                heappop(heap)
            if not heap:
                del self._heaps[slots]
            elif best is None or heap[0][0] < best.seq:
                best = self._members[heap[0][1]]
        return best


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


LineEntry = tuple[int, int, int, str]
"""Negative priority, which of the job's tasks (CONSTRAINED or ORDINARY), sequence number and key of a job."""
CONSTRAINED, ORDINARY = 0, 1


@dataclass
class JobLine:
    """Jobs that may have tasks to place on one pool, by priority and then by age. Whoever finds that a job has
    none takes it out; entries whose job has got another priority are found that way, too."""

    entries: list[LineEntry] = field(default_factory=list)

    def add(self, entry: LineEntry) -> None:
        at = bisect_left(self.entries, entry)
        if at == len(self.entries) or self.entries[at] != entry:
            self.entries.insert(at, entry)

    def remove(self, entry: LineEntry) -> None:
        at = bisect_left(self.entries, entry)
        if at < len(self.entries) and self.entries[at] == entry:
            del self.entries[at]
