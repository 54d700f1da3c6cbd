"""Jobs. https://learn.microsoft.com/rest/api/batchservice/jobs"""

from ...protocol.errors import BatchError, invalid_property
from ...protocol.wire import finite, format_time
from .. import chance
from ..bodies.checks import check_id, refuse, strip_secrets
from ..bodies.job_specs import (
    MANAGER_ONLY,
    check_against_pool,
    check_job,
    check_own_lifetime,
    job_constraints,
    job_spec,
    pool_info,
)
from ..entities import Job, JobSchedule, NodeTask, Run, Spec
from ..events import JobEnded, NodeRemoved, RunEnded, TaskCompleted
from ..instructions import DeleteFiles
from ..machine import Machine
from ..nodes import leaving
from ..pools import auto_pools, quotas
from ..runs import start_preparation_release
from ..runs.killing import kill
from ..states import JOB, Stateful
from ..tasks import waiting

# States in which a job can still be terminated.
OPEN = frozenset({"active", "disabling", "disabled", "enabling"})


def create(m: Machine, body: dict) -> Job:
    check_id("id", body["id"])
    spec = job_spec(body, m.catalogue, format_time(m.now))
    check_own_lifetime(spec)
    key = spec["id"].lower()
    if key in m.jobs:
        raise BatchError("JobExists")
    if key in m.job_schedules:
        raise BatchError("JobScheduleWithSameIdExists")
    quotas.check_jobs(m)
    if pool := m.pools.get(spec["poolInfo"].get("poolId", "").lower()):
        check_against_pool(spec, pool.spec)
    job = begin(m, spec)
    job.found = chance.found_from(m)
    return job


def begin(m: Machine, spec: Spec, schedule: JobSchedule | None = None) -> Job:
    """A job from a body with all defaults. It completes at once when its auto pool can't be made."""
    job = Job(
        spec["id"], m.next_seq(), spec, m.now, m.now, m.new_etag(), Stateful(JOB, "active", m.now), m.now
    )
    job.schedule = schedule.key if schedule else None
    job.statistics = m.open_ledger()
    auto_pools.assign(m, job, schedule)
    m.add_job(job)
    if job.error is not None:
        begin_termination(m, job, None)
        return job
    set_limit(m, job)
    if "jobManagerTask" in spec:
        _add_manager(m, job)
    end_if_all_complete(m, job)
    return job


def _add_manager(m: Machine, job: Job) -> None:
    given = job.spec["jobManagerTask"]
    spec = {name: value for name, value in given.items() if name not in MANAGER_ONLY}
    waiting.add(m, job, spec, manager=True)


def set_limit(m: Machine, job: Job) -> None:
    limit = finite(job.spec["constraints"]["maxWallClockTime"])
    if limit is not None:
        m.set_timer(
            job.created + limit - m.now,
            "job-limit",
            job.key,
            job.seq,
            job.spec["constraints"]["maxWallClockTime"],
        )


def limit_reached(m: Machine, job_key: str, seq: int, limit: str) -> None:
    job = m.jobs.get(job_key)
    if job is None or job.seq != seq or job.spec["constraints"]["maxWallClockTime"] != limit:
        return
    if job.state in OPEN:
        begin_termination(m, job, "MaxWallClockTimeExpiry")


def check_not_ending(job: Job, *, completed: bool = True) -> None:
    if job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    if job.state == "terminating":
        raise BatchError("JobBeingTerminated")
    if job.state == "completed" and completed:
        raise BatchError("JobCompleted")


def change(m: Machine, job: Job, body: dict, *, replace: bool) -> None:
    """PATCH (each property given replaces the job's, as a whole) or PUT (what is not given is reset)."""
    check_not_ending(job, completed=replace)
    refuse(body, "networkConfiguration")
    info = _changed_pool(m, job, body["poolInfo"]) if "poolInfo" in body else job.spec["poolInfo"]
    spec = dict(job.spec)
    if replace:
        spec |= {
            "priority": 0,
            "maxParallelTasks": -1,
            "allowTaskPreemption": False,
            "onAllTasksComplete": "noaction",
            "constraints": job_constraints({}),
        }
        spec.pop("metadata", None)
    spec |= body | {"poolInfo": info}
    spec["constraints"] = job_constraints(spec["constraints"])
    check_job(spec)
    if job.spec["onAllTasksComplete"] == "terminatejob" != spec["onAllTasksComplete"]:
        raise invalid_property(
            "onAllTasksComplete", "noaction", "Automatic termination can't be turned off again."
        )
    limit_changed = spec["constraints"]["maxWallClockTime"] != job.spec["constraints"]["maxWallClockTime"]
    m.change_job(job, spec)
    m.touch(job)
    if limit_changed:
        set_limit(m, job)
    end_if_all_complete(m, job)


def _changed_pool(m: Machine, job: Job, given: dict) -> dict:
    """The poolInfo that a job is to have: while it is disabled, another pool, or another keepAlive of its auto pool."""
    old = job.spec["poolInfo"]
    auto = old.get("autoPoolSpecification")
    if auto and "autoPoolSpecification" in given:
        given = {"autoPoolSpecification": auto | given["autoPoolSpecification"]}
    # A client that gives back what it got could not give the passwords.
    if strip_secrets(given) == strip_secrets(old):
        return old
    if job.state != "disabled":
        raise BatchError(
            "JobNotActive" if job.state == "disabling" else "OperationInvalidForCurrentState",
            [("Reason", "The pool of a job can be changed only while the job is disabled.")],
        )
    if auto is None and "autoPoolSpecification" not in given:
        return pool_info(given, m.catalogue, format_time(m.now))
    new = given.get("autoPoolSpecification", {})
    same = auto and strip_secrets(new | {"keepAlive": auto["keepAlive"]}) == strip_secrets(auto)
    if not (auto and same and auto["poolLifetimeOption"] == "job"):
        reason = "Of an auto pool only keepAlive can be changed, and only with the lifetime option 'job'."
        raise invalid_property("poolInfo", "", reason)
    return {"autoPoolSpecification": auto | {"keepAlive": new["keepAlive"]}}


