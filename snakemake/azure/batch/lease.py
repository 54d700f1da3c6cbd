"""The lease on a run's pools: without its client, a pool gives back its nodes.

A pool scales by a formula of literals, which holds its size until a time, the end of the lease, and then is 0. Whoever
wants another size, or a longer lease, gives the pool another formula. The service takes that once in 30 seconds for a
pool and evaluates formulas every five minutes; another interval starts a new schedule of evaluations, so the interval
alternates.

- https://learn.microsoft.com/azure/batch/batch-automatic-scaling
- https://learn.microsoft.com/rest/api/batchservice/pools/enable-pool-auto-scale

Where a run's nodes may cost so much and no more (`snakemake.azure.batch.budget`), sizes are cut to what the rest pays
for, and leases end before it is spent.

`PoolLeases` knows what is due, and asks nothing. `Renewals` does it, in a thread of its own.
"""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.autoscale import leased
from snakemake.azure.batch.budget import Allowed, Asked, Budget
from snakemake.azure.batch.targets import NodePrices, Size
from snakemake.azure.report.journal import Journal

LEAST = 10
"""Minutes of the shortest lease: a renewal may fail once, and a formula is evaluated every five minutes."""

MOST = 7 * 24 * 60
APART = timedelta(seconds=31)
INTERVALS = (timedelta(minutes=5), timedelta(minutes=5, seconds=1))
SOON = timedelta(seconds=10)
"""After which a renewal that failed is tried again."""

BEGIN = datetime.min.replace(tzinfo=UTC)
EARLIER = timedelta(seconds=20)
"""By so much at least a lease that was given ends too late, before it is drawn in."""

BACKSTOP = timedelta(days=7)
"""How long after the last renewal a Batch job ends, and with it the tasks that still run."""


def held_until(text: str | None) -> datetime | None:
    """When the lease ends that a pool's formula has; None where it has none."""
    times = re.findall(r'time\("([^"]+)"\)', text or "")
    return datetime.fromisoformat(times[-1]) if times else None


COMPLETED, RETAINED = "taskcompletion", "retaineddata"
"""What a node that is given up waits for: that its tasks end, or that it need not keep their directories any more.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling#variables"""


def formula(size: Size, until: datetime, option: str = COMPLETED) -> str:
    """`size` until then (UTC), and no nodes after; tasks that run come to their end."""
    return (
        f'held = time() < time("{until:%Y-%m-%dT%H:%M:%SZ}");\n'
        f"$TargetDedicatedNodes = held ? {size.dedicated} : 0;\n"
        f"$TargetLowPriorityNodes = held ? {size.spot} : 0;\n"
        f"$NodeDeallocationOption = {option};"
    )


@dataclass(frozen=True)
class Renewal:
    """What is to be asked of the service for a pool; `changes`: the size is another one than before. A pool with a
    `rule` is sized by that; nodes that it gives up wait for what `option` says."""

    pool_id: str
    size: Size
    until: datetime
    interval: timedelta
    changes: bool
    rule: str = ""
    option: str = COMPLETED

    @property
    def formula(self) -> str:
        return leased(self.rule, self.until) if self.rule else formula(self.size, self.until, self.option)


@dataclass
class _Pool:
    """A size that is `wanted`, and the one that the service was `given` at the time `since`, which holds `until`. off:
    it has no formula, so that nodes can be removed (`snakemake.azure.batch.node_removal`); waits: it can take none."""

    wanted: Size
    given: Size
    since: datetime
    until: datetime
    prices: NodePrices
    asked: datetime | None = None
    again: bool = False
    rule: str = ""
    turn: int = 0
    not_before: datetime | None = None
    option: str = COMPLETED
    off: bool = False
    waits: bool = False


