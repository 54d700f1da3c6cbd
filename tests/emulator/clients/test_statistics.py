"""Statistics, as the client asks for them: with `expand`, or by selecting them."""

import sys
from datetime import timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, task
from ..raw import send
from .coverage import covers

BUSY = f"""{sys.executable} -c 'import time
while time.process_time() < 0.3: pass'"""


@covers("get_pool", "get_job", "get_task", "list_pools", "list_jobs", "list_tasks")
def test_statistics_of_a_pool_a_job_and_a_task(client):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("busy", BUSY))
    client.create_task(
        "job", task("fails", "/bin/false", constraints=models.BatchTaskConstraints(max_task_retry_count=2))
    )
    completed(client, task_id="busy"), completed(client, task_id="fails")

    of_task = client.get_task("job", "busy", expand=["stats"]).task_statistics
    assert timedelta(seconds=0.2) <= of_task.user_cpu_time + of_task.kernel_cpu_time <= timedelta(seconds=30)
    assert of_task.wall_clock_time >= timedelta(seconds=0.3) and of_task.read_iops == 0

    of_job = client.get_job("job", expand=["stats"]).job_statistics
    counts = (of_job.succeeded_tasks_count, of_job.failed_tasks_count, of_job.task_retries_count)
    assert counts == (1, 1, 2)
    assert of_job.user_cpu_time >= of_task.user_cpu_time and of_job.wall_clock_time > of_task.wall_clock_time
    assert of_job.start_time == client.get_job("job").creation_time

    of_pool = client.get_pool("pool", expand=["stats"]).pool_statistics
    assert of_pool.usage_statistics.dedicated_core_time > timedelta()

    assert client.get_job("job").job_statistics is None, "only who asks is told"
    assert all(one.task_statistics for one in client.list_tasks("job", expand=["stats"]))
    assert [one.job_statistics.failed_tasks_count for one in client.list_jobs(expand=["stats"])] == [1]
    assert [bool(one.pool_statistics) for one in client.list_pools(expand=["stats"])] == [True]
    with pytest.raises(HttpResponseError, match="InvalidQueryParameterValue"):
        list(client.list_pools(expand=["nodes"]))


@covers("get_job_schedule", "list_job_schedules", "list_jobs_from_schedule")
def test_statistics_of_a_job_schedule(client):
    make_pool(client)
    client.create_job_schedule(
        models.BatchJobScheduleCreateOptions(
            id="s",
            schedule=models.BatchJobScheduleConfiguration(recurrence_interval=timedelta(hours=1)),
            job_specification=models.BatchJobSpecification(
                pool_info=models.BatchPoolInfo(pool_id="pool"),
                job_manager_task=models.BatchJobManagerTask(id="m", command_line="true"),
            ),
        )
    )

    def found():
        return client.get_job_schedule("s", expand=["stats"]).job_schedule_statistics

    wait_until(lambda: found().succeeded_tasks_count == 1)
    assert [
        s.job_schedule_statistics.failed_tasks_count for s in client.list_job_schedules(expand=["stats"])
    ] == [0]
    jobs = client.list_jobs_from_schedule("s", expand=["stats"])
    assert [job.job_statistics.succeeded_tasks_count for job in jobs] == [1]
    client.begin_delete_job_schedule("s").result()


def test_selection_and_expansion(emulator):
    make_job(emulator.client())

    def names(query):
        return sorted(set(send(emulator, "GET", f"/jobs/job?{query}").json()) - {"odata.metadata"})

    assert names("$select=id,stats") == ["id", "stats"]
    assert names("$select=id,stats&$expand=stats") == ["id", "stats"]
    assert names("$select=id&$expand=stats") == ["id"]
    assert "stats" in names("$expand=stats") and "stats" not in names("$expand=")
