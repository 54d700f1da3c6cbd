"""Tasks, their dependencies and exit conditions in the core, without a thread, a clock or a file."""

import pytest

from azure_batch_emulator.core.entities import Ended, Failed
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.tasks import outcomes

from ..builders import OUTPUT, Driver, code_of, job_body, pool_body, task_body

# Tasks


def test_exit_codes_and_retries(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxTaskRetryCount": 2})
    for retries in (0, 1):
        assert task.execution.retries == retries
        driver.end(driver.run_of("task"), 3)
        assert task.state in ("preparing", "running")
    assert not next(iter(driver.started.values())).fetch, "a retry on the node fetches nothing again"
    driver.end(driver.run_of("task"), 3)
    assert (task.state, task.execution.exit_code, task.execution.failure.code) == (
        "completed",
        3,
        "FailureExitCode",
    )


def test_launch_failures_are_not_retried(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxTaskRetryCount": 5})
    driver.end(driver.run_of("task"), None, Failed("UserError", "CommandProgramNotFound", "no"))
    assert (task.execution.failure.code, task.execution.exit_code) == ("CommandProgramNotFound", None)


def test_a_late_exit_of_an_old_run_is_ignored(driver):
    driver.pool()
    job = driver.job()
    task = driver.task(job)
    old = driver.run_of("task")
    driver.end(old, 1)
    driver.do(tasks.reactivate, job, task)
    driver.do(reports.exited, old, Ended(0))
    assert task.state == "preparing"


def test_the_wall_clock_of_a_task(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxWallClockTime": "PT1M", "maxTaskRetryCount": 3})
    driver.advance(60)
    driver.end_kills()
    assert (task.state, task.execution.failure.code) == ("completed", "TaskEnded")
    assert "maximum execution time" in dict(task.execution.failure.details)["Message"]


def test_terminating_waiting_and_running_tasks(driver):
    driver.pool()
    job = driver.job()
    first, second = driver.task(job, "first"), driver.task(job, "second")
    driver.do(tasks.terminate, job, second)
    assert second.state == "completed" and second.execution.failure.code == "TaskEnded"
    driver.do(tasks.terminate, job, first)
    assert driver.killed == {driver.run_of("first")}
    driver.end_kills()
    assert first.state == "completed"
    assert code_of(driver.do, tasks.terminate, job, first) == "TaskCompleted"


def test_reactivating(driver):
    driver.pool()
    job = driver.job()
    task = driver.task(job, constraints={"maxTaskRetryCount": 1})
    assert code_of(driver.do, tasks.reactivate, job, task) == "TaskNotCompleted"
    driver.end(driver.run_of("task"), 1)
    driver.end(driver.run_of("task"), 1)
    driver.do(tasks.reactivate, job, task)
    assert (task.state, task.execution.retries, task.execution.failure) == ("preparing", 0, None)
    driver.end(driver.run_of("task"), 0)
    assert code_of(driver.do, tasks.reactivate, job, task) == "TaskSucceeded"


def test_a_deleted_task_and_its_successor(driver):
    driver.pool(nodes=2)
    job = driver.job()
    task = driver.task(job)
    driver.do(tasks.delete, job, task)
    again = driver.task(job)
    assert again.state == "active", "it waits for the end of the one before it"
    driver.end_kills()
    assert driver.deleted[0].task == "task"
    assert again.state == "preparing" and job.counts["running"] == 1


def test_retention(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"retentionTime": "PT1H"})
    driver.end(driver.run_of("task"))
    driver.advance(3599)
    assert (task.files, driver.deleted) == ("kept", [])
    driver.advance(1)
    assert task.files == "cleaned" and driver.deleted[0].task == "task"


def test_uploads_come_before_completion(driver):
    driver.pool()
    output = {
        "filePattern": "*.txt",
        "destination": {"container": {"containerUrl": "http://x/c?sig=1"}},
        "uploadOptions": {"uploadCondition": "tasksuccess"},
    }
    job = driver.job(usesTaskDependencies=True)
    good, bad = driver.task(job, "good", outputFiles=[output]), driver.task(job, "bad", outputFiles=[output])
    driver.end(driver.run_of("good"), 0)
    assert good.state == "running" and bad.state == "active", "the slot is kept until the upload is over"
    run = good.run
    driver.do(reports.uploaded, run, Failed("UserError", "FileUploadContainerNotFound", "no"))
    assert (good.execution.result, good.execution.exit_code) == ("failure", 0)
    driver.end(driver.run_of("bad"), 1)
    assert bad.state == "completed", "nothing is uploaded after a failure"


def uploading(driver, **more):
    """A task whose command has ended with 0 and whose output is being uploaded, and its run."""
    driver.pool()
    task = driver.task(driver.job(), outputFiles=[OUTPUT], **more)
    driver.end(driver.run_of("task"), 0)
    assert (task.state, list(driver.uploads)) == ("running", [task.run])
    return task, task.run


def test_an_end_that_is_reported_twice(driver):
    task, run = uploading(driver)
    driver.do(reports.exited, run, Ended(1))
    assert (task.state, task.execution.exit_code) == ("running", 0)
    driver.do(reports.uploaded, run, None)
    assert task.execution.result == "success"


def test_an_upload_is_neither_killed_nor_bound_by_the_wall_clock(driver):
    task, run = uploading(driver, constraints={"maxWallClockTime": "PT1M"})
    driver.advance(60)
    assert not driver.killed and not driver.machine.runs[run].expired
    driver.do(tasks.terminate, driver.machine.job("job"), task)
    assert not driver.killed, "there is no command left to kill"
    driver.do(reports.uploaded, run, None)
    assert (task.state, task.execution.result) == ("completed", "success")


def test_a_task_that_is_deleted_while_it_uploads(driver):
    task, run = uploading(driver)
    job = driver.machine.job("job")
    driver.do(tasks.delete, job, task)
    again = driver.task(job)
    driver.do(reports.uploaded, run, None)
    assert again.state == "preparing" and (job.counts["completed"], job.counts["running"]) == (0, 1)


def test_an_upload_that_nobody_does(driver):
    driver.pool()
    task = driver.task(driver.job())
    run = driver.run_of("task")
    driver.do(reports.uploaded, run, None)
    assert task.state == "preparing", "its command has not ended"


def test_slots_and_parallel_limits(driver):
    driver.pool(nodes=1, slots=4)
    job = driver.job(maxParallelTasks=2)
    made = [driver.task(job, f"t{i}") for i in range(3)]
    assert [task.state for task in made] == ["preparing", "preparing", "active"]
    driver.end(driver.run_of("t0"))
    assert made[2].state == "preparing"


def test_a_task_that_needs_more_slots_than_a_node_has_waits_forever(driver):
    driver.pool(slots=2)
    task = driver.task(driver.job(), requiredSlots=3)
    driver.advance(10_000)
    assert task.state == "active"


def test_priority(driver):
    low, high = driver.job("low", priority=-5), driver.job("high", priority=5)
    first, second = driver.task(low, "a"), driver.task(high, "b")
    driver.pool()
    assert (first.state, second.state) == ("active", "preparing")


def test_container_settings_go_with_the_pool(driver):
    driver.pool()
    job = driver.job()
    body = task_body(containerSettings={"imageName": "x"})
    assert code_of(driver.do, tasks.create, job, body) == "InvalidPropertyValue"
    early = driver.do(jobs.create, job_body("early", "later"))
    task = driver.do(tasks.create, early, task_body())
    container = {"containerConfiguration": {"type": "dockerCompatible"}}
    machine = pool_body()["virtualMachineConfiguration"] | container
    driver.pool("later", virtualMachineConfiguration=machine)
    assert task.execution.failure.code == "ContainerTaskSettingsNotFound"
    now = driver.do(tasks.create, early, task_body("now"))
    driver.advance()
    assert now.execution.failure.code == "ContainerTaskSettingsNotFound", "it is taken, and then fails"
    assert now.execution.exit_code is None and now.execution.result == "failure"


# Dependencies and exit conditions


def test_dependencies(driver):
    driver.pool(slots=8)
    job = driver.job(usesTaskDependencies=True)
    last = driver.task(
        job, "last", dependsOn={"taskIds": ["A", "b"], "taskIdRanges": [{"start": 1, "end": 3}]}
    )
    for name in ("a", "b", "1", "02", "3"):
        driver.task(job, name)
    for name in ("a", "b", "1", "02"):
        driver.end(driver.run_of(name))
        assert last.state == "active"
    driver.end(driver.run_of("3"))
    assert last.state == "preparing"


def test_a_failed_dependency_blocks_unless_told_otherwise(driver):
    driver.pool(slots=8)
    job = driver.job(usesTaskDependencies=True)
    conditions = {"exitCodes": [{"code": 7, "exitOptions": {"dependencyAction": "satisfy"}}]}
    for name, code in (("blocks", 1), ("serves", 7)):
        driver.task(job, name, exitConditions=conditions)
        waiting = driver.task(job, f"after-{name}", dependsOn={"taskIds": [name]})
        driver.end(driver.run_of(name), code)
        assert waiting.state == ("active" if name == "blocks" else "preparing")


def test_dependencies_need_the_jobs_consent(driver):
    job = driver.job()
    body = task_body("x", dependsOn={"taskIds": ["a"]})
    assert code_of(driver.do, tasks.create, job, body) == "UnsupportedProperty"
    driver.task(job, "none", dependsOn={"taskIds": [], "taskIdRanges": []})
    long = task_body("y", dependsOn={"taskIds": ["a" * 64] * 1001})
    job = driver.job("j2", usesTaskDependencies=True)
    assert code_of(driver.do, tasks.create, job, long) == "TaskDependencyListTooLong"


OPTIONS = {"jobAction": "disable"}

CONDITIONS = {
    "exitCodes": [{"code": 2, "exitOptions": {"jobAction": "none"}}],
    "exitCodeRanges": [{"start": 10, "end": 20, "exitOptions": OPTIONS}],
    "preProcessingError": {"jobAction": "none"},
    "default": {"jobAction": "terminate"},
}


@pytest.mark.parametrize(
    ("exit_code", "failure", "state"),
    [
        (0, None, "active"),
        (2, None, "active"),
        (10, None, "disabled"),
        (20, None, "disabled"),
        (21, None, "completed"),
        (None, Failed("UserError", "CommandProgramNotFound", ""), "active"),
    ],
)
def test_job_actions(driver, exit_code, failure, state):
    driver.pool(slots=2)
    job = driver.job(onTaskFailure="performexitoptionsjobaction")
    driver.task(job, exitConditions=CONDITIONS)
    driver.end(driver.run_of("task"), exit_code, failure)
    assert job.state == state
    assert job.reason == ("TaskFailed" if state == "completed" else None)


def test_a_job_action_needs_the_jobs_mode(driver):
    body = task_body(exitConditions={"default": {"jobAction": "terminate"}})
    assert code_of(driver.do, tasks.create, driver.job(), body) == "InvalidPropertyValue"


def test_upload_failures_have_their_own_exit_condition():
    driver = Driver()
    job = driver.job(usesTaskDependencies=True)
    task = driver.task(job, exitConditions={"fileUploadError": {"dependencyAction": "satisfy"}})
    task.execution.exit_code, task.execution.result = 0, "failure"
    assert outcomes.exit_options(task, outcomes.UPLOAD)["dependencyAction"] == "satisfy"
    assert outcomes.exit_options(task, outcomes.PRE_PROCESSING)["dependencyAction"] == "block"


@pytest.mark.parametrize(
    "given, retries", [({}, 2), ({"constraints": {}}, 0), ({"constraints": {"maxTaskRetryCount": 5}}, 5)]
)
def test_the_jobs_retries_are_for_tasks_without_constraints(driver, given, retries):
    task = driver.task(driver.job(constraints={"maxTaskRetryCount": 2}), **given)
    assert task.spec["constraints"]["maxTaskRetryCount"] == retries


def test_a_job_that_a_task_disabled_completes_when_all_its_tasks_are(driver):
    driver.pool()
    job = driver.job(onTaskFailure="performexitoptionsjobaction", onAllTasksComplete="noaction")
    conditions = {"default": {"jobAction": "disable"}}
    driver.task(job, "bad", exitConditions=conditions)
    driver.task(job, "other")
    job.spec["onAllTasksComplete"] = "terminatejob"
    driver.end(driver.run_of("bad"), 1)
    driver.advance()
    assert job.state == "disabled", "one is not complete"
    driver.do(tasks.terminate, job, job.tasks["other"])
    driver.advance()
    assert (job.state, job.reason) == ("completed", "AllTasksComplete")
