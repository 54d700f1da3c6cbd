"""Job schedules: they make a job at each turn of their interval, one at a time.

A schedule's turns are at `doNotRunUntil` (or its creation) and, with a `recurrenceInterval`, at every multiple of it
from there on. At a turn a job becomes due; it is made as soon as the one before is over, unless the `startWindow`, the
next turn or `doNotRunAfter` comes first. When no turn can come any more and no job is left running, the schedule
completes.
https://learn.microsoft.com/rest/api/batchservice/job-schedules
"""

import copy
from datetime import datetime, timedelta

from ...protocol.errors import BatchError, invalid_property
from ...protocol.wire import finite, format_time, parse_duration, parse_time
from ..bodies.checks import check_display_name, check_id
from ..bodies.job_specs import check_against_pool, job_spec
from ..entities import JobSchedule
from ..events import JobEnded
from ..machine import Machine
from ..pools import auto_pools, quotas
from ..states import JOB_SCHEDULE, Stateful
from . import jobs

LEAST = timedelta(minutes=1)  # of startWindow and recurrenceInterval


def create(m: Machine, body: dict) -> JobSchedule:
    check_id("id", body["id"])
    check_display_name(body)
    spec = body | {"jobSpecification": _checked_job(m, body["jobSpecification"])}
    _check_times(body["schedule"])
    key = body["id"].lower()
    if key in m.job_schedules:
        raise BatchError("JobScheduleExists")
    if key in m.jobs:
        raise BatchError("JobWithSameIdExists")
    quotas.check_jobs(m)
    schedule = JobSchedule(
        body["id"], spec, m.now, m.now, m.new_etag(), Stateful(JOB_SCHEDULE, "active", m.now)
    )
    schedule.statistics = m.open_ledger()
    m.job_schedules[key] = schedule
    advance(m, schedule)
    return schedule


def _checked_job(m: Machine, body: dict) -> dict:
    spec = job_spec(body, m.catalogue, format_time(m.now))
    if pool := m.pools.get(spec["poolInfo"].get("poolId", "").lower()):
        check_against_pool(spec, pool.spec)
    return spec


def _check_times(times: dict) -> None:
    for name in ("startWindow", "recurrenceInterval"):
        if name in times and parse_duration(times[name]) < LEAST:
            raise invalid_property(f"schedule/{name}", times[name], "The least value is 1 minute.")
    first, last = times.get("doNotRunUntil"), times.get("doNotRunAfter")
    if first and last and parse_time(last) <= parse_time(first):
        raise invalid_property("schedule/doNotRunAfter", last, "The end must be after doNotRunUntil.")


def change(m: Machine, schedule: JobSchedule, body: dict, *, replace: bool) -> None:
    """PATCH (each property given replaces the schedule's) or PUT (what is not given is removed). Jobs that are there
    stay as they are."""
    check_not_ending(schedule)
    spec = dict(schedule.spec)
    if replace:
        spec["schedule"] = {}
        spec.pop("metadata", None)
    spec |= body
    if "jobSpecification" in body:
        spec["jobSpecification"] = _checked_job(m, body["jobSpecification"])
    _check_times(spec["schedule"])
    schedule.spec = spec
    m.touch(schedule)
    advance(m, schedule)


def check_not_ending(schedule: JobSchedule) -> None:
    if schedule.state == "deleting":
        raise BatchError("JobScheduleBeingDeleted")
    if schedule.state == "terminating":
        raise BatchError("JobScheduleBeingTerminated")
    if schedule.state == "completed":
        raise BatchError("JobScheduleCompleted")


def disable(m: Machine, schedule: JobSchedule) -> None:
    """No more jobs are made; one that runs goes on."""
    check_not_ending(schedule)
    if schedule.state == "disabled":
        raise BatchError("JobScheduleDisabled")
    schedule.lifecycle.move(schedule, "disabled", m.now)
    m.touch(schedule)


def enable(m: Machine, schedule: JobSchedule) -> None:
    check_not_ending(schedule)
    if schedule.state == "active":
        return
    schedule.lifecycle.move(schedule, "active", m.now)
    m.touch(schedule)
    advance(m, schedule)


def terminate(m: Machine, schedule: JobSchedule) -> None:
    check_not_ending(schedule)
    _begin_end(m, schedule)


def _begin_end(m: Machine, schedule: JobSchedule) -> None:
    schedule.lifecycle.move(schedule, "terminating", m.now)
    m.touch(schedule)
    for job in m.jobs_of(schedule):
        if job.state in jobs.OPEN:
            jobs.begin_termination(m, job, "TerminateJobSchedule")
    _settle(m, schedule)


