"""Which of the jobs that are ready a scheduler has to weigh.

Upstream's schedulers weigh all jobs that are ready, in each round. With thousands of them, that is most of what a job
costs. But jobs that need the same resources, have the same priority and use no temporary files are interchangeable: no
more of a kind than fit have to be weighed, those with the largest input first, as the greedy scheduler wants them.
What is chosen among these is as good as what is chosen among all.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, NamedTuple


class _Known(NamedTuple):
    kind: Hashable
    needs: tuple[int, ...]
    priority: int
    size: int  # of the input, in bytes


class Candidates:
    """Keeps what it has learned of a job until the job is forgotten. Resources have always the same names. No I/O."""

    def __init__(self) -> None:
        self._known: dict[Any, _Known] = {}

    def new(self, ready: Iterable[Any]) -> list[Any]:
        """Those of the jobs that are not known yet."""
        return [job for job in ready if job not in self._known]

    def learn(self, jobs: Iterable[Any], available: Iterable[str], sizes: Mapping[Any, int | None]) -> None:
        names = tuple(available)
        for job in jobs:
            needs = tuple(job.scheduler_resources.get(name, 0) for name in names)
            kind: Hashable = (job.priority, needs)
            if any(file.is_flagged("temp") for file in job.input):
                kind = job
            size = sum(sizes[file] or 0 for file in job.input)
            self._known[job] = _Known(kind, needs, job.priority, size)

    def among(self, ready: Collection[Any], available: Mapping[str, int]) -> list[Any]:
        """The jobs of `ready`, all of which are known, that there is reason to weigh."""
        kinds: dict[Hashable, list[Any]] = defaultdict(list)
        for job in ready:
            kinds[self._known[job].kind].append(job)
        chosen: list[Any] = []
        for jobs in kinds.values():
            most = _most(self._known[jobs[0]].needs, available.values(), len(jobs))
            if most < len(jobs):
                jobs = heapq.nlargest(most, jobs, key=lambda job: self._known[job].size)
            chosen += jobs
        return chosen

    def all_fit(self, jobs: Collection[Any], available: Mapping[str, int]) -> bool:
        """Whether there is nothing to weigh: all can run at once, and none has a priority that speaks against it."""
        known = [self._known[job] for job in jobs]
        needed = [sum(each) for each in zip(*(k.needs for k in known), strict=True)]
        return all(k.priority >= 0 for k in known) and all(
            need <= there for need, there in zip(needed, available.values(), strict=False)
        )

    def forget(self, jobs: Iterable[Any]) -> None:
        for job in jobs:
            self._known.pop(job, None)

    def keep(self, ready: Collection[Any]) -> None:
        """Forgets all others."""
        self._known = {job: known for job, known in self._known.items() if job in ready}


def _most(needs: Iterable[int], available: Iterable[int], count: int) -> int:
    """How many jobs with these needs fit, `count` at most."""
    fitting = [there // need for need, there in zip(needs, available, strict=True) if need > 0]
    return max(0, min([count, *fitting]))
