"""Pools, their nodes and start tasks in the core, without a thread, a clock or a file."""

import json

import pytest

from azure_batch_emulator.core.entities import Failed
from azure_batch_emulator.core.nodes import disks, node_operations
from azure_batch_emulator.core.pools import pools, scaling
from azure_batch_emulator.core.profile import NodeFaults, Profile
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import Driver, code_of, pool_body, states_of

# Pools and nodes


def test_a_pool_allocates_and_boots():
    driver = Driver(Profile(allocation=(10, 10), boot=(20, 20)))
    pool = driver.pool(nodes=2)
    assert (pool.allocation.state, len(pool.nodes)) == ("resizing", 0)
    driver.advance(10)
    assert (pool.allocation.state, states_of(pool)) == ("steady", ["creating"] * 2)
    driver.advance(20)
    assert states_of(pool) == ["idle"] * 2
    assert all(node.id.startswith("tvmps_") and node.id.endswith("_d") for node in pool.nodes.values())


def test_a_node_that_does_not_boot_is_unusable(driver):
    driver.boot_failure = Failed("UserError", "ContainerInvalidImage", "no such image")
    pool = driver.pool()
    node = views.node(driver.machine, next(iter(pool.nodes.values())), "")
    assert (node["state"], node["errors"][0]["code"]) == ("unusable", "ContainerInvalidImage")


def test_resizing_needs_a_steady_pool_and_can_be_stopped():
    driver = Driver(Profile(allocation=(10, 10)))
    pool = driver.pool(nodes=2)
    assert code_of(driver.do, pools.resize, pool, {"targetDedicatedNodes": 3}) == "PoolBeingResized"
    driver.do(pools.stop_resize, pool)
    assert (pool.allocation.state, [error.code for error in pool.errors]) == ("steady", ["ResizeStopped"])
    driver.advance(60)
    assert not pool.nodes, "the allocation that was stopped brings no nodes later"
    assert code_of(driver.do, pools.stop_resize, pool) == "OperationInvalidForCurrentState"


def test_allocation_times_out():
    driver = Driver(Profile(allocation=(4000, 4000)))
    pool = driver.pool(nodes=2)
    driver.advance(15 * 60)
    assert (pool.allocation.state, [error.code for error in pool.errors]) == (
        "steady",
        ["AllocationTimedout"],
    )


def test_quota_gives_what_it_can():
    driver = Driver(Profile(dedicated_cores=5))
    pool = driver.pool(nodes=4)  # two cores each
    assert (len(pool.nodes), [error.code for error in pool.errors]) == (2, ["AccountCoreQuotaReached"])


def test_a_region_has_so_many_machines_of_a_size(driver):
    driver.machine.plan.size_cores = {pool_body()["vmSize"].lower(): 5}
    pool = driver.pool(nodes=4)  # two cores each
    error = views.pool(pool, "")["resizeErrors"][0]
    assert (len(pool.nodes), error["code"], pool.allocation.state) == (2, "AllocationFailed", "steady")
    assert "sufficient capacity" in json.dumps(error["values"])
    driver.machine.plan.size_cores = {}
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 3})
    driver.advance()
    assert len(pool.nodes) == 3


def test_spot_nodes_of_a_size_that_the_region_has_none_of_are_waited_for(driver):
    body = pool_body(targetLowPriorityNodes=1)
    driver.machine.plan.size_cores = {body["vmSize"].lower(): 0}
    pool = driver.do(pools.create, body)
    driver.advance(60)
    assert (len(pool.nodes), pool.errors, pool.allocation.state) == (0, [], "resizing")
    driver.machine.plan.size_cores = {}
    driver.advance(60)
    assert len(pool.nodes) == 1


def test_a_pool_has_a_largest_size(driver):
    pool = driver.pool(nodes=5_000_000)
    assert (len(pool.nodes), [error.code for error in pool.errors]) == (2000, ["AllocationFailed"])


def test_a_pool_of_a_managed_image_has_fewer_spot_nodes(driver):
    image = {"imageReference": {"virtualMachineImageId": "/subscriptions/s/images/i"}}
    image["nodeAgentSKUId"] = "batch.node.ubuntu 24.04"
    body = pool_body(virtualMachineConfiguration=image, targetLowPriorityNodes=1500)
    pool = driver.do(pools.create, body)
    driver.advance()
    assert (len(pool.nodes), [error.code for error in pool.errors]) == (1000, ["AllocationFailed"])


def test_idle_nodes_leave_first(driver):
    pool = driver.pool(nodes=3)
    job = driver.job()
    driver.task(job)
    busy = next(node for node in pool.nodes.values() if node.state == "running")
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 1})
    driver.advance(1)
    assert list(pool.nodes) == [busy.id] and pool.allocation.state == "steady"


@pytest.mark.parametrize(
    ("option", "state", "requeues"), [("requeue", "active", 1), ("terminate", "completed", 0)]
)
def test_deallocation_options(driver, option, state, requeues):
    pool = driver.pool()
    task = driver.task(driver.job())
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0, "nodeDeallocationOption": option})
    assert task.state == "preparing", "a kill is asked for; the task lets go when its run has ended"
    driver.end_kills()
    assert (task.state, task.execution.requeues) == (state, requeues)
    driver.advance(1)
    assert not pool.nodes and pool.allocation.state == "steady"


