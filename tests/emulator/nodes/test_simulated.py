"""The runner `none`: nodes and tasks on the clock alone."""

import threading
from random import Random

import pytest
from support.emulator import wait_until

from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.engine.clock import SteppedClock
from azure_batch_emulator.engine.engine import Engine
from azure_batch_emulator.nodes.runners import make_runner

from ..core.builders import OUTPUT, job_body, pool_body, task_body


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def engine(tmp_path, clock):
    made = Engine(
        Profile(task=(60.0, 60.0)), make_runner("none"), clock, Random(1), tmp_path / "nodes", "devbatch"
    )
    made.start()
    yield made
    made.close()


def add(engine, name, **more):
    return engine.call(lambda m: tasks.create(m, m.job("job"), task_body(name, **more)))


def test_tasks_take_the_simulated_time_and_nothing_else(engine, clock):
    files = {
        "resourceFiles": [{"httpUrl": "http://127.0.0.1:1/none", "filePath": "x"}],
        "outputFiles": [OUTPUT],
    }
    engine.call(pools.create, pool_body(targetDedicatedNodes=2, taskSlotsPerNode=2))
    prepared = {"jobPreparationTask": {"commandLine": "p"}, "jobReleaseTask": {"commandLine": "r"}}
    engine.call(jobs.create, job_body(**prepared))
    threads = set(threading.enumerate())
    made = [add(engine, str(i), **files) for i in range(5)]
    states = ["preparing"] * 4 + ["active"]
    wait_until(lambda: [task.state for task in made] == states)
    clock.advance(60)  # for the preparation tasks
    for states in (["running"] * 4 + ["active"], ["completed"] * 4 + ["running"], ["completed"] * 5):
        wait_until(lambda expected=states: [task.state for task in made] == expected)
        clock.advance(60)
    assert {task.execution.result for task in made} == {"success"}
    assert {(t.execution.end - t.lifecycle.previous_since).total_seconds() for t in made} == {60.0}
    assert set(threading.enumerate()) <= threads
    assert list(engine.workspace.location.rglob("*")) == []


def test_a_kill_ends_a_task_at_once(engine, clock):
    pool = engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    job = engine.call(jobs.create, job_body())
    task = add(engine, "task")
    wait_until(lambda: task.state == "running")
    engine.call(tasks.terminate, job, task)
    wait_until(lambda: task.state == "completed")
    assert (task.execution.failure.code, task.execution.end) == ("TaskEnded", clock.now())
    engine.call(pools.delete, pool)
    wait_until(lambda: engine.call(lambda m: not m.pools))


def test_a_name_that_is_no_image(engine):
    config = {"containerConfiguration": {"type": "dockerCompatible", "containerImageNames": ["NO SUCH"]}}
    body = pool_body(targetDedicatedNodes=1)
    body["virtualMachineConfiguration"] = body["virtualMachineConfiguration"] | config
    pool = engine.call(pools.create, body)
    wait_until(lambda: [node.state for node in pool.nodes.values()] == ["unusable"])
    (node,) = pool.nodes.values()
    assert [error.code for error in node.errors] == ["ContainerInvalidImage"]
