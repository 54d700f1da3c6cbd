"""What a run's nodes cost, and for what, by its journal alone.

A node is paid for from its allocation on until it is gone, and not while it is preempted. That time is divided:
start-up, until it first takes tasks; jobs, by the task slots that each takes of the node's while it runs, of which
staging is a part; and idle, which is the rest, with tasks in it that nobody knows the end of: of attempts that lost
their node, and what ran when the run was ended. So the parts make up the whole, and the rules' are those of jobs.

In a pool that is not the run's own only its tasks count.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from snakemake.azure.report.journal import Event, time
from snakemake.azure.report.node_times import NodeTime, NodeTimes, Pool

SECOND = timedelta(seconds=1)
"""To which a client knows the service's clock, by which events have their times; those of tasks are finer."""


@dataclass(frozen=True)
class TaskTime:
    """A task that has run: where, from when to when, and the share of that which was staging."""

    task: str
    rule: str
    pool: str
    node: str
    slots: int
    started: datetime
    ended: datetime
    staging: float = 0.0

    @property
    def hours(self) -> float:
        """Of slots."""
        return self.slots * (self.ended - self.started).total_seconds() / 3600


@dataclass
class Part:
    """Nodes of a pool and of one kind (one that was taken away and came back counts twice), or a rule: hours of nodes,
    and `money`, what is known of their cost. `unpriced` are hours without a price, `estimated` those with an estimated
    one."""

    nodes: int = 0
    tasks: int = 0
    hours: float = 0.0
    jobs: float = 0.0
    staging: float = 0.0
    start_up: float = 0.0
    money: float = 0.0
    unpriced: float = 0.0
    estimated: float = 0.0
    slot_hours: float = 0.0
    slot_hours_used: float = 0.0

    @property
    def idle(self) -> float:
        """Hours of nodes that did nothing, or nothing that is known."""
        return max(0.0, self.hours - self.jobs - self.start_up)


@dataclass
class Costs:
    """Of a run so far: by pool and whether its nodes are Spot nodes, and by rule; `shares` are those of rules with Spot
    nodes and currencies apart."""

    parts: dict[tuple[str, bool], Part] = field(default_factory=dict)
    rules: dict[str, Part] = field(default_factory=dict)
    shares: dict[tuple[str, bool, str], Part] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    tasks: list[TaskTime] = field(default_factory=list)
    nodes: list[NodeTime] = field(default_factory=list)
    as_of: datetime | None = None

    def money(self, of: str = "hours") -> dict[str, float]:
        """By currency, of all hours, or of those of `jobs`, `staging`, `start_up` or `idle`."""
        sums: dict[str, float] = defaultdict(float)
        for (pool_id, spot), part in self.parts.items():
            pool = self.pool(pool_id)
            if (price := pool.price_of(spot)) is not None:
                sums[pool.currency] += price * getattr(part, of)
        return dict(sums)

    def total(self, of: str) -> float:
        """Of `hours`, `jobs`, `slot_hours` and all other numbers of parts."""
        return sum(getattr(part, of) for part in self.parts.values())

    @property
    def efficiency(self) -> float | None:
        """Slots used of those paid for; None where none were paid for."""
        paid = self.total("slot_hours")
        return self.total("slot_hours_used") / paid if paid else None

    @property
    def sources(self) -> list[str]:
        """Where the prices are from, with their date."""
        used = {self.pool(pool_id).source for pool_id, _ in self.parts}
        return sorted(used - {""})

    def pool(self, pool_id: str) -> Pool:
        return self.pools.get(pool_id) or Pool(pool_id)


