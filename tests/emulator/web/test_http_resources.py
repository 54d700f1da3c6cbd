"""Pools, jobs and tasks over HTTP: what is echoed, conditions, lists, collections, files."""

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..raw import error, send


def test_defaults_are_echoed(emulator):
    client = emulator.client()
    make_pool(client, nodes=0)
    pool = send(emulator, "GET", "/pools/POOL").json()
    assert pool["odata.metadata"].endswith("/$metadata#pools/@Element")
    expected = {
        "id": "pool",
        "url": f"{emulator.url}/pools/pool",
        "state": "active",
        "allocationState": "steady",
        "resizeTimeout": "PT15M",
        "taskSlotsPerNode": 1,
        "taskSchedulingPolicy": {"nodeFillType": "spread"},
        "enableAutoScale": False,
        "enableInterNodeCommunication": False,
        "targetLowPriorityNodes": 0,
        "currentDedicatedNodes": 0,
    }
    assert expected.items() <= pool.items() and "cores" not in pool
    make_job(client)
    job = send(emulator, "GET", "/jobs/job").json()
    assert (job["priority"], job["maxParallelTasks"], job["onAllTasksComplete"]) == (0, -1, "noaction")
    assert job["executionInfo"]["poolId"] == "pool" and job["constraints"] == {
        "maxWallClockTime": "P10675199DT2H48M5.4775807S",
        "maxTaskRetryCount": 0,
    }
    client.create_task("job", task("t"))
    shown = send(emulator, "GET", "/jobs/job/tasks/T").json()
    assert shown["executionInfo"] == {"retryCount": 0, "requeueCount": 0}
    assert shown["constraints"]["retentionTime"] == "P7D" and shown["requiredSlots"] == 1
    assert shown["userIdentity"] == {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}


def test_locations_and_tags_of_what_is_created(emulator):
    make_pool(emulator.client(), nodes=0)
    job = send(emulator, "POST", "/jobs", {"id": "Job", "poolInfo": {"poolId": "pool"}})
    assert (job.status_code, job.content, job.headers["Location"]) == (201, b"", f"{emulator.url}/jobs/job-1")
    made = send(emulator, "POST", "/jobs/job/tasks", {"id": "T1", "commandLine": "true"})
    assert made.headers["Location"] == f"{emulator.url}/jobs/Job/tasks/T1"
    got = send(emulator, "GET", "/jobs/job/tasks/t1")
    assert got.headers["ETag"] == got.json()["eTag"] == made.headers["ETag"] and not got.headers[
        "ETag"
    ].startswith('"')
    error(send(emulator, "POST", "/jobs/job/tasks", {"id": "t1", "commandLine": "true"}), 409, "TaskExists")
    error(send(emulator, "POST", "/jobs", {"id": "JOB", "poolInfo": {"poolId": "p"}}), 409, "JobExists")


def test_secrets_are_not_shown(emulator):
    registry = models.ContainerRegistryReference(
        username="u", password="hunter2", registry_server="r.example"
    )
    vm = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(
            publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404"
        ),
        node_agent_sku_id="batch.node.ubuntu 24.04",
        container_configuration=models.BatchContainerConfiguration(
            type="dockerCompatible", container_registries=[registry]
        ),
    )
    user = models.UserAccount(name="me", password="hunter2")
    make_pool(emulator.client(), nodes=0, virtual_machine_configuration=vm, user_accounts=[user])
    assert "hunter2" not in send(emulator, "GET", "/pools/pool").text


def test_conditions(emulator):
    client = emulator.client()
    make_pool(client, nodes=0)
    pool = client.get_pool("pool")
    tag = pool.etag
    for quoted in (tag, f'"{tag}"'):
        assert send(emulator, "GET", "/pools/pool", headers={"If-None-Match": quoted}).status_code == 304
        assert send(emulator, "GET", "/pools/pool", headers={"If-Match": quoted}).status_code == 200
    error(send(emulator, "GET", "/pools/pool", headers={"If-Match": "0x1"}), 412, "ConditionNotMet")
    error(send(emulator, "DELETE", "/pools/pool", headers={"If-None-Match": "*"}), 412, "ConditionNotMet")
    past, future = "Mon, 01 Jan 2001 00:00:00 GMT", "Mon, 01 Jan 2035 00:00:00 GMT"
    assert send(emulator, "GET", "/pools/pool", headers={"If-Modified-Since": future}).status_code == 304
    assert send(emulator, "GET", "/pools/pool", headers={"If-Modified-Since": past}).status_code == 200
    error(send(emulator, "GET", "/pools/pool", headers={"If-Unmodified-Since": past}), 412, "ConditionNotMet")
    error(
        send(emulator, "GET", "/pools/pool", headers={"If-Unmodified-Since": "soon"}),
        400,
        "InvalidHeaderValue",
    )
    client.update_pool(
        "pool", models.BatchPoolUpdateOptions(metadata=[models.BatchMetadataItem(name="a", value="b")])
    )
    with pytest.raises(HttpResponseError) as caught:
        client.update_pool(
            "pool",
            models.BatchPoolUpdateOptions(metadata=[]),
            etag=tag,
            match_condition=MatchConditions.IfNotModified,
        )
    assert caught.value.status_code == 412
    assert client.get_pool("pool").metadata[0].name == "a"


