"""Jobs, each method of the client once."""

from datetime import timedelta

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from ..helpers import completed, make_job, make_pool, task
from .coverage import covers


@covers("create_job", "get_job", "list_jobs", "begin_delete_job")
def test_the_life_of_a_job(client):
    client.create_job(
        models.BatchJobCreateOptions(
            id="whole",
            display_name="All that a job can have",
            pool_info=models.BatchPoolInfo(pool_id="absent"),
            priority=7,
            max_parallel_tasks=3,
            uses_task_dependencies=True,
            constraints=models.BatchJobConstraints(
                max_wall_clock_time=timedelta(days=2), max_task_retry_count=1
            ),
            job_preparation_task=models.BatchJobPreparationTask(command_line="true"),
            job_release_task=models.BatchJobReleaseTask(command_line="true"),
            common_environment_settings=[models.EnvironmentSetting(name="A", value="1")],
            task_failure_mode="performexitoptionsjobaction",
            metadata=[models.BatchMetadataItem(name="k", value="v")],
        )
    )
    job = client.get_job("WHOLE")
    assert (job.id, job.priority, job.max_parallel_tasks, job.uses_task_dependencies) == ("whole", 7, 3, True)
    assert job.constraints.max_wall_clock_time == timedelta(days=2)
    assert job.task_failure_mode == models.BatchTaskFailureMode.PERFORM_EXIT_OPTIONS_JOB_ACTION
    assert (job.job_preparation_task.id, job.job_release_task.id) == ("jobpreparation", "jobrelease")
    assert job.execution_info.pool_id == "absent" and job.metadata[0].value == "v"
    make_job(client, "other")
    (listed,) = client.list_jobs(filter="executionInfo/poolId eq 'absent'", select=["id"])
    assert (listed.id, listed.priority) == ("whole", None)
    assert [job.id for job in client.list_jobs(max_results=1)] == ["other", "whole"]
    client.begin_delete_job("whole").result()
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_job("whole")
    assert caught.value.error.code == "JobNotFound"


@covers("update_job", "replace_job")
def test_changing_a_job(client):
    make_job(client, metadata=[models.BatchMetadataItem(name="k", value="v")])
    client.update_job("job", models.BatchJobUpdateOptions(priority=5))
    job = client.get_job("job")
    assert (job.priority, job.metadata[0].name) == (5, "k")
    changed = models.BatchJob(pool_info=job.pool_info)
    with pytest.raises(HttpResponseError) as caught:
        client.replace_job("job", changed, etag="0x1", match_condition=MatchConditions.IfNotModified)
    assert caught.value.status_code == 412
    client.replace_job("job", changed, etag=job.etag, match_condition=MatchConditions.IfNotModified)
    job = client.get_job("job")
    assert (job.priority, job.metadata) == (0, None)


@covers("begin_disable_job", "begin_enable_job", "begin_terminate_job", "get_job_task_counts")
def test_stopping_a_job_for_a_while_and_for_good(client):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("long", "sleep 600", required_slots=1))
    client.begin_disable_job("job", models.BatchJobDisableOptions(disable_tasks="requeue")).result()
    assert client.get_job("job").state == models.BatchJobState.DISABLED
    assert client.get_task("job", "long").state == models.BatchTaskState.ACTIVE
    client.begin_enable_job("job").result()
    job = client.get_job("job")
    assert (job.state, job.previous_state) == (models.BatchJobState.ACTIVE, models.BatchJobState.ENABLING)
    counts = client.get_job_task_counts("job")
    assert (counts.task_counts.active + counts.task_counts.running, counts.task_counts.completed) == (1, 0)
    assert counts.task_slot_counts.active + counts.task_slot_counts.running == 1
    client.begin_terminate_job("job", {"terminateReason": "enough"}).result()
    job = client.get_job("job")
    assert (job.state, job.execution_info.termination_reason) == (models.BatchJobState.COMPLETED, "enough")


@covers("list_job_preparation_and_release_task_status")
def test_preparation_and_release(client):
    make_pool(client)
    preparation = models.BatchJobPreparationTask(command_line="true")
    release = models.BatchJobReleaseTask(command_line="false")
    make_job(client, job_preparation_task=preparation, job_release_task=release)
    client.create_task("job", task("t"))
    completed(client, task_id="t")
    client.begin_terminate_job("job", {"terminateReason": "over"}).result()
    (status,) = client.list_job_preparation_and_release_task_status("job")
    prepared = status.job_preparation_task_execution_info
    released = status.job_release_task_execution_info
    assert (prepared.state, prepared.result, prepared.exit_code) == ("completed", "success", 0)
    assert (released.state, released.result, released.exit_code) == ("completed", "failure", 1)
