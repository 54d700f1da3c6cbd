"""The emulator's own paths, and what nodes and requests suffer when somebody asks for it."""

from random import Random

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.core.profile import HttpFaults
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.service.profile_files import load_profile
from azure_batch_emulator.service.server import Emulator
from azure_batch_emulator.web.request_faults import KINDS, RequestFaults

from ..helpers import completed, make_job, make_pool, shell, task
from ..raw import error, send


@pytest.fixture
def plan(emulator):
    """Plans faults by HTTP; those that are left over are taken back."""

    def do(**wanted):
        return send(emulator, "POST", "/-/faults", wanted)

    yield do
    assert (
        do(
            allocations=[],
            boots=0,
            startTasks=0,
            requests=[],
            lowPriorityCores=None,
            notFoundSeconds=None,
            vmSizeCores={},
        ).status_code
        == 200
    )


def states(client):
    return [node.state for node in client.list_nodes("pool")]


def test_a_spot_node_is_preempted_and_comes_back(emulator):
    client = emulator.client()
    make_pool(client, nodes=0, target_low_priority_nodes=1, wait=False)
    make_job(client)
    client.create_task("job", task("task", "sleep 100"))

    def runs():
        found = client.get_task("job", "task")
        return found.execution_info if found.state == "running" else None

    first = wait_until(runs)
    (node,) = client.list_nodes("pool")
    assert send(emulator, "POST", f"/-/pools/pool/nodes/{node.id}/preempt").status_code == 204
    again = wait_until(lambda: info if (info := runs()) and info.start_time > first.start_time else None)
    assert (again.retry_count, again.requeue_count) == (0, 0)
    (back,) = client.list_nodes("pool")
    assert (back.id, back.state) == (node.id, "running") and back.last_boot_time > node.last_boot_time


def test_tasks_of_a_lost_node_run_elsewhere(emulator, tmp_path):
    client = emulator.client()
    make_pool(client, nodes=2)
    make_job(client)
    # The first run lasts until the node is lost, the second ends at once.
    begun, again = tmp_path / "begun", tmp_path / "again"
    client.create_task("job", task("task", shell(f"test -e {again} || {{ touch {begun}; sleep 300; }}")))
    wait_until(begun.exists)
    again.touch()
    lost = client.get_task("job", "task").node_info.node_id
    before = client.get_node("pool", lost).state_transition_time
    assert send(emulator, "POST", f"/-/pools/pool/nodes/{lost}/lose").status_code == 204
    assert client.get_node("pool", lost).state_transition_time > before
    assert completed(client).node_info.node_id != lost
    wait_until(lambda: sorted(states(client)) == ["idle", "idle"])


def spoil(emulator, node, body=None):
    return send(emulator, "POST", f"/-/pools/pool/nodes/{node}/spoil", body)


def test_nothing_starts_on_a_spoiled_node_until_it_is_another_machine(emulator):
    client = emulator.client()
    make_pool(client)
    make_job(client)
    client.create_task("job", task("well", "true"))
    node = completed(client, task_id="well").node_info.node_id
    assert spoil(emulator, node).status_code == 204
    client.create_task("job", task("one", "true"))
    assert completed(client, task_id="one").execution_info.exit_code == 126
    assert client.get_node("pool", node).state == "idle", "it seems well"
    assert b"can't be started" in b"".join(client.download_task_file("job", "one", "stderr.txt"))
    assert spoil(emulator, node, {"exitCode": 3}).status_code == 204
    client.begin_reboot_node("pool", node, {"nodeRebootOption": "requeue"}, polling_interval=0.1).wait()
    client.create_task("job", task("two", "true"))
    assert completed(client, task_id="two").execution_info.exit_code == 3, "a reboot does not help"
    assert send(emulator, "POST", f"/-/pools/pool/nodes/{node}/lose").status_code == 204
    error(spoil(emulator, node), 409, "OperationNotValidOnNode")
    client.create_task("job", task("three", "true"))
    assert completed(client, task_id="three").execution_info.exit_code == 0
    for wrong in (0, 256, True, "1", None):
        error(spoil(emulator, node, {"exitCode": wrong}), 400, "InvalidPropertyValue")


def test_a_spoiled_node_among_simulated_ones():
    with running_emulator(runner="none") as emulator:
        client = emulator.client()
        make_pool(client)
        make_job(client)
        (node,) = client.list_nodes("pool")
        assert spoil(emulator, node.id).status_code == 204
        client.create_task("job", task("task", "true"))
        assert completed(client).execution_info.exit_code == 126


def test_capacity_boots_start_tasks_and_allocations(emulator, plan):
    client = emulator.client()
    plan(boots=1, allocations=["AllocationFailed"])
    make_pool(client, wait=False)
    wait_until(lambda: client.get_pool("pool").resize_errors)
    assert [one.code for one in client.get_pool("pool").resize_errors] == ["AllocationFailed"]
    targets = {"targetDedicatedNodes": 1, "targetLowPriorityNodes": 1}
    resize = client.begin_resize_pool("pool", targets, polling_interval=0.1)
    assert send(emulator, "GET", "/-/faults").json()["boots"] in (0, 1)
    wait_until(lambda: states(client) == ["idle"] * 2)
    resize.wait()  # or its poller would meet the faults of the next test
    assert send(emulator, "GET", "/-/faults").json()["boots"] == 0
    plan(lowPriorityCores=0)
    assert sorted(states(client)) == ["idle", "preempted"]
    plan(lowPriorityCores=None)
    wait_until(lambda: states(client) == ["idle"] * 2)


