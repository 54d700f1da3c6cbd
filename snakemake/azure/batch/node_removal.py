"""Broken nodes of a run's pools are removed, so that others come in their places.

The service removes nodes by name only from a pool that no formula sizes and that is steady; and the formula is the
lease (`snakemake.azure.batch.lease`), without which nobody but the client ends the pool. So the formula is taken away,
the nodes are removed, and it is given back as soon as the service takes it, which is when they have left. For that
time, minutes on Azure, the pool has no lease. So this is done

- only while the pool has open tasks, is steady, has the size that is wanted, and could be given a formula at once;
- in one go, by the thread that gives formulas, so that no other comes between;
- never where the lease bounds what the run may cost, or where the service sizes the pool by a rule.

Nothing is concluded from what the requests answer: once the first has been sent, the pool is looked at until it is
steady, and then asked to take its formula until it does, or is gone. What was not removed is tried again later.

`NodeRemovals` knows what is due, and asks nothing. `NodeRemover` does it, in the leases' thread.

- https://learn.microsoft.com/rest/api/batchservice/pools/remove-nodes
- https://learn.microsoft.com/rest/api/batchservice/pools/disable-pool-auto-scale
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.lease import PoolLeases
from snakemake.azure.report.journal import Journal
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch.models import BatchPool

AT_ONCE = 100
"""Nodes that one request may name."""

LEAST = 3
"""A run removes as many nodes of a pool as that may have, and at least so many."""

TRIES = 3
AGAIN = timedelta(minutes=2)
"""After which nodes are tried again that are still there."""

ATTEMPTS = 3
"""How often a pool whose formula has just been taken away is asked to remove nodes; others saw it refused at first.
https://github.com/Azure/BatchExplorer/issues/1754"""

LOOK = timedelta(seconds=3)
"""How often a pool without a formula is looked at."""

LATER = timedelta(seconds=10)
"""When it is asked again that did not answer, or was not steady."""


@dataclass(frozen=True)
class Removal:
    """Nodes of a pool that are to be removed now, by their ids, and why."""

    pool_id: str
    nodes: Mapping[str, str]


@dataclass
class _Pool:
    """broken: as the last look had it, which was at the time `seen`; ready: whether it found the pool steady, with open
    tasks; asked, tries: when the removal of a node was asked for last, and how often; removed: nodes whose removal the
    service has taken."""

    most: int = LEAST
    broken: dict[str, str] = field(default_factory=dict)
    seen: datetime | None = None
    ready: bool = False
    asked: dict[str, datetime] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    removed: set[str] = field(default_factory=set)
    not_before: datetime | None = None
    look_at: datetime | None = None
    refused: Removal | None = None
    attempts: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.tries) >= self.most


class NodeRemovals:
    """Which nodes of a run's pools are to be removed. No I/O; times are the service's. Methods may be called from any
    thread."""

    def __init__(self, leases: PoolLeases) -> None:
        self._leases = leases
        self._pools: dict[str, _Pool] = {}
        self._lock = threading.RLock()
        self._ends = False

    # -- what looks at pools have shown --------------------------------------------------------------------------------

    def saw(
        self, pool_id: str, max_nodes: int, broken: Mapping[str, str], ready: bool, now: datetime
    ) -> None:
        """The pool, which may have `max_nodes`, has these broken nodes with no task on them, each with the reason;
        `ready`: it is steady and has open tasks."""
        with self._lock:
            pool = self._pools.setdefault(pool_id, _Pool())
            pool.most, pool.broken, pool.ready = max(LEAST, max_nodes), dict(broken), ready
            pool.seen = now
            for node in pool.removed & broken.keys():
                if pool.tries[node] >= TRIES and now >= pool.asked[node] + AGAIN:
                    pool.removed.discard(node)  # it stays, then

    def rest(self, pool_id: str) -> None:
        """The pool has no open tasks now."""
        with self._lock:
            if pool := self._pools.get(pool_id):
                pool.ready = False

    def replaces(self, pool_id: str, max_nodes: int, nodes: Collection[str]) -> bool:
        """Whether one of these broken nodes, at least, makes or has made room for another one."""
        with self._lock:
            pool = self._pools.get(pool_id, _Pool())
            is_full = len(pool.tries) >= max(LEAST, max_nodes)
            return self._leases.may_remove(pool_id) and any(
                node in pool.removed or (pool.tries[node] < TRIES and (node in pool.tries or not is_full))
                for node in nodes
            )

    def limit(self, pool_id: str) -> int | None:
        """How many nodes of the pool have been removed, where no more of them are."""
        with self._lock:
            pool = self._pools.get(pool_id)
            return len(pool.tries) if pool and pool.is_full else None

    def removed(self, pool_id: str) -> set[str]:
        """Ids of nodes that leave, or have left."""
        with self._lock:
            pool = self._pools.get(pool_id)
            return set(pool.removed) if pool else set()

    # -- what is due ---------------------------------------------------------------------------------------------------

    def due(self, now: datetime) -> list[Removal]:
        """What is to be removed at `now`, a pool each."""
        with self._lock:
            found = []
            for pool_id, pool in self._pools.items():
                if self._ends or not pool.ready or (pool.not_before and now < pool.not_before):
                    continue
                nodes = self._removable(pool)
                if nodes and self._leases.may_suspend(pool_id, now):
                    found.append(Removal(pool_id, nodes))
            return found

    def _removable(self, pool: _Pool) -> dict[str, str]:
        """Nodes that the last look found broken. One is tried again if that look was long enough after the last try: an
        older one says nothing of it."""
        room = pool.most - len(pool.tries)
        found = {}
        for node, reason in pool.broken.items():
            asked = pool.asked.get(node)
            if asked is None and room > 0:
                room -= 1
            elif asked is None or pool.tries[node] >= TRIES or not pool.seen or pool.seen < asked + AGAIN:
                continue
            found[node] = reason
            if len(found) == AT_ONCE:
                break
        return found

    def put_off(self, pool_id: str, now: datetime) -> None:
        """Not now: the pool is not steady, or did not answer."""
        with self._lock:
            self._pools[pool_id].not_before = now + LATER

    def begin(self, removal: Removal, now: datetime) -> bool:
        """The formula is to be taken away now, and no other one given; False where the lease has something to ask."""
        with self._lock:
            if self._ends or not self._leases.suspend(removal.pool_id, now):
                return False
            pool = self._pools[removal.pool_id]
            pool.look_at, pool.refused, pool.attempts = now + LOOK, None, 0
            for node in removal.nodes:
                pool.asked[node] = now
                pool.tries[node] += 1
            return True

    def took(self, removal: Removal) -> None:
        """The service removes them."""
        with self._lock:
            pool = self._pools[removal.pool_id]
            pool.removed |= removal.nodes.keys()
            pool.refused = None

    def refused(self, removal: Removal) -> None:
        """The service did not take it, or its answer was lost."""
        with self._lock:
            pool = self._pools[removal.pool_id]
            pool.attempts += 1
            pool.refused = removal if pool.attempts < ATTEMPTS else None

    def to_send_again(self, pool_id: str, is_steady: bool) -> Removal | None:
        """What a pool without a formula is to be asked for once more; nothing where it resizes, and so has taken it."""
        with self._lock:
            pool = self._pools[pool_id]
            if not is_steady:
                pool.refused = None
            return pool.refused

    def to_look_at(self, now: datetime) -> list[str]:
        """Ids of pools without a formula that it is time to look at, also those that another run has left so."""
        with self._lock:
            pools = {
                name: self._pools.setdefault(name, _Pool()) for name in self._leases.suspended(waiting=True)
            }
            return [name for name, pool in pools.items() if not pool.look_at or now >= pool.look_at]

    def looked(self, pool_id: str, again: datetime | None) -> None:
        """It is to be looked at again then; None: it may have its formula now."""
        with self._lock:
            self._pools[pool_id].look_at = again
            if again is None:
                self._leases.resume(pool_id)

    def end(self) -> None:
        """Nothing is removed any more."""
        with self._lock:
            self._ends = True


