"""Jobs and tasks."""

from ...core.jobs import jobs, tasks
from ...core.machine import Machine
from ...core.views import lists, statistics, views
from ...protocol import api_versions
from ...protocol.errors import BatchError, missing_property
from ...protocol.schema import check_model, parse_object
from ...protocol.wire import format_time
from ..call import Call, Reply
from .resources import Resource

JOB = Resource(
    lambda m, path: m.job(path["jobId"]),
    lambda m, job, call: views.job(job, call.base),
    "jobs",
    statistics.of_job,
)
_TASK = Resource(
    lambda m, path: m.task(path["jobId"], path["taskId"]),
    lambda m, task, call: views.task(m, m.jobs[task.job], task, call.base, call.selected),
    "tasks",
    statistics.of_task,
)


def create_job(call: Call) -> Reply:
    job = call.engine.call(jobs.create, call.body)
    # The service's own oddity: the location is always that of "job-1".
    return call.stamped(job, Location=f"{call.base}/jobs/job-1", DataServiceId=f"{call.base}/jobs/{job.id}")


get_job = JOB.get
list_jobs = JOB.listing(lambda m, call: sorted(m.jobs.items()), lists.JOBS)
update_job = JOB.change(lambda m, job, call: jobs.change(m, job, call.body, replace=False))
replace_job = JOB.change(lambda m, job, call: jobs.change(m, job, call.body, replace=True))
terminate_job = JOB.change(lambda m, job, call: jobs.terminate(m, job, call.body))
disable_job = JOB.change(lambda m, job, call: jobs.disable(m, job, call.body["disableTasks"]))
enable_job = JOB.change(lambda m, job, call: jobs.enable(m, job))
delete_job = JOB.deletion(jobs.delete)


def get_job_task_counts(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.item(views.task_counts(m.job(call.path["jobId"])), "taskcountsresult")

    return call.engine.read(read)


def list_job_preparation_and_release_task_status(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        job = m.job(call.path["jobId"])
        if "jobPreparationTask" not in job.spec:
            raise BatchError("JobPreparationTaskNotSpecified")
        pool = m.pools.get(job.pool)
        rows = (
            [(node.id, (job.key, pool, node)) for node in pool.nodes.values() if job.key in node.preps]
            if pool
            else []
        )
        return call.listing(
            sorted(rows, key=lambda row: row[0]),
            lists.PREPARATIONS,
            lambda row: views.preparation_and_release(m, job, row[1], row[2], call.base),
            "jobpreparationandreleasetaskstatuslist",
        )

    return call.engine.read(read)


def create_task(call: Call) -> Reply:
    def stimulus(m: Machine) -> Reply:
        job = m.job(call.path["jobId"])
        task = tasks.create(m, job, call.body)
        return call.stamped(task, Location=f"{call.base}/jobs/{job.id}/tasks/{task.id}")

    return call.engine.call(stimulus)


def create_task_collection(call: Call) -> Reply:
    """The body comes unchecked (`value` alone is known to be there), because each task has its own verdict."""
    given = call.body.get("value")
    if not isinstance(given, list):
        raise missing_property("value")
    if len(given) > tasks.MAX_COLLECTION:
        raise BatchError("RequestBodyTooLarge", [("MaxLimit", f"{tasks.MAX_COLLECTION} tasks")])
    bodies = [_checked(body, call.version) for body in given]
    ids = [body.get("id") if isinstance(body, dict) else None for body in given]

    def stimulus(m: Machine) -> Reply:
        job = m.job(call.path["jobId"])
        results = []
        for task_id, (_, outcome) in zip(ids, tasks.create_collection(m, job, bodies), strict=True):
            results.append(_verdict(call, job.id, str(task_id or ""), outcome, format_time(m.now)))
        if call.version < api_versions.CAPITALS:
            results = api_versions.capitalised(results)
        return Reply({"odata.metadata": f"{call.base}/$metadata#taskaddresult", "value": results})

    return call.engine.call(stimulus)


def _checked(body: object, version: str) -> dict | BatchError:
    try:
        if not isinstance(body, dict):
            raise BatchError("InvalidRequestBody", [("Reason", "A task is an object.")])
        modern, kept = api_versions.to_current("BatchTaskCreateOptions", body, version)
        return api_versions.joined(check_model("BatchTaskCreateOptions", modern, ""), kept)
    except BatchError as error:
        return error


def _verdict(call: Call, job_id: str, task_id: str, outcome: object, now: str) -> dict:
    location = f"{call.base}/jobs/{job_id}/tasks/{task_id}"
    if isinstance(outcome, BatchError):
        request_id = call.headers.get("x-request-id", "")
        return {
            "status": "clienterror",
            "taskId": task_id,
            "error": outcome.body(request_id, now),
            "location": location,
        }
    return {
        "status": "success",
        "taskId": task_id,
        "eTag": outcome.etag,  # type: ignore[attr-defined]
        "lastModified": format_time(outcome.modified),  # type: ignore[attr-defined]
        "location": location,
    }


def parse_collection(raw: bytes) -> dict:
    body = parse_object(raw)
    if set(body) - {"value"}:
        raise BatchError("InvalidRequestBody", [("Reason", "Only the property 'value' is expected.")])
    return body


get_task = _TASK.get
list_tasks = _TASK.listing(
    lambda m, call: lists.tasks_after(m.job(call.path["jobId"]), call.query.get("$filter"), call.after),
    lists.TASKS,
)
replace_task = _TASK.change(lambda m, task, call: tasks.replace(m, m.jobs[task.job], task, call.body))
terminate_task = _TASK.change(lambda m, task, call: tasks.terminate(m, m.jobs[task.job], task))
reactivate_task = _TASK.change(lambda m, task, call: tasks.reactivate(m, m.jobs[task.job], task))
delete_task = _TASK.deletion(lambda m, task: tasks.delete(m, m.jobs[task.job], task))


def list_subtasks(call: Call) -> Reply:
    """Those of a task without instances are none."""

    def read(m: Machine) -> Reply:
        job, task = m.job(call.path["jobId"]), m.task(call.path["jobId"], call.path["taskId"])
        rows = [(f"{subtask.id:010}", subtask) for subtask in task.subtasks]
        return call.listing(rows, {}, lambda s: views.subtask(m, job, task, s, call.base), "subtasks")

    return call.engine.read(read)
