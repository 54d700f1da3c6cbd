"""Nodes in rows, one below the other, with what each did and when; by a run's journal.

A row is as high as its node has task slots. Each task lies in as many lanes of it as it takes slots, beside what runs
there at the same time: the service does not say which slots those are, so the first free ones are taken. Behind them
is the node's state. Where the journal has seen a node `idle` or `running`, the tasks say it more exactly, and all of
them: between two looks a node may have been both.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from snakemake.azure.report.costs import Costs, TaskTime
from snakemake.azure.report.journal import Event, time
from snakemake.azure.report.node_times import READY, NodeTime

STARTING, IDLE, RUNNING, LEAVING, BAD, GONE = (
    "starting",
    "idle",
    "running",
    "leaving",
    "unusable",
    "preempted",
)

STATES: Mapping[str, str] = {
    "creating": STARTING, "starting": STARTING, "waitingforstarttask": STARTING, "rebooting": STARTING,
    "reimaging": STARTING, "upgradingos": STARTING, "leavingpool": LEAVING, "preempted": GONE, "deallocated": GONE,
    "deallocating": LEAVING, "unusable": BAD, "starttaskfailed": BAD, "offline": BAD, "unknown": BAD,
}  # fmt: skip
"""What is shown for states of nodes
(https://learn.microsoft.com/rest/api/batchservice/nodes/list-nodes#batchnodestate); the others take tasks."""


@dataclass(frozen=True)
class Band:
    """A state of a node, from when to when."""

    state: str
    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Bar:
    """A task, or a part of one whose lanes are apart: the first of the lanes, and how many there are."""

    task: TaskTime
    lane: int
    slots: int


@dataclass
class Row:
    """A node: all times that it was there, and its states and tasks in their order."""

    pool: str
    node: str
    spot: bool
    slots: int
    begin: datetime
    bands: list[Band] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)


def timeline(events: Iterable[Event], found: Costs) -> list[Row]:
    """A row for each node, by pool in the order of the journal and by when they came. `found`: of the same events."""
    times: defaultdict[tuple[str, str], list[NodeTime]] = defaultdict(list)
    tasks: defaultdict[tuple[str, str], list[TaskTime]] = defaultdict(list)
    for node in found.nodes:
        times[node.pool, node.node].append(node)
    for task in found.tasks:
        tasks[task.pool, task.node].append(task)
    noted = _noted(events)
    pools = {pool: i for i, pool in enumerate([*found.pools, *(pool for pool, _ in times)])}
    rows = []
    for (pool, name), there in times.items():
        row = Row(pool, name, there[-1].spot, found.pool(pool).slots, min(t.begin for t in there))
        row.bars = _bars(tasks[pool, name], row.slots)
        row.bands = [band for each in there for band in _bands(each, row.bars, noted[pool, name])]
        row.bands += _taken_away(there)
        rows.append(row)
    return sorted(rows, key=lambda row: (pools[row.pool], row.begin, row.node))


# -- lanes ------------------------------------------------------------------------------------------------------------


def _bars(tasks: Iterable[TaskTime], slots: int) -> list[Bar]:
    """Each task in the first neighbouring lanes that are free; where they are apart, it has a bar in each of them."""
    free: list[datetime | None] = [None] * slots
    bars = []
    for task in sorted(tasks, key=lambda task: (task.started, task.ended, task.task)):
        for lane, width in _lanes(free, max(1, min(task.slots, slots)), task.started):
            free[lane : lane + width] = [task.ended] * width
            bars.append(Bar(task, lane, width))
    return bars


def _lanes(free: Sequence[datetime | None], width: int, at: datetime) -> list[tuple[int, int]]:
    """Lanes with how many follow each other; `free` says until when each is taken."""

    def is_free(lane: int) -> bool:
        end = free[lane]
        return end is None or end <= at

    for lane in range(len(free) - width + 1):
        if all(map(is_free, range(lane, lane + width))):
            return [(lane, width)]
    # By clocks that differ a little there may be fewer than it takes.
    chosen = sorted(range(len(free)), key=lambda lane: (not is_free(lane), free[lane] or at, lane))[:width]
    found: list[tuple[int, int]] = []
    for lane in sorted(chosen):
        if found and sum(found[-1]) == lane:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((lane, 1))
    return found


# -- states -----------------------------------------------------------------------------------------------------------


def _noted(events: Iterable[Event]) -> Mapping[tuple[str, str], list[tuple[datetime, str]]]:
    """What looks have shown of each node, with since when."""
    found: defaultdict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for event in events:
        if event.event == "node":
            values = event.values
            since = time(values.get("since")) or event.at
            found[values["pool"], values["node"]].append((since, str(values.get("state"))))
    return found


def _bands(there: NodeTime, bars: Iterable[Bar], noted: Iterable[tuple[datetime, str]]) -> list[Band]:
    """The states of a node while it was there, without gaps."""
    end = there.end or there.confirmed
    ready = min(there.ready or end, end)
    starts = [bar.task.started for bar in bars if there.begin <= bar.task.started <= end]
    ready = min([ready, *starts])
    bands = [Band(STARTING, there.begin, ready)] if ready > there.begin else []
    odd = [(since, state) for since, state in noted if ready <= since < end]
    marks = [(ready, ""), *odd, (end, "")]
    for (since, state), (until, _) in pairwise(marks):
        if state in STATES and state not in READY:
            bands.append(Band(STATES[state], since, until))
        else:
            bands += _busy(since, until, bars)
    return _joined(band for band in bands if band.end > band.begin)


def _busy(begin: datetime, end: datetime, bars: Iterable[Bar]) -> Iterable[Band]:
    """Running and idle, by the tasks."""
    at = begin
    for bar in bars:
        start, stop = max(at, bar.task.started), min(end, bar.task.ended)
        if stop <= start:
            continue
        if start > at:
            yield Band(IDLE, at, start)
        yield Band(RUNNING, start, stop)
        at = stop
    if at < end:
        yield Band(IDLE, at, end)


def _joined(bands: Iterable[Band]) -> list[Band]:
    """Without two of the same state one after the other."""
    found: list[Band] = []
    for band in bands:
        if found and found[-1].state == band.state and found[-1].end >= band.begin:
            found[-1] = Band(band.state, found[-1].begin, max(found[-1].end, band.end))
        else:
            found.append(band)
    return found


def _taken_away(there: Sequence[NodeTime]) -> Iterable[Band]:
    """Between two times of the same node, which come from nothing but its preemption."""
    for before, after in pairwise(sorted(there, key=lambda node: node.begin)):
        if before.end and after.begin > before.end:
            yield Band(GONE, before.end, after.begin)
