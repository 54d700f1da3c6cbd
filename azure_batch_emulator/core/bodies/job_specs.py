"""Bodies of jobs and of what jobs are made from: what the service fills in, and the rules that go beyond their shape.

https://learn.microsoft.com/rest/api/batchservice/jobs/create-job
"""

import copy
from datetime import timedelta

from ...protocol.errors import BatchError, invalid_property, missing_property
from ...protocol.wire import INFINITE, is_id, parse_duration
from . import applications
from .catalogue import Catalogue
from .checks import (
    check_display_name,
    check_id,
    check_positive,
    check_range,
    check_retention,
    check_storage,
    refuse,
)
from .pool_specs import pool_spec
from .task_specs import AUTO_USER, check_files, check_fits, check_user, task_constraints

MAX_PREFIX = 20  # characters of autoPoolIdPrefix
MAX_RELEASE = timedelta(minutes=15)
# What a job manager task has beyond other tasks.
MANAGER_ONLY = frozenset({"killJobOnCompletion", "runExclusive", "allowLowPriorityNode"})


def job_spec(body: dict, catalogue: Catalogue, now_text: str) -> dict:
    """A job's body, or a schedule's jobSpecification, with the service's defaults; whether an id is there, and which,
    is the caller's matter."""
    check_display_name(body)
    check_storage(body, catalogue)
    refuse(body, "networkConfiguration")
    spec = {
        "priority": 0,
        "maxParallelTasks": -1,
        "allowTaskPreemption": False,
        "usesTaskDependencies": False,
        "onAllTasksComplete": "noaction",
        "onTaskFailure": "noaction",
    } | body
    spec["constraints"] = job_constraints(spec.get("constraints", {}))
    _fill_preparation_and_release(spec)
    if "jobManagerTask" in spec:
        spec["jobManagerTask"] = manager_task(spec["jobManagerTask"], spec)
    spec["poolInfo"] = pool_info(spec["poolInfo"], catalogue, now_text)
    check_job(spec)
    if "autoPoolSpecification" in spec["poolInfo"]:
        check_against_pool(spec, spec["poolInfo"]["autoPoolSpecification"]["pool"])
    return spec


def _fill_preparation_and_release(spec: dict) -> None:
    if "jobPreparationTask" in spec:
        check_files(spec["jobPreparationTask"], "jobPreparationTask/")
        spec["jobPreparationTask"] = {
            "id": "jobpreparation",
            "waitForSuccess": True,
            "rerunOnNodeRebootAfterSuccess": True,
            "userIdentity": AUTO_USER,
        } | spec["jobPreparationTask"]
        spec["jobPreparationTask"]["constraints"] = task_constraints(
            spec["jobPreparationTask"].get("constraints"), 0
        )
        check_id("jobPreparationTask/id", spec["jobPreparationTask"]["id"])
    if "jobReleaseTask" in spec:
        if "jobPreparationTask" not in spec:
            raise invalid_property("jobReleaseTask", "", "A job release task needs a job preparation task.")
        check_files(spec["jobReleaseTask"], "jobReleaseTask/")
        spec["jobReleaseTask"] = {
            "id": "jobrelease",
            "maxWallClockTime": "PT15M",
            "retentionTime": "P7D",
            "userIdentity": AUTO_USER,
        } | spec["jobReleaseTask"]
        _check_release(spec["jobReleaseTask"], spec)


def _check_release(task: dict, job: dict) -> None:
    """https://learn.microsoft.com/rest/api/batchservice/jobs/create-job#batchjobreleasetask"""
    check_id("jobReleaseTask/id", task["id"])
    if task["id"].lower() == job["jobPreparationTask"]["id"].lower():
        raise BatchError("TaskIdSameAsJobPreparationTask")
    limit = "jobReleaseTask/maxWallClockTime"
    check_positive(limit, task["maxWallClockTime"])
    if parse_duration(task["maxWallClockTime"]) > MAX_RELEASE:
        raise invalid_property(limit, task["maxWallClockTime"], "The value must be at most 15 minutes.")
    check_retention("jobReleaseTask/retentionTime", task["retentionTime"])


