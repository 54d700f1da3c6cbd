"""Pools that come and go with a job, and job manager tasks."""

import pytest

from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.protocol.schema import check_model

from ..builders import IMAGE, Driver, job_body

POOL = {"vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE, "targetDedicatedNodes": 2}
MANAGER = {"id": "manager", "commandLine": "lead"}


def auto(lifetime="job", pool=POOL, **more):
    return {"autoPoolSpecification": {"poolLifetimeOption": lifetime, "pool": pool} | more}


def body(**more):
    return check_model("BatchJobCreateOptions", {"id": "job", "poolInfo": auto()} | more, "")


def refusal(call, *args):
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value


def patch(m, job, given):
    jobs.change(m, job, given, replace=False)


@pytest.fixture
def driver():
    return Driver()


def test_the_pool_lives_as_long_as_the_job(driver):
    job = driver.do(jobs.create, body(poolInfo=auto(autoPoolIdPrefix="tmp")))
    driver.advance()
    (pool,) = driver.machine.pools.values()
    assert pool.id == job.pool_id and pool.id.startswith("tmp_") and len(pool.nodes) == 2
    task = driver.task(job)
    driver.end(driver.run_of("task"))
    assert task.state == "completed"
    shown = views.job(job, "")
    assert shown["executionInfo"]["poolId"] == pool.id and "poolId" not in shown["poolInfo"]
    assert shown["poolInfo"]["autoPoolSpecification"]["keepAlive"] is False
    driver.do(jobs.terminate, job, {})
    driver.advance()
    assert job.state == "completed" and not driver.machine.pools
    driver.do(jobs.delete, job)


def test_it_waits_for_release_tasks(driver):
    more = {"jobPreparationTask": {"commandLine": "p"}, "jobReleaseTask": {"commandLine": "r"}}
    job = driver.do(jobs.create, body(**more))
    driver.advance()
    driver.task(job)
    driver.end(driver.run_of("jobpreparation"))
    driver.end(driver.run_of("task"))
    driver.do(jobs.delete, job)
    assert job.state == "deleting" and driver.machine.pools[job.pool].state == "active"
    driver.end(driver.run_of("jobrelease"))
    driver.advance()
    assert not driver.machine.jobs and not driver.machine.pools


def test_kept_alive(driver):
    job = driver.do(jobs.create, body(poolInfo=auto(keepAlive=True)))
    driver.do(jobs.terminate, job, {})
    driver.advance()
    assert driver.machine.pools[job.pool].state == "active"


def test_only_keep_alive_can_be_changed(driver):
    job = driver.do(jobs.create, body())
    change = {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "job", "keepAlive": True}}}
    assert refusal(driver.do, patch, job, change).code == "OperationInvalidForCurrentState"
    driver.do(jobs.disable, job, "requeue")
    for other in ({"poolId": "x"}, auto(pool=POOL | {"targetDedicatedNodes": 1})):
        assert refusal(driver.do, patch, job, {"poolInfo": other}).code == "InvalidPropertyValue"
    driver.do(patch, job, change)
    assert job.spec["poolInfo"]["autoPoolSpecification"]["keepAlive"] is True
    assert job.spec["poolInfo"]["autoPoolSpecification"]["pool"] == POOL
    driver.do(jobs.terminate, job, {})
    driver.advance()
    assert len(driver.machine.pools) == 1


def test_what_was_read_can_be_written_back(driver):
    users = [{"name": "u", "password": "p", "elevationLevel": "admin"}]
    job = driver.do(jobs.create, body(poolInfo=auto(pool=POOL | {"userAccounts": users})))
    shown = views.job(job, "")["poolInfo"]
    assert "password" not in shown["autoPoolSpecification"]["pool"]["userAccounts"][0]
    driver.do(patch, job, {"poolInfo": shown, "priority": 3})
    assert job.spec["priority"] == 3
    kept = job.spec["poolInfo"]["autoPoolSpecification"]["pool"]["userAccounts"][0]
    assert kept["password"] == "p"


def test_no_more_pools_allowed():
    driver = Driver(Profile(pools=0))
    job = driver.do(jobs.create, body(jobManagerTask=MANAGER))
    shown = views.job(job, "")["executionInfo"]
    assert job.state == "completed" and not job.tasks and "poolId" not in shown
    assert shown["schedulingError"]["code"] == "AutoPoolCreationFailedWithQuotaReached"
    assert shown["schedulingError"]["category"] == "usererror"
    driver.do(jobs.delete, job)
    assert not driver.machine.jobs


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({}, "InvalidPropertyValue"),
        ({"poolId": "p"} | auto(), "InvalidPropertyValue"),
        (auto("jobschedule"), "InvalidPropertyValue"),
        (auto(autoPoolIdPrefix="x" * 21), "InvalidPropertyValue"),
        (auto(autoPoolIdPrefix="a b"), "InvalidPropertyValue"),
        ({"autoPoolSpecification": {"poolLifetimeOption": "job"}}, "MissingRequiredProperty"),
        (auto(pool=POOL | {"vmSize": "Standard_Z9"}), "InvalidPropertyValue"),
        (auto(pool=POOL | {"taskSlotsPerNode": 300}), "InvalidPropertyValue"),
        (auto(pool=POOL | {"enableAutoScale": True}), "MissingRequiredProperty"),
    ],
)
def test_refusals(driver, info, code):
    assert refusal(driver.do, jobs.create, body(poolInfo=info)).code == code
    assert not driver.machine.jobs and not driver.machine.pools


