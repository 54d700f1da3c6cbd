"""Job schedules."""

from ...core.jobs import job_schedules
from ...core.machine import Machine
from ...core.views import lists, statistics, views
from ..call import Call, Reply
from .jobs import JOB
from .resources import Resource

_SCHEDULE = Resource(
    lambda m, path: m.job_schedule(path["jobScheduleId"]),
    lambda m, schedule, call: views.job_schedule(m, schedule, call.base),
    "jobschedules",
    statistics.of_job_schedule,
)


def create_job_schedule(call: Call) -> Reply:
    schedule = call.engine.call(job_schedules.create, call.body)
    return call.stamped(schedule, Location=f"{call.base}/jobschedules/{schedule.id}")


get_job_schedule = _SCHEDULE.get
job_schedule_exists = _SCHEDULE.exists
list_job_schedules = _SCHEDULE.listing(lambda m, call: sorted(m.job_schedules.items()), lists.JOB_SCHEDULES)
update_job_schedule = _SCHEDULE.change(
    lambda m, s, call: job_schedules.change(m, s, call.body, replace=False)
)
replace_job_schedule = _SCHEDULE.change(
    lambda m, s, call: job_schedules.change(m, s, call.body, replace=True)
)
disable_job_schedule = _SCHEDULE.change(lambda m, s, call: job_schedules.disable(m, s))
enable_job_schedule = _SCHEDULE.change(lambda m, s, call: job_schedules.enable(m, s))
terminate_job_schedule = _SCHEDULE.change(lambda m, s, call: job_schedules.terminate(m, s))
delete_job_schedule = _SCHEDULE.deletion(job_schedules.delete)


def list_jobs_from_schedule(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        schedule = m.job_schedule(call.path["jobScheduleId"])
        rows = sorted((job.key, job) for job in m.jobs_of(schedule))
        return call.listing(rows, lists.JOBS_OF_SCHEDULE, lambda j: JOB.shown(m, j, call), "jobs")

    return call.engine.read(read)
