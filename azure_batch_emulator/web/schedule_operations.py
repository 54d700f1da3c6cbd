"""Job schedules."""

from ..core import job_schedules, lists, views
from ..core.machine import Machine
from .call import Call, Reply


def create_job_schedule(call: Call) -> Reply:
    schedule = call.engine.call(job_schedules.create, call.body)
    return call.stamped(schedule, Location=f"{call.base}/jobschedules/{schedule.id}")


def get_job_schedule(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        schedule = m.job_schedule(call.path["jobScheduleId"])
        call.check(schedule)
        return call.item(views.job_schedule(m, schedule, call.base), "jobschedules", schedule)

    return call.engine.call(read)


def job_schedule_exists(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        schedule = m.job_schedule(call.path["jobScheduleId"])
        call.check(schedule)
        return call.stamped(schedule)

    return call.engine.call(read)


def list_job_schedules(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.listing(
            sorted(m.job_schedules.items()),
            lists.JOB_SCHEDULES,
            lambda s: views.job_schedule(m, s, call.base),
            "jobschedules",
        )

    return call.engine.call(read)


def list_jobs_from_schedule(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        schedule = m.job_schedule(call.path["jobScheduleId"])
        rows = sorted((job.key, job) for job in m.jobs_of(schedule))
        return call.listing(rows, lists.JOBS_OF_SCHEDULE, lambda j: views.job(j, call.base), "jobs")

    return call.engine.call(read)


def _change(change):
    """A handler that finds the schedule, holds the conditions against it, and changes it."""

    def handler(call: Call) -> Reply:
        def stimulus(m: Machine) -> Reply:
            schedule = m.job_schedule(call.path["jobScheduleId"])
            call.check(schedule)
            change(m, schedule, call)
            return call.stamped(schedule)

        return call.engine.call(stimulus)

    return handler


update_job_schedule = _change(lambda m, s, call: job_schedules.change(m, s, call.body, replace=False))
replace_job_schedule = _change(lambda m, s, call: job_schedules.change(m, s, call.body, replace=True))
disable_job_schedule = _change(lambda m, s, call: job_schedules.disable(m, s))
enable_job_schedule = _change(lambda m, s, call: job_schedules.enable(m, s))
terminate_job_schedule = _change(lambda m, s, call: job_schedules.terminate(m, s))


def delete_job_schedule(call: Call) -> Reply:
    def stimulus(m: Machine) -> Reply:
        schedule = m.job_schedule(call.path["jobScheduleId"])
        call.check(schedule)
        job_schedules.delete(m, schedule)
        return Reply()

    return call.engine.call(stimulus)