def test_pool_changes_and_node_views(emulator):
    client = emulator.client()
    make_pool(client, nodes=2, slots=2)
    assert client.pool_exists("pool")
    node = next(iter(client.list_nodes("pool")))
    assert client.get_node("pool", node.id).affinity_id == f"TVM:{node.id}"
    counts = next(iter(client.list_pool_node_counts(filter="poolId eq 'pool'")))
    assert (counts.dedicated.idle, counts.dedicated.total, counts.low_priority.total) == (2, 2, 0)
    assert {f.name for f in client.list_node_files("pool", node.id)} == {
        "applications", "fsmounts", "shared", "startup", "volatile", "workitems",
    }  # fmt: skip
    client.begin_remove_nodes(
        "pool", models.BatchNodeRemoveOptions(node_ids=[node.id]), polling_interval=0.1
    ).result()
    assert [n.id == node.id for n in client.list_nodes("pool")] == [False]
    client.begin_resize_pool(
        "pool",
        models.BatchPoolResizeOptions(target_dedicated_nodes=0, target_low_priority_nodes=1),
        polling_interval=0.1,
    ).result()
    (spot,) = wait_until(lambda: [n for n in client.list_nodes("pool") if n.state == "idle"])
    assert spot.id.endswith("_p") and spot.is_dedicated is False
    client.replace_pool_properties(
        "pool", models.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
    )


def test_supported_images(emulator):
    client = emulator.client()
    verified = "osType eq 'linux' and verificationType eq '{}'"
    images = list(client.list_supported_images(filter=verified.format("verified")))
    docker = [i.image_reference.sku for i in images if "DockerCompatible" in (i.capabilities or [])]
    assert "2404" in docker and len(images) > len(docker)
    others = {
        i.image_reference.sku: i for i in client.list_supported_images(filter=verified.format("unverified"))
    }
    assert {"2204", "2404-arm64"} <= set(others) and "Generation2VMImage" in others["2204"].capabilities


# Lists


@pytest.fixture
def many(emulator):
    """A job of 25 tasks on no pool, named t00 to t24."""
    client = emulator.client()
    make_job(client, "many", "nowhere")
    client.create_task_collection(
        "many", models.BatchTaskGroup(task_values=[task(f"t{i:02}") for i in range(25)])
    )
    return client


def test_pages(emulator, many):
    pages = list(many.list_tasks("many", max_results=10).by_page())
    sizes = [len(list(page)) for page in pages]
    assert sizes == [10, 10, 5]
    assert [t.id for t in many.list_tasks("many", max_results=7)] == [f"t{i:02}" for i in range(25)]
    link = send(emulator, "GET", "/jobs/many/tasks?maxresults=10&$select=id").json()["odata.nextLink"]
    path = (
        link.removeprefix(emulator.url)
        .replace("&api-version=2025-06-01", "")
        .replace("api-version=2025-06-01&", "")
    )
    many.delete_task("many", "t09")
    body = send(emulator, "GET", path).json()
    assert body["value"][0] == {"id": "t10"}, (
        "a page goes on where the last one ended, whatever was deleted since"
    )


