"""Earlier api-versions on the wire: what each lacks, or calls otherwise."""

import pytest

from azure_batch_emulator import API_VERSIONS

from ..core.builders import IMAGE
from ..helpers import completed, make_job, make_pool, task
from ..raw import error, send

POOL = {"id": "old", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE}
BEFORE_SLOTS = [version for version in API_VERSIONS if version < "2020-09-01"]
SINCE_SLOTS = [version for version in API_VERSIONS if version > "2020-09-01"]


@pytest.fixture
def client(emulator):
    return emulator.client(retry_total=0)


@pytest.mark.parametrize("version", BEFORE_SLOTS)
def test_slots_were_tasks(client, emulator, version):
    assert send(emulator, "POST", "/pools", POOL | {"maxTasksPerNode": 3}, version=version).status_code == 201
    shown = send(emulator, "GET", "/pools/old", version=version).json()
    assert shown["maxTasksPerNode"] == 3 and "taskSlotsPerNode" not in shown
    listed = send(emulator, "GET", "/pools?$select=id,maxTasksPerNode", version=version).json()
    assert listed["value"] == [{"id": "old", "maxTasksPerNode": 3}]
    assert client.get_pool("old").task_slots_per_node == 3
    new = POOL | {"id": "new", "taskSlotsPerNode": 3}
    details = error(send(emulator, "POST", "/pools", new, version=version), 400, "InvalidRequestBody")
    assert details["PropertyPath"] == "taskSlotsPerNode"


@pytest.mark.parametrize("version", SINCE_SLOTS)
def test_slots_are_slots(emulator, version):
    error(
        send(emulator, "POST", "/pools", POOL | {"maxTasksPerNode": 3}, version=version),
        400,
        "InvalidRequestBody",
    )


def test_the_pool_of_a_job(client, emulator):
    pool = {name: value for name, value in POOL.items() if name != "id"} | {"maxTasksPerNode": 2}
    auto = {"poolLifetimeOption": "job", "pool": pool}
    job = {"id": "job", "poolInfo": {"autoPoolSpecification": auto}}
    assert send(emulator, "POST", "/jobs", job, version="2020-03-01.11.0").status_code == 201
    (made,) = client.list_pools()
    assert made.task_slots_per_node == 2
    shown = send(emulator, "GET", "/jobs/job", version="2019-08-01.10.0").json()
    assert shown["poolInfo"]["autoPoolSpecification"]["pool"]["maxTasksPerNode"] == 2


def test_counts_of_tasks(client, emulator):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("t"))
    completed(client, task_id="t")

    def counts(version):
        shown = send(emulator, "GET", "/jobs/job/taskcounts", version=version).json()
        return {name: value for name, value in shown.items() if name != "odata.metadata"}

    flat = {"active": 0, "running": 0, "completed": 1, "succeeded": 1, "failed": 0}
    assert counts("2020-09-01.12.0") == {"taskCounts": flat, "taskSlotCounts": flat}
    assert counts("2020-03-01.11.0") == flat
    assert counts("2018-03-01.6.1") == flat | {"validationStatus": "Validated"}


def test_resource_files(client, emulator):
    make_job(client)
    files = [{"blobSource": "http://127.0.0.1:9/c/b?sig=x", "filePath": "a"}]
    body = {"id": "t", "commandLine": "true", "resourceFiles": files}
    assert send(emulator, "POST", "/jobs/job/tasks", body, version="2018-08-01.7.0").status_code == 201
    assert (
        send(emulator, "GET", "/jobs/job/tasks/t", version="2018-03-01.6.1").json()["resourceFiles"] == files
    )
    (shown,) = send(emulator, "GET", "/jobs/job/tasks/t").json()["resourceFiles"]
    assert shown["httpUrl"] == files[0]["blobSource"]
    error(
        send(emulator, "POST", "/jobs/job/tasks", body | {"id": "u"}, version="2018-12-01.8.0"),
        400,
        "InvalidRequestBody",
    )


def test_the_spelling_that_was_recorded(client, emulator):
    """Until 2023-05-01.17.0; the description has lower case in all."""
    make_pool(client, nodes=0)
    make_job(client)

    def spelt(version):
        body = {"value": [{"id": version.replace(".", "-"), "commandLine": "true"}]}
        (row,) = send(emulator, "POST", "/jobs/job/addtaskcollection", body, version=version).json()["value"]
        policy = send(emulator, "GET", "/pools/pool", version=version).json()["taskSchedulingPolicy"]
        return row["status"], policy["nodeFillType"]

    assert spelt("2023-05-01.17.0") == spelt("2022-01-01.15.0") == ("Success", "Spread")
    assert spelt("2024-02-01.19.0") == spelt("2025-06-01") == ("success", "spread")


def test_public_addresses(client, emulator):
    address = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/a"
    body = POOL | {"networkConfiguration": {"publicIPs": [address]}}
    assert send(emulator, "POST", "/pools", body, version="2019-08-01.10.0").status_code == 201
    shown = client.get_pool("old").network_configuration.public_ip_address_configuration
    assert shown.ip_address_ids == [address]