@dataclass
class PoolLeases:
    """Which formula each pool should have. `length` is the lease's; `budget`: what all of them may cost. No I/O; times
    are the service's."""

    length: timedelta
    budget: Budget | None = None
    _pools: dict[str, _Pool] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def first(self, pool_id: str, size: Size, now: datetime, rule: str = "", vm_size: str = "") -> Renewal:
        """The formula that a pool is to be made with, at `now`: one that holds its size, or as much of it as may be
        asked for. Its `rule` follows when that has been evaluated."""
        with self._lock:
            pool = self._pools[pool_id] = _Pool(
                size,
                Size(0),
                now,
                now,
                self._prices(vm_size),
                again=bool(rule),
                rule=rule,
                not_before=now + APART if rule else None,
            )
            allowed = self._allowed(now)
            pool.until = self._end(allowed, now)
            if not self._late(pool.until):
                pool.given = allowed.sizes[pool_id]
            return Renewal(pool_id, pool.given, pool.until, INTERVALS[0], False)

    def take_over(
        self,
        pool_id: str,
        size: Size,
        rule: str = "",
        vm_size: str = "",
        now: datetime = BEGIN,
        scales: bool = True,
    ) -> None:
        """A pool that another run made; its formula is due at once. Whether that run asked just before is not known.
        `scales`: whether it has a formula now; one that has none gets it after `resume`."""
        with self._lock:
            prices = self._prices(vm_size)
            self._pools[pool_id] = _Pool(
                size, size, now, BEGIN, prices, again=True, rule=rule, off=not scales, waits=not scales
            )

    def _prices(self, vm_size: str) -> NodePrices:
        return self.budget.prices(vm_size) if self.budget else NodePrices()

    def _allowed(self, now: datetime) -> Allowed:
        """What may be asked for; the caller holds the lock."""
        if self.budget is None:
            return Allowed({pool_id: pool.wanted for pool_id, pool in self._pools.items()})
        return self.budget.allow(
            {
                pool_id: Asked(pool.wanted, pool.given, pool.since, pool.prices)
                for pool_id, pool in self._pools.items()
            },
            now,
        )

    def _end(self, allowed: Allowed, now: datetime) -> datetime:
        return min(now + self.length, allowed.until or datetime.max.replace(tzinfo=UTC))

    def set_size(self, pool_id: str, size: Size, again: bool = False) -> None:
        """Wants a size from now on; `again` asks for it once more where the pool has been asked for it already."""
        with self._lock:
            pool = self._pools.get(pool_id)
            if pool is not None and not pool.rule:
                pool.wanted = size
                pool.again = pool.again or again

    def retain(self, pool_id: str, retain: bool, now: datetime) -> None:
        """Whether nodes that the pool gives up stay, from now on, until they need not keep directories of tasks. It is
        not asked for at once: the run may be about to end, and the service takes one formula in 30 seconds."""
        with self._lock:
            pool, option = self._pools.get(pool_id), RETAINED if retain else COMPLETED
            if pool is not None and pool.option != option:
                pool.option, pool.again = option, True
                pool.not_before = max(pool.not_before or now, now + SOON)

    def size(self, pool_id: str) -> Size | None:
        """The size that is wanted; None for a pool that has no lease, or a rule by which the service sizes it."""
        with self._lock:
            pool = self._pools.get(pool_id)
            return pool.wanted if pool and not pool.rule else None

    def forget(self, pool_id: str) -> None:
        with self._lock:
            self._pools.pop(pool_id, None)

    def may_remove(self, pool_id: str) -> bool:
        """Whether the pool may be without a lease for a while: not where that bounds what the run may cost, and not
        where a rule needs its samples."""
        with self._lock:
            pool = self._pools.get(pool_id)
            return self.budget is None and pool is not None and not pool.rule

    def may_suspend(self, pool_id: str, now: datetime) -> bool:
        """The same for now: nothing is to be asked, and a formula would be taken at once."""
        with self._lock:
            pool = self._pools.get(pool_id)
            if pool is None or pool.off or not self.may_remove(pool_id):
                return False
            return pool.wanted == pool.given and not pool.again and self._is_allowed(pool, now)

    def suspend(self, pool_id: str, now: datetime) -> bool:
        """From now on the pool has no formula, and is given none until `resume`; False if not now."""
        with self._lock:
            if not self.may_suspend(pool_id, now):
                return False
            self._pools[pool_id].off = self._pools[pool_id].waits = True
            return True

    def resume(self, pool_id: str) -> None:
        """The pool is to have its formula again, at once."""
        with self._lock:
            if pool := self._pools.get(pool_id):
                pool.waits = False

    def suspended(self, waiting: bool = False) -> list[str]:
        """Ids of the pools that have no formula; `waiting`: of those alone that wait for `resume`."""
        with self._lock:
            return [name for name, pool in self._pools.items() if pool.waits or (pool.off and not waiting)]

    def due(self, now: datetime) -> list[Renewal]:
        """What is to be asked at `now`: changes of size, and what has a third of its lease behind it. As long as one
        lease has to be drawn in, no pool grows."""
        with self._lock:
            allowed = self._allowed(now)
            until = self._end(allowed, now)
            late = self._late(until)
            found = []
            for pool_id, pool in self._pools.items():
                size = allowed.sizes[pool_id]
                if late and (size.dedicated > pool.given.dedicated or size.spot > pool.given.spot):
                    size = Size(min(size.dedicated, pool.given.dedicated), min(size.spot, pool.given.spot))
                if self._is_due(pool, size, until, now):
                    interval = INTERVALS[(pool.turn + 1) % len(INTERVALS)]
                    changes = size != pool.given
                    found.append(Renewal(pool_id, size, until, interval, changes, pool.rule, pool.option))
            return found

    def _late(self, until: datetime) -> bool:
        """Whether a pool's lease holds longer than may be."""
        return any(pool.until - until > EARLIER and pool.given != Size(0) for pool in self._pools.values())

    def _is_allowed(self, pool: _Pool, now: datetime) -> bool:
        """Whether the service takes a formula for it."""
        if pool.waits or (pool.asked is not None and now < pool.asked + APART):
            return False
        return pool.not_before is None or now >= pool.not_before

    def _is_due(self, pool: _Pool, size: Size, until: datetime, now: datetime) -> bool:
        if not self._is_allowed(pool, now):
            return False
        lasts = pool.until - now
        is_late = until > pool.until and lasts <= (until - now) * 2 / 3
        is_long = pool.until - until > EARLIER and pool.given != Size(0)
        return size != pool.given or pool.again or pool.off or is_late or is_long

    def done(self, renewal: Renewal, now: datetime) -> None:
        """The service took it."""
        with self._lock:
            if pool := self._pools.get(renewal.pool_id):
                if renewal.size != pool.given:
                    pool.since = now
                pool.given, pool.until, pool.asked = renewal.size, renewal.until, now
                # Where a pool had no formula, the service evaluates the first one an interval later, and another one
                # with another interval at once.
                pool.again, pool.off, pool.not_before = pool.off, False, None
                pool.turn += 1

    def failed(self, renewal: Renewal, now: datetime, too_early: bool) -> None:
        """It did not, because somebody had asked within 30 seconds, or for another reason that may pass."""
        with self._lock:
            if pool := self._pools.get(renewal.pool_id):
                pool.not_before = now + (APART if too_early else SOON)


