"""Tasks of jobs with allowTaskPreemption make room for those of jobs with a higher priority."""

import pytest

from azure_batch_emulator.core.jobs import jobs

from ..runs.test_multi_instance import MultiInstanceDriver


@pytest.fixture
def driver():
    return MultiInstanceDriver()


def low(driver, name="low", **more):
    return driver.job(name, **{"priority": -1, "allowTaskPreemption": True} | more)


def several(driver, job, count, **more):
    return [driver.task(job, f"{job.id}-{number}", **more) for number in range(count)]


def begun(these):
    return [task.id for task in these if task.state != "active"]


def test_no_more_than_it_takes_and_the_youngest_go(driver):
    driver.pool(nodes=3)
    yields = low(driver)
    one = several(driver, yields, 2)
    driver.advance(10)
    young = driver.task(yields, "young")
    high = driver.job("high")
    first = driver.task(high, "first")
    assert driver.killed == {driver.run_of("young")} and first.state == "active"
    driver.end_kills()
    assert first.state != "active" and young.state == "active" and len(begun(one)) == 2
    assert young.execution.requeues == 1
    second = driver.task(high, "second")
    assert len(driver.killed) == 1, "the room that is about to be is spoken for"
    driver.task(yields, "waits-too")
    assert len(driver.killed) == 1
    driver.end_kills()
    assert second.state != "active" and len(begun(one)) == 1
    driver.end(driver.run_of("first"))
    assert len(begun([*one, young])) == 2 and not driver.killed


@pytest.mark.parametrize(
    ("yields", "wants"),
    [
        ({"allowTaskPreemption": False}, {}),
        ({"priority": 0}, {}),
        ({"priority": 5}, {}),
        ({}, {"allowTaskPreemption": True, "priority": -5}),
    ],
)
def test_nobody_makes_room_who_need_not(driver, yields, wants):
    driver.pool(nodes=1)
    several(driver, low(driver, **yields), 1)
    several(driver, driver.job("high", **wants), 1)
    assert not driver.killed


def test_the_lowest_priority_goes_first_and_managers_stay(driver):
    driver.pool(nodes=3)
    several(driver, low(driver, "lower", priority=-2), 1)
    driver.advance(5)
    several(driver, low(driver, "low"), 1)
    driver.advance(5)
    low(driver, "managed", priority=-3, jobManagerTask={"id": "m", "commandLine": "x"})
    assert driver.run_of("m")
    several(driver, driver.job("high"), 3)
    assert driver.killed == {driver.run_of("lower-0"), driver.run_of("low-0")}


def test_room_of_several_slots_is_made_on_one_node(driver):
    driver.pool(nodes=2, slots=4)
    yields = low(driver)
    several(driver, yields, 8)
    wide = driver.task(driver.job("high"), "wide", requiredSlots=3)
    assert len(driver.killed) == 3 and len({driver.started[run].node for run in driver.killed}) == 1
    driver.end_kills()
    assert wide.state != "active" and not driver.killed


def test_a_job_begins_to_yield_and_another_gets_a_priority(driver):
    driver.pool(nodes=1)
    yields = low(driver, allowTaskPreemption=False)
    several(driver, yields, 1)
    high = driver.job("high", priority=-1)
    waits = several(driver, high, 1)
    driver.do(lambda m: jobs.change(m, yields, {"allowTaskPreemption": True}, replace=False))
    assert not driver.killed
    driver.do(lambda m: jobs.change(m, high, {"priority": 7}, replace=False))
    assert len(driver.killed) == 1
    driver.end_kills()
    assert begun(waits)
    assert yields.spec["allowTaskPreemption"] is True
    driver.do(lambda m: jobs.change(m, yields, {}, replace=True))
    assert yields.spec["allowTaskPreemption"] is False


def test_a_multi_instance_task_gets_its_nodes_and_another_goes_as_a_whole(driver):
    driver.linked(4)
    yields = low(driver)
    several(driver, yields, 1)
    driver.multi_instance(yields, "others", 3)
    assert len(driver.started) == 4
    wanted = driver.multi_instance(driver.job("high"), "wanted", 2)
    driver.end_kills()
    assert wanted.state != "active"
    others = yields.tasks["others"]
    assert others.state == "active" and others.execution.requeues <= 1


def test_maxParallelTasks_bounds_what_is_asked_for(driver):
    driver.pool(nodes=3)
    several(driver, low(driver), 3)
    several(driver, driver.job("high", maxParallelTasks=1), 3)
    assert len(driver.killed) == 1


def test_it_goes_on_after_a_restart(driver):
    driver.pool(nodes=1)
    yields = low(driver)
    several(driver, yields, 1)
    driver.restart()
    driver.advance(60)
    job = driver.machine.jobs["low"]
    assert begun(job.tasks.values())
    high = driver.job("high")
    driver.task(high, "t")
    assert len(driver.killed) == 1
