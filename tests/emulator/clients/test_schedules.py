"""Job schedules, each method of the client once."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceNotFoundError
from support.emulator import wait_until

from .coverage import covers


def create(client, **more):
    client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(
            id="schedule",
            schedule=models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(hours=1)),
            job_specification=models.BatchJobSpecification(
                pool_info=models.BatchPoolInfo(pool_id="pool"), priority=3
            ),
            **more,
        )
    )


@pytest.fixture(autouse=True)
def no_schedules(client):
    yield
    for schedule in client.list_job_schedules():
        client.begin_delete_job_schedule(schedule.id).result()


@covers(
    "create_job_schedule", "get_job_schedule", "list_job_schedules", "list_jobs_from_schedule",
    "begin_delete_job_schedule", "job_schedule_exists",
)  # fmt: skip
def test_the_life_of_a_job_schedule(client):
    create(client, display_name="Hourly", metadata=[models.BatchMetadataItem(name="k", value="v")])
    assert client.job_schedule_exists("SCHEDULE")
    recent = wait_until(lambda: client.get_job_schedule("schedule").execution_info.recent_job)
    found = client.get_job_schedule("schedule")
    assert (found.state, found.display_name) == (models.BatchJobScheduleState.ACTIVE, "Hourly")
    assert found.schedule.recurrence_interval == timedelta(hours=1)
    assert found.job_specification.priority == 3 and found.metadata[0].value == "v"
    assert found.execution_info.next_run_time > datetime.now(UTC)
    (listed,) = client.list_job_schedules(filter="state eq 'active'", select=["id"])
    assert (listed.id, listed.state) == ("schedule", None)
    (job,) = client.list_jobs_from_schedule("schedule")
    assert (job.id, job.priority, job.pool_info.pool_id) == (recent.id, 3, "pool")
    client.begin_delete_job_schedule("schedule").result()
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_job_schedule("schedule")
    assert caught.value.error.code == "JobScheduleNotFound"
    assert not list(client.list_jobs())


@covers("update_job_schedule", "replace_job_schedule")
def test_changing_a_job_schedule(client):
    create(client, metadata=[models.BatchMetadataItem(name="k", value="v")])
    daily = models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(days=1))
    client.update_job_schedule("schedule", models.BatchJobScheduleUpdateOptions(schedule=daily))
    found = client.get_job_schedule("schedule")
    assert (found.schedule.recurrence_interval, found.metadata[0].name) == (timedelta(days=1), "k")
    other = models.BatchJobSpecification(pool_info=models.BatchPoolInfo(pool_id="other"))
    client.replace_job_schedule("schedule", models.BatchJobSchedule(schedule=daily, job_specification=other))
    found = client.get_job_schedule("schedule")
    assert (found.job_specification.pool_info.pool_id, found.metadata) == ("other", None)


@covers("disable_job_schedule", "enable_job_schedule", "begin_terminate_job_schedule")
def test_stopping_a_job_schedule_for_a_while_and_for_good(client):
    create(client)
    client.disable_job_schedule("schedule")
    assert client.get_job_schedule("schedule").state == models.BatchJobScheduleState.DISABLED
    client.enable_job_schedule("schedule")
    found = client.get_job_schedule("schedule")
    assert (found.state, found.previous_state) == ("active", models.BatchJobScheduleState.DISABLED)
    client.begin_terminate_job_schedule("schedule").result()
    assert client.get_job_schedule("schedule").state == models.BatchJobScheduleState.COMPLETED
