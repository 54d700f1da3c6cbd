"""Which waiting task goes to which node. Pure: queues and free slots in, placements out.

Jobs go by priority, then by age; tasks of a job by age. A task that needs more slots than any node has free is passed
by, so that it does not hold up smaller ones. `spread` takes the node with the most free slots, `pack` the one
with the fewest that still fit; a task's affinity wins when that node has room.
https://learn.microsoft.com/azure/batch/batch-parallel-node-tasks
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush


@dataclass(frozen=True)
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


@dataclass
class Lane:
    """A job that wants nodes: `room` is how many more tasks it may run at once (None: any number), `banned` the
    nodes it must not use because its preparation task failed there."""

    job: str
    queue: ReadyQueue
    room: int | None = None
    banned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Placement:
    job: str
    task: str
    node: str


def place(lanes: Iterable[Lane], free: dict[str, int], fill: str) -> list[Placement]:
    """Takes tasks from the lanes' queues, first lane first, and slots from `free` (by node id, in the order in
    which ties are broken), as long as any fits."""
    placements = []
    for lane in lanes:
        room = lane.room
        while free and (room is None or room > 0):
            most = max((slots for node, slots in free.items() if node not in lane.banned), default=0)
            task = lane.queue.peek(most) if most > 0 else None
            if task is None:
                break
            node = _choose(task, free, fill, lane.banned)
            lane.queue.discard(task.key)
            placements.append(Placement(lane.job, task.key, node))
            free[node] -= task.slots
            if free[node] <= 0:
                del free[node]
            if room is not None:
                room -= 1
    return placements


def _choose(task: Waiting, free: dict[str, int], fill: str, banned: frozenset[str]) -> str:
    fitting = [node for node, slots in free.items() if slots >= task.slots and node not in banned]
    if task.affinity in fitting:
        return task.affinity
    return (min if fill == "pack" else max)(fitting, key=free.__getitem__)
