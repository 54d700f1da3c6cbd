"""Lets no more of a run's tasks begin, and waits for those that run."""

from collections.abc import Mapping
from typing import Protocol

QUIET = 2
"""So many times no task must be running: the service's lists lag."""


class Queue(Protocol):
    """A Batch job, as it matters here."""

    job_id: str
    open_slots: dict[str, int]


class Service(Protocol):
    """What is asked of the Batch service, see `snakemake.azure.batch.client.Batch`."""

    def disable_job(self, job_id: str) -> None: ...

    def runs_on_nodes(self, job_id: str) -> Mapping[str, object]: ...


class Draining:
    """Of the Batch jobs of `queues`, by whatever keys."""

    def __init__(self, service: Service, queues: Mapping[str, Queue]) -> None:
        self._service, self._queues = service, queues
        self._disabled: set[str] = set()
        self._quiet = 0

    def look(self) -> int:
        """How many tasks run; those that wait begin no more. To be called again and again, each time before a poll.

        Raises
        ------
        BatchError: the service could not be asked.
        """
        running = 0
        for queue in list(self._queues.values()):
            if not queue.open_slots:
                continue
            if queue.job_id not in self._disabled:
                self._service.disable_job(queue.job_id)
                self._disabled.add(queue.job_id)
            running += len(self._service.runs_on_nodes(queue.job_id).keys() & queue.open_slots.keys())
        self._quiet = 0 if running else self._quiet + 1
        return running

    @property
    def is_over(self) -> bool:
        """Whether the poll that follows a look has had the last verdict."""
        return self._quiet >= QUIET
