"""What a run sees of its pools, and the sizes that follow from it (`snakemake.azure.batch.sizing`).

Looks at a pool say which nodes there are and how many of their slots tasks take. Between two looks, what is submitted
and what ends is counted in. How long tasks take is learned by rule, and how long nodes take to come from those that
came. No I/O but the one list of running tasks, which is asked for only where the DAG has work after them whose time can
be told.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from snakemake.azure.batch import sizing
from snakemake.azure.batch.durations import Durations
from snakemake.azure.batch.lease import Size
from snakemake.azure.batch.sizing import Ahead, Kind, Node, Running, State, Work
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchNode

    from snakemake.azure.batch.monitor import Verdict
    from snakemake.azure.batch.pools import PoolPlan

IGNORED = timedelta(minutes=1)
"""A node whose free slots tasks have waited for, for so long, gets none: the service has chosen it to leave."""

LEAVES = timedelta(minutes=1)
"""What a node takes to leave, while it is paid for."""

STATES = {
    "idle": State.READY,
    "running": State.READY,
    "creating": State.COMING,
    "starting": State.COMING,
    "waitingforstarttask": State.COMING,
    "rebooting": State.COMING,
    "reimaging": State.COMING,
    "upgradingos": State.COMING,
    "preempted": State.COMING,
    "leavingpool": State.LEAVING,
    "deallocated": State.LEAVING,
    "deallocating": State.LEAVING,
}
"""https://learn.microsoft.com/rest/api/batchservice/nodes/list-nodes#batchnodestate; others take no tasks."""

SOON_BACK = {"unusable", "unknown"}
"""What the service may repair by itself: for a while it counts as coming."""

LOOK = timedelta(seconds=15)
"""How long it takes at most until somebody notices, and asks."""


@dataclass(frozen=True)
class NextJob:
    """A job that is ready when the tasks with these ids have ended and what ends at `others` (None: nobody knows when),
    and so many seconds `later` (None: nobody knows how many). `place` is the key of its pool, `slots` are those that it
    takes there.
    """

    place: str
    slots: int
    after: Sequence[str] = ()
    others: Sequence[datetime | None] = ()
    later: float | None = 0.0


@dataclass
class _Task:
    slots: int
    rule: str
    started: datetime | None = None
    waits: bool = True


@dataclass
class _Pool:
    """What is known of one pool; tasks are in the order in which they came, in which Batch starts them."""

    latest: sizing.Latest
    nodes: dict[str, Node] = field(default_factory=dict)
    tasks: dict[str, _Task] = field(default_factory=dict)
    free_since: dict[str, datetime] = field(default_factory=dict)
    asked: datetime | None = None
    removed: set[str] = field(default_factory=set)

    def note_waiting(self) -> None:
        """Which tasks wait: the newest, as nodes have no slots taken for them."""
        used = sum(node.used for node in self.nodes.values())
        used -= sum(task.slots for task in self.tasks.values() if task.started)
        for task in self.tasks.values():
            task.waits = task.started is None and used < task.slots
            if not task.started and not task.waits:
                used -= task.slots


