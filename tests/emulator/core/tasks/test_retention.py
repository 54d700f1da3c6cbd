"""Files of tasks go when their retention is over, whatever the order in which it ends."""

from azure_batch_emulator.core.jobs import jobs, tasks

from ..builders import Driver

HOUR = 3600


def finished(driver, job, name, retention, code=0):
    task = driver.task(job, name, constraints={"retentionTime": retention})
    driver.end(driver.run_of(name), code)
    return task


def files(*found):
    return [task.files for task in found]


def test_the_shortest_first():
    driver = Driver()
    driver.pool()
    job = driver.job()
    three = finished(driver, job, "three", "PT3H")
    one = finished(driver, job, "one", "PT1H")
    driver.advance(HOUR / 2)
    also_one = finished(driver, job, "also-one", "PT1H")
    forever = finished(driver, job, "forever", "P4000000D")
    driver.advance(HOUR / 2)
    assert files(three, one, also_one, forever) == ["kept", "cleaned", "kept", "kept"]
    driver.advance(HOUR / 2)
    assert files(three, also_one) == ["kept", "cleaned"]
    driver.advance(HOUR * 1.5)
    assert files(three, forever) == ["cleaned", "kept"]
    assert not [timer for timer in driver.timers if timer[2][0] == "retention"], "and no timer is left"


def test_one_timer_for_a_job():
    driver = Driver()
    driver.pool()
    job = driver.job()
    for i in range(20):
        finished(driver, job, str(i), "P7D")
        driver.advance(1)
    assert len([timer for timer in driver.timers if timer[2][0] == "retention"]) == 1
    driver.advance(7 * 24 * HOUR - 10)
    assert files(*job.tasks.values()) == ["cleaned"] * 11 + ["kept"] * 9
    driver.do(jobs.delete, job)
    driver.advance(HOUR)
    assert not [timer for timer in driver.timers if timer[2][0] == "retention"]


def test_a_new_end_begins_a_new_retention():
    driver = Driver()
    driver.pool()
    job = driver.job()
    task = finished(driver, job, "again", "PT1H", code=1)
    deleted = finished(driver, job, "deleted", "PT1H")
    driver.do(tasks.delete, job, deleted)
    driver.advance(HOUR / 2)
    driver.do(tasks.reactivate, job, task)
    driver.end(driver.run_of("again"))
    namesake = finished(driver, job, "deleted", "PT1H")
    driver.advance(HOUR / 2)
    assert files(task, namesake) == ["kept", "kept"]
    driver.advance(HOUR / 2)
    assert files(task, namesake) == ["cleaned", "cleaned"]
