"""What the DAG makes ready next: jobs all of whose missing predecessors are open tasks, or run on this machine.

Looked up from the open jobs, so that it costs what these have after them, and not what the DAG has. Local jobs between
two others are passed through.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.durations import Durations
from snakemake.azure.batch.placement import Place
from snakemake.azure.batch.scaling import NextJob

STEPS = 20_000
"""So many edges of the DAG are followed at most."""

NEXT = 5_000
"""So many jobs are told at most."""

DEEP = 5
"""So many local jobs in a row are passed through."""

PLACED_BY = ("_cores", "mem_mb", "mem", "disk_mb", "gpu", "az_slots", "az_vm_size", "az_pool", "az_spot")


class LookAhead:
    """`dag` tells the DAG, `running` all jobs of the scheduler that run; `place` finds a job's place."""

    def __init__(
        self,
        dag: Callable[[], Any],
        running: Callable[[], Iterable[Any]],
        place: Callable[[Any], Place],
        now: Callable[[], datetime],
    ) -> None:
        self._dag, self._running, self._place, self._now = dag, running, place, now
        self._open: dict[Any, str] = {}
        self._local: dict[Any, datetime] = {}
        self._places: dict[str, Place] = {}
        self._durations = Durations()

    def begin(self, job: Any, task_id: str, place: Place | None = None) -> None:
        """The job is this task from now on."""
        self._open[job] = task_id
        if place is not None:
            self._places[job.name] = place

    def end(self, job: Any) -> None:
        self._open.pop(job, None)

    def __call__(self) -> Sequence[NextJob]:
        """The jobs that come next; none where the DAG is being changed at this moment."""
        try:
            self._note_local()
            return list(self._next())
        except (RuntimeError, KeyError):  # the scheduler's thread has changed what is looked at
            return []

    def _note_local(self) -> None:
        """Since when local jobs run, and how long they took, to the second look."""
        now, running = self._now(), {job for job in list(self._running()) if job.is_local}
        for job in [job for job in self._local if job not in running]:
            self._durations.add(job.name, (now - self._local.pop(job)).total_seconds())
        for job in running:
            self._local.setdefault(job, now)

    def _next(self) -> Iterator[NextJob]:
        dag, steps, told = self._dag(), STEPS, 0
        before: dict[Any, list[Any]] = defaultdict(list)
        groups: set[Any] = set()
        frontier = [(job, 0) for one in [*self._open, *self._local] for job in _members(one)]
        while frontier:
            job, depth = frontier.pop()
            for after in list(dag.depending.get(job, ())):
                steps -= 1
                if not dag.needrun(after) or dag.finished(after):
                    continue
                before[after].append(job)
                if len(before[after]) != dag._n_until_ready.get(after, 0):
                    continue
                if after.is_local:
                    if depth < DEEP:
                        frontier.append((after, depth + 1))
                    continue
                if group := dag.get_job_group(after):
                    if group in groups or group in self._open:
                        continue
                    groups.add(group)
                if place := self._place_of(group or after):
                    yield self._told(dag, after, place, before)
                    told += 1
            if steps < 0 or told >= NEXT:
                return

    def _told(self, dag: Any, job: Any, place: Place, before: dict[Any, list[Any]]) -> NextJob:
        """The job with all that it waits for, through local jobs that have yet to come."""
        tasks: dict[str, None] = {}
        local: dict[Any, None] = {}
        later: float | None = 0.0
        ways = list(before[job])
        while ways:
            one = ways.pop()
            if task := self._open.get(one) or self._open.get(dag.get_job_group(one)):
                tasks[task] = None
            elif one in self._local:
                local[one] = None
            elif one.is_local:
                typical = self._durations.typical(one.name)
                later = None if later is None or typical is None else later + typical
                ways += before[one]
        return NextJob(place.key, place.slots, list(tasks), [self._end(one) for one in local], later)

    def _end(self, job: Any) -> datetime | None:
        """When a local job is over; None if nobody knows."""
        now = self._now()
        left = self._durations.left(job.name, (now - self._local[job]).total_seconds())
        return None if left is None else now + timedelta(seconds=left)

    def _place_of(self, job: Any) -> Place | None:
        """Where a job of its rule went before, or this one goes; None where that can't be told yet."""
        if job.name not in self._places and not job.is_group():
            resources = job.rule.resources
            if any(name in resources and resources[name].is_evaluable() for name in PLACED_BY):
                return None
            try:
                self._places[job.name] = self._place(job)
            except WorkflowError:
                return None
        return self._places.get(job.name)


def _members(job: Any) -> Iterable[Any]:
    return job.jobs if job.is_group() else [job]
