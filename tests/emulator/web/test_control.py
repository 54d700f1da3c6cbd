"""The emulator's own paths, and what nodes and requests suffer when somebody asks for it."""

import dataclasses
from random import Random

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.core.profile import HttpFaults
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.service.profile_files import load_profile
from azure_batch_emulator.service.server import Emulator
from azure_batch_emulator.web.outages import KINDS as OUTAGES
from azure_batch_emulator.web.outages import Outages
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
            outage=None,
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


# Outages


def pools(emulator):
    return send(emulator, "GET", "/pools")


@pytest.mark.parametrize("kind", ["dropped", "hanging", "refused"])
def test_an_outage_without_answers_ends_by_itself(emulator, plan, kind):
    assert plan(outage={"kind": kind, "seconds": 1.5}).json()["outage"]["kind"] == kind

    def fails():
        try:
            return pools(emulator).status_code != 200
        except requests.ConnectionError as error:
            return kind != "refused" or "refused" in str(error)

    wait_until(fails, timeout=1.5)
    wait_until(lambda: not fails(), timeout=20)
    assert send(emulator, "GET", "/-/faults").json()["outage"] is None


def test_a_busy_outage_is_ended_by_hand(emulator, plan):
    plan(outage={"kind": "busy", "seconds": 600})
    error(pools(emulator), 503, "ServerBusy")
    assert pools(emulator).headers["Retry-After"]
    plan(outage=None)
    assert pools(emulator).status_code == 200


def test_nothing_takes_effect_while_connections_hang(emulator, plan):
    plan(outage={"kind": "hanging", "seconds": 0.5})
    with pytest.raises(requests.ConnectionError):
        send(emulator, "POST", "/jobs", {"id": "lost", "poolInfo": {"poolId": "none"}})
    assert send(emulator, "GET", "/jobs/lost").status_code == 404


@pytest.mark.parametrize(
    "outage", [{"kind": "gone", "seconds": 1}, {"kind": "busy"}, {"kind": "busy", "seconds": -1}, "busy"]
)
def test_what_is_no_outage(emulator, plan, outage):
    error(plan(outage=outage), 400, "InvalidPropertyValue")


def test_outages_come_at_the_profiles_rate():
    """An hour, asked every second, on a clock of its own."""
    now, refused = [0.0], []
    rates = HttpFaults(outages_per_hour=10, outage=(5.0, 30.0))
    outages = Outages(rates, Random(1), refused.append, lambda: now[0])
    seen = []
    for second in range(10 * 3600):
        now[0] = float(second)
        seen.append(outages.now())
    kinds = {outage.kind for outage in seen if outage}
    assert kinds == set(OUTAGES) and all(5 <= seconds <= 30 for seconds in refused)
    assert 50 < len({outage for outage in seen if outage}) < 150


# Disks


@pytest.mark.parametrize("disk", ["os", "temporary"])
def test_a_full_disk_makes_a_node_unusable_and_its_tasks_run_elsewhere(emulator, disk):
    client = emulator.client()
    make_pool(client, nodes=2)
    make_job(client)
    client.create_task("job", task("task", "sleep 100"))
    first = wait_until(lambda: client.get_task("job", "task").node_info)
    path = f"/-/pools/pool/nodes/{first.node_id}/fill"
    assert send(emulator, "POST", path, {"disk": disk}).status_code == 204
    node = client.get_node("pool", first.node_id)
    assert (node.state, node.errors[0].code) == ("unusable", "DiskFull")
    assert node.errors[0].error_details[0].name == "Message"
    again = wait_until(
        lambda: (info := client.get_task("job", "task").node_info) and info.node_id != first.node_id
    )
    assert again and client.get_task("job", "task").execution_info.requeue_count == 0
    error(send(emulator, "POST", path, {"disk": disk}), 409, "OperationNotValidOnNode")


def test_no_disk(emulator):
    make_pool(emulator.client(), nodes=1)
    (node,) = emulator.client().list_nodes("pool")
    error(
        send(emulator, "POST", f"/-/pools/pool/nodes/{node.id}/fill", {"disk": "d"}),
        400,
        "InvalidPropertyValue",
    )


def test_disks_are_measured(tmp_path):
    """A task fills what its node has; the disk is made small, as nobody wants to fill a real one."""
    emulator = Emulator(dataclasses.replace(load_profile("fast"), disk=0.05), seed=1)
    emulator.start()
    sizes = emulator.engine.catalogue.sizes
    sizes["standard_d2s_v3"] = dataclasses.replace(sizes["standard_d2s_v3"], temp_disk_gib=0.001)
    try:
        client = BatchClient(emulator.url, AzureNamedKeyCredential("devbatch", emulator.key))
        make_pool(client, vm_size="Standard_D2s_v3")
        make_job(client)
        client.create_task(
            "job",
            task(
                "task", shell("head -c 500000 /dev/zero > few; sleep 1; cat few few few few > many; sleep 60")
            ),
        )
        node = wait_until(
            lambda: next(iter(n for n in client.list_nodes("pool") if n.state == "unusable"), None)
        )
        assert node.errors[0].code == "DiskFull" and "temporary" in node.errors[0].error_details[0].value
        assert wait_until(lambda: client.get_task("job", "task").state == "active")
    finally:
        emulator.stop()
