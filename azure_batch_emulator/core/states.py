"""The states of pools, nodes, job schedules, jobs, tasks and runs, and every move between them.

One table per entity. `move` is the only way to change a state: a move that is not in the table raises
`IllegalTransition`, which tells the entity's story, and changes nothing.

A pool has two machines: its own state, and that of its allocation. A node's `idle` and `running` differ only in
whether a task is on it; `preempted`, `unknown` and `unusable` happen to nodes, and the service leads them back to
`starting`; `reimaging` needs a kind of pool that the service no longer has. A task that is retried or requeued goes
back to `active` or stays where it is; only `reactivate` leads out of `completed`. A job that is deleted, and a node
that has left, is no longer there, which is not a state.
https://learn.microsoft.com/azure/batch/jobs-and-tasks, https://learn.microsoft.com/azure/batch/nodes-and-pools
"""

from collections import UserDict
from dataclasses import dataclass
from datetime import datetime


class Table(UserDict[str, set[str]]):
    """The moves out of each state. Its name stands for it where states are stored."""

    def __init__(self, name: str, moves: dict[str, set[str]]) -> None:
        super().__init__(moves)
        self.name = name
        TABLES[name] = self


TABLES: dict[str, Table] = {}

POOL = Table("pool", {
    "active": {"deleting"},
    "deleting": set(),
})  # fmt: skip

ALLOCATION = Table("allocation", {
    "steady": {"resizing"},
    "resizing": {"steady", "stopping"},
    "stopping": {"steady"},
})  # fmt: skip

NODE = Table("node", {
    "creating": {"starting", "preempted", "unusable", "leavingpool"},
    "starting": {"idle", "offline", "waitingforstarttask", "preempted", "unknown", "unusable", "leavingpool"},
    "waitingforstarttask": {
        "idle", "offline", "starttaskfailed", "rebooting", "preempted", "unknown", "unusable", "leavingpool",
    },
    "idle": {"running", "offline", "rebooting", "deallocating", "preempted", "unknown", "unusable", "leavingpool"},
    "running": {"idle", "offline", "rebooting", "deallocating", "preempted", "unknown", "unusable", "leavingpool"},
    "offline": {"idle", "running", "rebooting", "deallocating", "preempted", "unknown", "unusable", "leavingpool"},
    "rebooting": {"starting", "preempted", "leavingpool"},
    "deallocating": {"deallocated", "preempted", "leavingpool"},
    "deallocated": {"starting", "leavingpool"},
    "starttaskfailed": {"rebooting", "preempted", "unknown", "unusable", "leavingpool"},
    "preempted": {"creating", "leavingpool"},
    "unknown": {"unusable", "preempted", "leavingpool"},
    "unusable": {"starting", "preempted", "leavingpool"},
    "leavingpool": set(),
})  # fmt: skip

JOB = Table("job", {
    "active": {"disabling", "terminating", "deleting"},
    "disabling": {"disabled", "terminating", "deleting"},
    "disabled": {"enabling", "terminating", "deleting"},
    "enabling": {"active"},
    "terminating": {"completed", "deleting"},
    "completed": {"deleting"},
    "deleting": set(),
})  # fmt: skip

JOB_SCHEDULE = Table("job schedule", {
    "active": {"disabled", "terminating", "deleting"},
    "disabled": {"active", "terminating", "deleting"},
    "terminating": {"completed", "deleting"},
    "completed": {"deleting"},
    "deleting": set(),
})  # fmt: skip

SUBTASK = Table("subtask", {
    "preparing": {"running", "completed"},
    "running": {"completed"},
    "completed": set(),
})  # fmt: skip

# Phases of a run, which only the service knows. It may be over, or reported as over, before it was reported as running;
# a restart takes an upload back, and the last run of a multi-instance task uploads after all of them have let go.
RUN = Table("run", {
    "waiting": {"launching", "lost", "over"},
    "launching": {"waiting", "running", "holding", "uploading", "lost", "over"},
    "running": {"holding", "uploading", "lost", "over"},
    "holding": {"lost", "over"},
    "uploading": {"running", "lost"},
    "lost": {"over"},
    "over": {"uploading"},
})  # fmt: skip

TASK = Table("task", {
    "active": {"preparing", "completed"},
    "preparing": {"running", "active", "completed"},
    "running": {"active", "completed"},
    "completed": {"active"},
})  # fmt: skip


class IllegalTransition(Exception):
    """A move that the tables don't have: a defect of the emulator, told with the entity's story."""

    def __init__(self, entity: object, machine: str, old: str, new: str, story: tuple[str, ...]) -> None:
        super().__init__(f"{entity} can't go from {machine} {old!r} to {new!r}; so far: {' '.join(story)}")


@dataclass(slots=True)
class Stateful:
    """A state, since when, the one before, and the last few moves (for IllegalTransition)."""

    table: Table
    state: str
    since: datetime
    previous: str | None = None
    previous_since: datetime | None = None
    story: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.story:
            self.story = (self.state,)

    def move(self, entity: object, new: str, now: datetime) -> None:
        if new not in self.table[self.state]:
            raise IllegalTransition(entity, type(entity).__name__, self.state, new, self.story)
        self.previous, self.previous_since = self.state, self.since
        self.state, self.since = new, now
        self.story = (*self.story[-11:], new)
