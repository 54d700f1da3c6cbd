"""What a run will need, before it begins: jobs go through pools as they will, on a clock that jumps. No I/O.

The pools are what `snakemake.azure.batch.sizing` makes of them, in short: nodes are asked for what waits, but for what
the others will have begun before new ones come; they are paid for from their allocation on; jobs are packed; and a node
without work goes after a while. It costs some 20 microseconds a job.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from snakemake.azure.batch.sizing import BACK, SETTLE, UNUSED
from snakemake.azure.batch.targets import NodePrices

LEAVES = 60.0
"""Seconds that a node takes to leave."""

IDLE = SETTLE.total_seconds() + 15.0
"""Seconds after which a node without work is given up."""


@dataclass
class Job:
    """Of `slots` in the pool of this key, for so many seconds, when the jobs of these numbers are over. One without a
    pool takes no time."""

    pool: str
    slots: int
    seconds: float
    after: Sequence[int] = ()


@dataclass(frozen=True)
class Pool:
    """Of nodes with so many slots, `most` at the most. back: seconds from asking for a node until it takes jobs, of
    which it is paid for during `boots`."""

    slots: int
    most: int
    price: float = 0.0
    back: float = BACK.total_seconds()
    boots: float = UNUSED.total_seconds() - LEAVES


@dataclass
class Need:
    """Seconds of nodes that are paid for, and the most nodes at a time."""

    node_seconds: float = 0.0
    most: int = 0


@dataclass(frozen=True)
class Forecast:
    """By the keys of pools; `seconds` from start to end."""

    pools: dict[str, Need]
    seconds: float


@dataclass(eq=False)
class _Node:
    pool: "_Pool"
    paid_from: float
    free: int
    stamp: int = 0
    is_ready: bool = False


@dataclass(eq=False)
class _Pool:
    spec: Pool
    need: Need = field(default_factory=Need)
    waiting: dict[int, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    free: dict[int, list[_Node]] = field(default_factory=lambda: defaultdict(list))
    nodes: int = 0
    coming: int = 0
    waiting_slots: int = 0
    waiting_seconds: float = 0.0


def forecast(jobs: Sequence[Job], pools: dict[str, Pool]) -> Forecast:
    """What they need together. Jobs that wait for each other in a circle are left out."""
    return _Clock(jobs, pools).run()


class _Clock:
    def __init__(self, jobs: Sequence[Job], pools: dict[str, Pool]) -> None:
        self._jobs = jobs
        self._pools = {key: _Pool(spec) for key, spec in pools.items()}
        self._left = [len(job.after) for job in jobs]
        self._next: defaultdict[int, list[int]] = defaultdict(list)
        for number, job in enumerate(jobs):
            for before in job.after:
                self._next[before].append(number)
        self._events: list[tuple[float, int, str, object]] = []
        self._number = 0
        self._open = sum(job.pool in pools for job in jobs)
        self._over = 0.0

    def run(self) -> Forecast:
        ready = [number for number, left in enumerate(self._left) if not left]
        self._enter(ready, 0.0)
        while self._events:
            now, _, what, about = heappop(self._events)
            if what == "done":
                self._done(now, about)  # type: ignore[arg-type]
            elif what == "ready":
                self._arrived(about, now)  # type: ignore[arg-type]
            else:
                self._leaves(about, now)  # type: ignore[arg-type]
        return Forecast({key: pool.need for key, pool in self._pools.items() if pool.need.most}, self._over)

    def _at(self, time: float, what: str, about: object) -> None:
        self._number += 1
        heappush(self._events, (time, self._number, what, about))

    def _enter(self, ready: list[int], now: float) -> None:
        """Jobs that may begin, and what follows from them without a pool."""
        touched: dict[int, _Pool] = {}
        while ready:
            number = ready.pop()
            job = self._jobs[number]
            pool = self._pools.get(job.pool)
            if pool is None:
                ready += self._after(number)
                self._over = max(self._over, now)
                continue
            slots = min(job.slots, pool.spec.slots)
            pool.waiting[slots].append(number)
            pool.waiting_slots += slots
            pool.waiting_seconds += slots * job.seconds
            touched[id(pool)] = pool
        for pool in touched.values():
            self._place(pool, now)

    def _after(self, number: int) -> list[int]:
        found = []
        for each in self._next[number]:
            self._left[each] -= 1
            if not self._left[each]:
                found.append(each)
        return found

    def _place(self, pool: _Pool, now: float) -> None:
        """Waiting jobs go to nodes with room for them, the largest first; for the others, nodes are asked for."""
        for slots in sorted(pool.waiting, reverse=True):
            queue = pool.waiting[slots]
            while queue and (node := self._room(pool, slots)):
                number = queue.popleft()
                seconds = self._jobs[number].seconds
                pool.waiting_slots -= slots
                pool.waiting_seconds -= slots * seconds
                self._move(node, node.free - slots)
                node.stamp += 1
                self._at(now + seconds, "done", (number, node, slots))
        self._grow(pool, now)

    def _room(self, pool: _Pool, slots: int) -> _Node | None:
        """The fullest node that has room."""
        for free in range(slots, pool.spec.slots + 1):
            if pool.free[free]:
                return pool.free[free][-1]
        return None

    def _move(self, node: _Node, free: int) -> None:
        node.pool.free[node.free].remove(node)
        node.free = free
        node.pool.free[free].append(node)

    def _grow(self, pool: _Pool, now: float) -> None:
        spec = pool.spec
        ready = pool.nodes - pool.coming
        if pool.waiting_slots <= pool.coming * spec.slots or pool.nodes >= spec.most:
            return
        packed = -(-pool.waiting_slots // spec.slots) - pool.coming
        rest = pool.waiting_seconds - ready * spec.slots * spec.back
        worth = int(rest // (spec.slots * UNUSED.total_seconds())) - pool.coming
        wanted = min(packed, worth) if pool.nodes else max(1, min(packed, worth))
        for _ in range(min(wanted, spec.most - pool.nodes)):
            pool.nodes += 1
            pool.coming += 1
            self._at(now + spec.back, "ready", _Node(pool, now + spec.back - spec.boots, spec.slots))
        pool.need.most = max(pool.need.most, pool.nodes)

    def _arrived(self, node: _Node, now: float) -> None:
        pool = node.pool
        pool.coming -= 1
        node.is_ready = True
        pool.free[node.free].append(node)
        self._place(pool, now)
        if node.free == pool.spec.slots:
            self._at(now + IDLE, "idle", (node, node.stamp))

    def _done(self, now: float, about: tuple[int, _Node, int]) -> None:
        number, node, slots = about
        self._over = max(self._over, now)
        self._open -= 1
        self._move(node, node.free + slots)
        node.stamp += 1
        if node.pool.waiting_slots:
            self._place(node.pool, now)
        self._enter(self._after(number), now)
        if node.free == node.pool.spec.slots:
            self._at(now + IDLE, "idle", (node, node.stamp))

    def _leaves(self, about: tuple[_Node, int], now: float) -> None:
        node, stamp = about
        pool = node.pool
        if node.stamp != stamp or not node.is_ready:
            return
        node.is_ready = False
        pool.free[node.free].remove(node)
        pool.nodes -= 1
        # At the end of the run the pool goes at once.
        end = now + LEAVES if self._open else self._over
        pool.need.node_seconds += max(0.0, end - node.paid_from)


def cost(needs: dict[str, Need], prices: dict[str, NodePrices], spot: dict[str, bool]) -> float:
    """What they come to, by pools' keys."""
    return sum(
        need.node_seconds / 3600 * (prices[key].spot if spot[key] else prices[key].dedicated)
        for key, need in needs.items()
    )
