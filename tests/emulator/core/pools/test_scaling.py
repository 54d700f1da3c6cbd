"""Pools that scale themselves: when formulas are evaluated, on what, and what follows; requests that are refused."""

from datetime import timedelta

import pytest

from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.pools import pools, scaling
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.service.profile_files import load_profile

from ..builders import Driver, pool_body


def enable(driver, pool, formula="$TargetDedicatedNodes = 1", interval=None):
    body = {"autoScaleFormula": formula, "autoScaleEvaluationInterval": interval}
    driver.do(scaling.enable, pool, {name: given for name, given in body.items() if given is not None})


def shown(driver, pool):
    return views.pool(pool, "")


def refusal(call, *args):
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value


# Evaluations


def test_a_failed_evaluation_changes_nothing():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 2")
    driver.advance(60)
    enable(driver, pool, "$TargetDedicatedNodes = 5; $TargetLowPriorityNodes = nope")
    driver.advance(300)
    run = shown(driver, pool)["autoScaleRun"]
    assert (
        run["results"] == "$TargetDedicatedNodes=2;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    )
    assert run["error"]["code"] == "AutoScalingFormulaEvaluationError"
    assert run["error"]["values"] == [
        {"name": "Message", "value": "Line 1, Col 54: The variable 'nope' is not defined"}
    ]
    assert (pool.dedicated, len(pool.nodes)) == (2, 2)


def test_when_evaluations_happen():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 1", interval="PT10M")
    assert "autoScaleRun" not in shown(driver, pool)
    driver.advance(1)
    first = pool.scaling.run.time
    driver.advance(599)
    assert pool.scaling.run.time == first
    driver.advance(1)
    assert pool.scaling.run.time == first + timedelta(minutes=10)
    driver.advance(240)
    enable(driver, pool, "$TargetDedicatedNodes = 2")
    driver.advance(60)
    assert pool.dedicated == 1, "a new formula waits for the next evaluation"
    driver.advance(301)
    assert pool.dedicated == 2 and pool.scaling.run.time == first + timedelta(minutes=20)
    enable(driver, pool, "$TargetDedicatedNodes = 3", "PT5M")
    start = driver.now + timedelta(seconds=1)
    driver.advance(1)
    assert pool.dedicated == 3, "a new interval starts a new schedule"
    driver.advance(299)
    assert pool.scaling.run.time == start, "and the old one is over"
    driver.advance(1)
    assert pool.scaling.run.time == start + timedelta(minutes=5)
    enable(driver, pool, "$TargetDedicatedNodes = 4", "PT300S")
    driver.advance(299)
    assert pool.dedicated == 3, "the same interval starts one too, which begins with an interval"
    driver.advance(1)
    assert pool.dedicated == 4


def test_enabling_again_does_not_evaluate_at_once():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 1")
    driver.advance(10)
    driver.do(scaling.disable, pool)
    enable(driver, pool, "$TargetDedicatedNodes = 2", "PT5M")
    driver.advance(299)
    assert pool.dedicated == 1
    driver.advance(1)
    assert pool.dedicated == 2


def test_samples_begin_with_autoscaling_and_end_with_it():
    driver = Driver()
    pool = driver.pool(nodes=0)
    driver.task(driver.job())
    driver.advance(3600)
    enable(driver, pool, "$TargetDedicatedNodes = 0; n = $PendingTasks.Count()")
    driver.advance(900)
    assert pool.scaling.run.results.endswith((";n=29", ";n=30"))
    driver.do(scaling.disable, pool)
    driver.timers.sort()
    driver.advance(3600)
    assert not driver.timers or all(key[0] != "autoscale-sample" for _, _, key in driver.timers)
    enable(driver, pool, "n = $PendingTasks.Count()")
    assert driver.do(scaling.try_formula, pool, "n = $PendingTasks.Count()").results.endswith(";n=0")


def test_what_the_metrics_count():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 1", slots=4)
    driver.advance(2)
    job = driver.job(usesTaskDependencies=True)
    driver.task(job, "a", requiredSlots=2)
    driver.task(job, "after", dependsOn={"taskIds": ["a"]})
    for name in ("b", "c", "d"):
        driver.task(job, name)
    held = driver.job("held")
    driver.do(jobs.disable, held, "requeue")
    driver.task(held, "x")
    driver.end(driver.run_of("b"), 0)
    driver.end(driver.run_of("c"), 1)
    driver.task(job, "e", requiredSlots=4)
    driver.advance(30)
    names = ("Active", "Running", "Pending", "Succeeded", "Failed")
    formula = ";".join(f"{name} = ${name}Tasks" for name in names)
    formula += (
        "; cpu = $CPUPercent; nodes = $SampleNodeCount; usable = $UsableNodeCount; slots = $TaskSlotsPerNode"
    )
    results = driver.do(scaling.try_formula, pool, formula).results
    assert results.split(";")[3:] == [
        "Active=1", "Failed=1", "Pending=3", "Running=2", "Succeeded=1", "cpu=75", "nodes=1", "slots=4", "usable=1"
    ]  # fmt: skip
    assert refusal_free(driver, pool, "x = len($MemoryBytes.GetSample(1))").endswith("x=0"), "never measured"


def refusal_free(driver, pool, formula):
    run = driver.do(scaling.try_formula, pool, formula)
    assert run.error is None, run.error
    return run.results


# Shrinking


@pytest.mark.parametrize(
    ("option", "state", "requeues"),
    [("requeue", "active", 1), ("terminate", "completed", 0), ("taskcompletion", "preparing", 0)],
)
def test_the_deallocation_option(option, state, requeues):
    driver = Driver()
    pool = driver.scaled(f"$TargetDedicatedNodes = 1; $NodeDeallocationOption = {option}")
    driver.advance(60)
    task = driver.task(driver.job())
    enable(driver, pool, f"$TargetDedicatedNodes = 0; $NodeDeallocationOption = {option}", "PT5M")
    driver.advance(300)
    driver.end_kills()
    driver.advance(1)
    assert (task.state, task.execution.requeues) == (state, requeues)
    assert bool(pool.nodes) == (option == "taskcompletion")
    if pool.nodes:
        assert pool.allocation.state == "resizing"
        enable(driver, pool, interval="PT6M")  # a pool that scales already takes it while it is being resized
        driver.do(scaling.disable, pool)
        driver.advance(30)
        assert refusal(enable, driver, pool).code == "PoolBeingResized"
        driver.end(driver.run_of("task"))
        driver.advance(1)
    assert not pool.nodes and pool.allocation.state == "steady"


def test_retaineddata_waits_for_the_files():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 1")
    driver.advance(60)
    job = driver.job()
    task = driver.task(job, constraints={"retentionTime": "PT2H"})
    enable(driver, pool, "$TargetDedicatedNodes = 0; $NodeDeallocationOption = retaineddata", "PT5M")
    driver.advance(2)
    assert not driver.killed and pool.nodes
    driver.end(driver.run_of("task"))
    driver.advance(7000)
    assert pool.nodes, "its files are kept for two hours"
    driver.advance(300)
    assert not pool.nodes and task.files == "cleaned"


def test_retaineddata_is_a_matter_of_each_node():
    driver = Driver()
    pool = driver.pool(nodes=2)
    job = driver.job()
    first, second = (
        driver.task(job, "first"),
        driver.task(job, "second", constraints={"retentionTime": "PT1M"}),
    )
    for run in list(driver.started):
        driver.end(run)
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0, "nodeDeallocationOption": "retaineddata"})
    driver.advance(30)
    assert len(pool.nodes) == 2
    driver.advance(60)
    assert list(pool.nodes) == [first.node[1]] and second.files == "cleaned"


