"""What the jobs of each rule asked for, what they used, and what is enough for the next run; by a run's journal alone.

Enough is the most that any job of the rule has used, and a margin; and more than what a job has failed with. Memory is
that of the whole task, as its share of the node is. `threads` go down only where the jobs have been busy with clearly
fewer cores, on average, for some time, and never up: more might be used if there were more, which nobody knows. Where a
rule computes what it asks for, by a function of its input or attempt, a constant for all its jobs may be worse: it is
shown, and left out of the profile.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snakemake.azure.batch.vm_sizes import DoesNotFit, Share, UnknownVmSize, vm_size
from snakemake.azure.report.costs import Costs, TaskTime, costs
from snakemake.azure.report.journal import Event
from snakemake.azure.report.node_times import Pool

MARGIN = {"container": 1.2, "processes": 1.3}
"""Of memory, by how it was measured: looks at processes miss what is between them."""

TIME_MARGIN = 1.5
ROUND_MB, LEAST_MB = 100, 200
LEAST_MINUTES = 5
BUSY_SECONDS = 10.0
"""Jobs that are shorter tell nothing of threads."""

CLEARLY_FEWER = 0.75
KILLED = 137
MAY_BE_MEMORY = 0.5
"""Of the memory that was asked for: a job that used less than that has failed of something else."""

NAMES = ("threads", "mem_mb", "runtime")


@dataclass
class RuleUse:
    """One rule. asked: the most of `threads`, `mem_mb` and `runtime` (minutes), None for what no job asked for; used:
    the most cores that a job kept busy, MB and minutes; failed: the most of `mem_mb` and `runtime` that was too little;
    least: what may have been; enough: what to ask for, where that is known; computed: what the rule works out;
    saving: by currency."""

    rule: str
    is_group: bool = False
    tasks: int = 0
    failures: int = 0
    measured: int = 0
    asked: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(NAMES))
    used: dict[str, float] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)
    enough: dict[str, int] = field(default_factory=dict)
    computed: set[str] = field(default_factory=set)
    margin: float = 1.0
    cost: float = 0.0
    saving: dict[str, float] = field(default_factory=dict)

    def settings(self) -> dict[str, int]:
        """What a profile may set: what differs from what was asked for, and is not computed."""
        if self.is_group:
            return {}
        return {n: v for n, v in self.enough.items() if n not in self.computed and v != self.asked[n]}


@dataclass
class _Task:
    """What the journal has of a task."""

    asked: Mapping[str, Any] = field(default_factory=dict)
    ended: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Efficiency:
    """Of one journal: rules in the order in which they first came, and what the run cost."""

    rules: list[RuleUse]
    costs: Costs

    def saving(self) -> dict[str, float]:
        """By currency."""
        sums: dict[str, float] = defaultdict(float)
        for rule in self.rules:
            for currency, amount in rule.saving.items():
                sums[currency] += amount
        return dict(sums)


def efficiency(events: Sequence[Event], found: Costs | None = None) -> Efficiency:
    """What a journal's events tell; `found`: their costs, where they are known already."""
    tasks: defaultdict[str, _Task] = defaultdict(_Task)
    for event in events:
        if event.event in ("submitted", "ended", "used"):
            name = {"submitted": "asked"}.get(event.event, event.event)
            setattr(tasks[event.values["task"]], name, event.values)
    found = found or costs(events)
    times = {task.task: task for task in found.tasks}
    rules: dict[str, RuleUse] = {}
    members: defaultdict[str, list[tuple[_Task, TaskTime]]] = defaultdict(list)
    for task_id, task in tasks.items():
        if task.asked.get("rule") and task_id in times:
            name = task.asked["rule"]
            _count(rules.setdefault(name, RuleUse(name)), task, times[task_id])
            members[name].append((task, times[task_id]))
    for rule in rules.values():
        rule.enough = _enough(rule)
        rule.cost = found.rules[rule.rule].money
        rule.saving = _saving(rule, members[rule.rule], found)
    return Efficiency(list(rules.values()), found)


