"""Days of work: jobs with what they come after, how long they take and what they take of a node; and a client that runs
such a day through `BatchRun`, as the executor does, with the look-ahead into the DAG."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from misc.bench.stepped import SECONDS
from snakemake.azure.batch.lease import PoolLeases, Renewals
from snakemake.azure.batch.placement import Place
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.run import BatchRun, PoolQueue
from snakemake.azure.batch.tasks import Task
from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.azure.node.order import NodeOrder
from snakemake.executors.azure_batch_ahead import LookAhead

POLL = timedelta(seconds=10)
VM = "Standard_D4s_v5"
ORDER = NodeOrder((), "c/b", "0" * 64, "1" * 64)
OS_IMAGE: Any = SimpleNamespace(
    publisher="microsoft-dsvm",
    offer="ubuntu-hpc",
    sku="2404",
    version="latest",
    node_agent_sku_id="batch.node.ubuntu 24.04",
)


@dataclass(eq=False)
class Job:
    """A job of the DAG; `name` is its rule, and `seconds` is None where the profile says how long tasks take."""

    name: str
    number: int
    seconds: float | None
    slots: int = 1
    after: "list[Job]" = field(default_factory=list)
    is_local: bool = False

    @property
    def id(self) -> str:
        return f"{self.name}-{self.number}"

    def is_group(self) -> bool:
        return False

    @property
    def rule(self) -> Any:
        return SimpleNamespace(resources={})


@dataclass(frozen=True)
class Day:
    """`slots` are a node's, `most` is the most nodes of the pool."""

    name: str
    jobs: list[Job]
    slots: int = 4
    most: int = 10

    @property
    def work_hours(self) -> float:
        """Of nodes, if nothing of one were ever idle."""
        return (
            sum((job.seconds or 0) * job.slots for job in self.jobs if not job.is_local) / self.slots / 3600
        )


def bursts(random: Random) -> Day:
    """Four bursts of 120 jobs of 20 to 40 minutes; after each an hour in which the client works, or one job does."""
    jobs: list[Job] = []
    last: list[Job] = []
    for burst in range(4):
        some = [Job("each", 120 * burst + n, random.uniform(1200, 2400), 1, last) for n in range(120)]
        alone = Job("here", burst, 3600, 1, some, is_local=burst % 2 == 0)
        if not alone.is_local:
            alone.name = "gather"
        jobs += [*some, alone]
        last = [alone]
    return Day("bursts with pauses", jobs)


def half_a_day() -> Day:
    """Two bursts of 80 jobs with an hour of the client's between them; how long tasks take, the profile says."""
    first = [Job("each", n, None) for n in range(80)]
    here = Job("here", 0, 3600, after=first, is_local=True)
    second = [Job("each", 80 + n, None, after=[here]) for n in range(80)]
    return Day("two bursts", [*first, here, *second])


def tail(random: Random) -> Day:
    """1,000 jobs of 10 minutes, and one of 6 hours after them."""
    some = [Job("each", n, 600) for n in range(1000)]
    return Day("1,000 jobs, then one of 6 h", [*some, Job("last", 0, 6 * 3600, 1, some)])


def spot(random: Random) -> Day:
    """400 jobs of 20 to 40 minutes at once."""
    return Day("Spot nodes and a storm", [Job("each", n, random.uniform(1200, 2400)) for n in range(400)])


class Dag:
    """The part of Snakemake's DAG that the look-ahead looks at, and what is ready."""

    def __init__(self, jobs: list[Job]) -> None:
        self.depending: dict[Job, dict[Job, None]] = defaultdict(dict)
        self._n_until_ready = {job: len(job.after) for job in jobs}
        for job in jobs:
            for before in job.after:
                self.depending[before][job] = None
        self._finished: set[Job] = set()
        self.ready = [job for job in jobs if not job.after]

    def needrun(self, job: Job) -> bool:
        return True

    def finished(self, job: Job) -> bool:
        return job in self._finished

    def get_job_group(self, job: Job) -> None:
        return None

    def finish(self, job: Job) -> None:
        self._finished.add(job)
        for after in self.depending.get(job, ()):
            self._n_until_ready[after] -= 1
            if not self._n_until_ready[after]:
                self.ready.append(after)


