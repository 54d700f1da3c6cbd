"""Multi-instance tasks do not starve: whatever else there is to do, one that the pool has nodes for begins at the latest
when all that was running as it was added has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_batch_emulator.core.jobs import jobs
from azure_batch_emulator.core.nodes import node_operations

from ..runs.test_multi_instance import MultiInstanceDriver


def endless(driver, names, count):
    """Jobs that have more tasks than will ever run."""
    for name in names:
        for number in range(count):
            driver.task(driver.machine.jobs[name], f"{name}-{number}")


@given(
    nodes=st.integers(2, 6),
    instances=st.integers(1, 6),
    priorities=st.lists(st.integers(-2, 0), min_size=1, max_size=3),
    own=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_a_multi_instance_task_that_fits_is_run(nodes, instances, priorities, own, order):
    driver = MultiInstanceDriver()
    driver.linked(nodes)
    for number, priority in enumerate(priorities):
        driver.job(f"small{number}", priority=priority)
    mine = driver.machine.jobs["small0"] if own and priorities[0] == 0 else driver.job("multi", priority=0)
    endless(driver, [job for job in driver.machine.jobs if job.startswith("small")], 30)
    running = list(driver.started)
    assert len(running) == nodes
    wide = driver.multi_instance(mine, "wide", instances)
    order.shuffle(running)
    for run in running:
        if wide.state == "active":
            driver.end(run)
    assert (wide.state == "active") == (instances > nodes)
    assert len(driver.started) == nodes, "what the multi-instance task does not take, others do"


def test_nodes_are_kept_for_the_older_of_two_multi_instance_tasks_and_then_for_the_other():
    driver = MultiInstanceDriver()
    driver.linked(3)
    job = driver.job()
    small = [driver.task(job, f"s{number}") for number in range(3)]
    first, second = driver.multi_instance(job, "first", 3), driver.multi_instance(job, "second", 2)
    late = driver.task(job, "late")
    for task in small:
        driver.end(driver.run_of(task.id))
    assert first.state != "active" and second.state == late.state == "active"
    for _ in range(2):
        driver.coordinate()
    assert second.state != "active" and late.state != "active"


@pytest.mark.parametrize("why", ["priority", "manager", "disabled", "parallel"])
def test_nobody_waits_for_a_multi_instance_task_that(why):
    """... comes behind, or can't begin in spite of free nodes."""
    driver = MultiInstanceDriver()
    driver.linked(2)
    other = driver.job("other", priority=1 if why == "priority" else 0)
    busy = driver.task(other, "busy")
    if why == "manager":
        driver.job("managed", jobManagerTask={"id": "m", "commandLine": "x"})
    if why == "disabled":
        driver.task(other, "second")
        free = driver.machine.pools["pool"].nodes[driver.started[driver.run_of("second")].node]
        driver.end(driver.run_of("second"))
        driver.do(node_operations.disable_scheduling, free, "requeue")
    multi = driver.job("multi", **({"maxParallelTasks": 1} if why == "parallel" else {}))
    if why == "parallel":
        driver.task(multi, "one")
    wide = driver.multi_instance(multi, "wide", 2)
    if why == "parallel":
        driver.end(driver.run_of("busy"))
    for number in range(3):
        driver.task(other, f"more{number}")
    if why in ("manager", "disabled", "priority"):
        driver.end(driver.run_of(busy.id))
    assert wide.state == "active" and driver.run_of("more0")


def test_a_multi_instance_task_that_is_gone_holds_nothing():
    driver = MultiInstanceDriver()
    driver.linked(2)
    job = driver.job()
    driver.task(job, "one")
    multi = driver.job("multi")
    driver.multi_instance(multi, "wide", 2)
    late = driver.task(job, "late")
    assert late.state == "active"
    driver.do(jobs.terminate, multi, {})
    assert late.state != "active"
