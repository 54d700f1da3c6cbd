"""Waiting lines: tasks of one job that are ready, and jobs on one pool."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush


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
