"""Statistics: kept up as things happen, told as of the last roll-up."""

from datetime import timedelta

from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.core.jobs import job_schedules, jobs, tasks
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.views import statistics

from ..builders import START, Driver, schedule_body, task_body

NAMES = (
    "numSucceededTasks",
    "numFailedTasks",
    "numTaskRetries",
    "wallClockTime",
    "userCPUTime",
    "kernelCPUTime",
)


def seconds(number):
    return timedelta(seconds=number)


def of_job(driver, job):
    driver.machine.now = driver.now
    return statistics.of_job(driver.machine, job, "u")


def figures(shown):
    return [shown[name] for name in NAMES]


def end(driver, name, exit_code=0, user=0.0, kernel=0.0):
    run = driver.run_of(name)
    driver.started.pop(run)
    driver.do(reports.running, run)
    driver.do(reports.exited, run, Ended(exit_code, user_time=seconds(user), kernel_time=seconds(kernel)))


def test_a_job_of_three_tasks(driver):
    driver.pool(nodes=2)
    job = driver.job()
    for name, more in (("a", {}), ("b", {"constraints": {"maxTaskRetryCount": 1}}), ("c", {})):
        driver.task(job, name, **more)
    driver.advance(10)
    assert figures(of_job(driver, job)) == ["0", "0", "0", "PT20S", "PT0S", "PT0S"]
    end(driver, "a", user=3, kernel=0.5)
    driver.advance(5)
    end(driver, "b", exit_code=1, user=1)
    driver.advance(5)
    end(driver, "b", exit_code=1, user=1)
    end(driver, "c")
    driver.advance(100)
    shown = of_job(driver, job)
    # a: 10 s; b: 15 s and again 5 s; c: from 10 to 20.
    assert figures(shown) == ["2", "1", "1", "PT40S", "PT5S", "PT0.5S"]
    assert (shown["startTime"], shown["lastUpdateTime"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:02:00Z")
    assert shown["waitTime"] == "PT0S" and shown["url"] == "u/stats"


def test_a_task_over_retries_requeues_and_reactivation(driver):
    pool = driver.pool()
    job = driver.job()
    task = driver.task(job, "t", constraints={"maxTaskRetryCount": 1})
    other = driver.task(job, "waits")

    def times(one=task):
        driver.machine.now = driver.now
        shown = statistics.of_task(driver.machine, one, "u")
        return shown and (shown["wallClockTime"], shown["waitTime"], shown["userCPUTime"])

    driver.advance(10)
    assert times() == ("PT10S", "PT0S", "PT0S") and times(other) is None
    end(driver, "t", exit_code=1, user=2)
    driver.advance(10)
    assert times() == ("PT20S", "PT10S", "PT2S")
    driver.do(tasks.terminate, job, other)
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0, "nodeDeallocationOption": "requeue"})
    driver.end_kills()
    driver.advance(30)
    assert task.state == "active" and times() == ("PT20S", "PT50S", "PT2S")
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 1})
    driver.advance(5)
    end(driver, "t", exit_code=1, user=1)
    driver.advance(7)
    assert times() == ("PT25S", "PT50S", "PT3S"), "it has ended; time goes on without it"
    driver.do(tasks.reactivate, job, task)
    driver.advance(2)
    assert times() == ("PT27S", "PT1M2S", "PT3S")
    assert figures(of_job(driver, job))[3] == "PT27S"


def test_what_a_deleted_task_took_stays_with_its_job(driver):
    driver.pool()
    job = driver.job()
    task = driver.task(job)
    driver.advance(4)
    driver.do(tasks.delete, job, task)
    driver.advance(100)
    assert figures(of_job(driver, job)) == ["0", "0", "0", "PT4S", "PT0S", "PT0S"]


def test_what_is_told_is_half_an_hour_old_at_most():
    driver = Driver(Profile(statistics=1800))
    driver.advance(600)
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.advance(1199)
    assert of_job(driver, job) is None, "nothing has been rolled up yet"
    driver.advance(2)
    shown = of_job(driver, job)
    assert figures(shown)[3] == "PT20M" and shown["lastUpdateTime"] == "2026-01-01T00:30:00Z"
    end(driver, "task")
    assert figures(of_job(driver, job)) == ["0", "0", "0", "PT20M", "PT0S", "PT0S"]
    driver.advance(3600)
    shown = of_job(driver, job)
    assert figures(shown) == ["1", "0", "0", "PT20M1S", "PT0S", "PT0S"]
    assert shown["lastUpdateTime"] == "2026-01-01T01:30:00Z"


def test_core_time_of_a_pool(driver):
    pool = driver.pool(nodes=3, targetLowPriorityNodes=2)
    driver.advance(60)
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 1})
    driver.advance(60)
    driver.machine.now = driver.now
    shown = statistics.of_pool(driver.machine, pool, "u")
    assert shown["usageStats"]["dedicatedCoreTime"] == "PT8M", "three nodes of two cores, then one"
    assert shown["usageStats"]["startTime"] == shown["startTime"] == "2026-01-01T00:00:00Z"


def test_a_schedule_sums_its_jobs_up_those_that_are_gone_too():
    driver = Driver(Profile(statistics=1800))
    driver.pool()
    body = schedule_body(recurrenceInterval="PT1H", job={"jobManagerTask": {"id": "m", "commandLine": "x"}})
    schedule = driver.do(job_schedules.create, body)
    driver.advance(60)
    end(driver, "m", user=1)
    driver.do(jobs.delete, driver.machine.job("s:job-1"))
    driver.advance()
    assert not driver.machine.jobs
    driver.advance(3600)
    end(driver, "m", exit_code=1, user=2)

    def shown():
        driver.machine.now = driver.now
        return figures(statistics.of_job_schedule(driver.machine, schedule, "u"))

    assert shown() == ["1", "0", "0", "PT1M", "PT1S", "PT0S"]
    driver.advance(1800)
    assert shown() == ["1", "1", "0", "PT2M", "PT3S", "PT0S"]


def test_they_outlive_a_restart(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.advance(10)
    end(driver, "task", user=1)
    driver.do(tasks.create, job, task_body("two"))
    driver.advance(10)
    before = figures(of_job(driver, job))
    assert before == ["1", "0", "0", "PT20S", "PT1S", "PT0S"]
    driver.restart()
    assert figures(of_job(driver, driver.machine.job("job"))) == before
    assert driver.machine.task("job", "task").spent.user == seconds(1)
    assert driver.now > START
