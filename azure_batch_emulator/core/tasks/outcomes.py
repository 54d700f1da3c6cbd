"""How a run's end is judged: success or failure, exit conditions, dependencies, counts.

https://learn.microsoft.com/azure/batch/batch-task-dependencies,
https://learn.microsoft.com/azure/batch/error-handling
"""

from collections.abc import Iterable
from datetime import datetime

from ..entities import Failed, Job, Task
from ..indexes.id_ranges import LARGEST

PRE_PROCESSING = "pre-processing"
UPLOAD = "upload"


def exit_code_failure(details: tuple[tuple[str, str], ...] = ()) -> Failed:
    """`details` are what the node knows beyond the exit code."""
    return Failed(
        "UserError",
        "FailureExitCode",
        "The task exited with an exit code representing a failure",
        (
            ("Message", "The task process exited with an unexpected exit code"),
            ("AdditionalErrorCode", "FailureExitCode"),
            *details,
        ),
    )


def ended_by_user() -> Failed:
    return Failed("UserError", "TaskEnded", "Task Was Ended by User Request")


def time_is_up() -> Failed:
    return Failed(
        "UserError",
        "TaskEnded",
        "Task Was Ended by User Request",
        (("Message", "The maximum execution time configured on the task was exceeded"),),
    )


def unfit(reason: str) -> Failed:
    return Failed(
        "UserError",
        "TaskSchedulingConstraintFailed",
        "Task cannot be scheduled on the pool associated with the job",
        (("Message", reason),),
    )


def without_container_settings() -> Failed:
    """https://github.com/microsoft/ga4gh-tes/issues/525"""
    return Failed(
        "UserError",
        "ContainerTaskSettingsNotFound",
        "Container-enabled compute node requires task container settings",
    )


def exit_options(task: Task, stage: str | None) -> dict:
    """The jobAction and dependencyAction of how the task ended: `stage` is PRE_PROCESSING, UPLOAD, or None
    where the exit code decides."""
    code = task.execution.exit_code
    success = task.execution.result == "success"
    defaults = {
        "jobAction": "none" if success else "terminate",
        "dependencyAction": "satisfy" if success else "block",
    }
    return defaults | _matching(task.spec.get("exitConditions", {}), code, stage, success)


def _matching(conditions: dict, code: int | None, stage: str | None, success: bool) -> dict:
    if stage == PRE_PROCESSING and "preProcessingError" in conditions:
        return conditions["preProcessingError"]
    if stage == UPLOAD and "fileUploadError" in conditions:
        return conditions["fileUploadError"]
    if stage is None and code is not None:
        for entry in conditions.get("exitCodes", []):
            if entry["code"] == code:
                return entry["exitOptions"]
        for entry in conditions.get("exitCodeRanges", []):
            if entry["start"] <= code <= entry["end"]:
                return entry["exitOptions"]
    return {} if success else conditions.get("default", {})


def enter(job: Job, task: Task) -> None:
    """The task is one of the job's from now on."""
    task.job = job.key
    job.tasks[task.key] = task
    job.index.add(task.key, task.state, task.lifecycle.since)
    _count(job, task, _counted_as(task), +1)


def leave(job: Job, task: Task, now: datetime) -> None:
    """The task is no longer one of the job's."""
    del job.tasks[task.key]
    job.index.discard(task.key, task.state)
    _count(job, task, _counted_as(task), -1)
    job.statistics.go_on(job.counts["running"], now)


def move(job: Job, task: Task, state: str, now: datetime) -> None:
    """Takes a task to another state, and the job's counts and index with it. The result of one that completes is
    there already, that of one that is reactivated still is."""
    old, before = task.state, _counted_as(task)
    task.lifecycle.move(task, state, now)
    if job.tasks.get(task.key) is task:
        job.index.move(task.key, old, state, now)
        _count(job, task, before, -1)
        _count(job, task, after := _counted_as(task), +1)
        job.statistics.go_on(job.counts["running"], now)
        if "succeeded" in after:
            job.statistics.book(now).succeeded += 1
        elif "failed" in after:
            job.statistics.book(now).failed += 1


def _counted_as(task: Task) -> tuple[str, ...]:
    if task.state == "completed":
        return "completed", "succeeded" if task.execution.result == "success" else "failed"
    return ("running" if task.state == "preparing" else task.state,)


def _count(job: Job, task: Task, names: tuple[str, ...], step: int) -> None:
    for name in names:
        job.counts[name] += step
        job.slot_counts[name] += step * task.slots


def await_dependencies(job: Job, task: Task) -> None:
    """Notes what the task waits for that has not been satisfied yet. Ids that don't exist yet are waited for too."""
    depends, unmet = task.spec.get("dependsOn", {}), set()
    for task_id in depends.get("taskIds", []):
        key = task_id.lower()
        known = job.tasks.get(key)
        if known is None or not known.satisfied:
            unmet.add(key)
            job.waiting_on.setdefault(key, set()).add(task.key)
    for span in depends.get("taskIdRanges", []):
        if name := job.id_ranges.wait(task.key, span["start"], span["end"]):
            unmet.add(name)
    task.unmet = unmet or None


def satisfy(job: Job, task: Task) -> list[Task]:
    """Marks a task's dependents as served; those that wait for nothing else are returned."""
    task.satisfied = True
    served: list[tuple[str, Iterable[str]]] = [(task.key, job.waiting_on.pop(task.key, ()))]
    if task.id.isascii() and task.id.isdigit() and int(task.id) <= LARGEST:
        served += job.id_ranges.satisfy(int(task.id))
    touched = []
    for name, waiting in served:
        for key in waiting:
            if dependent := job.tasks.get(key):
                if dependent.unmet:
                    dependent.unmet.discard(name)
                touched.append(dependent)
    return [dependent for dependent in touched if not dependent.unmet]
