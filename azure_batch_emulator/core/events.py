"""What the core tells of itself: a change of one entity that others have to follow, further up than who made it.

`Machine.tell` hands an event to those that `reactions` names, in its order, before it returns: who reads a request or
a report from its beginning to its end sees all effects in the order in which they happen.
"""

from dataclasses import dataclass

from .entities import Job, Node, Pool, Task


@dataclass(slots=True)
class Event:
    """Something has happened; see `reactions`."""


@dataclass(slots=True)
class RunEnded(Event):
    """A run, or all of a multi-instance task's, has let go of its nodes; `job` is None for a start task."""

    job: Job | None
    nodes: list[Node]


@dataclass(slots=True)
class TaskCompleted(Event):
    """`exit_options` are what its specification says about such an end."""

    job: Job
    task: Task
    exit_options: dict


@dataclass(slots=True)
class StartTaskEnded(Event):
    """A node's start task has completed, for good or ill."""

    node: Node


@dataclass(slots=True)
class TaskFilesDeleted(Event):
    node: Node


@dataclass(slots=True)
class NodeRemoved(Event):
    pool: Pool


@dataclass(slots=True)
class JobEnded(Event):
    """The job has completed, or is gone."""

    job: Job
