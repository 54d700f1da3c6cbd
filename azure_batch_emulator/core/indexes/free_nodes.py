"""Which nodes of a pool have free slots: an index, so that a place for a task is found without a look at every node.

It is derived from the nodes. `Machine.offer` tells it of each node whose room may have changed.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Refuses = Callable[[str], bool]
"""Whether a job may not use a node, by the node's id."""


@dataclass
class FreeNodes:
    """Nodes by how many slots they have free; among equals the node with the lowest number comes first.

    Finding a node costs one step for each different number of free slots (at most 256), whatever the number of nodes.
    """

    slots: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Number and free slots of each node that has any, by id."""
    buckets: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """Number and id of the nodes with so many free slots, sorted."""

    def __bool__(self) -> bool:
        return bool(self.slots)

    def set(self, node: str, number: int, free: int) -> bool:
        """From now on the node has `free` slots; 0 takes it out. Whether that is more than before."""
        _, before = self.slots.pop(node, (number, 0))
        if before > 0:
            bucket = self.buckets[before]
            del bucket[bisect_left(bucket, (number, node))]
            if not bucket:
                del self.buckets[before]
        if free > 0:
            self.slots[node] = (number, free)
            insort(self.buckets.setdefault(free, []), (number, node))
        return free > before

    def most(self, refuses: Refuses | None = None) -> int:
        """The most slots that any one node has free."""
        if refuses is None:
            return max(self.buckets, default=0)
        return next((free for free, _ in self._by_slots(1, "spread", refuses)), 0)

    def choose(
        self, slots: int, fill: str, affinity: str | None = None, refuses: Refuses | None = None
    ) -> str | None:
        """The node for a task: `affinity` if it has room, else with `spread` the one with the most free slots,
        with `pack` the one with the fewest that suffice."""
        if (
            affinity is not None
            and self.slots.get(affinity, (0, 0))[1] >= slots
            and not (refuses and refuses(affinity))
        ):
            return affinity
        return next((node for _, node in self._by_slots(slots, fill, refuses)), None)

    def _by_slots(self, least: int, fill: str, refuses: Refuses | None) -> Iterator[tuple[int, str]]:
        for free in sorted((n for n in self.buckets if n >= least), reverse=fill != "pack"):
            for _, node in self.buckets[free]:
                if refuses is None or not refuses(node):
                    yield free, node
