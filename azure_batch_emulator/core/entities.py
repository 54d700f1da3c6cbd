"""What the service knows: pools with their nodes, jobs with their tasks, and the runs under way.

`spec` is a validated request body with the service's defaults filled in, in wire names; the other attributes are
what the service adds. Keys are ids in lower case, because ids are unique without regard to case.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from .autoscale import History
from .indexes.free_nodes import FreeNodes
from .indexes.id_ranges import IdRanges
from .indexes.queues import ReadyQueue
from .indexes.task_index import TaskIndex
from .ledger import ZERO, Ledger, Tally
from .states import RUN, IllegalTransition, Stateful

Spec = dict
COUNTS = ("active", "running", "completed", "succeeded", "failed")


class Entity:
    """What has an id and a lifecycle."""

    __slots__ = ()

    id: str
    lifecycle: Stateful

    @property
    def key(self) -> str:
        key = self.id.lower()
        return self.id if key == self.id else key  # one string for both, where there are very many

    @property
    def state(self) -> str:
        return self.lifecycle.state

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()} {self.id}"


@dataclass
class Failed:
    """Category, code and text of a failureInfo or of a node's error; `details` are name and value pairs.

    https://learn.microsoft.com/azure/batch/error-handling
    """

    category: str
    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Execution:
    """What the service tells of the runs of one task of any kind."""

    start: datetime | None = None
    end: datetime | None = None
    exit_code: int | None = None
    failure: Failed | None = None
    result: str | None = None
    container_id: str | None = None
    retries: int = 0
    last_retry: datetime | None = None
    requeues: int = 0
    last_requeue: datetime | None = None


@dataclass(frozen=True)
class Ended:
    """A run's end as its node reports it: an exit code, or why the command never started (`failure`), or neither
    when it was killed before. `details` are name and value pairs that say more of a command that did run, such as that
    it ran out of memory; the times are those of processors, as far as its node knows."""

    exit_code: int | None = None
    failure: Failed | None = None
    container_id: str | None = None
    details: tuple[tuple[str, str], ...] = ()
    user_time: timedelta = field(default=ZERO, compare=False)
    kernel_time: timedelta = field(default=ZERO, compare=False)


RunKind = Literal["task", "start", "prep", "release"]
Goal = Literal["leave", "reboot", "deallocate", "restore", "recover"]
UP = frozenset({"idle", "running", "offline"})
ALIVE = UP | {"starting", "waitingforstarttask", "starttaskfailed"}


@dataclass
class Run:
    """One launch of a command on a node. Reports that name a run which is no longer here are ignored, so a late
    exit can't touch a task that has gone elsewhere.

    `phase`: waiting (for the preparation task), launching, running, uploading, lost (over, and the service does not
    know yet); of a multi-instance task also holding (the node, after the coordination command) and over (until the
    others are).
    `intent`: what a kill is for: recover (the node is lost), requeue, end, delete; None while nobody wants it to stop.
    `stage`: what an `instance` of a multi-instance task runs: its coordination command or the task's own.
    """

    id: str
    kind: RunKind
    pool: str
    node: str
    slots: int
    job: str | None = None
    task: "Task | None" = None
    phase: str = "launching"
    intent: str | None = None
    expired: bool = False
    instance: int = 0
    stage: Literal["only", "coordination", "application"] = "only"

    def enter(self, phase: str) -> None:
        """The only way to another phase: an IllegalTransition, and nothing changes, unless the table has it."""
        if phase != self.phase and phase not in RUN[self.phase]:
            raise IllegalTransition(self, "run", self.phase, phase, ())
        self.phase = phase

    def __str__(self) -> str:
        return f"run {self.id}"


@dataclass
class NodeTask:
    """A start, preparation or release task on one node. `stale`: to be run again, as the node has been rebooted."""

    id: str
    spec: Spec
    state: str = "running"
    execution: Execution = field(default_factory=Execution)
    waiting: list[str] = field(default_factory=list)
    stale: bool = False


@dataclass
class NodeUser:
    """An account for SSH on a node. Its password is not kept: there is nothing to log in to."""

    name: str
    admin: bool
    expiry: datetime
    has_password: bool
    ssh_public_key: str | None = None


@dataclass
class Account:
    """What can be changed of the account itself: `keys` that were made anew, by name, its `tags`, and when the keys of
    the linked storage account were `synchronised`."""

    keys: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    synchronised: datetime | None = None


@dataclass
class Usage:
    """What one pool used in one interval that begins at `start`."""

    pool: str
    vm_size: str
    start: datetime
    core_hours: float = 0.0


@dataclass
class Node(Entity):
    """`goal` is what the node does as soon as its tasks let go of it. `boot` numbers its starts: reports and timers
    that name another one come too late. `disk` is since when it has held files: those of earlier tasks are gone."""

    id: str
    pool: str
    number: int
    dedicated: bool
    slots: int
    lifecycle: Stateful
    allocated: datetime
    disk: datetime
    booted: datetime | None = None
    schedulable: bool = True
    runs: dict[str, int] = field(default_factory=dict)
    goal: Goal | None = None
    retaining: bool = False
    boot: int = 0
    start: NodeTask | None = None
    preps: dict[str, NodeTask] = field(default_factory=dict)
    releases: dict[str, NodeTask] = field(default_factory=dict)
    errors: list[Failed] = field(default_factory=list)
    recent: list["Task"] = field(default_factory=list)
    total_run: int = 0
    total_succeeded: int = 0
    users: dict[str, NodeUser] = field(default_factory=dict)
    ordinal: int = 0
    metered: datetime | None = None

    @property
    def leaving(self) -> bool:
        return self.goal == "leave"

    @property
    def free(self) -> int:
        return self.slots - sum(self.runs.values())

    @property
    def address(self) -> str:
        """Its IP address, which nothing can be reached by: nodes are not machines of their own."""
        return f"10.0.{self.number // 250 % 256}.{self.number % 250 + 4}"

    @property
    def usable(self) -> bool:
        return self.state in ("idle", "running") and self.schedulable and not self.leaving

    @property
    def up(self) -> bool:
        """Whether it has started and can carry out commands."""
        return self.state in UP

    @property
    def alive(self) -> bool:
        """Whether the service can reach it: its files can be read, and it can be lost."""
        return self.state in ALIVE

    def holds(self, task: "Task") -> bool:
        """Whether the task's files are on the node's disk."""
        start = task.execution.start
        return (
            task.files == "kept"
            and (self.pool, self.id) in task.places
            and start is not None
            and start >= self.disk
        )


@dataclass(frozen=True)
class ScalingRun:
    """One evaluation of a formula, as autoScaleRun shows it; `error` is its code, message and details."""

    time: datetime
    results: str
    error: tuple[str, str, str] | None = None


@dataclass
class Scaling:
    """A pool's autoscaling: `id` names its chain of samples, `schedule` that of its evaluations."""

    formula: str
    interval: str
    id: int
    schedule: int = 0
    history: History = field(default_factory=History)
    run: ScalingRun | None = None