class Service(Protocol):
    """What is asked of the Batch service, see `snakemake.azure.batch.client.Batch`."""

    def glance_at_pool(self, pool_id: str) -> "BatchPool | None": ...

    def stop_scaling(self, pool_id: str) -> bool: ...

    def remove_nodes(self, pool_id: str, node_ids: Sequence[str]) -> bool: ...


class NodeRemover:
    """Does what is due. now: the service's clock (UTC)."""

    def __init__(
        self,
        service: Service,
        removals: NodeRemovals,
        leases: PoolLeases,
        now: Callable[[], datetime],
        journal: Journal | None = None,
    ) -> None:
        self._service, self._removals, self._leases, self._now = service, removals, leases, now
        self._journal = journal or Journal()

    def step(self) -> None:
        """Goes on, without waiting for anything; to be called every second or so, before formulas are asked for."""
        for pool_id in self._removals.to_look_at(self._now()):
            self._look(pool_id)
        for removal in self._removals.due(self._now()):
            self._remove(removal)

    def _remove(self, removal: Removal) -> None:
        try:
            pool = self._service.glance_at_pool(removal.pool_id)
        except WorkflowError:
            pool = None
        if pool is None or not _is_steady(pool) or not pool.enable_auto_scale:
            self._removals.put_off(removal.pool_id, self._now())
            return
        if not self._removals.begin(removal, self._now()):
            return
        try:
            if not self._service.stop_scaling(removal.pool_id):
                return
        except WorkflowError:
            return  # perhaps it has no formula now, and is given one
        self._send(removal)

    def _send(self, removal: Removal) -> None:
        try:
            taken = self._service.remove_nodes(removal.pool_id, tuple(removal.nodes))
        except WorkflowError:
            taken = False
        if not taken:
            self._removals.refused(removal)
            return
        self._removals.took(removal)
        for node, reason in removal.nodes.items():
            self._journal.note("node_removed", pool=removal.pool_id, node=node, why=reason)

    def _look(self, pool_id: str) -> None:
        try:
            pool = self._service.glance_at_pool(pool_id)
        except WorkflowError:
            self._removals.looked(pool_id, self._now() + LATER)
            return
        # One that is gone, or going, says so when it is asked to take the formula.
        is_there = pool is not None and lower(pool.state) == "active"
        is_steady = pool is not None and _is_steady(pool)
        again = self._removals.to_send_again(pool_id, is_steady) if is_there else None
        if again is not None:
            self._send(again)
        is_ready = again is None and (is_steady or not is_there)
        self._removals.looked(pool_id, None if is_ready else self._now() + LOOK)

    def finish(self, seconds: float, pause: Callable[[float], None] = time.sleep) -> list[str]:
        """Removes nothing any more, and waits until each pool has its formula again; ids of those that have none
        after so many seconds."""
        self._removals.end()
        while (left := self._leases.suspended()) and seconds > 0:
            pause(0.2)
            seconds -= 0.2
        return left


def _is_steady(pool: "BatchPool") -> bool:
    return lower(pool.state) == "active" and lower(pool.allocation_state) == "steady"