def manager_task(body: dict, job: dict) -> dict:
    check_id("jobManagerTask/id", body["id"])
    check_display_name(body)
    applications.check_distinct(body.get("applicationPackageReferences", []))
    check_files(body, "jobManagerTask/")
    check_range("jobManagerTask/requiredSlots", body.get("requiredSlots", 1), 1, 256)
    if not body["commandLine"] and "containerSettings" not in body:
        raise invalid_property(
            "jobManagerTask/commandLine", "", "Only a container task may have an empty command line."
        )
    check_task_id(body["id"], job)
    defaults = {
        "requiredSlots": 1,
        "userIdentity": AUTO_USER,
        "killJobOnCompletion": True,
        "runExclusive": True,
        "allowLowPriorityNode": True,
    }
    constraints = task_constraints(body.get("constraints"), job["constraints"]["maxTaskRetryCount"])
    return defaults | body | {"constraints": constraints}


def check_task_id(task_id: str, job: dict) -> None:
    """Tasks and a job's preparation and release tasks share their names."""
    for name, code in (
        ("jobPreparationTask", "TaskIdSameAsJobPreparationTask"),
        ("jobReleaseTask", "TaskIdSameAsJobReleaseTask"),
    ):
        if name in job and job[name]["id"].lower() == task_id.lower():
            raise BatchError(code)


def pool_info(info: dict, catalogue: Catalogue, now_text: str) -> dict:
    """A poolInfo: the id of a pool, or an autoPoolSpecification whose pool is as good as a pool's own body."""
    if len(info) != 1:
        raise invalid_property("poolInfo", "", "Either poolId or autoPoolSpecification is needed.")
    if "poolId" in info:
        check_id("poolInfo/poolId", info["poolId"])
        return info
    auto = {"keepAlive": False} | info["autoPoolSpecification"]
    prefix = auto.get("autoPoolIdPrefix", "")
    if len(prefix) > MAX_PREFIX or (prefix and not is_id(prefix)):
        reason = f"A prefix has at most {MAX_PREFIX} letters, digits, hyphens and underscores."
        raise invalid_property("poolInfo/autoPoolSpecification/autoPoolIdPrefix", prefix, reason)
    if "pool" not in auto:
        raise missing_property("poolInfo/autoPoolSpecification/pool")
    # Only checked: the pool itself is made from the specification as it was given.
    pool_spec(copy.deepcopy(auto["pool"]) | {"id": "autopool"}, catalogue, now_text)
    return {"autoPoolSpecification": auto}


def check_own_lifetime(spec: dict) -> None:
    """The lifetime option of a schedule is for the jobs of schedules."""
    auto = spec["poolInfo"].get("autoPoolSpecification", {})
    if auto.get("poolLifetimeOption") == "jobschedule":
        raise invalid_property(
            "poolInfo/autoPoolSpecification/poolLifetimeOption",
            "jobschedule",
            "This option is for job schedules only.",
        )


def check_against_pool(spec: dict, pool: dict) -> None:
    """What a job's own tasks need of a pool that is known."""
    for name in ("jobPreparationTask", "jobReleaseTask", "jobManagerTask"):
        if name in spec:
            check_fits(spec[name], pool, name + "/")
    if "jobManagerTask" in spec:
        check_user(spec["jobManagerTask"], pool)


def check_job(spec: dict) -> None:
    check_range("priority", spec["priority"], -1000, 1000)
    if spec["maxParallelTasks"] != -1:
        check_range("maxParallelTasks", spec["maxParallelTasks"], 1, 2**31 - 1)


def job_constraints(given: dict) -> dict:
    constraints = {"maxWallClockTime": INFINITE, "maxTaskRetryCount": 0} | given
    check_range("constraints/maxTaskRetryCount", constraints["maxTaskRetryCount"], -1, 2**31 - 1)
    check_positive("constraints/maxWallClockTime", constraints["maxWallClockTime"])
    return constraints