def test_taskcompletion_waits(driver):
    pool = driver.pool()
    task = driver.task(driver.job())
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion"})
    driver.advance(1)
    assert not driver.killed and pool.allocation.state == "resizing" and pool.nodes
    driver.end(driver.run_of("task"))
    driver.advance(1)
    assert task.execution.result == "success" and not pool.nodes


def test_removing_nodes_lowers_the_target(driver):
    pool = driver.pool(nodes=2)
    gone = next(iter(pool.nodes))
    driver.do(pools.remove_nodes, pool, {"nodeList": [gone]})
    driver.advance(1)
    assert gone not in pool.nodes and pool.dedicated == 1 == len(pool.nodes)
    assert code_of(driver.do, pools.remove_nodes, pool, {"nodeList": ["nope"]}) == "NodeNotFound"
    assert code_of(driver.do, pools.remove_nodes, pool, {"nodeList": ["n"] * 101}) == "InvalidPropertyValue"


def test_a_pool_that_scales_gives_up_no_node_by_hand(driver):
    pool = driver.do(
        pools.create, pool_body(enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes = 1;")
    )
    driver.advance(60)
    body = {"nodeList": list(pool.nodes)}
    assert code_of(driver.do, pools.remove_nodes, pool, body) == "OperationInvalidForCurrentState"


def test_broken_nodes_are_removed_between_two_formulas():
    """Neither another removal nor a formula is taken until they have left, and the formula works an interval later."""
    driver = Driver(Profile(removal=(60, 60)))
    formula = {"autoScaleFormula": "$TargetDedicatedNodes = 2;", "autoScaleEvaluationInterval": "PT5M"}
    pool = driver.scaled(formula["autoScaleFormula"])
    driver.advance(60)
    broken, good = list(pool.nodes)
    driver.do(disks.fill, pool.nodes[broken])
    driver.do(scaling.disable, pool)
    driver.do(pools.remove_nodes, pool, {"nodeList": [broken], "resizeTimeout": "PT10M"})
    assert pool.allocation.state == "resizing" and pool.nodes[broken].state == "leavingpool"
    assert code_of(driver.do, pools.remove_nodes, pool, {"nodeList": [good]}) == "PoolBeingResized"
    assert code_of(driver.do, scaling.enable, pool, formula) == "PoolBeingResized"
    driver.advance(61)
    shown = views.pool(pool, "")
    assert (shown["allocationState"], shown["targetDedicatedNodes"], list(pool.nodes)) == (
        "steady",
        1,
        [good],
    )
    assert shown["resizeTimeout"] == "PT10M", "it is the pool's from then on"
    driver.do(scaling.enable, pool, formula)
    driver.advance(299)
    assert len(pool.nodes) == 1
    driver.advance(60)
    assert len(pool.nodes) == 2


@pytest.mark.parametrize("blindly", [0.0, 1.0])
def test_which_nodes_go(blindly):
    driver = Driver(Profile(faults=NodeFaults(blind_resizes=blindly)))
    pool = driver.pool(nodes=10)
    driver.task(driver.job())
    (busy,) = [node.id for node in pool.nodes.values() if node.runs]
    for n in range(9, 0, -1):
        body = {"targetDedicatedNodes": n, "nodeDeallocationOption": "taskcompletion"}
        driver.do(pools.resize, pool, body)
        driver.advance(1)
        if pool.nodes[busy].leaving:
            break
    assert pool.nodes[busy].leaving == bool(blindly), "idle ones first, or any"


def test_deleting_a_pool_gives_its_tasks_back(driver):
    pool = driver.pool()
    job = driver.job()
    task = driver.task(job)
    driver.do(pools.delete, pool)
    assert code_of(driver.do, pools.delete, pool) == "PoolBeingDeleted"
    driver.end_kills()
    driver.advance(1)
    assert "pool" not in driver.machine.pools and task.state == "active"
    driver.pool()
    assert task.state == "preparing", "the next pool of that name takes the task"


def test_an_unknown_vm_size(driver):
    with pytest.raises(BatchError) as caught:
        driver.do(pools.create, pool_body(vmSize="Standard_Z9"))
    assert caught.value.values[:2] == (("PropertyName", "vmSize"), ("PropertyValue", "Standard_Z9"))
    assert not driver.machine.pools


@pytest.mark.parametrize(
    "wrong",
    [
        {"taskSlotsPerNode": 9},
        {"taskSlotsPerNode": 0},
        {"resizeTimeout": "PT4M"},
        {"targetDedicatedNodes": -1},
        {"id": "a.b"},
        {"id": "x" * 65},
        {"autoScaleFormula": "$TargetDedicatedNodes=1"},
        {"virtualMachineConfiguration": {"imageReference": {"publisher": "no"}, "nodeAgentSKUId": "x"}},
    ],
)
def test_pools_that_are_refused(driver, wrong):
    assert code_of(driver.do, pools.create, pool_body() | wrong) == "InvalidPropertyValue"


# Start tasks


def test_a_start_task_holds_the_node_back(driver):
    pool = driver.pool(startTask={"commandLine": "x", "maxTaskRetryCount": 1, "waitForSuccess": True})
    (node,) = pool.nodes.values()
    assert node.state == "waitingforstarttask"
    driver.end(driver.run_of("startup"), 1)
    assert node.start.execution.retries == 1 and node.state == "waitingforstarttask"
    driver.end(driver.run_of("startup"), 0)
    assert node.state == "idle" and node.start.execution.result == "success"


def test_a_start_task_that_fails(driver):
    pool = driver.pool(startTask={"commandLine": "x"})
    driver.end(driver.run_of("startup"), 1)
    (node,) = pool.nodes.values()
    assert node.state == "starttaskfailed"
    task = driver.task(driver.job())
    assert task.state == "active"


def test_a_start_task_that_is_not_waited_for(driver):
    pool = driver.pool(startTask={"commandLine": "x", "waitForSuccess": False})
    (node,) = pool.nodes.values()
    assert node.state in ("idle", "running")
    task = driver.task(driver.job())
    driver.end(driver.run_of("startup"), 1)
    assert task.state == "preparing" and node.state == "running"


# Offline nodes


def test_scheduling_can_be_disabled(driver):
    pool = driver.pool()
    (node,) = pool.nodes.values()
    job = driver.job()
    task = driver.task(job)
    driver.do(node_operations.disable_scheduling, node, "requeue")
    assert node.state == "offline"
    assert (
        code_of(driver.do, node_operations.disable_scheduling, node, "requeue")
        == "NodeAlreadyInTargetSchedulingState"
    )
    driver.end_kills()
    assert task.state == "active"
    driver.do(node_operations.enable_scheduling, node)
    assert task.state == "preparing" and node.state == "running"


# Images and sizes


def image(offer, sku, publisher="canonical", agent="batch.node.ubuntu 24.04"):
    reference = {"publisher": publisher, "offer": offer, "sku": sku}
    return {"imageReference": reference, "nodeAgentSKUId": agent}


@pytest.mark.parametrize(
    ("machine", "size", "reason"),
    [
        (image("ubuntu-24_04-lts", "server"), "Standard_D2_v3", "cannot boot Hypervisor Generation '2'"),
        (image("ubuntu-24_04-lts", "server"), "Standard_D1_v2", "cannot boot Hypervisor Generation '2'"),
        (
            image("ubuntu-24_04-lts", "server-gen1"),
            "Standard_D2ds_v6",
            "cannot boot Hypervisor Generation '1'",
        ),
        (image("ubuntu-hpc", "2404-arm64", "microsoft-dsvm"), "Standard_D2s_v3", "Arm64"),
        (image("ubuntu-24_04-lts", "server-gen1"), "Standard_D1_v2", None),
        (image("ubuntu-24_04-lts", "server"), "Standard_D2s_v3", None),
        (image("ubuntu-24_04-lts", "server"), "Standard_D2ds_v6", None),
    ],
)
def test_a_size_boots_images_of_its_generations(driver, machine, size, reason):
    pool = driver.pool(nodes=1, vmSize=size, virtualMachineConfiguration=machine)
    shown = views.pool(pool, "")
    assert (pool.allocation.state, len(pool.nodes)) == ("steady", 0 if reason else 1)
    if reason:
        (error,) = shown["resizeErrors"]
        values = {value["name"]: value["value"] for value in error["values"]}
        assert error["code"] == "AllocationFailed" and reason in values["Reason"]
        assert json.loads(values["Provider Error Json"])["error"]["message"] == values["Reason"]
    else:
        assert "resizeErrors" not in shown


def test_microsofts_samples_find_their_image(driver):
    driver.pool(virtualMachineConfiguration=image("ubuntu-24_04-lts", "server-gen1"))
    jammy = image("0001-com-ubuntu-server-jammy", "22_04-lts-gen2", agent="batch.node.ubuntu 22.04")
    driver.pool("second", virtualMachineConfiguration=jammy)


# Consistency


def test_what_was_made_may_not_be_found_yet():
    driver = Driver(Profile(not_found=(2, 2)))
    driver.pool()
    driver.job()
    look = {"PoolNotFound": lambda m: m.pool("pool"), "JobNotFound": lambda m: m.job("job")}
    for code, find in look.items():
        assert code_of(driver.do, find) == code
    assert code_of(driver.do, pools.create, pool_body()) == "PoolBeingCreated"
    driver.advance(2)
    for find in look.values():
        assert driver.do(find)
    assert code_of(driver.do, pools.create, pool_body()) == "PoolExists"


@pytest.mark.parametrize("code", ["BatchOutOfCapacity", "OverconstrainedAllocationRequestError"])
def test_errors_of_the_provider_come_with_its_text(driver, code):
    driver.machine.plan.allocations = [code]
    (error,) = views.pool(driver.pool(), "")["resizeErrors"]
    assert error["code"] == code and "Provider Error Json" in {value["name"] for value in error["values"]}
