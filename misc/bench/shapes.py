"""The emulator's core alone, without HTTP: what a task costs it in workloads of several shapes."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from azure_batch_emulator.core import timers
from azure_batch_emulator.core.batch_service import BatchService
from azure_batch_emulator.core.instructions import SetTimer
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.engine.region import catalogue
from azure_batch_emulator.nodes.simulated import SimulatedNodes
from azure_batch_emulator.protocol.schema import check_model

START = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = {
    "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
    "nodeAgentSKUId": "batch.node.ubuntu 24.04",
}
FORMULA = "$TargetDedicatedNodes = max(1000, min(1000, $PendingTasks.GetSample(1)));"


@dataclass(frozen=True)
class Shape:
    """`task` gives what is special about the task with a number; `pool` changes the pool's body."""

    nodes: int = 1_000
    jobs: int = 1
    task: Callable[[int], dict] = lambda i: {}
    pool: dict[str, Any] | None = None


SHAPES = {
    "each on its own": Shape(),
    "each after the one before": Shape(
        nodes=10, task=lambda i: {"dependsOn": {"taskIds": [str(i - 1)]}} if i else {}
    ),
    "each after the ten before": Shape(
        task=lambda i: {"dependsOn": {"taskIdRanges": [{"start": i - 10, "end": i - 1}]}} if i >= 10 else {}
    ),
    "in 100 jobs": Shape(jobs=100),
    "1 to 4 slots, packed": Shape(
        task=lambda i: {"requiredSlots": 1 + i % 4},
        pool={"taskSlotsPerNode": 4, "taskSchedulingPolicy": {"nodeFillType": "pack"}},
    ),
    "on 2,000 nodes that scale": Shape(
        nodes=2_000,
        pool={"enableAutoScale": True, "autoScaleFormula": FORMULA.replace("1000", "2000")},
    ),
}


class Simulation:
    """The machine with a model of nodes, which `nodes` makes, on a clock that jumps to the next event."""

    def __init__(
        self, profile: Profile | None = None, seed: int = 1, nodes: type[SimulatedNodes] = SimulatedNodes
    ) -> None:
        self.now = START
        profile = profile or Profile()
        self.machine = BatchService(profile, Random(seed), START, catalogue())
        self._events: list[tuple[datetime, int, Callable[..., Any], tuple]] = []
        self._seq = 0
        self._nodes = nodes(profile, Random(seed), self._later)

    def _later(self, seconds: float, stimulus: Callable[..., Any], *args: Any) -> None:
        self._at(self.now + timedelta(seconds=seconds), stimulus, args)

    def _at(self, when: datetime, stimulus: Callable[..., Any], args: tuple) -> None:
        self._seq += 1
        heapq.heappush(self._events, (when, self._seq, stimulus, args))

    def do(self, stimulus: Callable[..., Any], *args: Any) -> Any:
        result, instructions = self.machine.apply(self.now, stimulus, *args)
        for instruction in instructions:
            if isinstance(instruction, SetTimer):
                self._at(instruction.at, timers.fire, instruction.key)
            else:
                self._nodes.carry_out(instruction)
        return result

    def pass_time(self, seconds: float) -> None:
        """What happens in so many seconds."""
        end = self.now + timedelta(seconds=seconds)
        while self._events and self._events[0][0] <= end:
            self.now, _, stimulus, args = heapq.heappop(self._events)
            self.do(stimulus, *args)
        self.now = end

    def run_until(self, over: Callable[[], bool]) -> None:
        while not over():
            self.now, _, stimulus, args = heapq.heappop(self._events)
            self.do(stimulus, *args)


def cost(shape: Shape, count: int) -> float:
    """Seconds of CPU per task, from its request to its end."""
    simulation = Simulation()
    size = {} if shape.pool and "enableAutoScale" in shape.pool else {"targetDedicatedNodes": shape.nodes}
    pool = {"id": "pool", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE} | size
    pool |= shape.pool or {}
    made = simulation.do(pools.create, check_model("BatchPoolCreateOptions", pool, ""))
    simulation.run_until(lambda: sum(node.usable for node in made.nodes.values()) == shape.nodes)
    many = []
    for i in range(shape.jobs):
        body = {"id": f"job-{i}", "poolInfo": {"poolId": "pool"}, "usesTaskDependencies": True}
        many.append(simulation.do(jobs.create, check_model("BatchJobCreateOptions", body, "")))
    groups = [
        [{"id": str(i), "commandLine": "true"} | shape.task(i) for i in range(first, min(first + 100, count))]
        for first in range(0, count, 100)
    ]
    begun = time.process_time()
    for i, group in enumerate(groups):
        bodies = [check_model("BatchTaskCreateOptions", body, "") for body in group]
        simulation.do(tasks.create_collection, many[i % shape.jobs], bodies)
    simulation.run_until(lambda: sum(job.counts["completed"] for job in many) == count)
    spent = time.process_time() - begun
    if (good := sum(job.counts["succeeded"] for job in many)) != count:
        raise SystemExit(f"Of {count} tasks {good} have succeeded.")
    return spent / count