@pytest.mark.parametrize(
    "body",
    [
        {"allocations": ["nonsense"]},
        {"boots": -1},
        {"boots": True},
        {"requests": "slow"},
        {"requests": ["x"]},
        {"lowPriorityCores": 1.5},
        {"vmSizeCores": 1},
        {"vmSizeCores": {"Standard_D4ds_v5": -1}},
        {"notFoundSeconds": -1},
        {"notFoundSeconds": "soon"},
    ],
)
def test_plans_that_make_no_sense(emulator, plan, body):
    response = send(emulator, "POST", "/-/faults", {"startTasks": 1} | body)
    assert error(response, 400, "InvalidPropertyValue")["PropertyName"] == next(iter(body))
    assert plan().json()["startTasks"] == 0, "nothing of it is done"


def test_the_control_wants_the_key_and_known_paths(emulator):
    assert requests.get(emulator.url + "/-/faults", timeout=10).status_code == 401
    assert send(emulator, "GET", "/-/faults", key="c2VjcmV0").status_code == 403
    error(send(emulator, "POST", "/-/faults", {"colour": 1}), 400, "InvalidRequestBody")
    error(send(emulator, "POST", "/-/elsewhere"), 400, "InvalidUri")
    error(send(emulator, "POST", "/-/pools/no/nodes/no/preempt"), 404, "PoolNotFound")
    error(send(emulator, "POST", "/-/pools/no/nodes/no/explode"), 400, "InvalidUri")
    assert send(emulator, "GET", "/-/pools/no/nodes/no/preempt").status_code == 400


# Requests


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttled", 429, "TooManyRequests"),
        ("busy", 503, "ServerBusy"),
        ("failed", 500, "InternalError"),
        ("failedAfter", 500, "InternalError"),
    ],
)
def test_requests_that_are_refused(emulator, plan, kind, status, code):
    plan(requests=[kind])
    body = {"id": "job", "poolInfo": {"poolId": "pool"}}
    response = send(emulator, "POST", "/jobs", body)
    error(response, status, code)
    assert ("Retry-After" in response.headers) == (kind in ("throttled", "busy"))
    took_effect = send(emulator, "GET", "/jobs/job").status_code == 200
    assert took_effect == (kind == "failedAfter")
    assert send(emulator, "POST", "/jobs", body).status_code == (409 if took_effect else 201)


@pytest.mark.parametrize("kind", ["droppedBefore", "droppedAfter"])
def test_connections_that_are_cut(emulator, plan, kind):
    plan(requests=[kind])
    with pytest.raises(requests.ConnectionError):
        send(emulator, "POST", "/jobs", {"id": "job", "poolInfo": {"poolId": "pool"}})
    assert (send(emulator, "GET", "/jobs/job").status_code == 200) == (kind == "droppedAfter")


def test_the_client_gets_over_it(emulator, plan):
    client = emulator.client(retry_backoff_factor=0)
    plan(requests=["busy", "failed", "droppedBefore"])
    assert list(client.list_pools()) == []
    client = emulator.client(retry_total=0)
    plan(requests=["droppedBefore"])
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        client.get_job("job")
    plan(requests=["throttled"])
    with pytest.raises(HttpResponseError) as caught:
        client.get_job("job")
    assert caught.value.status_code == 429


def test_an_answer_that_is_late(emulator, plan):
    plan(requests=["slow"])
    late = send(emulator, "GET", "/pools")
    assert late.status_code == 200 and late.elapsed.total_seconds() >= 1, "without a word in the profile"


def test_rates_and_seeds():
    rates = HttpFaults(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    draws = [RequestFaults(rates, Random(3)) for _ in range(2)]
    drawn = [[one.draw() for _ in range(2000)] for one in draws]
    assert drawn[0] == drawn[1], "the seed decides"
    counts = {kind: drawn[0].count(kind) for kind in (*KINDS, None)}
    assert 650 < counts[None] < 950 and all(60 < counts[kind] < 260 for kind in KINDS), counts


def test_a_profile_with_faults(tmp_path):
    profile = tmp_path / "p.json"
    profile.write_text('{"httpFaults": {"throttledRate": 1, "retryAfterSeconds": [7, 7]}}')
    with running_emulator(profile=profile, seed=5, runner="none") as emulator:
        response = send(emulator, "GET", "/pools")
        error(response, 429, "TooManyRequests")
        assert response.headers["Retry-After"] == "7"
        assert send(emulator, "GET", "/-/faults").status_code == 200, "the control is not concerned"


def test_from_python():
    emulator = Emulator(load_profile("fast"), runner="none", seed=1)
    emulator.start()
    try:
        emulator.control.plan({"boots": 2, "requests": ["busy"]})
        assert emulator.control.planned()["boots"] == 2
        with pytest.raises(BatchError, match="PoolNotFound"):
            emulator.control.lose("pool", "node")
    finally:
        emulator.stop()
