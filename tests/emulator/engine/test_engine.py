"""The loop around the core on a clock that the test moves; and what it does when a runner breaks."""

import threading
from random import Random

import pytest
from support.emulator import wait_until

from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.nodes import faults, node_operations
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.views import views
from azure_batch_emulator.engine.clock import RealClock, SteppedClock
from azure_batch_emulator.engine.engine import Engine
from azure_batch_emulator.nodes.runners import make_runner
from azure_batch_emulator.nodes.transfer import match
from azure_batch_emulator.service.profile_files import load_profile

from ..core.builders import OUTPUT, job_body, pool_body, task_body


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


def until(engine, look, **options):
    """Waits for what can be seen while nobody changes the machine."""
    wait_until(lambda: engine.read(lambda _: look()), **options)


def states(engine):
    return engine.call(lambda m: [node.state for node in m.pool("pool").nodes.values()])


def test_time_is_the_clocks(make_engine):
    clock = SteppedClock()
    engine = make_engine(make_runner("process"), clock, load_profile("realistic"))
    engine.call(pools.create, pool_body(targetDedicatedNodes=2))
    engine.call(jobs.create, job_body())
    clock.advance(3)  # a job is not found at once
    engine.call(lambda m: tasks.create(m, m.job("job"), task_body(constraints={"retentionTime": "PT1H"})))
    assert states(engine) == []
    clock.advance(120)
    wait_until(lambda: states(engine) == ["creating"] * 2)
    clock.advance(180)
    task = engine.call(lambda m: m.task("job", "task"))
    until(engine, lambda: task.state == "completed")
    assert task.execution.end == clock.now(), "the task took no time on this clock"
    assert task.files == "kept"
    clock.advance(3600)
    until(engine, lambda: task.files == "cleaned")


class BrokenRunner:
    """Carries out `true`, ends `oom` as a container that ran out of memory, and breaks at `broken`: the name of a
    method, or any other command line."""

    name = "broken"

    def __init__(self, broken=""):
        self.broken = broken

    def boot_node(self, node):
        if self.broken == "boot_node":
            raise RuntimeError("a defect")

    def run(self, launch):
        if launch.command_line == "oom":
            return Ended(137, None, details=(("OutOfMemory", "2 slots are 64 MiB"),))
        if launch.command_line != "true":
            raise RuntimeError("a defect")
        return Ended(0, None)

    def kill(self, run_id):
        pass

    def remove_node(self, node):
        if self.broken == "remove_node":
            raise RuntimeError("a defect")

    def close(self):
        pass


def test_a_defect_in_a_runner_loses_no_task(make_engine):
    engine = make_engine(BrokenRunner(), RealClock(), Profile())
    engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    engine.call(jobs.create, job_body())
    for name, line in (("bad", "x"), ("good", "true")):
        engine.call(lambda m, n=name, c=line: tasks.create(m, m.job("job"), task_body(n, commandLine=c)))
    job = engine.call(lambda m: m.job("job"))
    until(engine, lambda: job.counts["completed"] == 2)
    failure = job.tasks["bad"].execution.failure
    assert (failure.category, failure.code) == ("ServerError", "InternalError")
    assert failure.details == (("Message", "RuntimeError: a defect"),)
    assert job.tasks["good"].execution.result == "success"


def test_files_that_can_not_be_removed_hold_nothing_up(make_engine, monkeypatch):
    engine = make_engine(BrokenRunner(), RealClock(), Profile())
    engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    job = engine.call(jobs.create, job_body())
    engine.call(lambda m: tasks.create(m, m.job("job"), task_body("t", commandLine="true")))
    until(engine, lambda: job.counts["completed"] == 1)

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(engine.workspace, "discard", full)
        engine.call(jobs.delete, job)
    assert engine.call(lambda m: list(m.jobs)) == []


def test_a_defect_while_a_node_boots(make_engine):
    engine = make_engine(BrokenRunner("boot_node"), RealClock(), Profile())
    pool = engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    wait_until(lambda: states(engine) == ["unusable"])
    (node,) = pool.nodes.values()
    assert [error.code for error in node.errors] == ["InternalError"]
    directory = engine.workspace.node_root(node.number)
    assert directory.is_dir()
    engine.call(pools.delete, pool)
    wait_until(lambda: engine.call(lambda m: not m.pools))
    assert not directory.exists(), "what the boot made is removed"