def delete(m: Machine, schedule: JobSchedule) -> None:
    """The schedule goes with all of its jobs, when the last of them is gone."""
    if schedule.state == "deleting":
        raise BatchError("JobScheduleBeingDeleted")
    schedule.lifecycle.move(schedule, "deleting", m.now)
    m.touch(schedule)
    for job in m.jobs_of(schedule):
        if job.state != "deleting":
            jobs.delete(m, job)
    _settle(m, schedule)


def on_job_ended(m: Machine, event: JobEnded) -> None:
    schedule = m.job_schedules.get(event.job.schedule or "")
    if schedule is None:
        return
    if schedule.state in ("terminating", "deleting"):
        _settle(m, schedule)
    elif schedule.state != "completed":
        advance(m, schedule)


def due(m: Machine, schedule_key: str, timer: int) -> None:
    schedule = m.job_schedules.get(schedule_key)
    if schedule is not None and schedule.timer == timer and schedule.state in ("active", "disabled"):
        advance(m, schedule)


def advance(m: Machine, schedule: JobSchedule) -> None:
    """Makes the job that is due, or ends a schedule whose time is over, and sees to the next time to look."""
    turn = _open_turn(schedule, m.now)
    if turn is not None and schedule.state == "active" and not _running(m, schedule):
        _make_job(m, schedule)
        turn = None
    moments = [next_run(schedule, m.now), None if turn is None else _closing(schedule, turn)]
    if "recurrenceInterval" in schedule.spec["schedule"]:
        moments.append(_last(schedule))
    upcoming = [moment for moment in moments if moment is not None and moment > m.now]
    if schedule.state not in ("active", "disabled"):
        return
    if upcoming:
        schedule.timer = m.next_seq()
        m.set_timer(min(upcoming) - m.now, "job-schedule", schedule.key, schedule.timer)
    elif turn is None and not _running(m, schedule):
        _begin_end(m, schedule)


def _running(m: Machine, schedule: JobSchedule) -> bool:
    return any(job.state != "completed" for job in m.jobs_of(schedule))


def _make_job(m: Machine, schedule: JobSchedule) -> None:
    schedule.jobs_created += 1
    schedule.last_created = m.now
    schedule.recent = f"{schedule.id}:job-{schedule.jobs_created}"
    jobs.begin(m, copy.deepcopy(schedule.spec["jobSpecification"]) | {"id": schedule.recent}, schedule)


def _settle(m: Machine, schedule: JobSchedule) -> None:
    if schedule.state == "terminating" and not _running(m, schedule):
        schedule.lifecycle.move(schedule, "completed", m.now)
        schedule.ended = m.now
        m.touch(schedule)
        auto_pools.schedule_over(m, schedule)
        return
    known = m.job_schedules.get(schedule.key) is schedule
    if schedule.state == "deleting" and known and not m.jobs_of(schedule):
        del m.job_schedules[schedule.key]
        auto_pools.schedule_over(m, schedule)


# Turns


def _first(schedule: JobSchedule) -> datetime:
    until = schedule.spec["schedule"].get("doNotRunUntil")
    return max(parse_time(until), schedule.created) if until else schedule.created


def _last(schedule: JobSchedule) -> datetime | None:
    after = schedule.spec["schedule"].get("doNotRunAfter")
    return parse_time(after) if after else None


def _plus(moment: datetime, length: timedelta | None) -> datetime | None:
    """None is never: without an interval, or beyond the calendar."""
    try:
        return moment + length if length is not None else None
    except OverflowError:
        return None


def _open_turn(schedule: JobSchedule, now: datetime) -> datetime | None:
    """The turn whose job may be made now and has not been."""
    first, interval = _first(schedule), finite(schedule.spec["schedule"].get("recurrenceInterval"))
    if now < first:
        return None
    turn = first + ((now - first) // interval) * interval if interval else first
    closing = _closing(schedule, turn)
    if (closing is not None and now >= closing) or (schedule.last_created and schedule.last_created >= turn):
        return None
    return turn


def _closing(schedule: JobSchedule, turn: datetime) -> datetime | None:
    """When it is too late for a turn's job; None is never."""
    times = schedule.spec["schedule"]
    ends = [
        _plus(turn, finite(times.get("startWindow"))),
        _plus(turn, finite(times.get("recurrenceInterval"))),
        _last(schedule),
    ]
    return min((end for end in ends if end is not None), default=None)


def next_run(schedule: JobSchedule, now: datetime) -> datetime | None:
    """The next turn after now; None when there is none, or the schedule has ended."""
    if schedule.state not in ("active", "disabled"):
        return None
    first, interval = _first(schedule), finite(schedule.spec["schedule"].get("recurrenceInterval"))
    if now < first:
        following: datetime | None = first
    elif interval is None:
        return None
    else:
        following = _plus(first, ((now - first) // interval + 1) * interval)
    last = _last(schedule)
    return None if following is None or (last is not None and following >= last) else following
