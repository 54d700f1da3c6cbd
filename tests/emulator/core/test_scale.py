"""What one task costs does not grow with the number of tasks, nodes and jobs.

Nothing is timed. All tasks, jobs and nodes are kept in dictionaries that refuse to be gone through, and the steps of
the interpreter are counted.
"""

import sys
from datetime import timedelta

import pytest

from azure_batch_emulator.core import timers
from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.core.jobs import job_schedules, jobs, tasks
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.runs.reports import exited, running
from azure_batch_emulator.core.views import lists, views
from azure_batch_emulator.protocol import odata

from .builders import START, Driver, schedule_body, task_body

LATER = (START + timedelta(seconds=5)).isoformat()


class Unscanned(dict):
    """For single looks only, while `closed`."""

    closed = False

    def _refuse(self, *_):
        assert not Unscanned.closed, "something goes through all of them"

    def __iter__(self):
        self._refuse()
        return super().__iter__()

    def items(self):
        self._refuse()
        return super().items()

    def values(self):
        self._refuse()
        return super().values()

    def keys(self):
        self._refuse()
        return super().keys()


class Service:
    """`n` tasks of a job on n/4 nodes, n/40 jobs more on the same pool; half of the tasks are over, some run."""

    def __init__(self, n, fill="spread"):
        self.driver = Driver()
        self.n = n
        self.pool = self.driver.pool(nodes=n // 4, slots=2, taskSchedulingPolicy={"nodeFillType": fill})
        self.others = [self.driver.job(f"other-{i}") for i in range(n // 40)]
        self.job = self.driver.job(usesTaskDependencies=True)
        self.node = next(iter(self.pool.nodes.values()))
        self.add([0], constraints={"retentionTime": "PT1H"})
        for first in range(0, n, 100):
            self.add(range(first, first + 100))
        ends = {"onAllTasksComplete": "terminatejob"}
        self.driver.do(lambda m: jobs.change(m, self.job, ends, replace=False))
        for run in list(self.driver.started)[: n // 2]:
            self.driver.end(run)
        m = self.driver.machine
        m.jobs, self.pool.nodes, self.job.tasks = map(Unscanned, (m.jobs, self.pool.nodes, self.job.tasks))
        self.driver.timers.clear()
        self.driver.advance(10)

    def add(self, numbers, **more):
        bodies = [task_body(f"{i:05}", **more) for i in numbers]
        return self.driver.do(tasks.create_collection, self.job, bodies)

    def page(self, text, limit=20):
        passes = odata.compile_filter(text, lists.TASKS)
        rows = lists.tasks_after(self.job, text, None)
        found, _ = odata.page(rows, passes, limit, None)
        m = self.driver.machine
        return [views.task(m, self.job, task, "http://x") for task in found]

    def run_ends(self):
        run = next(iter(self.driver.started))
        del self.driver.started[run]
        self.driver.do(running, run)
        self.driver.do(exited, run, Ended(0))

    def end_of_retention(self):
        self.driver.now += timedelta(hours=1)
        self.driver.do(timers.fire, "retention", "job", self.job.seq)
        assert self.job.tasks["00000"].files == "cleaned"

    def dependency(self):
        self.add([99_000], dependsOn={"taskIdRanges": [{"start": 0, "end": self.n * 3 // 4}]})
        self.add([99_001], dependsOn={"taskIds": ["99000", "00001"]})

    def delete(self):
        self.driver.do(tasks.delete, self.job, self.job.tasks["00002"])

    def terminate(self):
        self.driver.do(tasks.terminate, self.job, self.job.tasks[f"{self.n - 1:05}"])


STEPS = {
    "add": lambda s: s.add(range(50_000, 50_020)),
    "a run ends": Service.run_ends,
    "dependencies": Service.dependency,
    "a page": lambda s: s.page(None),
    "what has changed": lambda s: s.page(f"stateTransitionTime gt DateTime'{LATER}'"),
    "what has completed": lambda s: s.page(
        f"state eq 'completed' and stateTransitionTime gt DateTime'{LATER}'"
    ),
    "delete": Service.delete,
    "terminate": Service.terminate,
    "retention": Service.end_of_retention,
    "counts": lambda s: views.task_counts(s.job),
    "a node": lambda s: views.node(s.driver.machine, s.node, "http://x"),
}


def steps(work):
    """How many instructions of Python the interpreter carries out."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.fixture(scope="module")
def sizes():
    return [{fill: Service(n, fill) for fill in ("spread", "pack")} for n in (200, 2000)]


@pytest.mark.parametrize("fill", ["spread", "pack"])
def test_the_cost_of_a_step(sizes, fill, monkeypatch):
    monkeypatch.setattr(Unscanned, "closed", True)
    for name, step in STEPS.items():
        small, large = (steps(lambda size=size, do=step: do(size[fill])) for size in sizes)
        assert small > 0 and large <= small * 1.25 + 50, (
            f"{name}: {small} steps at 200 tasks, {large} at 2,000"
        )


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_chain(at_once):
    """Each task depends on the one before it."""
    driver = Driver()
    driver.pool(nodes=3)
    job = driver.job(usesTaskDependencies=True)
    for i in range(600):
        driver.task(job, str(i), **({"dependsOn": {"taskIds": [str(i - at_once)]}} if i >= at_once else {}))
    driver.do(lambda m: jobs.change(m, job, {"onAllTasksComplete": "terminatejob"}, replace=False))
    for i in range(600):
        assert len(driver.started) <= at_once
        driver.end(driver.run_of(str(i)))
    assert job.counts["succeeded"] == 600 and job.state == "completed"


def test_many_jobs_share_a_pool():
    """By priority and then by age, each within its own limit; a large task waits without holding up small ones."""
    driver = Driver()
    many = [driver.job(f"j{i:02}", priority=i % 2, maxParallelTasks=3) for i in range(50)]
    for job in many:
        for i in range(6):
            driver.task(job, str(i), requiredSlots=4 if i == 0 else 1)
    pool = driver.pool(nodes=20, slots=4)
    firsts = list(dict.fromkeys(start.job for start in driver.started.values()))
    assert firsts == sorted(firsts) and {name[-1] in "13579" for name in firsts} == {True}
    while driver.started:
        assert max(len(job.runs) for job in many) <= 3
        assert all(node.free >= 0 for node in pool.nodes.values())
        driver.end(next(iter(driver.started)))
    assert [job.counts["succeeded"] for job in many] == [6] * 50


def test_nodes_that_wait_for_the_end_of_retention():
    """A pool is given up with `retaineddata`: the files of all its tasks are sought once, not whenever some go."""

    def wait(n):
        driver = Driver()
        pool = driver.pool(nodes=n // 10)
        job = driver.job()
        for first in range(0, n, 100):
            bodies = [task_body(str(i)) for i in range(first, first + 100)]
            driver.do(tasks.create_collection, job, bodies)
        while driver.started:
            driver.end(next(iter(driver.started)))
            driver.now += timedelta(seconds=1)

        def resize():
            body = {"targetDedicatedNodes": 0, "nodeDeallocationOption": "retaineddata"}
            driver.do(pools.resize, pool, body)

        def expire():
            for _ in range(n):
                driver.now += timedelta(hours=1)
                driver.do(timers.fire, "retention", "job", job.seq)

        driver.timers.clear()
        driver.now += timedelta(days=6, hours=23)
        done = (steps(resize) + steps(expire)) / n
        assert {node.state for node in pool.nodes.values()} == {"leavingpool"}
        return done

    small, large = wait(200), wait(1000)
    assert large <= small * 1.25 + 50, f"{small:.0f} steps a task with 200 tasks, {large:.0f} with 1,000"


def test_a_large_job_is_deleted_task_by_task_and_as_a_whole():
    driver = Driver()
    pool = driver.pool(nodes=2000, slots=1)
    job = driver.job()
    for first in range(0, 3000, 100):
        bodies = [task_body(str(i)) for i in range(first, first + 100)]
        driver.do(tasks.create_collection, job, bodies)
    assert len(driver.started) == 2000 and len(job.ready) == 1000
    for i in range(2500, 3000):
        driver.do(tasks.delete, job, job.tasks[str(i)])
    assert len(job.ready) == 500
    driver.do(jobs.delete, job)
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.runs
    driver.do(pools.delete, pool)
    driver.advance(1)
    assert not driver.machine.pools


def test_a_turn_of_a_schedule_looks_at_its_own_jobs_alone(monkeypatch):
    driver = Driver()
    for i in range(20):
        driver.job(f"other-{i}")
    m = driver.machine
    m.jobs = Unscanned(m.jobs)
    monkeypatch.setattr(Unscanned, "closed", True)
    schedule = driver.do(job_schedules.create, schedule_body(recurrenceInterval="PT1H"))
    for turn in range(1, 4):
        assert schedule.recent == f"{schedule.id}:job-{turn}"
        driver.do(lambda m: jobs.terminate(m, m.job(schedule.recent), {}))
        driver.advance(3600)
    assert len(m.jobs_of(schedule)) == 4
    driver.do(job_schedules.delete, schedule)
    assert not m.job_schedules and len(m.jobs) == 20
