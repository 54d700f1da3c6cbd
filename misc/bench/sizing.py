"""Whole days on the emulator's core with the delays of Azure (profile `realistic`), on a clock that jumps: what our
sizes cost and how long the work takes, beside other ways to size the same pool.

`BatchRun`, its looks, the lease and the look-ahead into the DAG are the product's own; of the service, only HTTP is
left out (`misc/bench/stepped.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any

from azure_batch_emulator.core.profile import NodeFaults, Profile
from azure_batch_emulator.service.profile_files import load_profile
from misc.bench import report, sizing_http
from misc.bench.days import OS_IMAGE, POLL, VM, Client, Day, bursts, mixed, spot, tail
from misc.bench.setting import say
from misc.bench.stepped import SteppedBatch
from snakemake.azure.batch.lease import Size
from snakemake.azure.batch.pool_sizes import PoolSizes, Queue
from snakemake.azure.batch.prices import built_in
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.azure.report.journal import Journal

SEED = 1
HOUR = 3600.0
PRICES = built_in()


class GrowingSizes(PoolSizes):
    """As it was before sizes went with the work: by open slots, and never down."""

    def grow(self, queue: Queue) -> None:
        plan, size = queue.plan, self._leases.size(queue.pool_id)
        if plan and size:
            nodes = plan.nodes_for(sum(queue.open_slots.values()))
            if nodes > size.dedicated + size.spot:
                self.set_size(queue.pool_id, Size(0, nodes) if plan.buys_spot else Size(nodes))

    def fit(self, queue: Queue, nodes: Any) -> None:
        pass


class GrowsOnly(BatchRun):
    sizes_class = GrowingSizes


def pending_tasks(day: Day, now: datetime) -> dict[str, Any]:
    """The documentation's formula by pending tasks, from one node on.

    https://learn.microsoft.com/azure/batch/batch-automatic-scaling#pending-tasks
    """
    formula = f"""
known = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
wanted = known < 70 ? 1 : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
$TargetDedicatedNodes = min({day.most}, wanted);
$NodeDeallocationOption = taskcompletion;
"""
    return {"enableAutoScale": True, "autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"}


def nextflow(day: Day, now: datetime) -> dict[str, Any]:
    """What nf-azure's default formula does: one node for its first five minutes, then a node for each pending task (the
    last sample or, if more, the interval's mean), and half as many each time when there are none."""
    formula = f"""
age = time() - time("{now:%Y-%m-%dT%H:%M:%SZ}");
span = TimeInterval_Minute * 5;
last = max(0, $PendingTasks.GetSample(1));
pending = $PendingTasks.GetSamplePercent(span) < 70 ? last : max(last, avg($PendingTasks.GetSample(span)));
wanted = pending > 0 ? pending : $TargetDedicatedNodes / 2;
$TargetDedicatedNodes = age < span ? 1 : max(0, min({day.most}, wanted));
$NodeDeallocationOption = taskcompletion;
"""
    return {"enableAutoScale": True, "autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"}


def fixed(day: Day, now: datetime) -> dict[str, Any]:
    return {"targetDedicatedNodes": day.most}


@dataclass(frozen=True)
class Policy:
    """`pool` is the scale of a pool that the run does not size, which is there `ahead` seconds before it; `sizes` are
    other ones than the scenario's."""

    name: str
    run_class: type[BatchRun] = BatchRun
    pool: Callable[[Day, datetime], dict[str, Any]] | None = None
    ahead: float = 0.0
    sizes: str = ""


OURS = Policy("ours")
READY = Policy("always ready", pool=fixed, ahead=1200)
POLICIES = (
    OURS,
    Policy("grows only (before)", GrowsOnly),
    Policy("fixed", pool=fixed),
    Policy("pending tasks (docs)", pool=pending_tasks),
    Policy("nf-azure's formula", pool=nextflow),
    READY,
)


@dataclass(frozen=True)
class Result:
    """Hours: of nodes that were paid for, of nodes while they had a task, of nodes if none of their slots had been
    idle, and of the clock; the price in US$, by built-in prices. `nodes` are pairs of hours since the beginning and how
    many nodes there were."""

    billed: float
    used: float
    work: float
    makespan: float
    price: float
    nodes: list[tuple[float, int]]
    resized: int

    @property
    def ratio(self) -> float:
        return self.billed / self.used

    def figures(self) -> dict[str, float]:
        return {
            name: getattr(self, name) for name in ("billed", "used", "work", "makespan", "price", "resized")
        }

    def nodes_at(self, hour: float) -> int:
        return next((n for at, n in reversed(self.nodes) if at <= hour), 0)