@pytest.mark.parametrize("how", ["task", "job", "pool"])
def test_what_else_ends_the_retention(how):
    driver = Driver()
    pool = driver.pool()
    job = driver.job()
    task = driver.task(job)
    driver.end(driver.run_of("task"))
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0, "nodeDeallocationOption": "retaineddata"})
    driver.advance(60)
    assert pool.nodes
    if how == "task":
        driver.do(tasks.delete, job, task)
    elif how == "job":
        driver.do(jobs.delete, job)
    else:
        driver.do(pools.delete, pool)
    driver.advance(1)
    assert not pool.nodes and (how != "pool" or not driver.machine.pools)


def test_a_target_that_changes_while_the_pool_resizes():
    driver = Driver(Profile(allocation=(400, 400)))
    pool = driver.scaled("$TargetDedicatedNodes = time().minute < 4 ? 2 : 5")
    driver.advance(2)
    assert (pool.allocation.state, pool.dedicated) == ("resizing", 2)
    driver.advance(300)
    assert (pool.allocation.state, pool.dedicated, len(pool.nodes)) == ("resizing", 5, 0)
    assert [key[0] for _, _, key in driver.timers].count("allocate") == 1, (
        "the nodes come when they were to come"
    )
    driver.advance(100)
    assert (pool.allocation.state, len(pool.nodes)) == ("steady", 5)


def test_no_evaluation_while_a_resize_is_being_stopped():
    driver = Driver()
    pool = driver.pool()
    driver.task(driver.job())
    enable(driver, pool, "$TargetDedicatedNodes = 0; $NodeDeallocationOption = taskcompletion", "PT5M")
    driver.advance(302)
    etag = pool.etag
    driver.do(pools.stop_resize, pool)
    assert pool.etag == etag, "as recorded"
    first = pool.scaling.run.time
    driver.advance(300)
    assert (pool.allocation.state, pool.scaling.run.time) == ("stopping", first)
    driver.end(driver.run_of("task"))
    driver.advance(300)
    assert pool.allocation.state == "steady" and pool.scaling.run.time > first and not pool.nodes


