"""How far a run is: what its journal's events and the numbers of its jobs come to, in words. No I/O, no clock.

`Activity` hears the events as they are noted, at a few microseconds each. A `View` of it is made only when one is
shown, once a second at the most.

The time left is what the jobs that are left take, by their rules, on the slots that there are or will be, and no less
than the longest chain of rules that come after each other. How long a rule's jobs take, those that have ended tell; and
as long as that is known for few, the range is wide, or nothing is said.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any

from snakemake.azure.batch.durations import Durations
from snakemake.azure.report.journal import Event, time
from snakemake.azure.report.node_times import LEAVING, READY, UNPAID
from snakemake.azure.report.summary import amount

COMES = timedelta(minutes=3)
"""What a first node takes to come, about."""

LITTLE_KNOWN = 0.5
"""With this share of the jobs that are left of rules whose time nobody knows, nothing is said of it."""

BROKEN = {"unusable", "starttaskfailed", "offline"}


@dataclass(frozen=True)
class RuleJobs:
    """Jobs of a rule that have to run, and the rules whose output they need."""

    count: int
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Jobs:
    """Of the run: how many there are in all, are over, and have failed for good; and by rule, those that go to Azure
    Batch."""

    total: int
    done: int
    failed: int = 0
    rules: Mapping[str, RuleJobs] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """From so many seconds to so many."""

    least: float
    most: float

    def __str__(self) -> str:
        low, high = _rounded(self.least), _rounded(self.most)
        if high < 60:
            return "less than a minute"
        return (
            _duration(high) if _duration(low) == _duration(high) else f"{_duration(low)} to {_duration(high)}"
        )


@dataclass(frozen=True)
class View:
    """What is shown. running, waiting: jobs on nodes, and those that are ready or will be; nodes: by what they do, such
    as `ready`; slots_used of `slots` that take tasks; waits: what is waited for; left: time, None where not known;
    money: by currency, `at_most` so much."""

    jobs: Jobs
    running: int
    nodes: Mapping[str, int]
    slots_used: int
    slots: int
    waits: Sequence[str]
    money: Mapping[str, float]
    at_most: float | None
    left: Span | None

    @property
    def waiting(self) -> int:
        return max(0, self.jobs.total - self.jobs.done - self.jobs.failed - self.running)

    def parts(self) -> list[str]:
        """What is said of jobs, of nodes, of money and time, and of what is waited for; what is empty is left out."""
        return [
            part for part in (self._of_jobs(), self._of_nodes(), self._of_ends(), self._of_waits()) if part
        ]

    def _of_jobs(self) -> str:
        jobs = self.jobs
        failed = f", {jobs.failed} failed" if jobs.failed else ""
        return (
            f"{jobs.done} of {jobs.total} jobs done, {self.running} running, {self.waiting} waiting{failed}"
        )

    def _of_nodes(self) -> str:
        number = sum(self.nodes.values())
        others = [f"{n} {state}" for state, n in sorted(self.nodes.items()) if state != "ready" and n]
        listed = f" ({', '.join(others)})" if others else ""
        return f"{number} node{'' if number == 1 else 's'}{listed}, {self.slots_used} of {self.slots} slots in use"

    def _of_ends(self) -> str:
        most = "" if self.at_most is None else f" of {self.at_most:g}"
        said = [f"about {amount(self.money)}{most} so far"] if self.money or self.at_most else []
        return ", ".join(said + ([f"{self.left} left"] if self.left else []))

    def _of_waits(self) -> str:
        return f"waiting for {' and '.join(self.waits)}" if self.waits else ""

    def sentence(self) -> str:
        """All in one line."""
        return f"Azure Batch: {'; '.join(self.parts())}."


@dataclass
class _Task:
    rule: str
    slots: int
    pool: str


@dataclass
class _Node:
    pool: str
    state: str
    used: int


@dataclass
class _Pool:
    slots: int = 1
    wanted: int = 0
    short: str = ""


class Activity:
    """What is going on, by the events so far. `take` is for one thread at a time."""

    def __init__(self, at_most: float | None = None) -> None:
        self._at_most = at_most
        self.durations = Durations()
        self._open: dict[str, _Task] = {}
        self._done: Counter[str] = Counter()
        self._slots_of: dict[str, int] = {}
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._pools: dict[str, _Pool] = {}
        self._outages: dict[str, datetime] = {}
        self._takers: dict[str, Callable[[Mapping[str, Any], datetime], None]] = {
            "run": self._run,
            "submitted": self._submitted,
            "ended": self._ended,
            "node": self._node,
            "node_gone": self._node_gone,
            "pool": self._pool,
            "size": self._size,
            "pool_short": self._short,
            "pool_gone": self._pool_gone,
            "outage": self._outage,
            "outage_over": self._outage_over,
        }

    def take(self, event: Event) -> None:
        if taker := self._takers.get(event.event):
            taker(event.values, event.at)

    @property
    def open_tasks(self) -> int:
        """How many wait or run."""
        return len(self._open)

    # -- events ----------------------------------------------------------------------------------------------

    def _run(self, values: Mapping[str, Any], at: datetime) -> None:
        """Another client: what it takes over is submitted anew, and its jobs are those that are left."""
        self._open.clear()
        self._done.clear()
        self._outages.clear()

    def _submitted(self, values: Mapping[str, Any], at: datetime) -> None:
        rule, slots = values.get("rule") or "", values.get("slots") or 1
        self._open[values["task"]] = _Task(rule, slots, values.get("pool") or "")
        self._slots_of[rule] = slots

    def _ended(self, values: Mapping[str, Any], at: datetime) -> None:
        task = self._open.pop(values["task"], None)
        if task is None:
            return
        if node := self._nodes.get((values.get("pool") or task.pool, values.get("node") or "")):
            node.used = max(0, node.used - task.slots)
        if values.get("success"):
            self._done[task.rule] += 1
            started, ended = time(values.get("started")), time(values.get("ended"))
            if started and ended:
                self.durations.add(task.rule, (ended - started).total_seconds())

    def _node(self, values: Mapping[str, Any], at: datetime) -> None:
        state = values.get("state") or ""
        self._nodes[values["pool"], values["node"]] = _Node(
            values["pool"], state, values.get("used_slots") or 0
        )

    def _node_gone(self, values: Mapping[str, Any], at: datetime) -> None:
        self._nodes.pop((values["pool"], values["node"]), None)

    def _known(self, values: Mapping[str, Any]) -> _Pool:
        return self._pools.setdefault(values["pool"], _Pool())

    def _pool(self, values: Mapping[str, Any], at: datetime) -> None:
        self._known(values).slots = values.get("slots") or 1

    def _size(self, values: Mapping[str, Any], at: datetime) -> None:
        self._known(values).wanted = (values.get("dedicated") or 0) + (values.get("spot") or 0)

    def _short(self, values: Mapping[str, Any], at: datetime) -> None:
        self._known(values).short = values.get("why") or ""

    def _pool_gone(self, values: Mapping[str, Any], at: datetime) -> None:
        self._pools.pop(values["pool"], None)
        for key in [key for key in self._nodes if key[0] == values["pool"]]:
            del self._nodes[key]

    def _outage(self, values: Mapping[str, Any], at: datetime) -> None:
        self._outages[values["service"]] = at - timedelta(seconds=values.get("seconds") or 0)

    def _outage_over(self, values: Mapping[str, Any], at: datetime) -> None:
        self._outages.pop(values["service"], None)

    # -- what follows ----------------------------------------------------------------------------------------

    def view(self, jobs: Jobs, money: Mapping[str, float], now: datetime) -> View:
        nodes, pools = list(self._nodes.values()), dict(self._pools)
        count = Counter(_word(node.state) for node in nodes)
        ready = [node for node in nodes if node.state in READY]
        slots = sum(pools.get(node.pool, _Pool()).slots for node in ready)
        running = self._running(ready)
        return View(
            jobs,
            running,
            count,
            sum(node.used for node in ready),
            slots,
            self._waits(nodes, pools, now),
            money,
            self._at_most,
            self._left(jobs, running, slots, pools),
        )

    def _running(self, ready: Sequence[_Node]) -> int:
        """Of the open tasks, those that have the slots in use: Batch starts them in their order."""
        used = Counter[str]()
        for node in ready:
            used[node.pool] += node.used
        running = 0
        for task in list(self._open.values()):
            if used[task.pool] >= task.slots:
                used[task.pool] -= task.slots
                running += 1
        return running

    def _waits(self, nodes: Sequence[_Node], pools: Mapping[str, _Pool], now: datetime) -> list[str]:
        waits = [
            f"{service}, which does not answer for {_duration((now - since).total_seconds())}"
            for service, since in sorted(self._outages.items())
        ]
        waits += sorted({pool.short for pool in pools.values() if pool.short})
        with_work = {task.pool for task in list(self._open.values())}
        usable = {node.pool for node in nodes if node.state in READY}
        if any(pool_id not in usable and not pools[pool_id].short for pool_id in with_work & pools.keys()):
            waits.append("nodes")
        return waits

    def _left(self, jobs: Jobs, running: int, slots: int, pools: Mapping[str, _Pool]) -> Span | None:
        rules = {name: max(0, rule.count - self._done[name]) for name, rule in jobs.rules.items()}
        typical = {name: self.durations.typical(name) for name, count in rules.items() if count}
        number = sum(rules.values())
        unknown = sum(rules[name] for name, seconds in typical.items() if seconds is None)
        if not number or unknown >= LITTLE_KNOWN * number:
            return None
        known = {name: seconds for name, seconds in typical.items() if seconds is not None}
        mean = sum(rules[name] * seconds for name, seconds in known.items()) / (number - unknown)
        seconds = {name: known.get(name, mean) for name in typical}
        work = sum(rules[name] * self._slots_of.get(name, 1) * each for name, each in seconds.items())
        wanted = sum(pool.slots * pool.wanted for pool in pools.values())
        per_second = max(slots, wanted, 1)
        chain = longest(jobs.rules, seconds)
        base = max(work / per_second, chain)
        starts = 0.0 if slots else COMES.total_seconds()
        share = unknown / number
        half = mean * running / max(1, number) / 2
        least = max(0.0, 0.8 * base - half) * (1 - share / 2)
        return Span(least, (1.2 * base + 0.5 * max(seconds.values())) * (1 + share) + starts)


def longest(rules: Mapping[str, RuleJobs], seconds: Mapping[str, float]) -> float:
    """Of chains of rules that come after each other, by what one job of each takes; rules without a time take none."""
    ends: dict[str, float] = {}
    try:
        for name in TopologicalSorter({name: rule.after for name, rule in rules.items()}).static_order():
            before = rules[name].after if name in rules else ()
            ends[name] = seconds.get(name, 0.0) + max((ends.get(each, 0.0) for each in before), default=0.0)
    except CycleError:  # a rule that comes after itself, in other jobs
        return max(seconds.values(), default=0.0)
    return max(ends.values(), default=0.0)


def _word(state: str) -> str:
    for states, word in ((READY, "ready"), (LEAVING, "leaving"), (UNPAID, "preempted"), (BROKEN, "broken")):
        if state in states:
            return word
    return "starting"


def _rounded(seconds: float) -> float:
    """To what one would say: minutes below an hour, then five of them."""
    step = 60 if seconds < 3600 else 300
    return round(seconds / step) * step


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
