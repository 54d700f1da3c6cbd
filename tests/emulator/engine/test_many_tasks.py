"""Thousands of tasks through the real client: added in collections, completed, listed page by page, deleted."""

import pytest
from azure.batch import models
from support.emulator import running_emulator, wait_until

from ..helpers import make_job, make_pool, task

COUNT = 2500


@pytest.fixture(scope="module")
def client():
    with running_emulator(runner="none", time_scale=100) as emulator:
        yield emulator.client()


def test_many_tasks(client):
    make_pool(client, nodes=200, slots=2)
    make_job(client)
    for first in range(0, COUNT, 100):
        group = [task(f"T-{i:04}") for i in range(first, first + 100)]
        added = client.create_task_collection("job", models.BatchTaskGroup(task_values=group))
        assert {verdict.status for verdict in added.result_values} == {"success"}
    wait_until(lambda: client.get_job_task_counts("job").task_counts.succeeded == COUNT)

    everything = [f"T-{i:04}" for i in range(COUNT)]
    pages = [[one.id for one in page] for page in client.list_tasks("job", select=["id"]).by_page()]
    assert [len(page) for page in pages] == [1000, 1000, 500] and sum(pages, []) == everything

    ends = sorted(one.execution_info.end_time for one in client.list_tasks("job", select=["executionInfo"]))
    late = ends[-5].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    found = client.list_tasks(
        "job", filter=f"state eq 'completed' and stateTransitionTime ge DateTime'{late}'"
    )
    assert sorted(one.execution_info.end_time for one in found) == [end for end in ends if end >= ends[-5]]
    assert not list(
        client.list_tasks("job", filter=f"state eq 'running' and stateTransitionTime ge DateTime'{late}'")
    )

    reading = client.list_tasks("job", select=["id"], max_results=1000).by_page()
    first = [one.id for one in next(reading)]
    for gone in ("T-0500", "T-1500"):
        client.delete_task("job", gone)
    client.create_task("job", task("T-1500x"))
    rest = [one.id for page in reading for one in page]
    assert first + rest == sorted({*everything, "T-1500x"} - {"T-1500"})
    client.begin_delete_job("job", polling_interval=0.05).wait(30)
    assert not list(client.list_jobs())
