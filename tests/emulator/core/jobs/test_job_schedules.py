"""Schedules over hours of stepped time: turns, windows, one job at a time, and their end."""

from datetime import datetime, timedelta

import pytest

from azure_batch_emulator.core.jobs import job_schedules, jobs
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.protocol.wire import format_time

from ..builders import IMAGE, START, Driver, job_body, schedule_body

HOUR = 3600


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def text(hours: float) -> str:
    return format_time(at(hours))


def auto_pool(lifetime, **more):
    pool = {"vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE, "targetDedicatedNodes": 1}
    return {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": lifetime, "pool": pool} | more}}


class Scheduled(Driver):
    def schedule(self, **given):
        return self.do(job_schedules.create, schedule_body(**given))

    def ids(self):
        return list(self.machine.jobs)

    def finish(self, job_id):
        self.do(lambda m: jobs.terminate(m, m.job(job_id), {}))

    def next_run(self, schedule):
        return job_schedules.next_run(schedule, self.now)


@pytest.fixture
def driver():
    return Scheduled()


def code_of(call, *args):
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value.code


def test_one_job_at_once_and_then_it_is_over(driver):
    schedule = driver.schedule()
    assert driver.ids() == ["s:job-1"] and schedule.state == "active"
    assert schedule.recent == "s:job-1" and driver.next_run(schedule) is None
    driver.finish("s:job-1")
    assert (schedule.state, schedule.ended) == ("completed", START)


def test_not_before_its_time(driver):
    schedule = driver.schedule(doNotRunUntil=text(5))
    assert driver.ids() == [] and driver.next_run(schedule) == at(5)
    driver.advance(5 * HOUR - 1)
    assert driver.ids() == []
    driver.advance(1)
    assert driver.machine.jobs["s:job-1"].created == at(5)


def test_a_job_each_hour(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H")
    for n in range(1, 25):
        assert driver.machine.jobs[f"s:job-{n}"].created == at(n - 1)
        assert driver.next_run(schedule) == at(n)
        driver.finish(f"s:job-{n}")
        driver.advance(HOUR)
    assert len(driver.ids()) == 25 and schedule.state == "active" and schedule.recent == "s:job-25"


def test_never_two_at_a_time(driver):
    driver.schedule(recurrenceInterval="PT1H")
    driver.advance(3.5 * HOUR)
    assert driver.ids() == ["s:job-1"]
    driver.finish("s:job-1")
    assert driver.ids() == ["s:job-1", "s:job-2"], "the turn of hour 3 is still open; those before are lost"
    assert driver.machine.jobs["s:job-2"].created == at(3.5)
    driver.finish("s:job-2")
    driver.advance(0.4 * HOUR)
    assert len(driver.ids()) == 2
    driver.advance(0.1 * HOUR)
    assert driver.machine.jobs["s:job-3"].created == at(4)


def test_a_turn_is_lost_with_its_window(driver):
    driver.schedule(recurrenceInterval="PT1H", startWindow="PT10M")
    driver.advance(1.25 * HOUR)
    driver.finish("s:job-1")
    assert driver.ids() == ["s:job-1"]
    driver.advance(0.75 * HOUR)
    assert driver.machine.jobs["s:job-2"].created == at(2)
    driver.advance(1.1 * HOUR)
    driver.finish("s:job-2")
    assert driver.machine.jobs["s:job-3"].created == at(3.1), "within the window"


def test_a_missed_window_ends_a_schedule_that_does_not_recur(driver):
    schedule = driver.schedule(doNotRunUntil=text(1), startWindow="PT10M")
    driver.do(job_schedules.disable, schedule)
    driver.advance(1.1 * HOUR)
    assert schedule.state == "disabled"
    driver.advance(0.1 * HOUR)
    assert schedule.state == "completed" and driver.ids() == []


def test_the_end_of_the_time(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H", doNotRunAfter=text(2.5))
    for n in (1, 2, 3):
        driver.finish(f"s:job-{n}")
        driver.advance(HOUR)
        assert driver.next_run(schedule) == (at(2) if n == 1 else None)
    assert len(driver.ids()) == 3 and (schedule.state, schedule.ended) == ("completed", at(2.5))


def test_the_last_job_holds_the_end_up(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H", doNotRunAfter=text(2.5))
    driver.advance(4 * HOUR)
    assert schedule.state == "active" and driver.ids() == ["s:job-1"]
    driver.finish("s:job-1")
    assert (schedule.state, schedule.ended) == ("completed", at(4))


def test_disabled_and_enabled(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H")
    driver.finish("s:job-1")
    driver.do(job_schedules.disable, schedule)
    assert code_of(driver.do, job_schedules.disable, schedule) == "JobScheduleDisabled"
    driver.advance(2.5 * HOUR)
    assert len(driver.ids()) == 1
    driver.do(job_schedules.enable, schedule)
    assert driver.machine.jobs["s:job-2"].created == at(2.5)
    driver.do(job_schedules.enable, schedule)


def test_a_job_that_is_deleted_makes_room(driver):
    driver.schedule(recurrenceInterval="PT1H")
    driver.advance(1.5 * HOUR)
    driver.do(lambda m: jobs.delete(m, m.job("s:job-1")))
    assert driver.ids() == ["s:job-2"]


def test_changes_are_for_the_jobs_to_come(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H", job={"priority": 5})
    body = {"jobSpecification": {"poolInfo": {"poolId": "pool"}, "priority": 9}}
    etag = schedule.etag
    driver.do(lambda m: job_schedules.change(m, schedule, body, replace=False))
    assert schedule.etag != etag and schedule.spec["schedule"] == {"recurrenceInterval": "PT1H"}
    driver.finish("s:job-1")
    driver.advance(HOUR)
    assert [job.spec["priority"] for job in driver.machine.jobs.values()] == [5, 9]
    driver.do(lambda m: job_schedules.change(m, schedule, body, replace=True))
    assert schedule.spec["schedule"] == {}
    driver.finish("s:job-2")
    assert schedule.state == "completed", "it does not recur any more"
    change = lambda m: job_schedules.change(m, schedule, body, replace=True)  # noqa: E731
    assert code_of(driver.do, change) == "JobScheduleCompleted"


def test_termination_ends_the_job_too(driver):
    driver.pool()
    schedule = driver.schedule(recurrenceInterval="PT1H")
    driver.task(driver.machine.jobs["s:job-1"])
    driver.do(job_schedules.terminate, schedule)
    job = driver.machine.jobs["s:job-1"]
    assert (schedule.state, job.state, job.reason) == ("terminating", "terminating", "TerminateJobSchedule")
    assert code_of(driver.do, job_schedules.enable, schedule) == "JobScheduleBeingTerminated"
    driver.end_kills()
    assert (schedule.state, job.state) == ("completed", "completed")
    driver.advance(10 * HOUR)
    assert driver.ids() == ["s:job-1"]


def test_deletion_takes_all_jobs_along(driver):
    driver.pool()
    schedule = driver.schedule(recurrenceInterval="PT1H")
    driver.finish("s:job-1")
    driver.advance(HOUR)
    driver.task(driver.machine.jobs["s:job-2"])
    driver.do(job_schedules.delete, schedule)
    assert schedule.state == "deleting" and driver.ids() == ["s:job-2"]
    assert code_of(driver.do, job_schedules.delete, schedule) == "JobScheduleBeingDeleted"
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.job_schedules
    driver.advance(10 * HOUR)
    assert not driver.machine.jobs


def test_ids_are_not_shared(driver):
    driver.schedule()
    assert code_of(driver.do, job_schedules.create, schedule_body()) == "JobScheduleExists"
    assert code_of(driver.do, jobs.create, job_body("S")) == "JobScheduleWithSameIdExists"
    driver.job("j")
    assert code_of(driver.do, job_schedules.create, schedule_body("J")) == "JobWithSameIdExists"


@pytest.mark.parametrize(
    "given",
    [
        {"startWindow": "PT59S"},
        {"recurrenceInterval": "PT30S"},
        {"doNotRunUntil": text(2), "doNotRunAfter": text(1)},
        {"job": {"priority": 1001}},
        {"schedule_id": "s:job-1"},
    ],
)
def test_refusals(driver, given):
    assert code_of(lambda: driver.schedule(**given)) == "InvalidPropertyValue"
    assert not driver.machine.job_schedules


def test_a_pool_for_each_job(driver):
    driver.schedule(recurrenceInterval="PT1H", job=auto_pool("job", autoPoolIdPrefix="mine"))
    driver.advance()
    first = driver.machine.jobs["s:job-1"].pool_id
    assert first.startswith("mine_") and list(driver.machine.pools) == [first.lower()]
    driver.finish("s:job-1")
    driver.advance()
    assert not driver.machine.pools
    driver.advance(HOUR)
    assert driver.machine.jobs["s:job-2"].pool_id != first and len(driver.machine.pools) == 1


def test_a_pool_for_all_jobs(driver):
    schedule = driver.schedule(recurrenceInterval="PT1H", job=auto_pool("jobschedule"))
    driver.advance()
    driver.finish("s:job-1")
    driver.advance(HOUR)
    first, second = driver.machine.jobs.values()
    assert first.pool_id == second.pool_id == schedule.pool_id and len(driver.machine.pools) == 1
    driver.do(job_schedules.terminate, schedule)
    driver.advance()
    assert schedule.state == "completed" and not driver.machine.pools


def test_no_room_for_a_pool():
    driver = Scheduled(Profile(pools=0))
    schedule = driver.schedule(recurrenceInterval="PT1H", job=auto_pool("job"))
    job = driver.machine.jobs["s:job-1"]
    assert (job.state, job.error.code) == ("completed", "AutoPoolCreationFailedWithQuotaReached")
    assert schedule.state == "active"
    driver.advance(HOUR)
    assert len(driver.ids()) == 2


def test_jobs_that_end_at_once(driver):
    driver.schedule(recurrenceInterval="PT1M", job={"onAllTasksComplete": "terminatejob"})
    driver.advance(60 * 60)
    assert len(driver.ids()) == 61
    assert {job.reason for job in driver.machine.jobs.values()} == {"AllTasksComplete"}


def test_a_schedule_that_begins_beyond_the_calendar(driver):
    schedule = driver.schedule(doNotRunUntil="9999-12-31T23:00:00Z", recurrenceInterval="P3000D")
    driver.advance(100 * HOUR)
    assert schedule.state == "active" and not driver.ids()