def test_page_limits(emulator, many):
    for wrong, code in (("0", "OutOfRangeQueryParameterValue"), ("1001", "OutOfRangeQueryParameterValue"),
                        ("x", "InvalidQueryParameterValue")):  # fmt: skip
        error(send(emulator, "GET", f"/jobs/many/tasks?maxresults={wrong}"), 400, code)
    error(send(emulator, "GET", "/jobs/many/tasks?$skiptoken=%21%21"), 400, "InvalidQueryParameterValue")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("id eq 'T03'", 1),
        ("startswith(id,'t1')", 10),
        ("startswith(id, 'T1') and id ne 't10'", 9),
        ("id ge 't20' or id lt 't02'", 7),
        ("(id eq 't01' or id eq 't02') and state eq 'active'", 2),
        ("id eq 't01' or id eq 't02' and state eq 'completed'", 1),
        ("state ne 'ACTIVE'", 0),
        ("creationTime gt DateTime'2001-01-01T00:00:00Z'", 25),
        ("creationTime lt DateTime'2001-01-01T00:00:00.1234567Z'", 0),
        ("creationTime gt datetime'Mon, 01 Jan 2001 00:00:00 GMT'", 25),
        ("executionInfo/exitCode eq 0", 0),
        ("executionInfo/result eq null", 25),
        ("lastModifiedTime ge DateTime'2001-01-01'", 25),
        ("not (id eq 't01')", 24),
    ],
)
def test_filters(many, text, count):
    assert len(list(many.list_tasks("many", filter=text))) == count


@pytest.mark.parametrize(
    "wrong",
    [
        "colour eq 'red'",
        "Id eq 'x'",
        "commandLine eq 'true'",
        "id eq",
        "id eq 3",
        "state gt 'active'",
        "executionInfo/exitCode eq 'x'",
        "creationTime gt DateTime'never'",
        "startswith(state,'a')",
        "id = 'x'",
        "id eq 'x' and",
        "(id eq 'x'",
    ],
)
def test_filters_that_are_refused(emulator, many, wrong):
    from urllib.parse import quote

    details = error(
        send(emulator, "GET", f"/jobs/many/tasks?$filter={quote(wrong)}"), 400, "InvalidQueryParameterValue"
    )
    assert details["QueryParameterName"] == "$filter" and details["QueryParameterValue"] == wrong


def test_selection_and_expansion(emulator, many):
    (one,) = send(
        emulator, "GET", "/jobs/many/tasks?maxresults=1&$select=id,state,executionInfo/exitCode"
    ).json()["value"]
    assert set(one) == {"id", "state", "executionInfo"}
    error(send(emulator, "GET", "/jobs/many?$select=colour"), 400, "InvalidQueryParameterValue")
    error(send(emulator, "GET", "/jobs/many?$expand=colour"), 400, "InvalidQueryParameterValue")
    assert send(emulator, "GET", "/jobs/many?$expand=stats").ok


# Collections


def test_each_task_of_a_collection_has_its_own_verdict(emulator, many):
    tasks = [{"id": "new", "commandLine": "true"}, {"id": "T05", "commandLine": "true"},
             {"id": "bad id", "commandLine": "x"},
             {"id": "typo", "comandLine": "x"}, "no object"]  # fmt: skip
    body = send(emulator, "POST", "/jobs/many/addtaskcollection", {"value": tasks}).json()
    assert [entry["status"] for entry in body["value"]] == ["success"] + ["clienterror"] * 4
    codes = [entry["error"]["code"] for entry in body["value"][1:]]
    assert codes == ["TaskExists", "InvalidPropertyValue", "InvalidRequestBody", "InvalidRequestBody"]
    assert body["value"][0]["location"].endswith("/jobs/many/tasks/new") and body["value"][0]["eTag"]


def test_limits_of_a_collection(emulator, many):
    tasks = [{"id": f"x{i}", "commandLine": "true"} for i in range(101)]
    error(
        send(emulator, "POST", "/jobs/many/addtaskcollection", {"value": tasks}), 413, "RequestBodyTooLarge"
    )
    fat = [{"id": f"x{i}", "commandLine": "true " * 3000} for i in range(100)]
    error(send(emulator, "POST", "/jobs/many/addtaskcollection", {"value": fat}), 413, "RequestBodyTooLarge")
    error(send(emulator, "POST", "/jobs/many/addtaskcollection", {}), 400, "MissingRequiredProperty")
    result = many.create_tasks("many", [task(f"c{i}") for i in range(250)])
    assert len(result.result_values) == 250


# Files


