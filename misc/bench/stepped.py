"""The emulator's core behind the client's door: what `snakemake.azure.batch.client.Batch` asks by HTTP is asked here by
calls, on a clock that jumps. Answers are the service's own, as the SDK's models."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from azure.batch import models

from azure_batch_emulator.core.entities import Ended, Task
from azure_batch_emulator.core.instructions import NodeInstruction, StartRun
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.pools import pools, scaling
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.views import views
from azure_batch_emulator.nodes.simulated import SimulatedNodes
from azure_batch_emulator.protocol.errors import BatchError as Refusal
from azure_batch_emulator.protocol.schema import check_model
from misc.bench.shapes import Simulation
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.batch.pool_requests import Scaled
from snakemake.azure.batch.task_requests import Rejected

SECONDS = "SECONDS"
"""The variable of a task that says how long it takes."""


class TimedNodes(SimulatedNodes):
    """Tasks take as long as their environment says."""

    def carry_out(self, order: NodeInstruction) -> None:
        if isinstance(order, StartRun) and (given := _seconds(order.spec)) is not None:
            self._later(0.0, reports.running, order.run)
            self._later(given, reports.exited, order.run, Ended(0))
        else:
            super().carry_out(order)


def _seconds(spec: dict) -> float | None:
    for variable in spec.get("environmentSettings", ()):
        if variable["name"] == SECONDS:
            return float(variable["value"])
    return None


class SteppedBatch:
    """As much of `Batch` as a run asks. `simulation` is the account."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.simulation = Simulation(profile, seed, TimedNodes)

    @property
    def machine(self) -> Any:
        return self.simulation.machine

    def now(self) -> datetime:
        return self.simulation.now

    def create_pool(self, pool: models.BatchPoolCreateOptions, identities: Sequence[str] = ()) -> str:
        self.make_pool(_wire(pool))
        return ""

    def make_pool(self, body: dict) -> None:
        """A pool by its request's body, made by somebody else."""
        self._do(pools.create, check_model("BatchPoolCreateOptions", body, ""))

    def get_pool(self, pool_id: str) -> models.BatchPool:
        return models.BatchPool(views.pool(self._pool(pool_id), ""))

    def list_nodes(self, pool_id: str) -> list[models.BatchNode]:
        machine, pool = self.machine, self._pool(pool_id)
        machine.now = self.simulation.now
        return [models.BatchNode(views.node(machine, node, "")) for node in pool.nodes.values()]

    def scale_pool(self, pool_id: str, formula: str, interval: timedelta) -> Scaled:
        body = {"autoScaleFormula": formula, "autoScaleEvaluationInterval": _duration(interval)}
        try:
            self._do(scaling.enable, self._pool(pool_id), body)
        except BatchError as e:
            if e.code in ("TooManyEnableAutoScaleRequests", "PoolBeingResized", "PoolBeingCreated"):
                return "too early"
            raise
        return "done"

    def delete_pool(self, pool_id: str) -> bool:
        self._do(pools.delete, self._pool(pool_id))
        return True

    def create_job(self, job: models.BatchJobCreateOptions) -> None:
        self._do(jobs.create, check_model("BatchJobCreateOptions", _wire(job), ""))

    def delete_job(self, job_id: str) -> bool:
        self._do(jobs.delete, self._job(job_id))
        return True

    def extend_job(self, job_id: str, longer: timedelta) -> None:
        pass

    def add_tasks(self, job_id: str, given: Sequence[dict]) -> list[Rejected]:
        bodies = [check_model("BatchTaskCreateOptions", task, "") for task in given]
        self._do(tasks.create_collection, self._job(job_id), bodies)
        return []

    def completed_tasks(self, job_id: str, since: datetime | None) -> list[ListedTask]:
        return self._tasks(
            job_id, lambda t: t.state == "completed" and (since is None or t.lifecycle.since >= since)
        )

    def runs_on_nodes(self, job_id: str) -> dict[str, tuple[str, datetime | None]]:
        found = self._tasks(job_id, lambda t: t.state == "running")
        return {task.id: (task.node_id, task.changed) for task in found}

    def task_states(self, job_id: str) -> dict[str, str]:
        return {task.id: task.state for task in self._job(job_id).tasks.values()}

    def terminate_task(self, job_id: str, task_id: str) -> None:
        self._do(tasks.terminate, self._job(job_id), self._job(job_id).tasks[task_id.lower()])

    def list_pools(self) -> list[models.BatchPool]:
        return [self.get_pool(pool.id) for pool in self.machine.pools.values()]

    def _tasks(self, job_id: str, wanted: Callable[[Task], bool]) -> list[ListedTask]:
        machine, job = self.machine, self._job(job_id)
        return [
            ListedTask.of(views.task(machine, job, task, "")) for task in job.tasks.values() if wanted(task)
        ]

    def _pool(self, pool_id: str) -> Any:
        return self.machine.pools[pool_id.lower()]

    def _job(self, job_id: str) -> Any:
        return self.machine.jobs[job_id.lower()]

    def _do(self, stimulus: Any, *args: Any) -> Any:
        with _refusals():
            return self.simulation.do(stimulus, *args)

    def node_hours(self) -> float:
        """Of all nodes that there have been, while they were paid for, when all of them are gone."""
        self.simulation.pass_time(3600)
        assert not self.machine.pools
        sizes = self.machine.catalogue.sizes
        return sum(one.core_hours / sizes[one.vm_size.lower()].cores for one in self.machine.usage.values())


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise BatchError(refusal.message, refusal.code, refusal.status) from None


def _wire(model: Any) -> dict:
    """The model as JSON has it."""
    return {name: value for name, value in model.as_dict().items() if value is not None}


def _duration(interval: timedelta) -> str:
    return f"PT{int(interval.total_seconds())}S"
