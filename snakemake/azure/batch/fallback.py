"""What becomes of tasks whose pool has no nodes, or loses its Spot nodes: they wait, go elsewhere, or fail.

- The region has no machine of the size, or the account no quota for its series: the jobs go to other sizes that they
  may have, as other tasks; those that may have no other one wait, and the pool is asked for again every minute.
- The quota is used up: what other pools hold, of this run or of others, is waited for. Where nobody holds any, waiting
  is no use.
- Spot nodes do not come for a while: dedicated ones stand in for them, in the same pool. A task that was preempted is
  begun anew by the service; one that was so as often as its rule allows goes on elsewhere, on dedicated nodes.
- Else, and when patience is over, the pool's jobs fail, and nobody else's.

A task that is to go elsewhere, or that fails, is ended first, so that it never runs. The sizes are closed for new jobs
in the meantime (`snakemake.azure.batch.placement`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from snakemake.azure.batch import vm_sizes
from snakemake.azure.batch.capacity import (
    QUOTA_KINDS,
    Kind,
    Trouble,
    assess,
    held_by_others,
    is_short,
    reason_of,
)
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import PoolLeases, Size
from snakemake.azure.batch.monitor import Monitor, Verdict
from snakemake.azure.batch.pools import USABLE, PoolPlan, PoolView

ASK_AGAIN_EVERY = timedelta(minutes=1)
"""How often a pool is asked for nodes that a shortage has kept back."""

SPOT_AGAIN = timedelta(minutes=30)
"""After which new nodes of a pool whose Spot nodes did not come are Spot nodes again."""

AT_ONCE = 8
SHOWN, LINES = 4096, 5
"""Bytes that are read of the end of a start task's stderr, and lines that are shown."""


class Queue(Protocol):
    """A pool and the Batch job on it, as they matter here."""

    pool_id: str
    job_id: str
    plan: PoolPlan | None
    monitor: Monitor
    open_slots: dict[str, int]


Movable = Callable[[str, Trouble, Collection[str]], tuple[Collection[str], Collection[str]]]
"""Told a pool's key, what is wrong with it, and ids of tasks: those whose jobs may go to another pool, and those whose
jobs may not. One that is in neither has no job yet, and is asked for again."""


def nobody_moves(
    key: str, trouble: Trouble, task_ids: Collection[str]
) -> tuple[Collection[str], Collection[str]]:
    return (), task_ids


Replaces = Callable[[str, int, Collection[str]], bool]
"""Told a pool's id, how many nodes it may have, and ids of broken ones: whether others come in the places of some."""


def nobody_replaces(pool_id: str, max_nodes: int, nodes: Collection[str]) -> bool:
    return False


@dataclass
class _State:
    """What is remembered of a pool. broken: reasons by the ids of nodes; running: by the ids of tasks, the nodes that
    they ran on, and since when; preempted: how often tasks were."""

    asked_again: datetime | None = None
    told: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    running: dict[str, tuple[str, datetime | None]] = field(default_factory=dict)
    preempted: Counter[str] = field(default_factory=Counter)
    stood_in: datetime | None = None