def _count(rule: RuleUse, task: _Task, time: TaskTime) -> None:
    asked, used = task.asked, task.used
    minutes = (time.ended - time.started).total_seconds() / 60
    rule.tasks += 1
    rule.is_group = rule.is_group or bool(asked.get("group"))
    rule.computed |= set(asked.get("computed") or ())
    for name in NAMES:
        value = asked.get(name)
        if isinstance(value, int | float):
            rule.asked[name] = max(value, rule.asked[name] or 0)
    _raise(rule.used, "runtime", minutes)
    if not task.ended.get("success"):
        _count_failure(rule, task, minutes)
    elif used:
        rule.measured += 1
        seconds = used.get("job_seconds") or 0.0
        if seconds >= BUSY_SECONDS:
            _raise(rule.used, "threads", (used.get("cpu_seconds") or 0.0) / seconds)
    if memory := used.get("memory_bytes"):
        _raise(rule.used, "mem_mb", memory / 1e6)
        rule.margin = max(rule.margin, MARGIN.get(used.get("memory_of") or "", max(MARGIN.values())))


def _count_failure(rule: RuleUse, task: _Task, minutes: float) -> None:
    """What was too little for it, or may have been: a command that was killed for its memory may show as a plain
    failure of the job, whose task lives on."""
    rule.failures += 1
    mem_mb, runtime = task.asked.get("mem_mb"), task.asked.get("runtime")
    if task.ended.get("service_fault"):
        return
    if runtime and minutes >= 0.95 * runtime:
        _raise(rule.failed, "runtime", runtime)
    elif mem_mb and KILLED in (task.ended.get("exit_code"), task.used.get("code")):
        _raise(rule.failed, "mem_mb", mem_mb)
    elif mem_mb and task.used.get("memory_bytes", math.inf) / 1e6 >= MAY_BE_MEMORY * mem_mb:
        _raise(rule.least, "mem_mb", mem_mb)


def _raise(numbers: dict[str, float], name: str, value: float) -> None:
    numbers[name] = max(value, numbers.get(name, 0.0))


def _enough(rule: RuleUse) -> dict[str, int]:
    """Nothing where no job has succeeded and been measured."""
    if not rule.measured:
        return {}
    found: dict[str, int] = {}
    if "mem_mb" in rule.used:
        wanted = rule.margin * max(rule.used["mem_mb"], rule.failed.get("mem_mb", 0.0))
        wanted = max(wanted, rule.least.get("mem_mb", 0.0))
        found["mem_mb"] = max(LEAST_MB, math.ceil(wanted / ROUND_MB) * ROUND_MB)
    minutes = TIME_MARGIN * max(rule.used["runtime"], rule.failed.get("runtime", 0.0))
    found["runtime"] = max(LEAST_MINUTES, math.ceil(minutes))
    threads, cores = rule.asked["threads"], rule.used.get("threads")
    if (
        threads
        and cores is not None
        and max(1, math.ceil(cores)) < threads
        and cores <= CLEARLY_FEWER * threads
    ):
        found["threads"] = max(1, math.ceil(cores))
    return found


def _saving(rule: RuleUse, members: Iterable[tuple[_Task, TaskTime]], found: Costs) -> dict[str, float]:
    """What fewer slots of a node would have cost less, if nodes are as full as they were; negative where more are
    needed."""
    sums: dict[str, float] = defaultdict(float)
    spot = {(node.pool, node.node): node.spot for node in found.nodes}
    wanted = rule.settings()
    for task, time in members:
        pool = found.pool(time.pool)
        price = pool.price_of(spot.get((time.pool, time.node), False))
        slots = _slots(pool, {**task.asked, **wanted})
        # Where what it asked for does not make its slots, az_slots or something else did, which goes on.
        if price is None or slots is None or _slots(pool, task.asked) != time.slots:
            continue
        sums[pool.currency] += time.hours / time.slots * (time.slots - slots) / pool.slots * price
    return {currency: amount for currency, amount in sums.items() if amount}


def _slots(pool: Pool, asked: Mapping[str, Any]) -> int | None:
    def mib(name: str) -> int | None:
        value = asked.get(name)
        return math.ceil(value * 1e6 / 2**20) if isinstance(value, int | float) else None

    try:
        share = Share(asked.get("threads") or 1, mib("mem_mb"), mib("disk_mb"), disk_is_guess=True)
        return share.slots(vm_size(pool.vm_size), pool.slots)
    except (DoesNotFit, UnknownVmSize):
        return None