@dataclass(frozen=True)
class ResizeError:
    """Why a pool did not get its nodes. `reason` says more than the service's fixed text; `provider` is the code with
    which the provider of the machines refused them, where it was that."""

    code: str
    message: str
    reason: str = ""
    provider: str = ""


@dataclass
class Pool(Entity):
    """`scaling_asked` is when enableautoscale was called last; `found` from when on requests find the pool."""

    id: str
    spec: Spec
    created: datetime
    modified: datetime
    etag: str
    lifecycle: Stateful
    allocation: Stateful
    nodes: dict[str, Node] = field(default_factory=dict)
    free: FreeNodes = field(default_factory=FreeNodes)
    dedicated: int = 0
    low_priority: int = 0
    resize: int = 0
    pending: bool = False
    errors: list[ResizeError] = field(default_factory=list)
    scaling: Scaling | None = None
    scaling_asked: datetime | None = None
    found: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    statistics: Ledger = field(default_factory=Ledger)


@dataclass
class Plan:
    """Faults that somebody has asked for, each for the next occasion. `allocations` are codes of resize errors, or
    `stall`; `boots` and `start_tasks` how many of the next ones fail; `capacity` is the region's low-priority cores,
    in place of the profile's, `not_found` the seconds for which what is made from now on is not found; `size_cores` the
    cores that the region has for nodes of a VM size, by its lower-case name."""

    allocations: list[str] = field(default_factory=list)
    boots: int = 0
    start_tasks: int = 0
    capacity: int | None = None
    not_found: float | None = None
    size_cores: dict[str, int] = field(default_factory=dict)


