"""Task slots over time, by a journal: those that tasks took, that were paid for, and that were asked for."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from snakemake.azure.report.costs import Costs
from snakemake.azure.report.journal import Event


class Step(NamedTuple):
    """Slots from `at` on."""

    at: datetime
    used: int
    paid: int
    asked: int


def occupancy(events: Iterable[Event], found: Costs) -> list[Step]:
    """The steps, in their order; `found`: of the same events. Of a pool that is not the run's own, the slots that its
    tasks take are those that count, in all three."""
    changes: defaultdict[datetime, list[int]] = defaultdict(lambda: [0, 0, 0])
    for task in found.tasks:
        which = (0,) if found.pool(task.pool).own else (0, 1, 2)
        for i in which:
            changes[task.started][i] += task.slots
            changes[task.ended][i] -= task.slots
    for node in found.nodes:
        pool = found.pool(node.pool)
        if pool.own and node.end:
            changes[node.begin][1] += pool.slots
            changes[node.end][1] -= pool.slots
    for at, change in _asked(events, found):
        changes[at][2] += change
    now, steps = [0, 0, 0], []
    for at in sorted(changes):
        now = [a + b for a, b in zip(now, changes[at], strict=True)]
        steps.append(Step(at, *now))
    return steps


def _asked(events: Iterable[Event], found: Costs) -> Iterable[tuple[datetime, int]]:
    """Changes of the slots of all nodes that are asked for."""
    wanted: dict[str, int] = {}
    last: datetime | None = None
    for event in events:
        values: Mapping = event.values
        last = event.at
        if event.event == "size":
            nodes = (values.get("dedicated") or 0) + (values.get("spot") or 0)
            slots = nodes * found.pool(values["pool"]).slots
            yield event.at, slots - wanted.get(values["pool"], 0)
            wanted[values["pool"]] = slots
        elif event.event == "pool_gone":
            yield event.at, -wanted.pop(values["pool"], 0)
    if last:
        yield last, -sum(wanted.values())
