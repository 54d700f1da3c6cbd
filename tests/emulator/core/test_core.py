"""The core by itself: what each stimulus does, without a thread, a clock or a file."""

import pytest

from azure_batch_emulator.core import jobs, node_operations, outcomes, pools, runs, tasks, views
from azure_batch_emulator.core.entities import Ended, Failed
from azure_batch_emulator.errors import BatchError
from azure_batch_emulator.profile import Profile
from azure_batch_emulator.region import catalogue

from .builders import OUTPUT, Driver, job_body, pool_body, task_body


@pytest.fixture
def driver():
    return Driver()


def code_of(call, *args):
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value.code


def states_of(pool):
    return [node.state for node in pool.nodes.values()]


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


def test_a_pool_has_a_largest_size(driver):
    pool = driver.pool(nodes=5_000_000)
    assert (len(pool.nodes), [error.code for error in pool.errors]) == (2000, ["AllocationFailed"])


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
        driver.do(pools.create, pool_body(vmSize="Standard_Z9"), catalogue())
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
    assert code_of(driver.do, pools.create, pool_body() | wrong, catalogue()) == "InvalidPropertyValue"


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


# Tasks


def test_exit_codes_and_retries(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxTaskRetryCount": 2})
    for retries in (0, 1):
        assert task.execution.retries == retries
        driver.end(driver.run_of("task"), 3)
        assert task.state in ("preparing", "running")
    assert not next(iter(driver.started.values())).fetch, "a retry on the node fetches nothing again"
    driver.end(driver.run_of("task"), 3)
    assert (task.state, task.execution.exit_code, task.execution.failure.code) == (
        "completed",
        3,
        "FailureExitCode",
    )


def test_launch_failures_are_not_retried(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxTaskRetryCount": 5})
    driver.end(driver.run_of("task"), None, Failed("UserError", "CommandProgramNotFound", "no"))
    assert (task.execution.failure.code, task.execution.exit_code) == ("CommandProgramNotFound", None)


def test_a_late_exit_of_an_old_run_is_ignored(driver):
    driver.pool()
    job = driver.job()
    task = driver.task(job)
    old = driver.run_of("task")
    driver.end(old, 1)
    driver.do(tasks.reactivate, job, task)
    driver.do(runs.exited, old, Ended(0))
    assert task.state == "preparing"


def test_the_wall_clock_of_a_task(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"maxWallClockTime": "PT1M", "maxTaskRetryCount": 3})
    driver.advance(60)
    driver.end_kills()
    assert (task.state, task.execution.failure.code) == ("completed", "TaskEnded")
    assert "maximum execution time" in dict(task.execution.failure.details)["Message"]


def test_terminating_waiting_and_running_tasks(driver):
    driver.pool()
    job = driver.job()
    first, second = driver.task(job, "first"), driver.task(job, "second")
    driver.do(tasks.terminate, job, second)
    assert second.state == "completed" and second.execution.failure.code == "TaskEnded"
    driver.do(tasks.terminate, job, first)
    assert driver.killed == {driver.run_of("first")}
    driver.end_kills()
    assert first.state == "completed"
    assert code_of(driver.do, tasks.terminate, job, first) == "TaskCompleted"


def test_reactivating(driver):
    driver.pool()
    job = driver.job()
    task = driver.task(job, constraints={"maxTaskRetryCount": 1})
    assert code_of(driver.do, tasks.reactivate, job, task) == "TaskNotCompleted"
    driver.end(driver.run_of("task"), 1)
    driver.end(driver.run_of("task"), 1)
    driver.do(tasks.reactivate, job, task)
    assert (task.state, task.execution.retries, task.execution.failure) == ("preparing", 0, None)
    driver.end(driver.run_of("task"), 0)
    assert code_of(driver.do, tasks.reactivate, job, task) == "TaskSucceeded"


def test_a_deleted_task_and_its_successor(driver):
    driver.pool(nodes=2)
    job = driver.job()
    task = driver.task(job)
    driver.do(tasks.delete, job, task)
    again = driver.task(job)
    assert again.state == "active", "it waits for the end of the one before it"
    driver.end_kills()
    assert driver.deleted[0].task == "task"
    assert again.state == "preparing" and job.counts["running"] == 1


def test_retention(driver):
    driver.pool()
    task = driver.task(driver.job(), constraints={"retentionTime": "PT1H"})
    driver.end(driver.run_of("task"))
    driver.advance(3599)
    assert (task.files, driver.deleted) == ("kept", [])
    driver.advance(1)
    assert task.files == "cleaned" and driver.deleted[0].task == "task"


def test_uploads_come_before_completion(driver):
    driver.pool()
    output = {
        "filePattern": "*.txt",
        "destination": {"container": {"containerUrl": "http://x/c?sig=1"}},
        "uploadOptions": {"uploadCondition": "tasksuccess"},
    }
    job = driver.job(usesTaskDependencies=True)
    good, bad = driver.task(job, "good", outputFiles=[output]), driver.task(job, "bad", outputFiles=[output])
    driver.end(driver.run_of("good"), 0)
    assert good.state == "running" and bad.state == "active", "the slot is kept until the upload is over"
    run = good.run
    driver.do(runs.uploaded, run, Failed("UserError", "FileUploadContainerNotFound", "no"))
    assert (good.execution.result, good.execution.exit_code) == ("failure", 0)
    driver.end(driver.run_of("bad"), 1)
    assert bad.state == "completed", "nothing is uploaded after a failure"


def uploading(driver, **more):
    """A task whose command has ended with 0 and whose output is being uploaded, and its run."""
    driver.pool()
    task = driver.task(driver.job(), outputFiles=[OUTPUT], **more)
    driver.end(driver.run_of("task"), 0)
    assert (task.state, list(driver.uploads)) == ("running", [task.run])
    return task, task.run


def test_an_end_that_is_reported_twice(driver):
    task, run = uploading(driver)
    driver.do(runs.exited, run, Ended(1))
    assert (task.state, task.execution.exit_code) == ("running", 0)
    driver.do(runs.uploaded, run, None)
    assert task.execution.result == "success"


def test_an_upload_is_neither_killed_nor_bound_by_the_wall_clock(driver):
    task, run = uploading(driver, constraints={"maxWallClockTime": "PT1M"})
    driver.advance(60)
    assert not driver.killed and not driver.machine.runs[run].expired
    driver.do(tasks.terminate, driver.machine.job("job"), task)
    assert not driver.killed, "there is no command left to kill"
    driver.do(runs.uploaded, run, None)
    assert (task.state, task.execution.result) == ("completed", "success")


def test_a_task_that_is_deleted_while_it_uploads(driver):
    task, run = uploading(driver)
    job = driver.machine.job("job")
    driver.do(tasks.delete, job, task)
    again = driver.task(job)
    driver.do(runs.uploaded, run, None)
    assert again.state == "preparing" and (job.counts["completed"], job.counts["running"]) == (0, 1)


def test_an_upload_that_nobody_does(driver):
    driver.pool()
    task = driver.task(driver.job())
    run = driver.run_of("task")
    driver.do(runs.uploaded, run, None)
    assert task.state == "preparing", "its command has not ended"


@pytest.mark.parametrize(("action", "state"), [("disable", "disabled"), ("terminate", "completed")])
def test_a_placement_ends_the_job_of_the_next(driver, action, state):
    """Two tasks get nodes at once; the first can't run on this pool, and stops the job."""
    job = driver.job(onTaskFailure="performexitoptionsjobaction")
    conditions = {"preProcessingError": {"jobAction": action}}
    nobody = {"userIdentity": {"username": "nobody"}}
    first = driver.task(job, "first", exitConditions=conditions, **nobody)
    second = driver.task(job, "second")
    driver.pool(slots=2)
    assert (job.state, first.state, second.state) == (state, "completed", "active")
    assert second.key in job.ready and not driver.started
    if action == "disable":
        driver.do(jobs.enable, job)
        assert second.state == "preparing", "it had kept its place in the queue"


def test_a_job_that_is_gone_does_not_touch_its_successor(driver):
    old = driver.job()
    driver.do(jobs.delete, old)
    driver.do(jobs.settle, old)
    new = driver.job()
    driver.do(jobs.settle, old)
    assert driver.machine.job("job") is new and not driver.deleted


def test_slots_and_parallel_limits(driver):
    driver.pool(nodes=1, slots=4)
    job = driver.job(maxParallelTasks=2)
    made = [driver.task(job, f"t{i}") for i in range(3)]
    assert [task.state for task in made] == ["preparing", "preparing", "active"]
    driver.end(driver.run_of("t0"))
    assert made[2].state == "preparing"


def test_a_task_that_needs_more_slots_than_a_node_has_waits_forever(driver):
    driver.pool(slots=2)
    task = driver.task(driver.job(), requiredSlots=3)
    driver.advance(10_000)
    assert task.state == "active"


def test_priority(driver):
    low, high = driver.job("low", priority=-5), driver.job("high", priority=5)
    first, second = driver.task(low, "a"), driver.task(high, "b")
    driver.pool()
    assert (first.state, second.state) == ("active", "preparing")


def test_container_settings_go_with_the_pool(driver):
    driver.pool()
    job = driver.job()
    body = task_body(containerSettings={"imageName": "x"})
    assert code_of(driver.do, tasks.create, job, body) == "InvalidPropertyValue"
    early = driver.do(jobs.create, job_body("early", "later"))
    task = driver.do(tasks.create, early, task_body())
    container = {"containerConfiguration": {"type": "dockerCompatible"}}
    machine = pool_body()["virtualMachineConfiguration"] | container
    driver.pool("later", virtualMachineConfiguration=machine)
    assert task.execution.failure.code == "TaskSchedulingConstraintFailed"


# Dependencies and exit conditions


def test_dependencies(driver):
    driver.pool(slots=8)
    job = driver.job(usesTaskDependencies=True)
    last = driver.task(
        job, "last", dependsOn={"taskIds": ["A", "b"], "taskIdRanges": [{"start": 1, "end": 3}]}
    )
    for name in ("a", "b", "1", "02", "3"):
        driver.task(job, name)
    for name in ("a", "b", "1", "02"):
        driver.end(driver.run_of(name))
        assert last.state == "active"
    driver.end(driver.run_of("3"))
    assert last.state == "preparing"


def test_a_failed_dependency_blocks_unless_told_otherwise(driver):
    driver.pool(slots=8)
    job = driver.job(usesTaskDependencies=True)
    conditions = {"exitCodes": [{"code": 7, "exitOptions": {"dependencyAction": "satisfy"}}]}
    for name, code in (("blocks", 1), ("serves", 7)):
        driver.task(job, name, exitConditions=conditions)
        waiting = driver.task(job, f"after-{name}", dependsOn={"taskIds": [name]})
        driver.end(driver.run_of(name), code)
        assert waiting.state == ("active" if name == "blocks" else "preparing")


def test_dependencies_need_the_jobs_consent(driver):
    job = driver.job()
    body = task_body("x", dependsOn={"taskIds": ["a"]})
    assert code_of(driver.do, tasks.create, job, body) == "TaskDependenciesNotSpecifiedOnJob"
    long = task_body("y", dependsOn={"taskIds": ["a" * 64] * 1001})
    job = driver.job("j2", usesTaskDependencies=True)
    assert code_of(driver.do, tasks.create, job, long) == "TaskDependencyListTooLong"


OPTIONS = {"jobAction": "disable"}
CONDITIONS = {
    "exitCodes": [{"code": 2, "exitOptions": {"jobAction": "none"}}],
    "exitCodeRanges": [{"start": 10, "end": 20, "exitOptions": OPTIONS}],
    "preProcessingError": {"jobAction": "none"},
    "default": {"jobAction": "terminate"},
}


@pytest.mark.parametrize(
    ("exit_code", "failure", "state"),
    [
        (0, None, "active"),
        (2, None, "active"),
        (10, None, "disabled"),
        (20, None, "disabled"),
        (21, None, "completed"),
        (None, Failed("UserError", "CommandProgramNotFound", ""), "active"),
    ],
)
def test_job_actions(driver, exit_code, failure, state):
    driver.pool(slots=2)
    job = driver.job(onTaskFailure="performexitoptionsjobaction")
    driver.task(job, exitConditions=CONDITIONS)
    driver.end(driver.run_of("task"), exit_code, failure)
    assert job.state == state
    assert job.reason == ("TaskFailed" if state == "completed" else None)


def test_a_job_action_needs_the_jobs_mode(driver):
    body = task_body(exitConditions={"default": {"jobAction": "terminate"}})
    assert code_of(driver.do, tasks.create, driver.job(), body) == "InvalidPropertyValue"


# Jobs


def test_terminating_leaves_active_tasks_active(driver):
    driver.pool()
    job = driver.job()
    first, second = driver.task(job, "first"), driver.task(job, "second")
    driver.do(jobs.terminate, job, {"terminateReason": "enough"})
    assert job.state == "terminating"
    assert code_of(driver.do, tasks.create, job, task_body("third")) == "JobBeingTerminated"
    driver.end_kills()
    assert (job.state, job.reason, first.state, second.state) == (
        "completed",
        "enough",
        "completed",
        "active",
    )
    assert code_of(driver.do, tasks.create, job, task_body("third")) == "JobCompleted"
    assert code_of(driver.do, jobs.terminate, job, {}) == "JobCompleted"


@pytest.mark.parametrize(("option", "task_state"), [("requeue", "active"), ("terminate", "completed")])
def test_disabling(driver, option, task_state):
    driver.pool()
    job = driver.job()
    task = driver.task(job)
    driver.do(jobs.disable, job, option)
    assert job.state == "disabling"
    driver.end_kills()
    assert (job.state, task.state) == ("disabled", task_state)
    driver.do(jobs.enable, job)
    assert job.state == "active"
    assert task.state == ("preparing" if option == "requeue" else "completed")


def test_disabling_with_wait(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(jobs.disable, job, "wait")
    assert job.state == "disabling" and not driver.killed
    driver.end(driver.run_of("task"))
    assert job.state == "disabled"


def test_all_tasks_complete(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(lambda m: jobs.change(m, job, {"onAllTasksComplete": "terminatejob"}, replace=False))
    assert job.state == "active"
    driver.end(driver.run_of("task"))
    assert (job.state, job.reason) == ("completed", "AllTasksComplete")
    assert driver.job("empty", onAllTasksComplete="terminatejob").state == "completed"


def test_the_wall_clock_of_a_job(driver):
    driver.pool()
    job = driver.job(constraints={"maxWallClockTime": "PT1M"})
    driver.task(job)
    driver.advance(60)
    driver.end_kills()
    assert (job.state, job.reason) == ("completed", "MaxWallClockTimeExpiry")


def test_put_resets_and_patch_replaces_whole_objects(driver):
    job = driver.job(priority=5, metadata=[{"name": "a", "value": "b"}], constraints={"maxTaskRetryCount": 3})
    driver.do(lambda m: jobs.change(m, job, {"constraints": {"maxWallClockTime": "PT1H"}}, replace=False))
    assert (job.spec["constraints"]["maxTaskRetryCount"], job.spec["priority"]) == (0, 5)
    driver.do(lambda m: jobs.change(m, job, {"poolInfo": {"poolId": "pool"}}, replace=True))
    assert job.spec["priority"] == 0 and "metadata" not in job.spec
    change = {"poolInfo": {"poolId": "other"}}
    assert (
        code_of(driver.do, lambda m: jobs.change(m, job, change, replace=False))
        == "OperationInvalidForCurrentState"
    )


def test_deleting_a_job(driver):
    driver.pool()
    job = driver.job()
    driver.task(job)
    driver.do(jobs.delete, job)
    assert code_of(driver.do, jobs.delete, job) == "JobBeingDeleted"
    assert code_of(driver.do, tasks.create, job, task_body("x")) == "JobBeingDeleted"
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.runs and driver.deleted[-1].task is None


# Preparation and release


def test_preparation_and_release(driver):
    pool = driver.pool(nodes=2, slots=2)
    job = driver.job(jobPreparationTask={"commandLine": "p"}, jobReleaseTask={"commandLine": "r"})
    first, second = driver.task(job, "first"), driver.task(job, "second", affinityInfo={"affinityId": "x"})
    assert [start.kind for start in driver.started.values()] == ["prep", "prep"]
    for run in list(driver.started):
        driver.end(run)
    assert {start.task for start in driver.started.values()} == {"first", "second"}
    third = driver.task(job, "third")
    assert driver.run_of("third"), "the node has been prepared already"
    driver.do(jobs.terminate, job, {})
    driver.end_kills()
    assert job.state == "terminating" and [s.kind for s in driver.started.values()] == ["release"] * 2
    assert {first.state, second.state, third.state} == {"completed"}
    for run in list(driver.started):
        driver.end(run)
    assert job.state == "completed"
    shown = [
        views.preparation_and_release(driver.machine, job, pool, node, "") for node in pool.nodes.values()
    ]
    assert [entry["jobReleaseTaskExecutionInfo"]["result"] for entry in shown] == ["success"] * 2


def test_a_failed_preparation_gives_the_task_back(driver):
    driver.pool()
    job = driver.job(jobPreparationTask={"commandLine": "p"})
    task = driver.task(job)
    driver.end(driver.run_of("jobpreparation"), 1)
    assert task.state == "active" and not driver.started and job.counts["running"] == 0
    driver.do(jobs.delete, job)
    assert not driver.machine.jobs


def test_deleting_a_job_that_waits_for_its_preparation(driver):
    driver.pool()
    job = driver.job(jobPreparationTask={"commandLine": "p"})
    driver.task(job)
    driver.do(jobs.delete, job)
    driver.end_kills()
    assert not driver.machine.jobs and not driver.machine.runs


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


def test_upload_failures_have_their_own_exit_condition():
    driver = Driver()
    job = driver.job(usesTaskDependencies=True)
    task = driver.task(job, exitConditions={"fileUploadError": {"dependencyAction": "satisfy"}})
    task.execution.exit_code, task.execution.result = 0, "failure"
    assert outcomes.exit_options(task, outcomes.UPLOAD)["dependencyAction"] == "satisfy"
    assert outcomes.exit_options(task, outcomes.PRE_PROCESSING)["dependencyAction"] == "block"


@pytest.mark.parametrize(
    "given, retries", [({}, 2), ({"constraints": {}}, 0), ({"constraints": {"maxTaskRetryCount": 5}}, 5)]
)
def test_the_jobs_retries_are_for_tasks_without_constraints(driver, given, retries):
    task = driver.task(driver.job(constraints={"maxTaskRetryCount": 2}), **given)
    assert task.spec["constraints"]["maxTaskRetryCount"] == retries