@dataclass
class Subtask:
    """An instance of a multi-instance task other than its primary."""

    id: int
    node: tuple[str, str]
    lifecycle: Stateful
    execution: Execution = field(default_factory=Execution)


@dataclass
class Attempt:
    """The present attempt of a multi-instance task (see `runs.multi_instance`): its `runs` by instance, whether files
    are fetched, how it `ended` once that is known, and the runs whose commands may have left processes (`lingering`).
    """

    runs: list[str]
    fetch: bool
    ended: Ended | None = None
    lingering: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Task(Entity):
    id: str
    seq: int
    spec: Spec
    created: datetime
    modified: datetime
    etag: str
    lifecycle: Stateful
    execution: Execution = field(default_factory=Execution)
    node: tuple[str, str] | None = None
    run: str | None = None
    files: Literal["none", "kept", "cleaned"] = "none"
    unmet: set[str] | None = None
    satisfied: bool = False
    manager: bool = False
    job: str = ""
    attempt: Attempt | None = None
    subtasks: tuple[Subtask, ...] = ()
    spent: Tally | None = None

    @property
    def slots(self) -> int:
        return self.spec["requiredSlots"]

    @property
    def instances(self) -> int:
        """How many nodes it takes."""
        return self.spec.get("multiInstanceSettings", {}).get("numberOfInstances", 1)

    @property
    def places(self) -> list[tuple[str, str]]:
        """Pool and node of each of its instances, the primary's first; nowhere before it has been placed."""
        return [] if self.node is None else [self.node, *(subtask.node for subtask in self.subtasks)]


@dataclass
class Retention:
    """When the files of completed tasks are to go: a heap of time, sequence number and key, and when its timer
    fires."""

    queue: list[tuple[datetime, int, str]] = field(default_factory=list)
    timer: datetime | None = None


@dataclass
class Job(Entity):
    """`pool_id` is the pool that the job has been given, "" when its auto pool could not be made. `ready` holds the
    waiting tasks that any free slots do for; `constrained` those that need certain nodes (multi-instance tasks and job
    managers), with their age. `runs` are those of tasks (of a multi-instance task the primary's), `prep_release_runs`
    those of preparation and release tasks."""

    id: str
    seq: int
    spec: Spec
    created: datetime
    modified: datetime
    etag: str
    lifecycle: Stateful
    started: datetime
    pool_id: str = ""
    schedule: str | None = None
    ended: datetime | None = None
    reason: str | None = None
    error: Failed | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    index: TaskIndex = field(default_factory=TaskIndex)
    latest: Spec = field(default_factory=dict)
    ready: ReadyQueue = field(default_factory=ReadyQueue)
    constrained: dict[str, int] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    prep_release_runs: set[str] = field(default_factory=set)
    dying: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    slot_counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    waiting_on: dict[str, set[str]] = field(default_factory=dict)
    id_ranges: IdRanges = field(default_factory=IdRanges)
    retention: Retention = field(default_factory=Retention)
    released: bool = False
    found: datetime | None = None
    statistics: Ledger = field(default_factory=Ledger)

    @property
    def pool(self) -> str:
        return self.pool_id.lower()

    @property
    def waiting(self) -> int:
        """How many tasks could begin at once, if there were nodes for them."""
        return len(self.ready) + len(self.constrained)

    def withdraw(self, task: Task) -> None:
        """The task waits for a node no longer."""
        self.ready.discard(task.key)
        self.constrained.pop(task.key, None)


@dataclass
class JobSchedule(Entity):
    """`jobs_created` counts the jobs so far; `last_created` is when the last one was created; `timer` names the timer
    that counts; `pool_id` is the auto pool that the jobs share, or ""; `statistics` are those of jobs that are gone."""

    id: str
    spec: Spec
    created: datetime
    modified: datetime
    etag: str
    lifecycle: Stateful
    jobs_created: int = 0
    last_created: datetime | None = None
    recent: str | None = None
    ended: datetime | None = None
    pool_id: str = ""
    timer: int = 0
    statistics: Ledger = field(default_factory=Ledger)
