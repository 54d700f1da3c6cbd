"""What pools used, and what their nodes logged, each method of the client once."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from support.emulator import running_emulator, wait_until

from ..helpers import completed, make_job, make_pool, task
from .conftest import CheckedClient
from .coverage import covers

HOUR = timedelta(hours=1)


@covers("upload_node_logs")
def test_logs_of_a_node(client, azurite):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("seen", "false"))
    completed(client, task_id="seen")
    (node,) = client.list_nodes("pool")
    container = azurite.new_container()

    def upload(start, **options):
        url = f"{container.url}?{azurite.sas('cw', container=container.container_name)}"
        wanted = models.UploadBatchServiceLogsOptions(container_url=url, start_time=start, **options)
        return client.upload_node_logs("pool", node.id, wanted)

    answer = upload(datetime.now(UTC) - HOUR)
    assert answer.number_of_files_uploaded == 1
    assert answer.virtual_directory_name.startswith(f"pool/{node.id}/")
    (blob,) = wait_until(lambda: list(container.list_blobs()))
    assert blob.name == f"{answer.virtual_directory_name}/agent-debug.log"
    log = container.download_blob(blob.name).readall().decode()
    assert "task seen of job job" in log and "exit code 1" in log
    later = upload(datetime.now(UTC) + HOUR)
    assert later.number_of_files_uploaded == 0
    with pytest.raises(HttpResponseError) as caught:
        upload(datetime.now(UTC), end_time=datetime.now(UTC) - HOUR)
    assert caught.value.error.code == "InvalidPropertyValue"
    with pytest.raises(HttpResponseError) as caught:
        client.upload_node_logs(
            "pool",
            node.id,
            models.UploadBatchServiceLogsOptions(container_url=container.url, start_time=datetime.now(UTC)),
        )
    assert caught.value.error.code == "InvalidPropertyValue"


@pytest.fixture(scope="module")
def hurried():
    """Hours pass in tenths of seconds."""
    with running_emulator(time_scale=36000) as running:
        yield running


@covers("list_pool_usage_metrics")
def check_usage(client):
    start = datetime.now(UTC) - 24 * HOUR
    assert list(client.list_pool_usage_metrics()) == []
    make_pool(client)

    def metrics(**options):
        return list(client.list_pool_usage_metrics(start_time=start, **options))

    def full():
        return [one for one in metrics() if one.total_core_hours == 1.0]

    first = wait_until(full)[0]
    assert (first.pool_id, first.vm_size, first.end_time - first.start_time) == (
        "pool",
        "Standard_D2s_v3",
        HOUR / 2,
    )
    several = wait_until(lambda: found if len(found := metrics()) > 2 else None)
    # (Up to a time that stands: intervals may end faster than pages of one are read.)
    assert metrics(end_time=several[-1].end_time, max_results=1) == several
    assert metrics(filter="poolId eq 'other'") == []
    (last,) = client.list_pool_usage_metrics(filter="poolId eq 'pool'")
    assert last.start_time > first.start_time
    with pytest.raises(HttpResponseError) as caught:
        list(client.list_pool_usage_metrics(end_time=start + timedelta(days=3650)))
    assert caught.value.error.code == "OutOfRangeQueryParameterValue"


def test_usage(hurried):
    check_usage(CheckedClient(hurried.client()))


test_usage.covers = check_usage.covers