def _task(job: Job) -> Task:
    seconds = {} if job.seconds is None else {SECONDS: str(job.seconds)}
    return Task(job.id, job.id, ORDER, job.slots, environment=seconds, rule=job.name)


class Sources:
    """No archive: nodes of the clock fetch none."""

    name, sha256 = "container/run/sources.tar.gz", "0" * 64

    def upload(self) -> None:
        pass

    def delete(self) -> bool:
        return True


class Client:
    """Runs a day. `now` is the service's clock, and `run_class` the policy."""

    def __init__(
        self,
        day: Day,
        batch: Any,
        now: Callable[[], datetime],
        run_class: type[BatchRun] = BatchRun,
        pool_id: str | None = None,
        lease: timedelta = timedelta(minutes=30),
        **plan: Any,
    ) -> None:
        self.day, self.batch, self.now, self.pool_id = day, batch, now, pool_id
        self.place = Place("", vm_size(VM), day.slots, 1)
        self.plan = PoolPlan("pool", VM, day.slots, day.most, "image:1", OS_IMAGE, **plan)
        self.dag = Dag(day.jobs)
        self.running: set[Job] = set()
        self.local: dict[Job, datetime] = {}
        self.tasks: dict[str, Job] = {}
        self.said: list[str] = []
        self.ahead = LookAhead(lambda: self.dag, lambda: self.running, self._place, now)
        leases = PoolLeases(lease)
        self.run = run_class(
            id="day",
            batch=batch,
            sources=Sources(),  # type: ignore[arg-type]
            environment={},
            image="image:1",
            patience=timedelta(hours=4),
            say=self._say,
            warn=self._say,
            now=now,
            leases=leases,
            ahead=self.ahead,
        )
        self.renewals = Renewals(
            batch, leases, now, lambda: (), lambda: None, 60, RuntimeError, print, self._say
        )
        self._leases = leases

    def _say(self, text: str) -> None:
        self.said.append(f"{self.now():%H:%M:%S} {text}")

    def _place(self, job: Job) -> Place:
        return Place(self.place.key, self.place.vm, self.day.slots, job.slots)

    def step(self) -> bool:
        """One poll; False when all is done."""
        for job in [job for job, end in self.local.items() if end <= self.now()]:
            del self.local[job]
            self._finish(job)
        for verdict in self.run.poll():
            if not verdict.success:
                raise SystemExit(f"{verdict.task_id}: {verdict.reason}")
            job = self.tasks.pop(verdict.task_id)
            self.ahead.end(job)
            self._finish(job)
        ready, self.dag.ready = self.dag.ready, []
        self.running.update(ready)
        for job in [job for job in ready if job.is_local]:
            self.local[job] = self.now() + timedelta(seconds=job.seconds or 0)
        if some := [job for job in ready if not job.is_local]:
            self._submit(some)
        self.renewals.renew(self._leases.due(self.now()))
        return bool(self.running)

    def _finish(self, job: Job) -> None:
        self.running.discard(job)
        self.dag.finish(job)

    def _submit(self, jobs: list[Job]) -> None:
        queue = self._queue(sum(job.slots for job in jobs))
        self.run.submit(queue, [_task(job) for job in jobs])
        for job in jobs:
            self.tasks[job.id] = job
            self.ahead.begin(job, job.id, self._place(job))

    def _queue(self, slots: int) -> PoolQueue:
        if self.pool_id:
            return self.run.join_queue("", self.pool_id)
        return self.run.open_queue("", self.plan, self.plan.nodes_for(slots))

    def close(self) -> Iterator[str]:
        return self.run.close()
