"""Days of work: jobs with what they come after, how long they take and what they take of a node; and a client that runs
such a day through `BatchRun`, as the executor does, with the look-ahead into the DAG."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from misc.bench.stepped import SECONDS
from snakemake.azure.batch.capacity import Kind, Trouble
from snakemake.azure.batch.lease import PoolLeases, Renewals
from snakemake.azure.batch.placement import Demand, Place, Placement
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.run_settings import Listeners, PoolRules, TaskDefaults, Workload
from snakemake.azure.batch.stores import Stores
from snakemake.azure.batch.tasks import Task
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.report.journal import Journal
from snakemake.azure.settings import ExecutorSettings
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
    """A job of the DAG; `name` is its rule, `slots` are its threads, and `seconds` is None where the profile says how
    long tasks take. `sent` counts its tasks."""

    name: str
    number: int
    seconds: float | None
    slots: int = 1
    after: "list[Job]" = field(default_factory=list)
    is_local: bool = False
    mem_mib: int | None = None
    sent: int = 0

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


def mixed(random: Random) -> Day:
    """600 jobs of a thread and 20 to 40 minutes, of which few need much memory: 530 have 1.5 GiB, 60 have 3 GiB, and 10
    have 28 GiB, which is all of a node of the size with the most."""
    jobs = []
    for mib, count in ((1536, 530), (3072, 60), (28 * 1024, 10)):
        jobs += [Job(f"with{mib}", n, random.uniform(1200, 2400), mem_mib=mib) for n in range(count)]
    return Day("mixed memory", jobs)


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


def _task(job: Job, place: Place) -> Task:
    """A new task for the job, maybe not its first."""
    seconds = {} if job.seconds is None else {SECONDS: str(job.seconds)}
    job.sent += 1
    id = job.id if job.sent == 1 else f"{job.id}-{job.sent}"
    return Task(id, id, ORDER, place.slots, environment=seconds, rule=job.name, spot_tries=3 * place.spot)


class Sources:
    """No archive: nodes of the clock fetch none."""

    name, sha256 = "container/run/sources.tar.gz", "0" * 64

    def upload(self) -> None:
        pass

    def delete(self) -> bool:
        return True


class Client:
    """Runs a day. `now` is the service's clock, `run_class` the policy, and `sizes` are those that jobs may go to; with
    `pool_id` all go to that pool, as it is. Spot: all jobs may be on Spot nodes, three times each; journal: notes what
    happens."""

    def __init__(
        self,
        day: Day,
        batch: Any,
        now: Callable[[], datetime],
        run_class: type[BatchRun] = BatchRun,
        pool_id: str | None = None,
        sizes: str = VM,
        spot: bool = False,
        journal: Journal | None = None,
    ) -> None:
        self.journal = journal or Journal()
        self.day, self.batch, self.now, self.pool_id, self.spot = day, batch, now, pool_id, spot
        self.placement = Placement(ExecutorSettings(vm_size=sizes, nodes=day.most), None, now=now)
        self.dag = Dag(day.jobs)
        self.running: set[Job] = set()
        self.local: dict[Job, datetime] = {}
        self.tasks: dict[str, Job] = {}
        self.said: list[str] = []
        self.ahead = LookAhead(lambda: self.dag, lambda: self.running, self.place, now)
        leases = PoolLeases(timedelta(minutes=30))
        self.run = run_class(
            id="day",
            batch=batch,
            tasks=TaskDefaults("image:1", {}),
            stores=Stores(Sources()),  # type: ignore[arg-type]
            rules=PoolRules(patience=timedelta(hours=4)),
            listeners=Listeners(self._say, self._say, journal=self.journal),
            now=now,
            workload=Workload(self._movable, self.placement.reopen, self.ahead),
            leases=leases,
        )
        self.renewals = Renewals(
            batch, leases, now, lambda: (), lambda: None, 60, RuntimeError, print, self._say
        )
        self._leases = leases

    def _say(self, text: str) -> None:
        self.said.append(f"{self.now():%H:%M:%S} {text}")

    def place(self, job: Job, no_spot: bool = False) -> Place:
        return self.placement.place(self._demand(job, no_spot))

    def _demand(self, job: Job, no_spot: bool) -> Demand:
        return Demand(job.slots, job.mem_mib, spot=self.spot and not no_spot and self.pool_id is None)

    def _movable(
        self, key: str, trouble: Trouble, task_ids: Collection[str]
    ) -> tuple[Collection[str], Collection[str]]:
        self.placement.close(key, whole_series=trouble.kind is Kind.SERIES_QUOTA)
        movable = {
            id for id in task_ids if self.placement.has_other(self._demand(self.tasks[id], False), key)
        }
        return movable, [id for id in task_ids if id not in movable]

    def step(self) -> bool:
        """One poll; False when all is done."""
        for job in [job for job, end in self.local.items() if end <= self.now()]:
            del self.local[job]
            self._finish(job)
        for verdict in self.run.poll():
            job = self.tasks.pop(verdict.task_id)
            if verdict.moved:
                self._submit([job], verdict.no_spot)
                continue
            if not verdict.success:
                raise SystemExit(f"{verdict.task_id}: {verdict.reason}")
            self.ahead.end(job)
            self._finish(job)
        ready, self.dag.ready = self.dag.ready, []
        self.running.update(ready)
        for job in [job for job in ready if job.is_local]:
            self.local[job] = self.now() + timedelta(seconds=job.seconds or 0)
        self._submit([job for job in ready if not job.is_local])
        self.renewals.renew(self._leases.due(self.now()))
        return bool(self.running)

    def _finish(self, job: Job) -> None:
        self.running.discard(job)
        self.dag.finish(job)

    def _submit(self, jobs: list[Job], no_spot: bool = False) -> None:
        places = {job: self.placement.take(self._demand(job, no_spot)) for job in jobs}
        for place in dict.fromkeys(places.values()):
            members = [job for job in jobs if places[job] == place]
            queue = self._queue(place, sum(place.slots for _ in members))
            tasks = [_task(job, place) for job in members]
            self.run.submit(queue, tasks)
            for job, task in zip(members, tasks, strict=True):
                self.tasks[task.id] = job
                self.ahead.begin(job, task.id, place)

    def _queue(self, place: Place, slots: int) -> PoolQueue:
        if self.pool_id:
            return self.run.join_queue("", self.pool_id)
        if queue := self.run.queues.get(place.key):
            return queue
        plan = PoolPlan(
            f"pool-{len(self.run.queues) + 1}",
            place.vm.name,
            place.slots_per_node,
            self.day.most,
            "image:1",
            OS_IMAGE,
            spot=place.spot,
            buys_spot=place.spot,
        )
        self._note_pool(plan, place)
        return self.run.open_queue(place.key, plan, plan.nodes_for(slots))

    def _note_pool(self, plan: PoolPlan, place: Place) -> None:
        prices = self.placement.prices
        self.journal.note(
            "pool",
            pool=plan.id,
            vm_size=place.vm.name,
            slots=plan.slots,
            own=True,
            price=prices.of(place.vm),
            spot_price=prices.of(place.vm, spot=True),
            price_kind="listed",
            spot_price_kind="listed",
            currency=prices.currency,
        )

    def nodes(self) -> int:
        """How many there are."""
        ids = {queue.pool_id for queue in self.run.queues.values()}
        return sum(len(self.batch.list_nodes(pool_id)) for pool_id in ids)

    def close(self) -> Iterator[str]:
        return self.run.close()
