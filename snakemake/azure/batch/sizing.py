"""How many nodes a pool should have. No I/O, no clock of its own: what is known comes in, a size comes out.

The client knows what no formula of the service does: how many slots each task takes, how long tasks of its rule took
before, and what the DAG makes ready next. From that `advise` packs, largest first, as the service does with its fill
type `pack`:

- What waits goes to the free slots of nodes that are busy, then to idle nodes, then to those that are on their way, and
  what is left asks for new ones, at once. But what the nodes that are there will have begun before new ones come needs
  none, and a new node has work for at least as long as it costs without working (it boots, and it leaves).
- What comes next does the same if it comes before a new node would: its nodes are kept, or asked for ahead. Slots that
  running tasks will have freed by then are its own.
- An idle node that nothing needs goes. Where the DAG has more for it at a time that nobody knows, it stays as long as
  another one would take to come: whoever waits that long has paid at most twice what the best guess would have cost.
- A node with tasks is never given up. A size is the number of all nodes that are to stay, so that the service, which
  chooses by itself which ones go, can choose idle ones.

The same input gives the same answer, and no answer is larger than `most` (but for nodes that have tasks), or zero while
tasks are open. `Latest` keeps a pool from going down and up again when for a moment nothing waits.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from snakemake.azure.batch.targets import Kind, NodePrices, Size

SETTLE = timedelta(seconds=30)
"""How long a smaller size has to be enough before it is asked for: what comes next may be submitted any moment."""

BACK = timedelta(minutes=4)
"""From asking for a node until it takes tasks, as long as none has been seen coming."""

UNUSED = timedelta(minutes=3)
"""What a node costs without working: it boots, and it leaves."""


class State(Enum):
    """READY takes tasks; COMING will; LEAVING and BROKEN do not. A broken one is among those that a pool may have."""

    READY = "ready"
    COMING = "coming"
    LEAVING = "leaving"
    BROKEN = "broken"


@dataclass(frozen=True)
class Node:
    """A node of a pool.

    used: slots that tasks take; since: when it came to its state; takes: False for a ready node whose free slots
    nothing goes to; allocated: since when it is paid for; is_preempted: it comes back when there is room for Spot nodes
    again.
    """

    id: str
    state: State
    kind: Kind = Kind.DEDICATED
    used: int = 0
    since: datetime | None = None
    takes: bool = True
    allocated: datetime | None = None
    is_preempted: bool = False


@dataclass(frozen=True)
class Work:
    """So many tasks of so many slots each. seconds: how long one of them takes; None: nobody knows."""

    slots: int
    count: int = 1
    seconds: float | None = None


@dataclass(frozen=True)
class Ahead:
    """Work that the DAG makes ready at a time; None: nobody knows when."""

    slots: int
    count: int = 1
    at: datetime | None = None


@dataclass(frozen=True)
class Running:
    """Slots that running tasks take, and when they are expected to be free."""

    slots: int
    until: datetime | None = None


@dataclass(frozen=True)
class Pool:
    """What is known of a pool.

    slots: of a node; most: how many nodes it may have; kind: of new nodes; back: from asking for a node until it takes
    tasks; unused: for how long a node is paid for in which it can't work; granularity: nodes are paid for in whole
    pieces of this time.
    """

    slots: int
    most: int
    kind: Kind = Kind.DEDICATED
    waiting: Sequence[Work] = ()
    running: Sequence[Running] = ()
    ahead: Sequence[Ahead] = ()
    nodes: Sequence[Node] = ()
    prices: NodePrices = NodePrices()
    back: timedelta = BACK
    unused: timedelta = UNUSED
    granularity: timedelta = timedelta(seconds=1)

    @property
    def has_open_work(self) -> bool:
        return any(work.count for work in self.waiting) or any(task.slots for task in self.running)


@dataclass
class _Bin:
    """A node's free slots while work is being packed, and those that went there; `node` is None for a new one."""

    free: int
    node: Node | None = None
    needed: bool = False
    took: int = 0

    def take(self, slots: int, count: int) -> int:
        """How many tasks of so many slots went in."""
        fit = min(count, self.free // slots)
        if fit:
            self.free -= fit * slots
            self.took += fit * slots
            self.needed = True
        return fit


class _Packing:
    """The nodes of a pool in the order in which they are filled."""

    def __init__(self, pool: Pool, now: datetime) -> None:
        ready = [node for node in pool.nodes if node.state is State.READY]
        coming = [node for node in pool.nodes if node.state is State.COMING]
        self.slots = pool.slots
        self.busy = [_Bin(pool.slots - n.used if n.takes else 0, n, needed=True) for n in ready if n.used]
        self.busy.sort(key=lambda one: one.free)

        def worth(node: Node) -> tuple[float, timedelta]:
            return pool.prices.of(node.kind), _age(node, now)

        idle = sorted((node for node in ready if not node.used), key=worth)
        self.idle = [_Bin(pool.slots if node.takes else 0, node) for node in idle]
        self.coming = [_Bin(pool.slots, node) for node in sorted(coming, key=worth)]
        self.new: list[_Bin] = []

    @property
    def ready(self) -> list[_Bin]:
        return [*self.busy, *self.idle]

    def fill(self, bins: Iterable[_Bin], work: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Packs pairs of slots and count, the largest first; what is left."""
        bins, left = list(bins), []
        for slots, count in sorted(work, reverse=True):
            for one in bins:
                if not count:
                    break
                count -= one.take(slots, count)
            if count:
                left.append((slots, count))
        return left

    def open_new(self, work: Iterable[tuple[int, int]], most: int) -> None:
        """New nodes for the work, as long as there are less than `most` of them."""
        for slots, count in sorted(work, reverse=True):
            count = sum(left for _, left in self.fill(self.new, [(slots, count)]))
            while count > 0 and len(self.new) < most:
                self.new.append(_Bin(self.slots))
                count -= self.new[-1].take(slots, count)


def advise(pool: Pool, now: datetime) -> Size:
    """The size that the pool should have at `now`; times are the service's."""
    packing = _Packing(pool, now)
    _for_waiting(packing, pool, now)
    _for_ahead(packing, pool, now)
    kept = [one for one in packing.busy if one.node]
    for one in [*packing.idle, *packing.coming]:
        if (one.needed or _stays(one, pool, now)) and len(kept) < pool.most:
            kept.append(one)
    counts = {kind: sum(one.node.kind is kind for one in kept if one.node) for kind in Kind}
    counts[pool.kind] += max(0, min(len(packing.new), pool.most - len(kept)))
    if pool.has_open_work and not sum(counts.values()):
        counts[pool.kind] = min(1, pool.most)
    if sum(counts.values()):
        _add_broken(counts, pool)
    return Size(counts[Kind.DEDICATED], counts[Kind.SPOT])


class Latest:
    """The sizes that were enough within some time."""

    def __init__(self, time: timedelta = SETTLE) -> None:
        self._for = time
        self._sizes: deque[tuple[datetime, Size]] = deque()

    def settle(self, size: Size, asked: Size, now: datetime) -> Size:
        """`size` where it is more than the one that is asked for, else the largest of them that is no more than that;
        of each kind of nodes."""
        self._sizes.append((now, size))
        while now - self._sizes[0][0] > self._for:
            self._sizes.popleft()
        dedicated = max(known.dedicated for _, known in self._sizes)
        spot = max(known.spot for _, known in self._sizes)
        return Size(
            max(size.dedicated, min(asked.dedicated, dedicated)), max(size.spot, min(asked.spot, spot))
        )


def _add_broken(counts: dict[Kind, int], pool: Pool) -> None:
    """Broken nodes are among those that the service counts, and stand for none that works."""
    for node in pool.nodes:
        if node.state is State.BROKEN and sum(counts.values()) < pool.most:
            counts[node.kind] += 1


def _for_waiting(packing: _Packing, pool: Pool, now: datetime) -> None:
    """Nodes for what waits: its like (tasks of so many slots) takes as long as the longest of them."""
    counts: dict[int, int] = {}
    seconds: dict[int, float] = {}
    known = True
    for work in pool.waiting:
        slots = max(1, min(work.slots, pool.slots))
        counts[slots] = counts.get(slots, 0) + work.count
        seconds[slots] = max(seconds.get(slots, 1.0), work.seconds or 0.0)
        known = known and (work.seconds is not None or not work.count)
    later = packing.fill(packing.ready, counts.items())
    most = pool.most
    if known:
        later = _not_begun(later, seconds, _time_left(packing, pool, seconds, now))
        worth = pool.slots * max(1.0, pool.unused.total_seconds())
        most = max(1, int(sum(slots * count * seconds[slots] for slots, count in later) // worth))
    coming = packing.coming[:most]
    packing.open_new(packing.fill(coming, later), most - len(coming))


def _time_left(packing: _Packing, pool: Pool, seconds: Mapping[int, float], now: datetime) -> float:
    """Slot-seconds that the nodes which are ready have left until new ones would be."""
    back = pool.back.total_seconds()
    have = back * pool.slots * sum(one.node.takes for one in packing.ready if one.node)
    for task in pool.running:
        left = (task.until - now).total_seconds() if task.until else back
        have -= task.slots * max(0.0, min(left, back))
    longest = max(seconds.values(), default=0.0)
    return max(0.0, have - min(longest, back) * sum(one.took for one in packing.ready))


def _not_begun(
    work: Iterable[tuple[int, int]], seconds: Mapping[int, float], have: float
) -> list[tuple[int, int]]:
    """What is left of the work (slots and count) after so many slot-seconds of it, the largest first."""
    left = []
    for slots, count in work:
        begun = min(count, int(have // (slots * seconds[slots])))
        have -= begun * slots * seconds[slots]
        if count > begun:
            left.append((slots, count - begun))
    return left


def _for_ahead(packing: _Packing, pool: Pool, now: datetime) -> None:
    """Nodes for what comes next, if it comes before a node that is asked for then."""
    soon = now + pool.back
    near = [one for one in pool.ahead if one.at is not None and one.at <= soon]
    freed = sum(task.slots for task in pool.running if task.until is not None and task.until <= soon)
    left = packing.fill([*packing.ready, *packing.coming], _beyond(freed, near, pool.slots))
    packing.open_new(left, pool.most)
    # What comes at an unknown time may hold what is there, for as long as another node would take to come.
    held = [one for one in [*packing.idle, *packing.coming] if one.node and _age(one.node, now) < pool.back]
    packing.fill(held, _beyond(freed, (one for one in pool.ahead if one.at is None), pool.slots))


def _beyond(freed: int, work: Iterable[Ahead], most: int) -> list[tuple[int, int]]:
    """What so many freed slots have no room for."""
    beyond = []
    for one in work:
        slots = max(1, min(one.slots, most))
        fit = min(one.count, max(0, freed) // slots)
        freed -= fit * slots
        if one.count > fit:
            beyond.append((slots, one.count - fit))
    return beyond


def _age(node: Node, now: datetime) -> timedelta:
    return now - (node.since or now)


def _stays(one: _Bin, pool: Pool, now: datetime) -> bool:
    """Whether a node that nothing needs is kept for a while."""
    node = one.node
    assert node is not None
    if _is_paid_for(node, pool, now):
        return True
    if node.state is State.COMING:
        # Much of its price is paid. While there is something to do, what it was asked for may come again.
        return pool.has_open_work and _age(node, now) < pool.back
    return False


def _is_paid_for(node: Node, pool: Pool, now: datetime) -> bool:
    """Whether it has been paid for longer than it takes to leave, as where hours are paid for."""
    if node.allocated is None or pool.granularity <= timedelta(minutes=1):
        return False
    left = pool.granularity - (now - node.allocated) % pool.granularity
    return left > pool.unused
