"""Tasks and their files, each method of the client once."""

from datetime import timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from ..helpers import completed, make_job, make_pool, shell, task
from .coverage import covers


@covers("create_task", "get_task", "list_tasks", "delete_task")
def test_the_life_of_a_task(client):
    make_pool(client, slots=2)
    make_job(client, uses_task_dependencies=True, task_failure_mode="performexitoptionsjobaction")
    client.create_task(
        "job",
        task(
            "whole",
            shell("exit 3"),
            display_name="All that a task can have",
            environment_settings=[models.EnvironmentSetting(name="A", value="1")],
            constraints=models.BatchTaskConstraints(
                max_wall_clock_time=timedelta(minutes=5),
                retention_time=timedelta(hours=1),
                max_task_retry_count=1,
            ),
            required_slots=2,
            user_identity=models.UserIdentity(
                auto_user=models.AutoUserSpecification(scope="task", elevation_level="nonadmin")
            ),
            exit_conditions=models.ExitConditions(
                exit_codes=[
                    models.ExitCodeMapping(
                        code=3,
                        exit_options=models.ExitOptions(job_action="none", dependency_action="satisfy"),
                    )
                ]
            ),
        ),
    )
    after = models.BatchTaskDependencies(task_ids=["whole"])
    client.create_task("job", task("after", depends_on=after))
    found = completed(client, task_id="whole")
    info = found.execution_info
    assert (info.exit_code, info.retry_count, info.result) == (3, 1, models.BatchTaskExecutionResult.FAILURE)
    assert info.failure_info.category == models.BatchErrorSourceCategory.USER_ERROR
    assert info.failure_info.code == "FailureExitCode" and found.node_info.pool_id == "pool"
    assert found.constraints.retention_time == timedelta(hours=1) and found.required_slots == 2
    assert (
        found.exit_conditions.exit_codes[0].exit_options.dependency_action == models.DependencyAction.SATISFY
    )
    assert completed(client, task_id="after").depends_on.task_ids == ["whole"]
    (listed,) = client.list_tasks("job", filter="executionInfo/exitCode eq 3", select=["id", "executionInfo"])
    assert (listed.id, listed.state) == ("whole", None)
    client.delete_task("job", "whole")
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_task("job", "whole")
    assert caught.value.error.code == "TaskNotFound"


@covers("create_tasks", "create_task_collection")
def test_many_tasks_at_once(client):
    make_job(client)
    added = client.create_tasks("job", [task(f"t{i:03}") for i in range(250)], max_concurrency=2)
    assert len(added.result_values) == 250
    assert {one.status for one in added.result_values} == {models.BatchTaskAddStatus.SUCCESS}
    again = models.BatchTaskGroup(task_values=[task("t000"), task("new")])
    first, second = client.create_task_collection("job", again).result_values
    assert (first.status, first.error.code) == (models.BatchTaskAddStatus.CLIENT_ERROR, "TaskExists")
    assert (second.status, second.task_id) == (models.BatchTaskAddStatus.SUCCESS, "new")
    assert client.get_task("job", "new").etag == second.etag
    assert len(list(client.list_tasks("job", max_results=100))) == 251


@covers("replace_task", "terminate_task", "reactivate_task")
def test_changing_ending_and_repeating_a_task(client):
    make_job(client)
    client.create_task("job", task("t"))
    constraints = models.BatchTaskConstraints(max_task_retry_count=4)
    client.replace_task("job", "t", models.BatchTask(constraints=constraints))
    assert client.get_task("job", "t").constraints.max_task_retry_count == 4
    client.terminate_task("job", "t")
    ended = client.get_task("job", "t")
    assert (ended.state, ended.execution_info.failure_info.code) == ("completed", "TaskEnded")
    with pytest.raises(ResourceExistsError) as caught:
        client.terminate_task("job", "t")
    assert caught.value.error.code == "TaskCompleted"
    client.reactivate_task("job", "t")
    again = client.get_task("job", "t")
    assert (again.state, again.execution_info.failure_info) == (models.BatchTaskState.ACTIVE, None)


@covers("list_task_files", "get_task_file_properties", "download_task_file", "delete_task_file")
def test_files_of_a_task(client):
    make_pool(client)
    make_job(client)
    client.create_task(
        "job", task("t", shell("mkdir 'a b'; echo hello > 'a b/x#1.txt'; echo out; echo err >&2"))
    )
    completed(client, task_id="t")
    listed = {file.name: file for file in client.list_task_files("job", "t", recursive=True)}
    path = "wd/a b/x#1.txt"
    assert {"stdout.txt", "stderr.txt", "wd", "wd/a b", path} <= set(listed)
    assert listed["wd/a b"].is_directory and listed[path].properties.content_length == 6
    found = client.get_task_file_properties("job", "t", path)
    assert (found.content_length, found.is_directory) == (6, False)
    assert b"".join(client.download_task_file("job", "t", "stderr.txt")) == b"err\n"
    assert b"".join(client.download_task_file("job", "t", path, ocp_range="bytes=3-")) == b"lo\n"
    client.delete_task_file("job", "t", "wd/a b", recursive=True)
    assert path not in {file.name for file in client.list_task_files("job", "t", recursive=True)}
