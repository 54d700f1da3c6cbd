"""What is selected among candidates, in one pass, is what is selected among all jobs, one after the other."""

import logging
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from snakemake.scheduling.greedy import Scheduler, SchedulerSettings

from snakemake.scheduling.candidates import Candidates


class File(str):
    def is_flagged(self, flag: str) -> bool:
        return flag == "temp" and self.startswith("temp")


@dataclass(eq=False)
class Job:
    scheduler_resources: dict[str, int]
    priority: int = 0
    input: list[File] = field(default_factory=list)


files = st.sampled_from([File(f"{kind}{size}") for kind in ("temp", "kept") for size in range(3)])
jobs = st.builds(
    lambda cores, memory, priority, files: Job({"_cores": cores, "mem_mb": memory}, priority, files),
    st.integers(1, 3), st.integers(0, 2), st.integers(-1, 1), st.lists(files, max_size=2),
)  # fmt: skip
resources = st.fixed_dictionaries({"_cores": st.integers(0, 8), "mem_mb": st.integers(0, 6)})
SIZES = {File(f"{kind}{size}"): size for kind in ("temp", "kept") for size in range(3)}


def fits(job: Job, available: dict[str, int]) -> bool:
    return all(job.scheduler_resources[name] <= there for name, there in available.items())


def one_after_the_other(jobs: list[Job], available: dict[str, int], reward) -> list[Job]:
    chosen, left, available = [], list(jobs), dict(available)
    while fitting := [job for job in left if fits(job, available)]:
        best = max(fitting, key=reward)
        left.remove(best)
        chosen.append(best)
        for name in available:
            available[name] -= best.scheduler_resources[name]
    return chosen


@given(st.lists(jobs, max_size=12), resources)
def test_one_pass_selects_the_same(jobs, available):
    greedy = Scheduler(None, SchedulerSettings(), logging.getLogger())
    reward = lambda job: greedy.job_reward(job, SIZES)  # noqa: E731
    assert greedy.select_jobs(jobs, jobs, available, SIZES) == one_after_the_other(jobs, available, reward)


@given(st.lists(jobs, max_size=12), resources)
def test_among_candidates_there_is_one_as_good(jobs, available):
    greedy = Scheduler(None, SchedulerSettings(), logging.getLogger())
    candidates = Candidates()
    candidates.learn(jobs, available, SIZES)
    some = candidates.among(jobs, available)
    assert set(some) <= set(jobs)
    kinds = [
        (greedy.job_reward(job, SIZES), job.scheduler_resources)
        for job in greedy.select_jobs(some, some, available, SIZES)
    ]
    assert kinds == [
        (greedy.job_reward(job, SIZES), job.scheduler_resources)
        for job in greedy.select_jobs(jobs, jobs, available, SIZES)
    ]
    if some and candidates.all_fit(some, available):
        assert len(kinds) == len(some)


def test_of_thousands_of_the_same_kind_as_many_are_weighed_as_fit():
    jobs = [Job({"_cores": 1}) for _ in range(1000)]
    candidates = Candidates()
    candidates.learn(jobs, ["_cores"], {})
    assert len(candidates.among(jobs, {"_cores": 3})) == 3
    assert candidates.among(jobs, {"_cores": 0}) == []
    assert candidates.new(jobs) == []
    candidates.forget(jobs[:1])
    assert candidates.new(jobs) == jobs[:1]