def test_a_quota_is_tried_again_at_each_evaluation():
    driver = Driver(Profile(dedicated_cores=4))
    pool = driver.scaled("$TargetDedicatedNodes = 3")
    driver.advance(60)
    assert (len(pool.nodes), [error.code for error in pool.errors]) == (2, ["AccountCoreQuotaReached"])
    driver.machine.profile = Profile(dedicated_cores=100)
    driver.advance(300)
    assert (len(pool.nodes), pool.errors) == (3, [])


# Requests


def test_enabling_and_disabling():
    driver = Driver()
    pool = driver.pool(nodes=2)
    etag = pool.etag
    enable(driver, pool, "$TargetDedicatedNodes = 1")
    found = shown(driver, pool)
    assert (found["enableAutoScale"], found["autoScaleFormula"], found["autoScaleEvaluationInterval"]) == (
        True, "$TargetDedicatedNodes = 1", "PT15M",
    )  # fmt: skip
    assert found["targetDedicatedNodes"] == 2 and pool.etag != etag, "nothing is evaluated in the request"
    assert refusal(driver.do, pools.resize, pool, {"targetDedicatedNodes": 1}).code == (
        "OperationInvalidForCurrentState"
    )
    driver.advance(905)
    assert len(pool.nodes) == 1
    etag = pool.etag
    driver.do(scaling.disable, pool)
    found = shown(driver, pool)
    assert found["enableAutoScale"] is False and found["targetDedicatedNodes"] == 1
    assert not {"autoScaleFormula", "autoScaleEvaluationInterval", "autoScaleRun"} & set(found)
    assert pool.etag == etag, "as recorded"
    driver.do(scaling.disable, pool)
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 0})
    assert refusal(driver.do, scaling.try_formula, pool, "").code == "OperationInvalidForCurrentState"


def test_not_more_often_than_every_30_seconds():
    driver = Driver()
    pool = driver.pool(nodes=1)
    enable(driver, pool)
    driver.advance(29)
    error = refusal(enable, driver, pool)
    assert (error.code, error.status) == ("TooManyEnableAutoScaleRequests", 503)
    driver.advance(1)
    enable(driver, pool)
    assert refusal(enable, driver, pool).code == "TooManyEnableAutoScaleRequests"


def test_calls_are_what_counts():
    """Not the pool's creation with a formula; and disabling it does not make a call undone."""
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 0")
    enable(driver, pool)
    driver.advance(10)
    driver.do(scaling.disable, pool)
    assert refusal(enable, driver, pool).code == "TooManyEnableAutoScaleRequests"
    driver.advance(20)
    enable(driver, pool)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MissingRequiredProperty"),
        ({"autoScaleEvaluationInterval": "PT5M"}, "MissingRequiredProperty"),
        ({"autoScaleFormula": "x ="}, "AutoScalingFormulaSyntaxError"),
        ({"autoScaleFormula": "x" * 8193}, "AutoScalingFormulaTooLong"),
        ({"autoScaleFormula": "", "autoScaleEvaluationInterval": "PT4M59S"}, "InvalidPropertyValue"),
        ({"autoScaleFormula": "", "autoScaleEvaluationInterval": "P7DT1S"}, "InvalidPropertyValue"),
    ],
)
def test_settings_that_are_refused(body, code):
    driver = Driver()
    pool = driver.pool(nodes=0)
    assert refusal(driver.do, scaling.enable, pool, body).code == code
    assert pool.scaling is None and pool.spec["enableAutoScale"] is False
    create = pool_body("other", enableAutoScale=True, **body)
    assert refusal(driver.do, pools.create, create).code == code


@pytest.mark.parametrize("interval", ["PT5M", "P7D"])
def test_the_bounds_of_the_interval(interval):
    driver = Driver()
    pool = driver.pool(nodes=0)
    enable(driver, pool, interval=interval)
    assert pool.spec["autoScaleEvaluationInterval"] == interval


def test_more_settings_that_are_refused():
    driver = Driver()
    pool = driver.pool(nodes=0)
    targets = pool_body("p2", enableAutoScale=True, autoScaleFormula="", targetDedicatedNodes=1)
    assert refusal(driver.do, pools.create, targets).code == "InvalidPropertyValue"
    enable(driver, pool)
    driver.advance(60)
    assert refusal(driver.do, scaling.enable, pool, {}).code == "InvalidAutoScalingSettings"
    driver.do(pools.delete, pool)
    for call, *args in ((scaling.enable, {}), (scaling.disable,), (scaling.try_formula, "")):
        assert refusal(driver.do, call, pool, *args).code == "PoolBeingDeleted"


def test_a_pool_of_the_same_name_has_nothing_of_the_old_one():
    driver = Driver()
    pool = driver.scaled("$TargetDedicatedNodes = 1")
    driver.do(pools.delete, pool)
    again = driver.scaled("$TargetDedicatedNodes = 0; n = $ActiveTasks.Count()")
    driver.advance(301)
    assert again.scaling.run.results.endswith("n=10"), "one sample every 30 seconds"


def test_the_realistic_profile_is_late():
    assert load_profile("realistic").sample_delay[0] >= 60
    assert load_profile("fast").sample_delay == (0, 0)