def costs(events: Iterable[Event]) -> Costs:
    """What a journal's events come to, in their order."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    return reader.finish()


class _Reader:
    """Goes through the events once."""

    def __init__(self) -> None:
        self.found = Costs()
        self._nodes = NodeTimes()
        self._submitted: dict[str, Mapping] = {}
        self._ended: dict[str, Mapping] = {}
        self._used: dict[str, Mapping] = {}
        self._starts: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
        self._times: defaultdict[tuple[str, str], list[NodeTime]] = defaultdict(list)

    def take(self, event: Event) -> None:
        self._nodes.take(event)
        if event.event in ("submitted", "ended", "used"):
            {"submitted": self._submitted, "ended": self._ended, "used": self._used}[event.event][
                event.values["task"]
            ] = event.values

    def finish(self) -> Costs:
        found, nodes = self.found, self._nodes
        found.pools, found.nodes, found.as_of = nodes.pools, nodes.nodes, nodes.as_of
        if found.as_of:
            for node in nodes.open.values():
                node.end = max(node.begin, found.as_of)
        found.tasks = [task for task in map(self._task, self._ended.values()) if task]
        self._invent_nodes()
        for task in found.tasks:
            self._starts[task.pool, task.node].append(task.started)
        for node in found.nodes:
            self._times[node.pool, node.node].append(node)
        for task in found.tasks:
            self._hold(task)
        for node in found.nodes:
            self._add_node(node)
        for task in found.tasks:
            self._add_task(task)
        return found

    def _hold(self, task: TaskTime) -> None:
        """A node was there until its last task ended, also where it went in the same second."""
        for node in self._times[task.pool, task.node]:
            if node.end and node.holds(task.started) and node.end < task.ended <= node.end + SECOND:
                node.end = task.ended

    def _task(self, ended: Mapping) -> TaskTime | None:
        asked, used = self._submitted.get(ended["task"], {}), self._used.get(ended["task"], {})
        start, end = time(ended.get("started")), time(ended.get("ended"))
        if start is None or end is None or not ended.get("ran", True):
            return None
        whole = (end - start).total_seconds()
        staged = (used.get("stage_in_seconds") or 0.0) + (used.get("stage_out_seconds") or 0.0)
        return TaskTime(
            ended["task"],
            asked.get("rule") or "",
            ended.get("pool") or asked.get("pool") or "",
            ended.get("node") or "",
            asked.get("slots") or 1,
            start,
            max(start, end),
            min(1.0, staged / whole) if whole > 0 else 0.0,
        )

    def _invent_nodes(self) -> None:
        """Nodes that no look has shown were there as long as their tasks, at least."""
        known = {(node.pool, node.node) for node in self.found.nodes}
        unseen: dict[tuple[str, str], NodeTime] = {}
        for task in self.found.tasks:
            key = (task.pool, task.node)
            if key in known or not task.node:
                continue
            node = unseen.setdefault(
                key, NodeTime(*key, False, task.started, task.ended, task.started, task.ended)
            )
            node.begin = node.ready = min(node.begin, task.started)
            node.end = max(node.end or task.ended, task.ended)
        self.found.nodes += unseen.values()

    def _part(self, pool: str, spot: bool) -> Part:
        return self.found.parts.setdefault((pool, spot), Part())

    def _add_node(self, node: NodeTime) -> None:
        pool, part = self.found.pool(node.pool), self._part(node.pool, node.spot)
        part.nodes += 1
        if not pool.own or node.end is None:
            return
        paid = (node.end - node.begin).total_seconds() / 3600
        ready = min(node.ready or node.end, node.end)
        starts = self._starts[node.pool, node.node]
        ready = max(node.begin, min([ready, *(s for s in starts if node.holds(s))]))
        part.start_up += (ready - node.begin).total_seconds() / 3600
        part.slot_hours += paid * pool.slots
        self._pay(part, pool, node.spot, paid)

    def _add_task(self, task: TaskTime) -> None:
        pool = self.found.pool(task.pool)
        there = self._times[task.pool, task.node]
        spot = next((n.spot for n in there if n.holds(task.started)), bool(there and there[-1].spot))
        hours = task.hours / pool.slots
        part, rule = self._part(task.pool, spot), self.found.rules.setdefault(task.rule, Part())
        share = self.found.shares.setdefault((task.rule, spot, pool.currency), Part())
        for each in (part, rule, share):
            each.tasks += 1
            each.jobs += hours
            each.staging += hours * task.staging
            each.slot_hours_used += task.hours
        self._pay(rule, pool, spot, hours)
        self._pay(share, pool, spot, hours)
        if not pool.own:
            part.slot_hours += task.hours
            self._pay(part, pool, spot, hours)

    @staticmethod
    def _pay(part: Part, pool: Pool, spot: bool, hours: float) -> None:
        part.hours += hours
        price = pool.price_of(spot)
        if price is None:
            part.unpriced += hours
            return
        part.money += price * hours
        if not pool.listed[spot]:
            part.estimated += hours