def test_files(emulator):
    client = emulator.client()
    make_pool(client)
    make_job(client)
    client.create_task(
        "job", task("t", shell("printf 0123456789 > digits; mkdir -p d/e; touch d/e/f; ln -s /etc out"))
    )
    completed(client, task_id="t")
    assert text(client.download_task_file("job", "t", "wd/digits", ocp_range="bytes=2-4")) == "234"
    assert (
        send(emulator, "GET", "/jobs/job/tasks/t/files/wd%2Fdigits", headers={"ocp-range": "bytes=-3"}).text
        == "789"
    )
    error(
        send(emulator, "GET", "/jobs/job/tasks/t/files/wd%2Fdigits", headers={"ocp-range": "bytes=10-"}),
        416,
        "InvalidRange",
    )
    head = send(emulator, "HEAD", "/jobs/job/tasks/t/files/wd%5Cdigits")
    assert (head.headers["Content-Length"], head.content) == ("10", b"")
    assert head.headers["ocp-batch-file-isdirectory"] == "False"
    assert head.headers["ocp-batch-file-url"] == f"{emulator.url}/jobs/job/tasks/t/files/wd%2Fdigits"
    listed = {
        f.name: f
        for f in client.list_task_files("job", "t", recursive=True, filter="startswith(name,'wd/d')")
    }
    assert set(listed) == {"wd/digits", "wd/d", "wd/d/e", "wd/d/e/f"} and listed["wd/d"].is_directory
    raw = send(emulator, "GET", "/jobs/job/tasks/t/files?recursive=true").json()["value"]
    assert next(e for e in raw if e["name"] == "wd/digits")["properties"]["contentLength"] == "10"
    for outside in ("..%2F..", "wd%2F..%2F..%2Fstartup", "wd%2Fout%2Fpasswd", "%2Fetc%2Fpasswd", "wd%2Fnone"):
        error(send(emulator, "GET", f"/jobs/job/tasks/t/files/{outside}"), 404, "FileNotFound")
    error(send(emulator, "DELETE", "/jobs/job/tasks/t/files/wd%2Fd"), 409, "OperationInvalidForCurrentState")
    client.delete_task_file("job", "t", "wd/d", recursive=True)
    client.delete_task_file("job", "t", "wd/digits")
    with pytest.raises(ResourceNotFoundError):
        client.get_task_file_properties("job", "t", "wd/digits")


def test_files_that_are_not_there(emulator):
    client = emulator.client()
    make_job(client, "idle", "nowhere")
    client.create_task("idle", task("t"))
    reason = "The files of the specified task cannot be accessed as the task "
    details = error(send(emulator, "GET", "/jobs/idle/tasks/t/files"), 409, "OperationInvalidForCurrentState")
    assert details["Reason"] == reason + "state is still active"
    client.terminate_task("idle", "t")
    details = error(
        send(emulator, "GET", "/jobs/idle/tasks/t/files/stdout.txt"), 409, "OperationInvalidForCurrentState"
    )
    assert details["Reason"] == reason + "moved to completed state without running"
    error(send(emulator, "GET", "/jobs/idle/tasks/none/files"), 404, "TaskNotFound")
    make_pool(client, "gone")
    make_job(client, "j", "gone")
    client.create_task("j", task("t"))
    completed(client, "j", "t")
    client.begin_delete_pool("gone", polling_interval=0.1).result()
    error(send(emulator, "GET", "/jobs/j/tasks/t/files/stdout.txt"), 409, "TaskFilesUnavailable")


def test_conflicts_reach_the_client(emulator):
    client = emulator.client()
    make_pool(client, nodes=0)
    with pytest.raises(ResourceExistsError) as caught:
        make_pool(client, "POOL", nodes=0)
    assert caught.value.error.code == "PoolExists"


def test_a_filter_on_exit_codes_finds_only_tasks_that_have_one(emulator):
    client = emulator.client()
    make_job(client, "codes", "nowhere")
    client.create_task("codes", task("t"))
    assert not list(client.list_tasks("codes", filter="executionInfo/exitCode ne 0"))


def test_what_was_made_is_named_in_a_header(emulator):
    make_pool(emulator.client(), nodes=0)
    made = send(emulator, "POST", "/jobs", {"id": "named", "poolInfo": {"poolId": "pool"}})
    assert made.headers["DataServiceId"] == f"{emulator.url}/jobs/named"
    body = send(emulator, "GET", "/pools/pool").json()
    machine = {"virtualMachineConfiguration": body["virtualMachineConfiguration"], "vmSize": body["vmSize"]}
    made = send(emulator, "POST", "/pools", {"id": "other"} | machine)
    assert made.headers["DataServiceId"] == f"{emulator.url}/pools/other"
