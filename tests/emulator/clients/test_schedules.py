"""Job schedules, each method of the client once; and jobs with auto pools and job managers."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import VM, completed, make_pool, text
from .coverage import covers

HOURLY = models.BatchJobScheduleConfiguration(
    recurrence_interval=timedelta(hours=1), start_window=timedelta(minutes=30)
)


def specification(**more):
    return models.BatchJobSpecification(pool_info=models.BatchPoolInfo(pool_id="absent"), **more)


def make(client, schedule_id="daily", schedule=HOURLY, job=None, **more):
    client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(
            id=schedule_id, schedule=schedule, job_specification=job or specification(), **more
        )
    )


def refused(call, *args, **options):
    with pytest.raises(HttpResponseError) as caught:
        call(*args, **options)
    return caught.value.status_code, caught.value.error and caught.value.error.code


@covers("create_job_schedule", "get_job_schedule", "list_jobs_from_schedule", "job_schedule_exists")
def test_what_a_schedule_shows(client):
    make(
        client,
        job=specification(priority=3),
        display_name="Each day",
        metadata=[models.BatchMetadataItem(name="k", value="v")],
    )
    shown = client.get_job_schedule("DAILY")
    assert (shown.id, shown.display_name, shown.state) == ("daily", "Each day", "active")
    assert shown.schedule.recurrence_interval == timedelta(hours=1)
    assert shown.job_specification.priority == 3 and shown.job_specification.max_parallel_tasks == -1
    assert shown.execution_info.recent_job.id == "daily:job-1"
    assert shown.execution_info.recent_job.url.endswith("/jobs/daily:job-1")
    assert shown.execution_info.next_run_time - shown.creation_time == timedelta(hours=1)
    assert client.job_schedule_exists("daily")
    with pytest.raises(ResourceNotFoundError):
        # The client's own oddity: it raises where it should say False.
        client.job_schedule_exists("absent")
    (job,) = client.list_jobs_from_schedule("daily")
    assert job.id == "daily:job-1" and job.priority == 3
    assert client.get_job("daily:job-1").execution_info.pool_id == "absent"
    assert list(client.list_jobs_from_schedule("daily", filter="state eq 'completed'")) == []
    assert refused(client.get_job_schedule, "absent")[1] == "JobScheduleNotFound"
    client.begin_delete_job_schedule("daily").result()


@covers("list_job_schedules", "begin_delete_job_schedule")
def test_lists(client):
    later = datetime(2099, 1, 1, tzinfo=UTC)
    make(client, "a")
    make(client, "b", models.BatchJobScheduleConfiguration(do_not_run_until=later))
    assert [s.id for s in client.list_job_schedules()] == ["a", "b"]
    (one,) = client.list_job_schedules(
        filter="schedule/doNotRunUntil gt datetime'2098-01-01T00:00:00Z' and state eq 'active'"
    )
    assert one.id == "b" and one.execution_info.next_run_time == later
    (short,) = client.list_job_schedules(filter="startswith(id,'b')", select=["id", "state"])
    assert set(short) == {"id", "state"}
    assert len(list(client.list_job_schedules(max_results=1))) == 2
    client.begin_delete_job_schedule("a").result()
    client.begin_delete_job_schedule("b").result()
    assert list(client.list_job_schedules()) == [] and list(client.list_jobs()) == []


@covers(
    "update_job_schedule",
    "replace_job_schedule",
    "disable_job_schedule",
    "enable_job_schedule",
    "begin_terminate_job_schedule",
)
def test_changes(client):
    make(client)
    first = client.get_job_schedule("daily")
    options = models.BatchJobScheduleUpdateOptions(
        schedule=models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(days=1))
    )
    client.update_job_schedule("daily", options)
    stale = {"etag": first.etag, "match_condition": MatchConditions.IfNotModified}
    assert refused(client.update_job_schedule, "daily", options, **stale) == (412, "ConditionNotMet")
    changed = client.get_job_schedule("daily")
    assert changed.schedule.recurrence_interval == timedelta(days=1)
    assert changed.schedule.start_window is None
    client.disable_job_schedule("daily")
    assert refused(client.disable_job_schedule, "daily") == (409, "JobScheduleDisabled")
    assert client.get_job_schedule("daily").previous_state == "active"
    client.enable_job_schedule("daily")
    body = models.BatchJobSchedule(
        job_specification=specification(priority=8), metadata=[models.BatchMetadataItem(name="a", value="b")]
    )
    client.replace_job_schedule("daily", body)
    replaced = client.get_job_schedule("daily")
    assert replaced.job_specification.priority == 8 and not replaced.schedule
    client.begin_terminate_job_schedule("daily").result()
    ended = client.get_job_schedule("daily")
    assert ended.state == "completed" and ended.execution_info.end_time
    assert client.get_job("daily:job-1").execution_info.termination_reason == "TerminateJobSchedule"
    assert refused(client.enable_job_schedule, "daily") == (409, "JobScheduleCompleted")
    client.begin_delete_job_schedule("daily").result()


def test_a_manager_runs_on_a_pool_of_its_own(client):
    """The directory of a schedule's job, and the pool that goes with it."""
    pool = models.BatchPoolSpecification(
        vm_size="Standard_D2s_v3", virtual_machine_configuration=VM, target_dedicated_nodes=1
    )
    auto = models.BatchAutoPoolSpecification(
        auto_pool_id_prefix="own", pool_lifetime_option="jobschedule", pool=pool
    )
    manager = models.BatchJobManagerTask(
        id="lead",
        command_line="/bin/sh -c 'echo $AZ_BATCH_JOB_ID; pwd'",
        kill_job_on_completion=False,
        constraints=models.BatchTaskConstraints(retention_time=timedelta(days=1)),
    )
    job = models.BatchJobSpecification(
        pool_info=models.BatchPoolInfo(auto_pool_specification=auto), job_manager_task=manager
    )
    make(client, "auto", models.BatchJobScheduleConfiguration(), job)
    done = completed(client, "auto:job-1", "lead")
    assert done.node_info.pool_id.startswith("own_")
    assert done.node_info.task_root_directory == "workitems/auto/job-1/lead"
    name, place = text(client.download_task_file("auto:job-1", "lead", "stdout.txt")).split()
    assert name == "auto:job-1" and place.endswith("/workitems/auto/job-1/lead/wd")
    assert client.get_job("auto:job-1").job_manager_task.run_exclusive is True
    client.begin_terminate_job_schedule("auto").result()
    wait_until(lambda: not list(client.list_pools()))
    client.begin_delete_job_schedule("auto").result()


def test_a_job_with_a_manager(client):
    make_pool(client)
    manager = models.BatchJobManagerTask(id="lead", command_line="true")
    client.create_job(
        models.BatchJobCreateOptions(
            id="led", pool_info=models.BatchPoolInfo(pool_id="pool"), job_manager_task=manager
        )
    )
    job = wait_until(lambda: (found := client.get_job("led")).state == "completed" and found)
    assert job.execution_info.termination_reason == "JMComplete"
    client.begin_delete_job("led").result()
    client.begin_delete_pool("pool").result()
