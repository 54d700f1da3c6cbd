"""The loop around the core on a clock that the test moves; and what it does when a runner breaks."""

from random import Random

import pytest
from support.emulator import wait_until

from azure_batch_emulator.clock import RealClock, SteppedClock
from azure_batch_emulator.core import jobs, pools, tasks
from azure_batch_emulator.engine import Engine
from azure_batch_emulator.profile import Profile, load_profile
from azure_batch_emulator.region import catalogue
from azure_batch_emulator.runners import TaskExit, make_runner
from azure_batch_emulator.transfer import match

from .core.builders import job_body, pool_body, task_body


@pytest.fixture
def make_engine(tmp_path):
    made = []

    def make(runner, clock, profile):
        engine = Engine(profile, runner, clock, Random(1), tmp_path, "devbatch")
        engine.start()
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


def states(engine):
    return engine.call(lambda m: [node.state for node in m.pool("pool").nodes.values()])


def test_time_is_the_clocks(make_engine):
    clock = SteppedClock()
    engine = make_engine(make_runner("process"), clock, load_profile("realistic"))
    engine.call(pools.create, pool_body(targetDedicatedNodes=2), catalogue())
    engine.call(jobs.create, job_body())
    engine.call(lambda m: tasks.create(m, m.job("job"), task_body(constraints={"retentionTime": "PT1H"})))
    assert states(engine) == []
    clock.advance(120)
    wait_until(lambda: states(engine) == ["creating"] * 2)
    clock.advance(180)
    task = engine.call(lambda m: m.task("job", "task"))
    wait_until(lambda: task.state == "completed")
    assert task.execution.end == clock.now(), "the task took no time on this clock"
    assert task.files == "kept"
    clock.advance(3600)
    wait_until(lambda: task.files == "cleaned")


class BrokenRunner:
    name = "broken"

    def boot_node(self, node):
        return None

    def run(self, launch):
        if launch.command_line == "true":
            return TaskExit(0, None)
        raise RuntimeError("a defect")

    def kill(self, run_id):
        pass

    remove_node = kill

    def close(self):
        pass


def test_a_defect_in_a_runner_loses_no_task(make_engine):
    engine = make_engine(BrokenRunner(), RealClock(), Profile())
    engine.call(pools.create, pool_body(targetDedicatedNodes=1), catalogue())
    engine.call(jobs.create, job_body())
    for name, line in (("bad", "x"), ("good", "true")):
        engine.call(lambda m, n=name, c=line: tasks.create(m, m.job("job"), task_body(n, commandLine=c)))
    job = engine.call(lambda m: m.job("job"))
    wait_until(lambda: job.counts["completed"] == 2)
    assert job.tasks["bad"].execution.failure.code == "InternalError"
    assert job.tasks["good"].execution.result == "success"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a.txt", None, {"a.txt": "a.txt"}),
        ("a.txt", "x/y.txt", {"a.txt": "x/y.txt"}),
        ("*.txt", None, {"a.txt": "a.txt"}),
        ("*.txt", "out", {"a.txt": "out/a.txt"}),
        ("**/*.txt", "out/", {"a.txt": "out/a.txt", "d/b.txt": "out/d/b.txt", "d/e/c.txt": "out/d/e/c.txt"}),
        ("d/**", None, {"d/b.txt": "b.txt", "d/e/c.txt": "e/c.txt", "d/1.csv": "1.csv", "d/2.csv": "2.csv"}),
        ("d/[!1].csv", None, {"d/2.csv": "2.csv"}),
        ("d/?.csv", "p", {"d/1.csv": "p/1.csv", "d/2.csv": "p/2.csv"}),
        ("../std*.txt", None, {"../stdout.txt": "stdout.txt"}),
        (".h*", None, {".hidden": ".hidden"}),
        ("none", None, {}),
    ],
)
def test_patterns_of_output_files(tmp_path, pattern, path, expected):
    wd = tmp_path / "wd"
    for name in (
        "a.txt",
        "d/b.txt",
        "d/e/c.txt",
        "d/1.csv",
        "d/2.csv",
        ".hidden",
        "d/.h.txt",
        "../stdout.txt",
    ):
        (wd / name).parent.mkdir(parents=True, exist_ok=True)
        (wd / name).touch()
    found = dict(match(tmp_path, pattern, path))
    assert found == {(wd / name).resolve(): blob for name, blob in expected.items()}