class Fallback:
    """patience: how long a pool is waited for; spot_patience: how long its Spot nodes are; wake: called when a pool is
    to have another size; movable: see there; has_nodes: called with the key of a pool that has some; replaces: see
    there.
    """

    def __init__(
        self,
        batch: Batch,
        leases: PoolLeases,
        warn: Callable[[str], None],
        wake: Callable[[], None],
        patience: timedelta,
        spot_patience: timedelta,
        movable: Movable = nobody_moves,
        has_nodes: Callable[[str], None] = lambda key: None,
        replaces: Replaces = nobody_replaces,
    ) -> None:
        self._batch, self._leases, self._warn, self._wake = batch, leases, warn, wake
        self._patience, self._spot_patience = patience, spot_patience
        self._movable, self._has_nodes, self._replaces = movable, has_nodes, replaces
        self._tries: dict[str, int] = {}
        self._retried: set[str] = set()
        self._pools: dict[str, _State] = {}

    def allow(self, task_id: str, tries: int, retried: bool) -> None:
        """So many times the task may begin on Spot nodes; `retried`: it may begin anew after a failure, too."""
        if tries:
            self._tries[task_id] = tries
            if retried:
                self._retried.add(task_id)

    def look(self, queue: Queue, view: PoolView, waited: timedelta, now: datetime) -> list[Verdict]:
        """Verdicts on tasks that will not run in this pool. `waited` is how long no node of it could be used."""
        state = self._pools.setdefault(queue.pool_id, _State())
        here = {node.id: reason_of(node) for node in view.nodes if node.broken}
        # Those that are gone count as long as no node could be used after them.
        state.broken = here if view.usable else state.broken | here
        verdicts = self._preempted(queue, state, view)
        if view.usable:
            self._goes_well(queue, state, view, now)
            return verdicts
        there = {node.id for node in view.nodes if node.state != "leavingpool"}
        gone = [reason for node, reason in state.broken.items() if node not in there]
        plan = queue.plan
        replaced = plan is not None and self._replaces(queue.pool_id, plan.max_nodes, here)
        trouble = assess(view, waited, self._patience, gone, replaced)
        if plan and plan.buys_spot and not (trouble and trouble.kind is Kind.BROKEN):
            is_over = trouble is not None and trouble.kind not in (Kind.SHORTAGE, Kind.LATE)
            if is_over or waited >= self._spot_patience:
                self._stand_in(queue, plan, state, trouble, now)
                return verdicts
        if trouble is not None:
            verdicts += self._answer(queue, state, view, trouble, waited, now)
        return verdicts

    # -- no nodes -----------------------------------------------------------------------------------------------

    def _answer(
        self, queue: Queue, state: _State, view: PoolView, trouble: Trouble, waited: timedelta, now: datetime
    ) -> list[Verdict]:
        moved: list[Verdict] = []
        stuck: Collection[str] = tuple(queue.open_slots)
        if trouble.is_of_size and queue.plan is not None:
            movable, stuck = self._movable(queue.plan.key, trouble, tuple(queue.open_slots))
            if movable:
                why = trouble.why.rstrip(".")
                self._warn(
                    f"Azure Batch: the pool {queue.pool_id} gets no nodes of {view.vm_size} ({why}); "
                    f"{len(movable)} tasks go to other sizes."
                )
                moved = self._take_back(queue, movable, trouble.text, moved=True)
                if not queue.open_slots:
                    return moved
        if trouble.kind is Kind.SHORTAGE:
            self._ask_again(queue, state, view, now)
            return moved
        if trouble.kind in QUOTA_KINDS and (cores := self._cores_of_others(queue, trouble.kind)):
            if waited < self._patience:
                why = trouble.why.rstrip(".")
                self._tell_once(
                    state,
                    why,
                    f"Azure Batch: the pool {queue.pool_id} waits for quota ({why}): other pools of the account hold "
                    f"{cores} cores.",
                )
                self._ask_again(queue, state, view, now)
                return moved
            trouble = held_by_others(trouble, cores, int(waited.total_seconds() // 60))
        return moved + self._take_back(queue, stuck, trouble.text + self._of_start_task(view))

    def _of_start_task(self, view: PoolView) -> str:
        """The end of what a start task that failed has said."""
        for node in view.nodes:
            if node.state == "starttaskfailed":
                with suppress(BatchError):
                    said = self._batch.node_file(view.id, node.id, "startup/stderr.txt") or b""
                    lines = said[-SHOWN:].decode("utf-8", "replace").strip().splitlines()
                    return f" The end of its stderr: {' / '.join(lines[-LINES:])}" if lines else ""
        return ""

    def _cores_of_others(self, queue: Queue, kind: Kind) -> int:
        """Cores that other pools have now, those whose nodes are leaving included; of the same series where it is that
        series' quota."""
        own = queue.plan.series if queue.plan and kind is Kind.SERIES_QUOTA else None
        cores = 0
        for pool in self._batch.list_pools():
            size = pool.vm_size or ""
            if pool.id != queue.pool_id and own in (None, vm_sizes.series(size)):
                nodes = (
                    pool.current_low_priority_nodes
                    if kind is Kind.SPOT_QUOTA
                    else pool.current_dedicated_nodes
                )
                cores += (nodes or 0) * vm_sizes.vcpus(size)
        return cores

    def _take_back(
        self, queue: Queue, task_ids: Collection[str], reason: str, moved: bool = False, no_spot: bool = False
    ) -> list[Verdict]:
        """Ends tasks, which have nothing to do in this pool any more."""
        ids = list(task_ids)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda task_id: self._batch.terminate_task(queue.job_id, task_id), ids))
        queue.monitor.forget(ids)
        for task_id in ids:
            queue.open_slots.pop(task_id, None)
        if ids and not queue.open_slots and queue.plan is not None:
            self._resize(queue, Size(0))
        return [
            Verdict(task_id, False, None, reason, moved, ran=no_spot, moved=moved, no_spot=no_spot)
            for task_id in ids
        ]

    def _resize(self, queue: Queue, size: Size, again: bool = False) -> None:
        self._leases.set_size(queue.pool_id, size, again=again)
        self._wake()

    def _ask_again(self, queue: Queue, state: _State, view: PoolView, now: datetime) -> None:
        size = self._leases.size(queue.pool_id)
        recent = state.asked_again and now - state.asked_again < ASK_AGAIN_EVERY
        if queue.plan is None or size is None or recent or not is_short(view):
            return
        state.asked_again = now
        self._resize(queue, size, again=True)
        code, message = view.resize_errors[0]
        self._tell_once(
            state,
            f"{code} {view.current}",
            f"Azure Batch: pool {queue.pool_id} got {view.current} of {view.target} nodes ({code}: "
            f"{message.rstrip('.')}); asking again for the others every minute.",
        )

    def _goes_well(self, queue: Queue, state: _State, view: PoolView, now: datetime) -> None:
        """What there is, is used, and the rest asked for again."""
        self._ask_again(queue, state, view, now)
        if queue.plan is None:
            return
        self._has_nodes(queue.plan.key)
        if (
            queue.plan.spot
            and not queue.plan.buys_spot
            and state.stood_in
            and now - state.stood_in >= SPOT_AGAIN
        ):
            queue.plan = replace(queue.plan, buys_spot=True)

    def _tell_once(self, state: _State, what: str, text: str) -> None:
        if what not in state.told:
            state.told.add(what)
            self._warn(text)

    # -- Spot --------------------------------------------------------------------------------------------------

    def _stand_in(
        self, queue: Queue, plan: PoolPlan, state: _State, trouble: Trouble | None, now: datetime
    ) -> None:
        """Dedicated nodes in place of the Spot nodes that do not come."""
        size = self._leases.size(queue.pool_id) or Size(0, 1)
        queue.plan, state.stood_in = replace(plan, buys_spot=False), now
        why = (
            trouble.why.rstrip(".")
            if trouble
            else f"for {int(self._spot_patience.total_seconds() // 60)} minutes"
        )
        self._warn(
            f"Azure Batch: there are no Spot nodes of {plan.vm_size} ({why}); the pool {plan.id} gets dedicated ones."
        )
        self._resize(queue, Size(max(1, size.dedicated + size.spot)))

    def _preempted(self, queue: Queue, state: _State, view: PoolView) -> list[Verdict]:
        """Notices tasks whose Spot nodes are gone, which the service begins anew, and takes back those that have had
        their tries."""
        if queue.plan is None or not queue.plan.spot or not queue.open_slots:
            return []
        usable = {node.id for node in view.nodes if node.state in USABLE}
        runs = self._batch.runs_on_nodes(queue.job_id)
        lost: dict[str, list[str]] = {}
        kept = {}
        for task_id, before in state.running.items():
            if task_id not in queue.open_slots:
                continue
            now = runs.get(task_id)
            if now is None and before[0] in usable:
                kept[task_id] = before  # it has ended, or will run again
            elif now != before and (task_id not in self._retried or before[0] not in usable):
                lost.setdefault(before[0], []).append(task_id)
        state.running = kept | {t: run for t, run in runs.items() if t in queue.open_slots}
        for node, task_ids in lost.items():
            state.preempted.update(task_ids)
            self._warn(
                f"Azure Batch: the Spot node {node} of the pool {queue.pool_id} was preempted; what ran there begins "
                f"anew: {_listed(task_ids)}."
            )
        over = [t for ids in lost.values() for t in ids if state.preempted[t] >= self._tries.get(t, 1)]
        if not over:
            return []
        states = self._batch.task_states(queue.job_id)
        over = [task_id for task_id in over if states.get(task_id) != "completed"]
        return self._take_back(queue, over, "Its Spot nodes were preempted.", moved=True, no_spot=True)


def _listed(names: Iterable[str]) -> str:
    given = sorted(names)
    return ", ".join(given[:3]) + (f" and {len(given) - 3} more" if len(given) > 3 else "")