def simulate(
    day: Day,
    policy: Policy,
    profile: Profile,
    seed: int = SEED,
    scenario: "Scenario | None" = None,
    note: Callable[[bytes], None] | None = None,
) -> Result:
    """`note` is given the lines of the run's journal."""
    scenario = scenario or Scenario(lambda _: day)
    batch, pool_id = SteppedBatch(profile, seed), None
    batch.machine.plan.size_cores = dict(scenario.size_cores)
    if policy.pool:
        pool_id, scale = "pool", policy.pool(day, batch.now())
        batch.make_pool(pool_body(day, as_spot(scale) if scenario.spot else scale))
        batch.simulation.pass_time(policy.ahead)
    journal = Journal(note, batch.now) if note else None
    sizes = policy.sizes or scenario.sizes
    client = Client(day, batch, batch.now, policy.run_class, pool_id, sizes, scenario.spot, journal)
    begun, used, price = batch.now(), 0.0, 0.0
    nodes: list[tuple[float, int]] = []
    while client.step():
        batch.simulation.pass_time(POLL.total_seconds())
        there = [
            (pool.spec["vmSize"], node)
            for pool in batch.machine.pools.values()
            for node in pool.nodes.values()
            if node.state != "preempted"
        ]
        hours = POLL.total_seconds() / HOUR
        nodes.append(((batch.now() - begun).total_seconds() / HOUR, len(there)))
        used += sum(bool(node.runs) for _, node in there) * hours
        price += sum(PRICES.of(vm_size(size), not node.dedicated) for size, node in there) * hours
    took = (batch.now() - begun).total_seconds() / HOUR
    client.journal.note("run_over", run="day", how="finished")
    list(client.close())
    if pool_id:
        batch.delete_pool(pool_id)
    resized = sum("resizing" in line for line in client.said)
    return Result(batch.node_hours(), used, day.work_hours, took, price, nodes, resized)


def as_spot(scale: dict[str, Any]) -> dict[str, Any]:
    """The same scale with Spot nodes."""
    swap = {"targetDedicatedNodes": "targetLowPriorityNodes"}
    target = ("$TargetDedicatedNodes", "$TargetLowPriorityNodes")
    return {
        swap.get(name, name): value.replace(*target) if isinstance(value, str) else value
        for name, value in scale.items()
    }


def pool_body(day: Day, scale: dict[str, Any]) -> dict[str, Any]:
    machine = {
        "imageReference": {"publisher": OS_IMAGE.publisher, "offer": OS_IMAGE.offer, "sku": OS_IMAGE.sku},
        "nodeAgentSKUId": OS_IMAGE.node_agent_sku_id,
        "containerConfiguration": {"type": "dockerCompatible", "containerImageNames": ["image:1"]},
    }
    return {
        "id": "pool",
        "vmSize": VM,
        "virtualMachineConfiguration": machine,
        "taskSlotsPerNode": day.slots,
        "taskSchedulingPolicy": {"nodeFillType": "pack"},
        **scale,
    }


@dataclass(frozen=True)
class Scenario:
    """A day, what goes wrong in it, and what its pools may be made of. size_cores: what the region has of a size."""

    make: Callable[[Random], Day]
    policies: tuple[Policy, ...] = POLICIES
    faults: NodeFaults = NodeFaults()
    spot: bool = False
    sizes: str = VM
    size_cores: tuple[tuple[str, int], ...] = ()


STORM = NodeFaults(
    preemptions_per_node_hour=0.2,
    low_priority_capacity=((2 * HOUR, 0), (2.5 * HOUR, 16), (3 * HOUR, None)),
)
"""Preemptions all day; after two hours the region takes all Spot nodes back, and has some again half an hour later."""

MUCH_MEMORY = "Standard_E4s_v5"
SIZES = f"Standard_F4s_v2,{VM},{MUCH_MEMORY}"
ONE_SIZE = (
    Policy("ours, auto", sizes="auto"),
    Policy("ours, cheapest of three"),
    Policy("ours, one size for all", sizes=MUCH_MEMORY),
    Policy("grows only, one size", GrowsOnly, sizes=MUCH_MEMORY),
)
NO_ROOM = (Policy("ours, first size empty"), Policy("ours, the second one only", sizes=VM))

SCENARIOS = {
    "a": Scenario(bursts),
    "b": Scenario(tail),
    "c": Scenario(mixed, ONE_SIZE, sizes=SIZES),
    "d": Scenario(spot, faults=STORM, spot=True),
    "e": Scenario(spot, NO_ROOM, sizes=f"Standard_D4as_v5,{VM}", size_cores=(("standard_d4as_v5", 0),)),
}


def run() -> None:
    before, result = report.conditions(), {}
    for letter, scenario in SCENARIOS.items():
        profile = replace(load_profile("realistic"), faults=scenario.faults)
        say(f"sizing ({letter}): {scenario.make(Random(SEED)).name}")
        last = None
        for policy in reversed(scenario.policies):
            got = simulate(scenario.make(Random(SEED)), policy, profile, scenario=scenario)
            last = last or got
            say(
                f"  {policy.name:25} billed/used {got.ratio:.2f} ({got.billed:.1f} h, {got.used:.1f} h; of work "
                f"{got.work:.1f} h); price {got.price:.2f}; makespan {got.makespan:.2f} h, "
                f"{got.makespan / last.makespan:.3f} of the first one here; {got.nodes_at(got.makespan - 0.5)} nodes "
                f"half an hour before the end"
            )
            result[f"{letter} {policy.name}"] = got.figures()
    result["http"] = sizing_http.run()
    report.publish("sizing", before, result)
