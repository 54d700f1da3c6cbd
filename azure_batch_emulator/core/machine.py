"""The machine: all entities with indexes of them, the time of the present stimulus, and the outbox."""

from collections import ChainMap
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar, TypeVar

from ..protocol.errors import BatchError
from .bodies.applications import Application
from .bodies.catalogue import Catalogue
from .entities import Account, Job, JobSchedule, Node, Plan, Pool, Run, Spec, Task, Usage
from .events import Event
from .indexes.free_nodes import FreeNodes
from .indexes.queues import CONSTRAINED, ORDINARY, JobLine, LineEntry
from .instructions import Instruction, SetTimer
from .ledger import Ledger
from .profile import Profile

T = TypeVar("T")
E = TypeVar("E", Pool, Job)


class Machine:
    """The state of one Batch account. `random` is the source of all ids, delays and faults; `catalogue` is what the
    region offers and the account was given; what has been added to its applications is in it too.

    What is annotated here is kept over a restart (see `snapshot`); `TRANSIENT` names what is passed in again or made
    anew from the rest.
    """

    TRANSIENT: ClassVar[frozenset[str]] = frozenset(
        {
            "profile",
            "catalogue",
            "_given",
            "random",
            "now",
            "dirty",
            "holding",
            "pressing",
            "making_room",
            "kept_data",
            "lines",
            "_jobs_on",
            "_jobs_of",
            "_yielding",
            "_out",
        }
    )

    epoch: datetime
    plan: Plan
    account: Account
    applications: dict[str, Application]
    pools: dict[str, Pool]
    job_schedules: dict[str, JobSchedule]
    jobs: dict[str, Job]
    runs: dict[str, Run]
    usage: dict[str, Usage]
    _seq: int

    def __init__(self, profile: Profile, random: Random, now: datetime, catalogue: Catalogue) -> None:
        self.profile = profile
        self.account = Account()
        self.applications = {}
        self._given = catalogue
        self.catalogue = self._offer_applications()
        self.random = random
        self.now = self.epoch = now
        self.plan = Plan()
        self.pools = {}
        self.job_schedules = {}
        self.jobs = {}
        self.runs = {}
        self.usage = {}
        self.dirty: set[str] = set()
        self.holding: set[str] = set()
        self.pressing: set[str] = set()
        self.making_room: dict[str, dict[str, int]] = {}
        self.kept_data: dict[str, tuple[int, list[Task]]] = {}
        self.lines: dict[str, JobLine] = {}
        self._jobs_on: dict[str, dict[str, Job]] = {}
        self._jobs_of: dict[str, dict[str, Job]] = {}
        self._yielding: dict[str, dict[str, Job]] = {}
        self._out: list[Instruction] = []
        self._seq = 0

    def show(self, now: datetime, look: Callable[["Machine"], T]) -> T:
        """What `look`, which changes nothing, sees at a time."""
        self.now = max(now, self.now)
        return look(self)

    def tell(self, event: Event) -> None:
        """Has those react whom the event concerns, before it returns."""
        raise NotImplementedError

    def emit(self, instruction: Instruction) -> None:
        self._out.append(instruction)

    def set_timer(self, after: timedelta | float, *key: Any) -> None:
        delay = after if isinstance(after, timedelta) else timedelta(seconds=after)
        try:
            at = self.now + delay
        except OverflowError:
            return  # beyond the calendar: as good as never
        self.emit(SetTimer(at, key))

    def open_ledger(self) -> Ledger:
        return Ledger(self.now, timedelta(seconds=self.profile.statistics))

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def new_etag(self) -> str:
        # The service's are ticks in hexadecimal; here the last digits count, so that no two are alike.
        return f"0x8D{int(self.now.timestamp() * 1000):X}{self.next_seq():X}"

    def hex(self, digits: int) -> str:
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"

    def touch(self, entity: Pool | JobSchedule | Job | Task) -> None:
        """A change that clients see in the entity tag."""
        entity.modified, entity.etag = self.now, self.new_etag()

    def pool(self, pool_id: str) -> Pool:
        """For requests: what was made a moment ago may not be found yet."""
        return self._seen(_found(self.pools.get(pool_id.lower()), "PoolNotFound"), "PoolNotFound")

    def _seen(self, entity: E, code: str) -> E:
        if entity.found is not None and self.now < entity.found:
            raise BatchError(code)
        return entity

    def node(self, pool_id: str, node_id: str) -> Node:
        return _found(self.pool(pool_id).nodes.get(node_id.lower()), "NodeNotFound")

    def job_schedule(self, schedule_id: str) -> JobSchedule:
        return _found(self.job_schedules.get(schedule_id.lower()), "JobScheduleNotFound")

    def job(self, job_id: str) -> Job:
        return self._seen(_found(self.jobs.get(job_id.lower()), "JobNotFound"), "JobNotFound")

    def task(self, job_id: str, task_id: str) -> Task:
        return _found(self.job(job_id).tasks.get(task_id.lower()), "TaskNotFound")

    def find_node(self, pool_key: str, node_id: str) -> Node | None:
        pool = self.pools.get(pool_key)
        return pool.nodes.get(node_id) if pool else None

    # Indexes: jobs by pool and by schedule, those of them that may have something to run, those whose tasks make room
    # for others, and each pool's free nodes.

    def add_job(self, job: Job) -> None:
        self.jobs[job.key] = job
        self._index(job)

    def _index(self, job: Job) -> None:
        self._jobs_on.setdefault(job.pool, {})[job.key] = job
        if job.schedule is not None:
            self._jobs_of.setdefault(job.schedule, {})[job.key] = job
        if job.spec["allowTaskPreemption"]:
            self._yielding.setdefault(job.pool, {})[job.key] = job
            self.pressing.add(job.pool)
            self.dirty.add(job.pool)
        self.line_up(job)

    def remove_job(self, job: Job) -> None:
        del self.jobs[job.key]
        if schedule := self.job_schedules.get(job.schedule or ""):
            job.statistics.go_on(0, self.now)
            schedule.statistics.absorb(job.statistics, self.now)
        self._leave_pool(job, job.pool)
        if job.schedule is not None:
            here = self._jobs_of[job.schedule]
            del here[job.key]
            if not here:
                del self._jobs_of[job.schedule]

    def change_job(self, job: Job, spec: Spec) -> None:
        """The job has another specification, which may name another pool or priority."""
        self._leave_pool(job, job.pool)
        job.spec = spec
        job.pool_id = spec["poolInfo"].get("poolId", job.pool_id)
        self._index(job)

    def _leave_pool(self, job: Job, pool_key: str) -> None:
        here = self._jobs_on[pool_key]
        del here[job.key]
        self._yielding.get(pool_key, {}).pop(job.key, None)
        if not here:
            del self._jobs_on[pool_key]
            self._yielding.pop(pool_key, None)
            self.lines.pop(pool_key, None)

    def jobs_on(self, pool_key: str) -> list[Job]:
        return list(self._jobs_on.get(pool_key, {}).values())

    def jobs_of(self, schedule: JobSchedule) -> list[Job]:
        return list(self._jobs_of.get(schedule.key, {}).values())

    def line_up(self, job: Job) -> None:
        """The job may have a task to place on its pool."""
        ready = len(job.ready)
        if job.state != "active" or not (ready or job.constrained):
            return
        pool = job.pool
        if (line := self.lines.get(pool)) is None:
            line = self.lines[pool] = JobLine()
        if job.constrained:
            line.add(self.line_entry(job, CONSTRAINED))
        if ready:
            line.add(self.line_entry(job, ORDINARY))
        self.dirty.add(pool)
        yielding = self._yielding.get(pool)
        if yielding and any(other.spec["priority"] < job.spec["priority"] for other in yielding.values()):
            self.pressing.add(pool)

    def offer(self, node: Node) -> None:
        """The node's room may have changed: its pool's index is told."""
        pool = self.pools.get(node.pool)
        if pool and pool.free.set(node.id, node.number, node.free if node.usable else 0):
            self.dirty.add(pool.key)

    def reindex(self) -> None:
        """Makes the indexes anew from the entities."""
        self.catalogue = self._offer_applications()
        self.lines, self._jobs_on, self._jobs_of, self._yielding = {}, {}, {}, {}
        for pool in self.pools.values():
            pool.free = FreeNodes()
            for node in pool.nodes.values():
                self.offer(node)
        for job in self.jobs.values():
            self._index(job)

    def _offer_applications(self) -> Catalogue:
        both = ChainMap(dict(self._given.applications), self.applications)
        return replace(self._given, applications=both)

    @staticmethod
    def line_entry(job: Job, kind: int) -> LineEntry:
        return -job.spec["priority"], kind, job.seq, job.key


def _found(entity: T | None, code: str) -> T:
    if entity is None:
        raise BatchError(code)
    return entity