class SlowRunner(BrokenRunner):
    """Boots take until the gate opens; `most` is how many were under way at once."""

    def __init__(self):
        super().__init__()
        self.gate, self.now, self.most, self.boots = threading.Event(), 0, 0, 0

    def boot_node(self, node):
        self.boots += 1
        self.now += 1
        self.most = max(self.most, self.now)
        self.gate.wait(20)
        self.now -= 1


def test_a_node_that_is_preempted_while_it_boots(make_engine):
    runner = SlowRunner()
    engine = make_engine(runner, RealClock(), Profile())
    body = pool_body(targetLowPriorityNodes=1)
    pool = engine.call(pools.create, body)
    wait_until(lambda: runner.boots == 1)
    (node,) = pool.nodes.values()
    engine.call(faults.preempt, node)
    until(engine, lambda: node.state == "starting")
    runner.gate.set()
    until(engine, lambda: node.state == "idle")
    assert (runner.boots, runner.most) == (2, 1), "its starts don't get into each other's way"


def test_files_of_a_node(make_engine):
    """A reboot keeps them, a preemption does not."""
    engine = make_engine(make_runner("process"), RealClock(), Profile())
    body = pool_body(targetLowPriorityNodes=1)
    pool = engine.call(pools.create, body)
    wait_until(lambda: states(engine) == ["idle"])
    (node,) = pool.nodes.values()
    kept = engine.workspace.node_root(node.number) / "shared" / "x"
    kept.touch()
    engine.call(node_operations.reboot, node, "requeue")
    wait_until(lambda: states(engine) == ["idle"])
    assert kept.exists()
    engine.call(faults.preempt, node)
    wait_until(lambda: states(engine) == ["idle"])
    assert not kept.exists() and kept.parent.is_dir()


def test_a_defect_while_a_node_is_taken_down(make_engine):
    engine = make_engine(BrokenRunner("remove_node"), RealClock(), Profile())
    pool = engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    wait_until(lambda: states(engine) == ["idle"])
    engine.call(pools.resize, pool, {"targetDedicatedNodes": 0})
    until(engine, lambda: pool.allocation.state == "steady")
    assert not pool.nodes


def test_a_defect_in_an_upload(make_engine, monkeypatch):
    def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("azure_batch_emulator.nodes.transfer.upload", broken)
    engine = make_engine(BrokenRunner(), RealClock(), Profile())
    engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    engine.call(jobs.create, job_body())
    task = engine.call(lambda m: tasks.create(m, m.job("job"), task_body(outputFiles=[OUTPUT])))
    until(engine, lambda: task.state == "completed")
    assert (task.execution.failure.code, task.execution.exit_code) == ("InternalError", 0)


def test_what_a_runner_knows_of_an_end(make_engine):
    engine = make_engine(BrokenRunner(), RealClock(), Profile())
    engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    engine.call(jobs.create, job_body())
    task = engine.call(lambda m: tasks.create(m, m.job("job"), task_body(commandLine="oom")))
    until(engine, lambda: task.state == "completed")
    details = views.execution(task.execution, "completed")["failureInfo"]["details"]
    assert {"name": "OutOfMemory", "value": "2 slots are 64 MiB"} in details
    assert {"name": "AdditionalErrorCode", "value": "FailureExitCode"} in details


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


def test_a_bad_day(make_engine):
    """Real processes with the faults of `chaos`: every task succeeds once, and nothing stays on the disk."""
    engine = make_engine(make_runner("process"), RealClock(5), load_profile("chaos"))
    targets = {"targetDedicatedNodes": 4, "targetLowPriorityNodes": 8}
    start = {"commandLine": "true", "waitForSuccess": True}
    body = pool_body(taskSlotsPerNode=2, startTask=start, **targets)
    pool = engine.call(pools.create, body)
    job = engine.call(jobs.create, job_body(jobPreparationTask={"commandLine": "true"}))
    for i in range(100):
        engine.call(tasks.create, job, task_body(str(i), commandLine="sleep 0.1"))

    def over():
        if pool.allocation.state == "steady" and pool.errors:
            engine.call(pools.resize, pool, dict(targets))
        return job.counts["completed"] == 100

    wait_until(over, timeout=60)
    assert job.counts["succeeded"] == 100
    assert {(t.execution.retries, t.execution.requeues) for t in job.tasks.values()} == {(0, 0)}
    engine.call(pools.delete, pool)
    wait_until(lambda: engine.call(lambda m: not m.pools))
    wait_until(lambda: not list(engine.workspace.location.glob("n*")))