def test_an_auto_pool_that_scales(driver):
    pool = {name: POOL[name] for name in ("vmSize", "virtualMachineConfiguration")}
    pool |= {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 3"}
    driver.do(jobs.create, body(poolInfo=auto(pool=pool)))
    driver.advance(2)
    (made,) = driver.machine.pools.values()
    assert len(made.nodes) == 3


# Job manager tasks


def manager(driver, nodes=1, slots=2, **more):
    driver.pool(nodes=nodes, slots=slots)
    return driver.do(jobs.create, job_body(jobManagerTask=MANAGER | more))


def test_the_manager_is_the_first_task_and_ends_the_job(driver):
    job = manager(driver)
    others = [driver.task(job, f"t{i}") for i in range(2)]
    lead = job.tasks["manager"]
    assert lead.state == "preparing" and [t.state for t in others] == ["active"] * 2
    assert job.counts["active"] == 2 and "killJobOnCompletion" not in lead.spec
    (node,) = driver.machine.pools["pool"].nodes.values()
    assert node.free == 0, "it has the node to itself"
    driver.end(driver.run_of("manager"))
    assert (lead.state, job.state, job.reason) == ("completed", "completed", "JMComplete")
    assert [t.state for t in others] == ["active"] * 2 and not driver.started


def test_what_still_runs_ends_with_the_manager(driver):
    job = manager(driver, runExclusive=False)
    other = driver.task(job)
    assert other.state == "preparing"
    driver.end(driver.run_of("manager"), 3)
    assert job.state == "terminating" and job.tasks["manager"].execution.result == "failure"
    driver.end_kills()
    assert job.state == "completed" and other.execution.failure.code == "TaskEnded"


def test_a_manager_that_only_begins(driver):
    job = manager(driver, killJobOnCompletion=False)
    other = driver.task(job)
    driver.end(driver.run_of("manager"))
    assert job.state == "active" and other.state == "preparing"


def test_retries_of_a_manager(driver):
    job = manager(driver, constraints={"maxTaskRetryCount": 1})
    driver.task(job)
    driver.end(driver.run_of("manager"), 1)
    assert job.state == "active" and job.tasks["manager"].execution.retries == 1
    (node,) = driver.machine.pools["pool"].nodes.values()
    assert node.free == 0
    driver.end(driver.run_of("manager"), 1)
    assert (job.state, job.reason) == ("completed", "JMComplete")


def test_an_exclusive_manager_waits_for_an_empty_node(driver):
    driver.pool(nodes=1, slots=2)
    before = driver.job("before")
    driver.task(before)
    job = driver.do(jobs.create, job_body(jobManagerTask=MANAGER))
    assert job.tasks["manager"].state == "active" and job.waiting == 1
    driver.end(driver.run_of("task"))
    assert job.tasks["manager"].state == "preparing"


def test_a_manager_that_wants_a_dedicated_node(driver):
    driver.pool(nodes=0, targetLowPriorityNodes=1)
    job = driver.do(jobs.create, job_body(jobManagerTask=MANAGER | {"allowLowPriorityNode": False}))
    assert job.tasks["manager"].state == "active"
    assert driver.task(job).state == "preparing"
    driver.do(pools.resize, driver.machine.pools["pool"], {"targetDedicatedNodes": 1})
    driver.advance()
    lead = job.tasks["manager"]
    assert lead.state == "preparing" and driver.machine.find_node(*lead.node).dedicated


def test_managers_keep_their_node_when_the_pool_shrinks(driver):
    job = manager(driver, nodes=2, slots=1)
    driver.task(job)
    lead = job.tasks["manager"]
    driver.do(pools.resize, driver.machine.pools["pool"], {"targetDedicatedNodes": 1})
    driver.end_kills()
    driver.advance()
    assert list(driver.machine.pools["pool"].nodes) == [lead.node[1]] and lead.state == "preparing"


def test_a_manager_that_is_withdrawn(driver):
    job = driver.do(jobs.create, job_body(jobManagerTask=MANAGER))
    driver.do(lambda m: tasks.terminate(m, job, job.tasks["manager"]))
    assert (job.state, job.reason, job.waiting) == ("completed", "JMComplete", 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "no spaces"},
        {"requiredSlots": 0},
        {"commandLine": ""},
        {"containerSettings": {"imageName": "x"}},
    ],
)
def test_refused_managers(driver, wrong):
    driver.pool()
    error = refusal(driver.do, jobs.create, job_body(jobManagerTask=MANAGER | wrong))
    assert error.code == "InvalidPropertyValue"


def test_a_manager_named_as_the_preparation_task(driver):
    wrong = job_body(jobManagerTask=MANAGER, jobPreparationTask={"id": "Manager", "commandLine": "p"})
    assert refusal(driver.do, jobs.create, wrong).code == "TaskIdSameAsJobPreparationTask"


def test_termination_once_engaged(driver):
    job = driver.job()
    driver.task(job)
    driver.do(patch, job, {"onAllTasksComplete": "terminatejob"})
    change = {"onAllTasksComplete": "noaction"}
    assert refusal(driver.do, patch, job, change).code == "InvalidPropertyValue"
