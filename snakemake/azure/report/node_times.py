"""When a run's nodes were paid for, by its journal's events, one after the other: for costs afterwards, and for what is
spent while the run goes on.

When a node went is known only as between two looks; half of that counts. After a client's death, the next look may be
hours later: there, no node outlasts the lease that held it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from snakemake.azure.report.journal import Event, time

UNPAID = {"preempted", "deallocated"}
READY = {"idle", "running"}
LEAVING = {"leavingpool", "deallocating"}
LOOKS_APART = timedelta(minutes=2)
"""Between looks of a run that goes on."""

DEFAULT_LEASE = timedelta(minutes=30)


@dataclass(frozen=True)
class Pool:
    """A pool as the journal has it. `price`, `spot_price`: of a node, an hour; None where not known. `listed`: whether
    each of them is a price that somebody has told, and no estimate."""

    id: str
    vm_size: str = ""
    slots: int = 1
    own: bool = True
    price: float | None = None
    spot_price: float | None = None
    listed: tuple[bool, bool] = (False, False)
    currency: str = ""
    source: str = ""
    vcpus: int | None = None
    memory_mib: int | None = None

    @classmethod
    def of(cls, values: Mapping) -> "Pool":
        return cls(
            values["pool"],
            values.get("vm_size") or "",
            values.get("slots") or 1,
            values.get("own") is not False,
            values.get("price"),
            values.get("spot_price"),
            (values.get("price_kind") == "listed", values.get("spot_price_kind") == "listed"),
            values.get("currency") or "",
            values.get("price_source") or "",
            values.get("vcpus"),
            values.get("memory_mib"),
        )

    def price_of(self, spot: bool) -> float | None:
        return self.spot_price if spot else self.price


@dataclass
class NodeTime:
    """From when to when a node was paid for; `ready` is when it first took tasks, `confirmed` when a look last told
    something of it."""

    pool: str
    node: str
    spot: bool
    begin: datetime
    confirmed: datetime
    ready: datetime | None = None
    end: datetime | None = None
    allocated: datetime | None = None
    state: str = ""

    def holds(self, at: datetime) -> bool:
        return self.begin <= at and (self.end is None or at <= self.end)


class NodeTimes:
    """What the events so far tell. `nodes` are in the order in which they came; those of `open`, by pool and name, are
    there still."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.nodes: list[NodeTime] = []
        self.open: dict[tuple[str, str], NodeTime] = {}
        self.as_of: datetime | None = None
        self._ends: dict[tuple[str, str], datetime] = {}
        self._lease = DEFAULT_LEASE
        self._begun: datetime | None = None
        self._before: datetime | None = None

    def take(self, event: Event) -> None:
        values = event.values
        if event.event == "run":
            self._begun, self._before = event.at, self.as_of
            self._lease = timedelta(minutes=values.get("lease_minutes") or 30)
        elif event.event == "pool":
            self.pools.setdefault(values["pool"], Pool.of(values))
        elif event.event == "node":
            self._node(event.at, values)
        elif event.event == "node_gone":
            if node := self.open.get((values["pool"], values["node"])):
                self._close(node, self._gone(time(values.get("seen")) or node.confirmed, event.at))
        elif event.event == "pool_gone":
            for node in [node for node in self.open.values() if node.pool == values["pool"]]:
                self._close(node, max(node.begin, min(event.at, self._held(node) or event.at)))
        self.as_of = max(filter(None, (self.as_of, event.at)))

    def _node(self, at: datetime, values: Mapping) -> None:
        key, state = (values["pool"], values["node"]), values.get("state")
        since, allocated = time(values.get("since")), time(values.get("allocated"))
        node = self.open.get(key)
        if state in UNPAID:
            if node:
                self._close(node, max(node.begin, since or at))
            return
        if node and allocated and node.allocated and allocated > node.allocated:  # another machine by now
            self._close(node, max(node.begin, allocated))
            node = None
        if node is None:
            begin, end = allocated or since or at, self._ends.get(key)
            if end and begin < end:  # the same one, back after it was taken away
                begin = max(since or at, end)
            node = self.open[key] = NodeTime(*key, bool(values.get("spot")), begin, at, allocated=allocated)
            self.nodes.append(node)
        node.confirmed, node.state = at, state or ""
        if state in READY and node.ready is None:
            node.ready = max(node.begin, since or at)

    def _gone(self, seen: datetime, at: datetime) -> datetime:
        if at - seen <= LOOKS_APART:
            return seen + (at - seen) / 2
        return min(at, seen + self._lease)

    def _held(self, node: NodeTime) -> datetime | None:
        """Until when the node's lease was held by a client that died since it was seen; None if none did."""
        if self._before is None or self._begun is None or node.confirmed >= self._begun:
            return None
        return max(node.confirmed, self._before) + self._lease

    def _close(self, node: NodeTime, end: datetime) -> None:
        key = (node.pool, node.node)
        node.end = end
        del self.open[key]
        self._ends[key] = max(end, self._ends.get(key, end))
