"""Jobs, their preparation and release in the core, without a thread, a clock or a file."""

import pytest

from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.views import views

from ..builders import code_of, task_body


@pytest.mark.parametrize(("action", "state"), [("disable", "disabled"), ("terminate", "completed")])
def test_a_placement_ends_the_job_of_the_next(driver, action, state):
    """Two tasks get nodes at once; the first can't run on this pool, and stops the job."""
    job = driver.job(onTaskFailure="performexitoptionsjobaction")
    conditions = {"preProcessingError": {"jobAction": action}}
    nobody = {"userIdentity": {"username": "nobody"}}
    first = driver.task(job, "first", exitConditions=conditions, **nobody)
    second = driver.task(job, "second")
    driver.pool(slots=2)
    assert (job.state, first.state, second.state) == (state, "completed", "active")
    assert second.key in job.ready and not driver.started
    if action == "disable":
        driver.do(jobs.enable, job)
        assert second.state == "preparing", "it had kept its place in the queue"


def test_a_job_that_is_gone_does_not_touch_its_successor(driver):
    old = driver.job()
    driver.do(jobs.delete, old)
    driver.do(jobs.settle, old)
    new = driver.job()
    driver.do(jobs.settle, old)
    assert driver.machine.job("job") is new and not driver.deleted


# Jobs


def test_terminating_leaves_active_tasks_active(driver):
    driver.pool()
    job = driver.job()
    first, second = driver.task(job, "first"), driver.task(job, "second")
    driver.do(jobs.terminate, job, {"terminateReason": "enough"})
    assert job.state == "terminating"
    assert code_of(driver.do, tasks.create, job, task_body("third")) == "JobBeingTerminated"
    driver.end_kills()
    assert (job.state, job.reason, first.state, second.state) == (
        "completed",
        "enough",
        "completed",
        "active",
    )
    assert code_of(driver.do, tasks.create, job, task_body("third")) == "JobCompleted"
    assert code_of(driver.do, jobs.terminate, job, {}) == "JobCompleted"


@pytest.mark.parametrize(("option", "task_state"), [("requeue", "active"), ("terminate", "completed")])
def test_disabling(driver, option, task_state):
    driver.pool()
    job = driver.job()
    task = driver.task(job)
    driver.do(jobs.disable, job, option)
    assert job.state == "disabling"
    driver.end_kills()
    assert (job.state, task.state) == ("disabled", task_state)
    driver.do(jobs.enable, job)
    assert job.state == "active"
    assert task.state == ("preparing" if option == "requeue" else "completed")


def test_disabling_with_wait(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(jobs.disable, job, "wait")
    assert job.state == "disabling" and not driver.killed
    driver.end(driver.run_of("task"))
    assert job.state == "disabled"


def test_all_tasks_complete(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(lambda m: jobs.change(m, job, {"onAllTasksComplete": "terminatejob"}, replace=False))
    assert job.state == "active"
    driver.end(driver.run_of("task"))
    assert (job.state, job.reason) == ("completed", "AllTasksComplete")
    assert driver.job("empty", onAllTasksComplete="terminatejob").state == "completed"


def test_the_wall_clock_of_a_job(driver):
    driver.pool()
    job = driver.job(constraints={"maxWallClockTime": "PT1M"})
    driver.task(job)
    driver.advance(60)
    driver.end_kills()
    assert (job.state, job.reason) == ("completed", "MaxWallClockTimeExpiry")


def test_put_resets_and_patch_replaces_whole_objects(driver):
    job = driver.job(priority=5, metadata=[{"name": "a", "value": "b"}], constraints={"maxTaskRetryCount": 3})
    driver.do(lambda m: jobs.change(m, job, {"constraints": {"maxWallClockTime": "PT1H"}}, replace=False))
    assert (job.spec["constraints"]["maxTaskRetryCount"], job.spec["priority"]) == (0, 5)
    driver.do(lambda m: jobs.change(m, job, {"poolInfo": {"poolId": "pool"}}, replace=True))
    assert job.spec["priority"] == 0 and "metadata" not in job.spec
    change = {"poolInfo": {"poolId": "other"}}
    assert (
        code_of(driver.do, lambda m: jobs.change(m, job, change, replace=False))
        == "OperationInvalidForCurrentState"
    )


def test_deleting_a_job(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(jobs.delete, job)
    assert code_of(driver.do, jobs.delete, job) == "JobBeingDeleted"
    assert code_of(driver.do, tasks.create, job, task_body("x")) == "JobBeingDeleted"
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.runs and driver.deleted[-1].task is None


# Preparation and release


def test_preparation_and_release(driver):
    pool = driver.pool(nodes=2, slots=2)
    job = driver.job(jobPreparationTask={"commandLine": "p"}, jobReleaseTask={"commandLine": "r"})
    first, second = driver.task(job, "first"), driver.task(job, "second", affinityInfo={"affinityId": "x"})
    assert [start.kind for start in driver.started.values()] == ["prep", "prep"]
    for run in list(driver.started):
        driver.end(run)
    assert {start.task for start in driver.started.values()} == {"first", "second"}
    third = driver.task(job, "third")
    assert driver.run_of("third"), "the node has been prepared already"
    driver.do(jobs.terminate, job, {})
    driver.end_kills()
    assert job.state == "terminating" and [s.kind for s in driver.started.values()] == ["release"] * 2
    assert {first.state, second.state, third.state} == {"completed"}
    for run in list(driver.started):
        driver.end(run)
    assert job.state == "completed"
    shown = [
        views.preparation_and_release(driver.machine, job, pool, node, "") for node in pool.nodes.values()
    ]
    assert [entry["jobReleaseTaskExecutionInfo"]["result"] for entry in shown] == ["success"] * 2


def test_a_failed_preparation_gives_the_task_back(driver):
    driver.pool()
    job = driver.job(jobPreparationTask={"commandLine": "p"})
    task = driver.task(job)
    driver.end(driver.run_of("jobpreparation"), 1)
    assert task.state == "active" and not driver.started and job.counts["running"] == 0
    driver.do(jobs.delete, job)
    assert not driver.machine.jobs


def test_deleting_a_job_that_waits_for_its_preparation(driver):
    driver.pool()
    job = driver.job(jobPreparationTask={"commandLine": "p"})
    driver.task(job)
    driver.do(jobs.delete, job)
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.runs