class Scaling:
    """What is known of a run's pools. running: lists the tasks that run in a pool, as pairs of their id and the time
    since when they do; ahead: tells what the DAG makes ready next; settles: how long a smaller size has to be enough.
    """

    def __init__(
        self,
        running: Callable[[str], Iterable[tuple[str, datetime]]],
        ahead: Callable[[], Sequence[NextJob]] = tuple,
        settles: timedelta = sizing.SETTLE,
    ) -> None:
        self.durations = Durations()
        self._settles = settles
        self._running = running
        self._ahead = ahead
        self._pools: dict[str, _Pool] = {}
        self._tasks: dict[str, tuple[str, _Task]] = {}
        self._boots: dict[str, float] = {}
        self._allocations: dict[str, float] = {}

    def _pool(self, pool_id: str) -> _Pool:
        return self._pools.setdefault(pool_id, _Pool(sizing.Latest(self._settles)))

    # -- what happens ----------------------------------------------------------------------------------------

    def added(self, pool_id: str, task_id: str, slots: int, rule: str = "") -> None:
        """A task is open there."""
        task = self._pool(pool_id).tasks[task_id] = _Task(slots, rule)
        self._tasks[task_id] = pool_id, task

    def ended(self, verdict: "Verdict") -> None:
        """A task has ended, and its node's slots are free."""
        pool_id, task = self._tasks.pop(verdict.task_id, ("", None))
        if task is None:
            return
        pool = self._pool(pool_id)
        del pool.tasks[verdict.task_id]
        if verdict.success and verdict.seconds is not None:
            self.durations.add(task.rule, verdict.seconds)
        if (node := pool.nodes.get(verdict.node_id)) and node.used:
            used = max(0, node.used - task.slots)
            since = node.since if used else verdict.ended or node.since
            pool.nodes[verdict.node_id] = replace(node, used=used, since=since)

    def asked(self, pool_id: str, now: datetime) -> None:
        """More nodes have been asked for."""
        self._pool(pool_id).asked = now

    def took_out(self, pool_id: str, node_id: str) -> None:
        """The node gets no more tasks."""
        nodes = self._pool(pool_id).nodes
        nodes[node_id] = replace(nodes.get(node_id) or Node(node_id, State.BROKEN), state=State.BROKEN)

    def remove(self, pool_id: str, node_ids: Iterable[str]) -> Size:
        """These nodes are being removed, or have been, and no others; how many of them counted so far."""
        pool, ids = self._pool(pool_id), set(node_ids)
        new = [pool.nodes[name] for name in ids - pool.removed if name in pool.nodes]
        new = [node for node in new if node.state is not State.LEAVING]
        pool.removed = ids
        pool.nodes |= {node.id: replace(node, state=State.LEAVING) for node in new}
        spot = sum(node.kind is Kind.SPOT for node in new)
        return Size(len(new) - spot, spot)

    def saw(self, pool_id: str, nodes: Iterable["BatchNode"], bad: Container[str], now: datetime) -> None:
        """What a look has shown. `bad` names nodes that are to take no tasks."""
        pool = self._pool(pool_id)
        before, seen = pool.nodes, [_node(raw, bad, now) for raw in nodes]
        pool.nodes = {
            node.id: replace(node, state=State.LEAVING) if node.id in pool.removed else node for node in seen
        }
        for node in pool.nodes.values():
            self._learn(pool, before.get(node.id), node, now)
        pool.note_waiting()

    def _learn(self, pool: _Pool, before: Node | None, node: Node, now: datetime) -> None:
        """How long the node took to come, if it has just done so."""
        if node.allocated is None:
            return
        if before is None and pool.asked and node.state is State.COMING and node.allocated >= pool.asked:
            self._allocations[node.id] = (node.allocated - pool.asked).total_seconds()
        if before and before.state is State.COMING and node.state is State.READY:
            ready = node.since if node.since and not node.used else now
            self._boots.setdefault(node.id, (ready - node.allocated).total_seconds())

    # -- what follows ----------------------------------------------------------------------------------------

    def has_nodes(self, pool_id: str) -> bool:
        """Whether the last look has shown some that are not on their way out."""
        return any(node.state is not State.LEAVING for node in self._pool(pool_id).nodes.values())

    @property
    def back(self) -> timedelta:
        """From asking for a node until it takes tasks."""
        if not self._boots or not self._allocations:
            return sizing.BACK
        return timedelta(seconds=median(self._boots.values()) + median(self._allocations.values())) + LOOK

    @property
    def unused(self) -> timedelta:
        """What a node is paid for without working."""
        return timedelta(seconds=median(self._boots.values())) + LEAVES if self._boots else sizing.UNUSED

    def for_waiting(self, pool_id: str, plan: "PoolPlan", asked: Size, now: datetime) -> Size:
        """The size for what is open alone, never less than the one that is asked for."""
        size = sizing.advise(self._state(pool_id, plan, (), now), now)
        self._pool(pool_id).latest.settle(size, asked, now)
        return Size(max(size.dedicated, asked.dedicated), max(size.spot, asked.spot))

    def advise(
        self, pool_id: str, plan: "PoolPlan", asked: Size, now: datetime, pools: Mapping[str, str]
    ) -> Size:
        """The size after a look. `pools` are ids by the keys of places."""
        jobs = [job for job in self._ahead() if pools.get(job.place) == pool_id]
        before = {task_id for job in jobs for task_id in job.after}
        self._note_starts(before)
        running = {id: self._tasks[id][1] for id in before if id in self._tasks}
        ends = {id: self._end(task, now) for id, task in running.items() if not task.waits}
        ahead = [found for job in jobs if (found := self._when(job, ends, now))]
        pool = self._pool(pool_id)
        self._notice_ignored(pool, plan.slots, now)
        size = sizing.advise(self._state(pool_id, plan, ahead, now), now)
        return pool.latest.settle(size, asked, now)

    def _state(self, pool_id: str, plan: "PoolPlan", ahead: Sequence[Ahead], now: datetime) -> sizing.Pool:
        pool = self._pool(pool_id)
        pool.note_waiting()
        waiting: Counter[tuple[int, float | None]] = Counter()
        running = []
        for task in pool.tasks.values():
            if task.waits:
                waiting[task.slots, self.durations.typical(task.rule)] += 1
            else:
                running.append(Running(task.slots, self._end(task, now)))
        nodes = [
            replace(node, takes=now - pool.free_since.get(node.id, now) < IGNORED)
            for node in pool.nodes.values()
        ]
        kind = Kind.SPOT if plan.buys_spot else Kind.DEDICATED
        return sizing.Pool(
            slots=plan.slots,
            most=plan.max_nodes,
            kind=kind,
            waiting=[Work(slots, count, seconds) for (slots, seconds), count in waiting.items()],
            running=running,
            ahead=ahead,
            nodes=nodes if plan.buys_spot else [node for node in nodes if not node.is_preempted],
            prices=plan.prices,
            back=self.back,
            unused=self.unused,
        )

    def _end(self, task: _Task, now: datetime) -> datetime | None:
        if task.started is None:
            return None
        left = self.durations.left(task.rule, (now - task.started).total_seconds())
        return None if left is None else now + timedelta(seconds=left)

    def _when(self, job: NextJob, ends: Mapping[str, datetime | None], now: datetime) -> Ahead | None:
        """The job as work ahead; None if one of the tasks before it still waits itself. `ends` are those of the tasks
        that run."""
        before: list[datetime | None] = [now, *job.others]
        for task_id in job.after:
            if task_id in ends:
                before.append(ends[task_id])
            elif task_id in self._tasks:
                return None
        known = [end for end in before if end is not None]
        if job.later is None or len(known) < len(before):
            return Ahead(job.slots)
        return Ahead(job.slots, at=max(known) + timedelta(seconds=job.later))

    def _note_starts(self, task_ids: Iterable[str]) -> None:
        """Since when these tasks run, if they do, where that tells when they end."""
        known = [self._tasks[task_id] for task_id in task_ids if task_id in self._tasks]
        unknown = {
            pool_id
            for pool_id, task in known
            if not task.waits and task.started is None and self.durations.typical(task.rule) is not None
        }
        for pool_id in unknown:
            started = dict(self._running(pool_id))
            for task_id, task in self._pool(pool_id).tasks.items():
                task.started = started.get(task_id)

    def _notice_ignored(self, pool: _Pool, slots: int, now: datetime) -> None:
        """Notes which nodes have free slots while tasks wait that would fit there."""
        least = min((task.slots for task in pool.tasks.values() if task.waits), default=slots + 1)
        pool.free_since = {
            node.id: pool.free_since.get(node.id, now)
            for node in pool.nodes.values()
            if node.state is State.READY and slots - node.used >= least
        }


def _node(raw: "BatchNode", bad: Container[str], now: datetime) -> Node:
    state, since = lower(raw.state), raw.state_transition_time or now
    used = raw.running_task_slots_count or 0
    preempted = state == "preempted"
    found = STATES.get(state, State.BROKEN)
    if state in SOON_BACK and now - since < sizing.BACK and not raw.errors:
        found = State.COMING
    if raw.id in bad and found is not State.LEAVING:
        found = State.BROKEN
    kind = Kind.SPOT if raw.is_dedicated is False else Kind.DEDICATED
    return Node(
        raw.id or "",
        found,
        kind,
        max(used, 1) if state == "running" else used,
        raw.allocation_time or since if found is State.COMING else since,
        allocated=raw.allocation_time,
        is_preempted=preempted,
    )
