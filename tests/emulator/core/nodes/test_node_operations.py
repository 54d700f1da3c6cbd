"""Reboot, deallocate and start: what happens to tasks, files, start tasks and preparation tasks."""

import pytest

from azure_batch_emulator.core.instructions import BootNode
from azure_batch_emulator.core.jobs import jobs
from azure_batch_emulator.core.nodes import boot, node_operations
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import Driver


@pytest.fixture
def driver():
    return Driver(Profile(boot=(20, 20), reboot=(10, 10), removal=(5, 5)))


def ready(driver, **more):
    pool = driver.pool(**more)
    driver.advance(20)
    return next(iter(pool.nodes.values()))


def refused(driver, operation, node, *args):
    with pytest.raises(BatchError) as caught:
        driver.do(operation, node, *args)
    return caught.value.code


@pytest.mark.parametrize(
    ("option", "state", "requeues"), [("requeue", "active", 1), ("terminate", "completed", 0)]
)
@pytest.mark.parametrize("operation", [node_operations.reboot, node_operations.deallocate])
def test_options(driver, operation, option, state, requeues):
    node = ready(driver)
    task = driver.task(driver.job())
    driver.do(operation, node, option)
    assert node.state in ("rebooting", "deallocating") and task.state == "preparing"
    driver.advance(100)
    assert node.state in ("rebooting", "deallocating"), "it waits until the task has let go"
    driver.end_kills()
    assert (task.state, task.execution.requeues) == (state, requeues)


def test_taskcompletion_takes_no_new_tasks(driver):
    node = ready(driver)
    job = driver.job()
    driver.task(job, "one")
    driver.task(job, "two")
    driver.do(node_operations.reboot, node, "taskcompletion")
    driver.advance(100)
    assert not driver.killed and node.state == "rebooting"
    driver.end(driver.run_of("one"))
    assert job.tasks["one"].execution.result == "success" and job.tasks["two"].state == "active"
    driver.advance(10)
    assert node.state == "running" and job.tasks["two"].state == "preparing"


def test_retaineddata_waits_for_files(driver):
    node = ready(driver)
    job = driver.job()
    driver.task(job, constraints={"retentionTime": "PT1H"})
    driver.end(driver.run_of("task"))
    driver.do(node_operations.reboot, node, "retaineddata")
    driver.advance(3599)
    assert node.state == "rebooting"
    driver.advance(11)
    assert node.state == "idle"


def test_a_reboot_keeps_files_and_runs_the_start_task_again(driver):
    node = ready(driver, startTask={"commandLine": "s"})
    driver.end(driver.run_of("startup"))
    task = driver.task(driver.job())
    driver.end(driver.run_of("task"))
    first = node.booted
    boots = []
    driver.carry_out = lambda order, then=driver.carry_out: (
        boots.append(order) if isinstance(order, BootNode) else None,
        then(order),
    )
    driver.do(node_operations.reboot, node, "requeue")
    driver.advance(10)
    assert [order.keep for order in boots] == [True]
    assert node.state == "waitingforstarttask" and node.booted > first and node.holds(task)
    driver.end(driver.run_of("startup"))
    assert node.state == "idle"


def test_a_failed_start_task_is_repaired_by_a_reboot(driver):
    node = ready(driver, startTask={"commandLine": "s"})
    driver.end(driver.run_of("startup"), 1)
    assert node.state == "starttaskfailed"
    driver.do(node_operations.reboot, node, "requeue")
    driver.advance(10)
    driver.end(driver.run_of("startup"))
    assert node.state == "idle"


@pytest.mark.parametrize(("again", "runs"), [(True, 2), (False, 1)])
def test_preparation_tasks_after_a_reboot(driver, again, runs):
    node = ready(driver)
    prep = {"commandLine": "p", "rerunOnNodeRebootAfterSuccess": again}
    job = driver.job(jobPreparationTask=prep, jobReleaseTask={"commandLine": "r"})
    done = 0
    for name in ("one", "two"):
        driver.task(job, name)
        if any(start.task == "jobpreparation" for start in driver.started.values()):
            driver.end(driver.run_of("jobpreparation"))
            done += 1
        driver.end(driver.run_of(name))
        driver.do(node_operations.reboot, node, "requeue")
        driver.advance(10)
    assert done == runs
    driver.do(jobs.terminate, job, {})
    driver.end(driver.run_of("jobrelease"))
    assert job.state == "completed", (
        "the release task runs where a preparation task has run before the reboot, too"
    )


def test_a_preparation_task_that_a_reboot_ended_runs_again(driver):
    node = ready(driver)
    job = driver.job(jobPreparationTask={"commandLine": "p"})
    task = driver.task(job)
    driver.do(node_operations.reboot, node, "requeue")
    driver.end_kills()
    assert task.state == "active"
    driver.advance(10)
    driver.end(driver.run_of("jobpreparation"))
    driver.end(driver.run_of("task"))
    assert task.execution.result == "success"


def test_deallocated_nodes_lose_their_files_and_start_again(driver):
    node = ready(driver)
    task = driver.task(driver.job())
    driver.end(driver.run_of("task"))
    assert refused(driver, node_operations.start, node) == "OperationNotValidOnNode"
    driver.do(node_operations.deallocate, node, "requeue")
    driver.advance(5)
    assert node.state == "deallocated" and not node.alive
    pool = driver.machine.pools["pool"]
    assert views.node_counts(pool)["dedicated"]["deallocated"] == 1
    assert views.pool(pool, "")["currentDedicatedNodes"] == 1
    driver.do(node_operations.start, node)
    assert node.state == "starting"
    driver.advance(20)
    assert node.state == "idle" and not node.holds(task)


def test_a_rebooted_node_with_scheduling_disabled_stays_offline(driver):
    node = ready(driver)
    driver.do(node_operations.disable_scheduling, node, "requeue")
    driver.do(node_operations.reboot, node, "requeue")
    driver.advance(10)
    assert node.state == "offline"
    driver.do(node_operations.enable_scheduling, node)
    assert node.state == "idle"


def test_what_is_refused(driver):
    pool = driver.pool()
    (node,) = pool.nodes.values()
    for operation, args in (
        (node_operations.reboot, ("requeue",)),
        (node_operations.deallocate, ("requeue",)),
        (node_operations.start, ()),
    ):
        assert refused(driver, operation, node, *args) == "NodeBeingCreated"
    driver.advance(20)
    assert refused(driver, node_operations.reimage, node) == "OperationNotValidOnNode"
    driver.do(node_operations.reboot, node, "requeue")
    assert refused(driver, node_operations.reboot, node, "requeue") == "NodeBeingRebooted"
    driver.advance(10)
    driver.do(node_operations.deallocate, node, "requeue")
    assert refused(driver, node_operations.reboot, node, "requeue") == "OperationNotValidOnNode"
    driver.advance(5)
    driver.do(node_operations.start, node)
    assert refused(driver, node_operations.reboot, node, "requeue") == "NodeBeingStarted"


def test_a_node_may_leave_in_the_middle_of_it(driver):
    node = ready(driver)
    driver.do(node_operations.reboot, node, "requeue")
    pool = driver.machine.pools["pool"]
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0})
    driver.advance(20)
    assert not pool.nodes and pool.allocation.state == "steady"
    assert boot.boot(driver.machine, "pool", node.id, node.boot) is None
