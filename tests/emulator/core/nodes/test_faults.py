"""Preemption, loss, boots and allocations that fail, quotas: asked for, and by the profile's rates."""

import pytest

from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.nodes import faults, node_operations
from azure_batch_emulator.core.pools import pools, scaling
from azure_batch_emulator.core.pools.quotas import vm_family
from azure_batch_emulator.core.profile import NodeFaults, Profile
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import OUTPUT, Driver, job_body, pool_body


def spot(driver, nodes=1, **more):
    body = pool_body(targetLowPriorityNodes=nodes, **more)
    pool = driver.do(pools.create, body)
    driver.advance()
    return pool


def first(pool):
    return next(iter(pool.nodes.values()))


def codes(pool):
    return [error.code for error in pool.errors]


def refused(driver, stimulus, *args):
    with pytest.raises(BatchError) as caught:
        driver.do(stimulus, *args)
    return caught.value.code


# Preemption


def test_a_preempted_node_gives_its_task_back_and_returns():
    driver = Driver(Profile(boot=(20, 20), restoration=(60, 60)))
    pool = spot(driver)
    driver.advance(20)
    node, task = first(pool), driver.task(driver.job(), constraints={"maxTaskRetryCount": 0})
    driver.do(faults.preempt, node)
    driver.end_kills()
    assert node.state == "preempted" and task.state == "active"
    assert (task.execution.requeues, task.execution.retries, task.node) == (0, 0, None)
    shown = views.pool(pool, "")
    assert (shown["currentLowPriorityNodes"], shown["allocationState"]) == (1, "steady")
    assert views.node_counts(pool)["lowPriority"]["preempted"] == 1
    driver.advance(60)
    assert node.state == "creating" and "lastBootTime" not in views.node(driver.machine, node, "")
    driver.advance(20)
    assert node.state == "running" and task.state == "preparing", "with its id, and the task runs again"


def test_a_task_that_uploads_when_its_node_is_preempted_runs_again():
    driver = Driver()
    pool = spot(driver)
    task = driver.task(driver.job(), outputFiles=[OUTPUT])
    driver.end(driver.run_of("task"))
    driver.do(faults.preempt, first(pool))
    ((run, _),) = driver.uploads.items()
    driver.do(reports.uploaded, run, None)
    assert task.state == "active" and task.execution.exit_code is None


def test_only_low_priority_nodes_are_preempted():
    driver = Driver()
    node = first(driver.pool())
    assert refused(driver, faults.preempt, node) == "OperationNotValidOnNode"


def test_capacity_windows_take_nodes_and_give_them_back():
    steps = ((600.0, 2), (1200.0, None))
    driver = Driver(Profile(restoration=(10, 10), faults=NodeFaults(low_priority_capacity=steps)))
    driver.do(faults.begin)
    pool = spot(driver, 3)  # two cores each
    assert [n.state for n in pool.nodes.values()] == ["idle"] * 3
    driver.advance(600)
    assert sorted(n.state for n in pool.nodes.values()) == ["idle", "preempted", "preempted"]
    driver.advance(500)
    assert sorted(n.state for n in pool.nodes.values()) == ["idle", "preempted", "preempted"]
    driver.advance(101)
    assert [n.state for n in pool.nodes.values()] == ["idle"] * 3


def test_capacity_can_be_set():
    driver = Driver()
    pool = spot(driver, 2)
    driver.do(faults.set_capacity, 2)
    assert sorted(n.state for n in pool.nodes.values()) == ["idle", "preempted"]
    driver.advance(3000)
    assert sorted(n.state for n in pool.nodes.values()) == ["idle", "preempted"]
    driver.do(faults.set_capacity, None)
    driver.advance()
    assert [n.state for n in pool.nodes.values()] == ["idle"] * 2


def test_after_two_days_a_node_is_not_restored():
    driver = Driver()
    node = first(spot(driver))
    driver.do(faults.set_capacity, 0)
    driver.advance(49 * 3600)
    driver.do(faults.set_capacity, None)
    driver.advance(3600)
    assert node.state == "preempted"


def test_without_capacity_a_resize_goes_on_until_it_times_out():
    driver = Driver()
    driver.do(faults.set_capacity, 2)
    pool = spot(driver, 2)
    assert (len(pool.nodes), pool.allocation.state) == (1, "resizing")
    driver.advance(300)
    driver.do(faults.set_capacity, 4)
    driver.advance(30)
    assert (len(pool.nodes), pool.allocation.state, codes(pool)) == (2, "steady", [])
    driver.do(pools.resize, pool, {"targetLowPriorityNodes": 3})
    driver.advance(15 * 60)
    assert (pool.allocation.state, codes(pool)) == ("steady", ["AllocationTimedout"])
    assert "low priority" in views.pool(pool, "")["resizeErrors"][0]["message"]


def test_formulas_see_preempted_nodes():
    driver = Driver()
    pool = spot(driver, 2)
    driver.do(faults.set_capacity, 2)
    formula = "$TargetDedicatedNodes = $PreemptedNodeCount; $TargetLowPriorityNodes = 2"
    driver.do(scaling.enable, pool, {"autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"})
    driver.advance(300)
    assert pool.dedicated == 1


def test_preemptions_come_at_their_rate():
    driver = Driver(Profile(restoration=(1, 1), faults=NodeFaults(preemptions_per_node_hour=1.0)))
    pool = spot(driver, 20)
    seen = []
    preempt = faults.preempt
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "preempt", lambda m, node: (seen.append(node.id), preempt(m, node)))
        driver.advance(10 * 3600)
    assert 150 < len(seen) < 250, "20 nodes for 10 hours"
    assert all(node.state == "idle" for node in pool.nodes.values() if node.state != "preempted")