class Service(Protocol):
    """What renewals ask of the Batch service, see `snakemake.azure.batch.client.Batch`."""

    def scale_pool(self, pool_id: str, formula: str, interval: timedelta) -> str: ...

    def extend_job(self, job_id: str, longer: timedelta) -> None: ...


class Renewals:
    """The thread that keeps a run's leases: of its pools, its Batch jobs, and its record.

    It waits for no lock of the run's and for no poll. `renew_lock` is called every `lock_every` seconds, and ends all
    when it raises `fatal`; `jobs` tells the ids of the Batch jobs; `remove_nodes` is called before formulas are given
    (`snakemake.azure.batch.node_removal`).
    """

    def __init__(
        self,
        service: Service,
        leases: PoolLeases,
        now: Callable[[], datetime],
        jobs: Callable[[], Sequence[str]],
        renew_lock: Callable[[], None],
        lock_every: float,
        fatal: type[Exception],
        lost: Callable[[Exception], None],
        say: Callable[[str], None],
        journal: Journal | None = None,
        remove_nodes: Callable[[], None] = lambda: None,
    ) -> None:
        self._service, self._leases, self._now, self._jobs = service, leases, now, jobs
        self._remove_nodes = remove_nodes
        self._renew_lock, self._lock_every = renew_lock, lock_every
        self._fatal, self._lost, self._say = fatal, lost, say
        self._journal = journal or Journal()
        self._wake, self._over = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._jobs_extended: dict[str, datetime] = {}

    def start(self) -> None:
        """Begins; once more does no harm. The lock has a thread of its own: Batch may be slow for longer than that
        lasts.
        """
        if not self._threads:
            self._threads = [
                threading.Thread(target=work, name=name, daemon=True)
                for name, work in (("az-batch-leases", self._pools), ("az-batch-lock", self._lock))
            ]
            for thread in self._threads:
                thread.start()

    def wake(self) -> None:
        """What is due now is done now."""
        self._wake.set()

    def stop(self) -> None:
        """Ends; what is under way is not waited for."""
        self._over.set()
        self._wake.set()

    def _pools(self) -> None:
        while not self._over.is_set():
            self._wake.wait(1.0)
            self._wake.clear()
            if not self._over.is_set():
                self._remove_nodes()
                self.renew(self._leases.due(self._now()))
                self._extend_jobs()

    def renew(self, renewals: Iterable[Renewal]) -> None:
        for renewal in renewals:
            if self._over.is_set():
                return
            try:
                answer = self._service.scale_pool(renewal.pool_id, renewal.formula, renewal.interval)
            except WorkflowError:
                # It is tried again, for as long as the run goes on: whether the service is there at all, polls tell.
                self._leases.failed(renewal, self._now(), too_early=False)
                continue
            if answer == "gone":
                self._leases.forget(renewal.pool_id)
            elif answer == "too early":
                self._leases.failed(renewal, self._now(), too_early=True)
            else:
                self._leases.done(renewal, self._now())
                if renewal.changes:
                    size = renewal.size
                    self._journal.note("size", pool=renewal.pool_id, dedicated=size.dedicated, spot=size.spot)
                    self._say(f"Azure Batch: resizing the pool {renewal.pool_id} to {size}.")

    def _extend_jobs(self) -> None:
        now = self._now()
        for job_id in self._jobs():
            extended = self._jobs_extended.setdefault(job_id, now)
            if now - extended >= max(self._leases.length / 3, BACKSTOP / 14):
                self._jobs_extended[job_id] = now
                try:
                    self._service.extend_job(job_id, BACKSTOP)
                except WorkflowError:
                    self._jobs_extended[job_id] = extended + timedelta(minutes=5)

    def _lock(self) -> None:
        while not self._over.wait(self._lock_every):
            try:
                self._renew_lock()
            except self._fatal as error:
                if not self._over.is_set():
                    self._lost(error)
                return
            except WorkflowError:
                continue