def delete(m: Machine, job: Job) -> None:
    if job.state == "deleting":
        raise BatchError("JobBeingDeleted")
    job.lifecycle.move(job, "deleting", m.now)
    m.touch(job)
    _kill_runs(m, job, "end")
    settle(m, job)


def terminate(m: Machine, job: Job, body: dict) -> None:
    check_not_ending(job)
    begin_termination(m, job, body.get("terminateReason", "UserTerminate"))


def begin_termination(m: Machine, job: Job, reason: str | None) -> None:
    if job.state == "enabling":
        job.lifecycle.move(job, "active", m.now)
    job.lifecycle.move(job, "terminating", m.now)
    job.reason = reason
    m.touch(job)
    _kill_runs(m, job, "end")
    settle(m, job)


def _kill_runs(m: Machine, job: Job, intent: str) -> None:
    for run_id in list(job.runs):
        kill(m, m.runs[run_id], intent)


def disable(m: Machine, job: Job, option: str) -> None:
    check_not_ending(job)
    if job.state != "active":
        raise BatchError("JobDisabled")
    job.lifecycle.move(job, "disabling", m.now)
    m.touch(job)
    if option != "wait":
        _kill_runs(m, job, "end" if option == "terminate" else "requeue")
    settle(m, job)


def enable(m: Machine, job: Job) -> None:
    check_not_ending(job)
    if job.state == "active":
        return
    if job.state == "disabling":
        raise BatchError("OperationInvalidForCurrentState", [("Reason", "The job is still being disabled.")])
    job.lifecycle.move(job, "enabling", m.now)
    job.lifecycle.move(job, "active", m.now)
    m.touch(job)
    m.line_up(job)
    end_if_all_complete(m, job)


def on_task_completed(m: Machine, event: TaskCompleted) -> None:
    job, options = event.job, event.exit_options
    if event.task.manager and job.spec["jobManagerTask"]["killJobOnCompletion"] and job.state in OPEN:
        begin_termination(m, job, "JMComplete")
    if job.spec["onTaskFailure"] == "performexitoptionsjobaction" and job.state == "active":
        if options["jobAction"] == "terminate":
            begin_termination(m, job, "TaskFailed")
        elif options["jobAction"] == "disable":
            disable(m, job, "requeue")
    end_if_all_complete(m, job)


def end_if_all_complete(m: Machine, job: Job) -> None:
    """onAllTasksComplete=terminatejob; a job without tasks has all of them complete. Also one that is disabled, as
    reported: https://github.com/Azure/batch-shipyard/issues/227"""
    if job.spec["onAllTasksComplete"] != "terminatejob" or job.state not in ("active", "disabled"):
        return
    if job.counts["active"] == job.counts["running"] == 0:
        begin_termination(m, job, "AllTasksComplete")


def on_run_ended(m: Machine, event: RunEnded) -> None:
    if event.job is not None:
        settle(m, event.job)


def on_node_removed(m: Machine, event: NodeRemoved) -> None:
    for job in m.jobs_on(event.pool.key):
        settle(m, job)


def settle(m: Machine, job: Job) -> None:
    """Takes a job that is being disabled, terminated or deleted to its next step once its tasks have let go."""
    if (
        m.jobs.get(job.key) is not job
        or job.runs
        or job.state not in ("disabling", "terminating", "deleting")
    ):
        return
    if job.state == "disabling":
        job.lifecycle.move(job, "disabled", m.now)
        m.touch(job)
        end_if_all_complete(m, job)
        return
    pool = m.pools.get(job.pool)
    if not job.released:
        job.released = True
        for node in (
            [node for node in pool.nodes.values() if job.key in node.preps and node.up] if pool else ()
        ):
            for run in [m.runs[r] for r in node.runs if m.runs[r].job == job.key]:
                kill(m, run, "end")
            if "jobReleaseTask" in job.spec and node.preps[job.key].state == "completed":
                release = node.releases[job.key] = NodeTask(
                    job.spec["jobReleaseTask"]["id"], job.spec["jobReleaseTask"]
                )
                start_preparation_release.begin(m, node, "release", release, job)
    if any(_goes_on(m, m.runs[run]) for run in job.prep_release_runs):
        return
    if job.state == "terminating":
        job.lifecycle.move(job, "completed", m.now)
        job.ended = m.now
        m.touch(job)
        m.tell(JobEnded(job))
        return
    for node in pool.nodes.values() if pool else ():
        node.preps.pop(job.key, None)
        node.releases.pop(job.key, None)
        m.emit(DeleteFiles(node.id, job.id))
    m.remove_job(job)
    for node in pool.nodes.values() if pool else ():
        leaving.proceed(m, node)
    m.tell(JobEnded(job))


def _goes_on(m: Machine, run: Run) -> bool:
    node = m.find_node(run.pool, run.node)
    return node is not None and node.up