# Loss


@pytest.fixture
def lossy():
    return Driver(Profile(loss=(60, 60), recovery=(300, 300), boot=(20, 20)))


def test_a_lost_node_is_noticed_later_and_recovered(lossy):
    pool = lossy.pool(nodes=1)
    lossy.advance(20)
    node, task = first(pool), lossy.task(lossy.job())
    lossy.do(faults.lose, node)
    lossy.end_kills()
    assert node.state == "unknown" and task.state == "running", "the service does not know yet"
    lossy.advance(60)
    assert node.state == "unusable" and not node.errors
    assert (task.state, task.execution.requeues, task.execution.retries) == ("active", 0, 0)
    lossy.advance(300)
    assert node.state == "starting"
    lossy.advance(20)
    assert node.state == "running" and task.state == "preparing"


def test_tasks_of_a_lost_node_run_elsewhere(lossy):
    pool = lossy.pool(nodes=2)
    lossy.advance(20)
    task = lossy.task(lossy.job())
    node = pool.nodes[task.node[1]]
    lossy.do(faults.lose, node)
    lossy.end_kills()
    lossy.advance(60)
    assert task.state == "preparing" and task.node[1] != node.id
    lossy.end(lossy.run_of("task"))
    assert task.execution.result == "success"


@pytest.mark.parametrize("ask", [tasks.terminate, tasks.delete])
def test_tasks_of_a_lost_node_can_be_ended(lossy, ask):
    pool = lossy.pool(nodes=1)
    lossy.advance(20)
    job = lossy.job()
    task = lossy.task(job)
    lossy.do(faults.lose, first(pool))
    lossy.end_kills()
    lossy.do(ask, job, task)
    assert not lossy.machine.runs and (task.state == "completed" or "task" not in job.tasks)


def test_unusable_nodes_can_not_be_rebooted(lossy):
    pool = lossy.pool(nodes=1)
    lossy.advance(20)
    lossy.do(faults.lose, first(pool))
    assert refused(lossy, node_operations.reboot, first(pool), "requeue") == "NodeStateUnusable"


def test_a_boot_that_fails_is_recovered():
    driver = Driver(Profile(recovery=(300, 300)))
    driver.machine.plan.boots = 1
    node = first(driver.pool())
    assert node.state == "unusable" and not node.errors
    driver.advance(300)
    assert node.state == "idle"


def test_a_start_task_that_fails():
    driver = Driver()
    driver.machine.plan.start_tasks = 1
    node = first(driver.pool(startTask={"commandLine": "s"}))
    driver.end(driver.run_of("startup"), 0)
    assert node.state == "starttaskfailed"
    assert node.start.execution.failure.code == "FailureExitCode"


def test_late_nodes():
    late = NodeFaults(late_nodes=1.0)
    driver = Driver(Profile(boot=(10, 10), lateness=(100, 100), faults=late))
    pool = driver.pool()
    driver.advance(109)
    assert first(pool).state == "creating"
    driver.advance(1)
    assert first(pool).state == "idle"


# Allocation and quotas


def test_allocations_fail_as_planned():
    driver = Driver()
    driver.machine.plan.allocations = ["AllocationFailed"]
    pool = driver.pool(nodes=2)
    assert (len(pool.nodes), pool.allocation.state) == (0, "steady")
    (error,) = views.pool(pool, "")["resizeErrors"]
    assert error["code"] == "AllocationFailed" and error["values"][0]["name"] == "Reason"
    assert error["message"] == "Desired number of dedicated nodes could not be allocated"
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 2})
    driver.advance()
    assert len(pool.nodes) == 2 and not pool.errors


def test_allocations_stall_as_planned():
    driver = Driver()
    driver.machine.plan.allocations = ["stall"]
    pool = driver.pool(nodes=1, resizeTimeout="PT5M")
    driver.advance(299)
    assert pool.allocation.state == "resizing"
    driver.advance(1)
    assert (pool.allocation.state, codes(pool)) == ("steady", ["AllocationTimedout"])


def test_cores_by_vm_family():
    driver = Driver(Profile(family_cores=(("StandardDSv3Family", 4),)))
    pool = driver.pool(nodes=3)  # Standard_D2s_v3
    assert (len(pool.nodes), codes(pool)) == (2, ["AccountVMSeriesCoreQuotaReached"])
    low = spot(driver, 3, id="low")
    assert (len(low.nodes), codes(low)) == (3, []), "only dedicated nodes are limited by family"
    other = driver.pool("other", nodes=3, vmSize="Standard_F2s_v2")
    assert (len(other.nodes), codes(other)) == (3, [])


@pytest.mark.parametrize(
    ("size", "family"),
    [
        ("Standard_D2s_v3", "standardDSv3Family"),
        ("Standard_D4_v3", "standardDv3Family"),
        ("Standard_E8ads_v5", "standardEADSv5Family"),
        ("Standard_F4s_v2", "standardFSv2Family"),
        ("Standard_A4_v2", "standardAv2Family"),
        ("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family"),
    ],
)
def test_families(size, family):
    assert vm_family(size) == family


def test_active_jobs_are_limited():
    driver = Driver(Profile(jobs=1))
    job = driver.job()
    assert refused(driver, jobs.create, job_body("other")) == "ActiveJobAndScheduleQuotaReached"
    driver.do(jobs.terminate, job, {})
    assert driver.job("other").state == "active"
