"""Pools that scale themselves, on a clock that the test steps: hours of it in moments."""

from datetime import timedelta

import pytest

from azure_batch_emulator.core import jobs, pools, scaling, tasks, views
from azure_batch_emulator.errors import BatchError
from azure_batch_emulator.profile import Profile, load_profile
from azure_batch_emulator.region import catalogue

from .builders import Driver, pool_body

LATE = Profile(sample_delay=(60, 60))
# The service's documentation: pending tasks, with a start that the user may set.
DOCUMENTED = """
startingNumberOfVMs = {start};
maxNumberofVMs = 25;
pendingTaskSamplePercent = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
pendingTaskSamples = pendingTaskSamplePercent < 70 ? startingNumberOfVMs : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
$TargetDedicatedNodes=min(maxNumberofVMs, pendingTaskSamples);
$NodeDeallocationOption = taskcompletion;
"""
ROBUST = """
win = TimeInterval_Minute * 10;
last = max(0, $PendingTasks.GetSample(1));
pct = $PendingTasks.GetSamplePercent(win);
recent = pct < 1 ? last : max($PendingTasks.GetSample(win, 1));
demand = max(last, recent);
want = (demand + 2 - 1) / 2;
$TargetDedicatedNodes = min(3, want);
$NodeDeallocationOption = taskcompletion;
"""
# Example 2 of the documentation.
TASK_BASED = """
$samples = $PendingTasks.GetSamplePercent(TimeInterval_Minute * 15);
$tasks = $samples < 70 ? max(0,$PendingTasks.GetSample(1)) : max( $PendingTasks.GetSample(1), avg($PendingTasks.GetSample(TimeInterval_Minute * 15)));
$targetVMs = $tasks > 0? $tasks:max(0, $TargetDedicatedNodes/2);
$TargetDedicatedNodes = max(0, min($targetVMs, 20));
$NodeDeallocationOption = taskcompletion;
"""
# Example 3: four slots on a node, at most three nodes.
PARALLEL = """
$samples = $ActiveTasks.GetSamplePercent(TimeInterval_Minute * 15);
$tasks = $samples < 70 ? max(0,$ActiveTasks.GetSample(1)) : max( $ActiveTasks.GetSample(1),avg($ActiveTasks.GetSample(TimeInterval_Minute * 15)));
$cores = $TargetDedicatedNodes * 4;
$extraVMs = (($tasks - $cores) + 3) / 4;
$targetVMs = ($TargetDedicatedNodes + $extraVMs);
$TargetDedicatedNodes = max(0,min($targetVMs,3));
$NodeDeallocationOption = taskcompletion;
"""
# Example 1, on a clock that starts on Thursday, 1 January 2026, at 0:00 UTC.
TIME_BASED = """
$curTime = time();
$workHours = $curTime.hour >= 8 && $curTime.hour < 18;
$isWeekday = $curTime.weekday >= 1 && $curTime.weekday <= 5;
$isWorkingWeekdayHour = $workHours && $isWeekday;
$TargetDedicatedNodes = $isWorkingWeekdayHour ? 20:10;
$NodeDeallocationOption = taskcompletion;
"""
# Example 4: four nodes for ten minutes, then none unless there is work.
INITIAL = """
$TargetDedicatedNodes = 4;
lifespan         = time() - time("Thu, 01 Jan 2026 00:00:00 GMT");
span             = TimeInterval_Minute * 60;
startup          = TimeInterval_Minute * 10;
ratio            = 50;
$TargetDedicatedNodes = (lifespan > startup ? (max($RunningTasks.GetSample(span, ratio), $ActiveTasks.GetSample(span, ratio)) == 0 ? 0 : $TargetDedicatedNodes) : 4);
"""


def scaled(driver, formula, interval="PT5M", slots=1):
    body = pool_body(
        enableAutoScale=True,
        autoScaleFormula=formula,
        autoScaleEvaluationInterval=interval,
        taskSlotsPerNode=slots,
    )
    return driver.do(pools.create, body, catalogue())


def enable(driver, pool, formula="$TargetDedicatedNodes = 1", interval=None):
    body = {"autoScaleFormula": formula, "autoScaleEvaluationInterval": interval}
    driver.do(scaling.enable, pool, {name: given for name, given in body.items() if given is not None})


def shown(driver, pool):
    return views.pool(pool, "")


def refusal(call, *args):
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value


def series(driver, pool, minutes, step=5):
    """The pool's nodes after every step."""
    found = []
    for _ in range(0, minutes, step):
        driver.advance(step * 60)
        found.append(len(pool.nodes))
    return found


# The documented formulas


@pytest.mark.parametrize("delay", [60, 90])
def test_the_pending_tasks_formula_never_leaves_0(delay):
    """180 seconds hold six samples, of which the last two or three are not there yet: less than 70 percent."""
    driver = Driver(Profile(sample_delay=(delay, delay)))
    pool = scaled(driver, DOCUMENTED.format(start=0))
    job = driver.job()
    for i in range(10):
        driver.task(job, f"t{i}")
    assert series(driver, pool, 24 * 60, step=60) == [0] * 24
    assert "pendingTaskSamplePercent=66.6666666666667" in pool.scaling.run.results or delay == 90
    assert pool.scaling.run.error is None


def test_the_pending_tasks_formula_with_prompt_samples_or_a_start():
    driver = Driver()
    pool = scaled(driver, DOCUMENTED.format(start=0))
    job = driver.job()
    for i in range(40):
        driver.task(job, f"t{i}")
    driver.advance(301)
    assert pool.dedicated == 25 == len(pool.nodes)
    driver = Driver(LATE)
    pool = scaled(driver, DOCUMENTED.format(start=1))
    assert series(driver, pool, 15) == [1, 1, 1]


def test_the_robust_formula_goes_up_and_comes_down():
    driver = Driver(LATE)
    pool = scaled(driver, ROBUST, slots=2)
    driver.advance(2)
    assert series(driver, pool, 60) == [0] * 12
    job = driver.job()
    for i in range(5):
        driver.task(job, f"t{i}")
    assert series(driver, pool, 10) == [3, 3], "five tasks, two slots, at most three nodes"
    assert job.counts["running"] == 5
    driver.advance(3600)
    for run in list(driver.started):
        driver.end(run)
    assert series(driver, pool, 5) == [3], "ten minutes are remembered"
    assert series(driver, pool, 360)[-1] == 0
    assert job.counts["succeeded"] == 5 and shown(driver, pool)["allocationState"] == "steady"
    assert "demand=0" in pool.scaling.run.results and "last=0" in pool.scaling.run.results


def test_the_task_based_formula():
    driver = Driver(LATE)
    pool = scaled(driver, TASK_BASED)
    driver.advance(2)
    assert series(driver, pool, 15) == [0, 0, 0]
    job = driver.job()
    for i in range(7):
        driver.task(job, f"t{i}")
    assert series(driver, pool, 5) == [7]
    for run in list(driver.started):
        driver.end(run)
    assert series(driver, pool, 30) == [2, 2, 1, 0, 0, 0], (
        "10 samples of 7 among 28 are 2.5; then nothing is left, and the pool halves"
    )


def test_the_formula_for_parallel_tasks():
    driver = Driver(LATE)
    pool = scaled(driver, PARALLEL, slots=4)
    job = driver.job()
    for i in range(8):
        driver.task(job, f"t{i}")
    assert series(driver, pool, 10)[-1] == 2, "(8 - 0 + 3) / 4 nodes"


def test_the_time_based_formula():
    driver = Driver()
    pool = scaled(driver, TIME_BASED, interval="PT1H")
    wanted = []
    for _ in range(24 * 7):
        driver.advance(3600)
        wanted.append(pool.dedicated)
    # Thursday and Friday, the weekend, Monday to Wednesday; an evaluation comes a second past the hour.
    workday = [10] * 8 + [20] * 10 + [10] * 6
    assert wanted[:-1] == (workday * 2 + [10] * 48 + workday * 3)[:-1]
    assert pool.scaling.run.results.startswith(
        "$TargetDedicatedNodes=10;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion;"
        "$curTime=2026-01-07T23:00:01Z;$isWeekday=1;$isWorkingWeekdayHour=0;$workHours=0"
    )


def test_the_formula_with_an_initial_size():
    driver = Driver(LATE)
    pool = scaled(driver, INITIAL)
    assert series(driver, pool, 10) == [4, 4]
    driver.advance(5)
    assert pool.scaling.run.error[0] == "InsufficientSampleData", "an hour is not half covered yet"
    assert series(driver, pool, 20)[-1] == 4 and series(driver, pool, 15)[-1] == 0


def test_spot_nodes_replace_dedicated_ones():
    driver = Driver()
    formula = """maxNumberofVMs = 25;
        $TargetDedicatedNodes = min(maxNumberofVMs, $PreemptedNodeCount.GetSample(180 * TimeInterval_Second));
        $TargetLowPriorityNodes = min(maxNumberofVMs , maxNumberofVMs - $TargetDedicatedNodes);
        $NodeDeallocationOption = taskcompletion;"""
    pool = scaled(driver, formula)
    driver.advance(2)
    assert pool.scaling.run.error[2] == (
        "Line 2, Col 82: Insufficient data from data set: $PreemptedNodeCount wanted 70%, received 0%"
    )
    driver.advance(300)
    assert (pool.dedicated, pool.low_priority, len(pool.nodes)) == (0, 25, 25)


# Evaluations


def test_a_failed_evaluation_changes_nothing():
    driver = Driver()
    pool = scaled(driver, "$TargetDedicatedNodes = 2")
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
    pool = scaled(driver, "$TargetDedicatedNodes = 1", interval="PT10M")
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
    start = driver.now
    driver.advance(1)
    assert pool.dedicated == 3, "a new interval starts a new schedule"
    driver.advance(660)
    assert pool.scaling.run.time == start + timedelta(minutes=10, seconds=1), "and the old one is over"


def test_samples_begin_with_autoscaling_and_end_with_it():
    driver = Driver()
    pool = driver.pool(nodes=0)
    driver.task(driver.job())
    driver.advance(3600)
    enable(driver, pool, "$TargetDedicatedNodes = 0; n = $PendingTasks.Count()")
    driver.advance(1)
    assert pool.scaling.run.results.endswith(";n=0")
    driver.advance(900)
    assert pool.scaling.run.results.endswith(";n=30")
    driver.do(scaling.disable, pool)
    driver.timers.sort()
    driver.advance(3600)
    assert not driver.timers or all(key[0] != "autoscale-sample" for _, _, key in driver.timers)
    enable(driver, pool, "n = $PendingTasks.Count()")
    driver.advance(1)
    assert pool.scaling.run.results.endswith(";n=0")


def test_what_the_metrics_count():
    driver = Driver()
    pool = scaled(driver, "$TargetDedicatedNodes = 1", slots=4)
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
    pool = scaled(driver, f"$TargetDedicatedNodes = 1; $NodeDeallocationOption = {option}")
    driver.advance(60)
    task = driver.task(driver.job())
    enable(driver, pool, f"$TargetDedicatedNodes = 0; $NodeDeallocationOption = {option}", "PT5M")
    driver.advance(2)
    driver.end_kills()
    driver.advance(1)
    assert (task.state, task.execution.requeues) == (state, requeues)
    assert bool(pool.nodes) == (option == "taskcompletion")
    if pool.nodes:
        assert refusal(enable, driver, pool).code in ("PoolBeingResized", "TooManyEnableAutoScaleRequests")
        driver.advance(30)
        assert refusal(enable, driver, pool).code == "PoolBeingResized"
        driver.end(driver.run_of("task"))
        driver.advance(1)
    assert not pool.nodes and pool.allocation.state == "steady"


def test_retaineddata_waits_for_the_files():
    driver = Driver()
    pool = scaled(driver, "$TargetDedicatedNodes = 1")
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
    pool = scaled(driver, "$TargetDedicatedNodes = time().minute < 4 ? 2 : 5")
    driver.advance(2)
    assert (pool.allocation.state, pool.dedicated) == ("resizing", 2)
    driver.advance(300)
    assert (pool.allocation.state, pool.dedicated, len(pool.nodes)) == ("resizing", 5, 0)
    driver.advance(100)
    assert (pool.allocation.state, len(pool.nodes)) == ("steady", 5)


def test_a_quota_is_tried_again_at_each_evaluation():
    driver = Driver(Profile(dedicated_cores=4))
    pool = scaled(driver, "$TargetDedicatedNodes = 3")
    driver.advance(60)
    assert (len(pool.nodes), [code for code, _ in pool.errors]) == (2, ["AccountCoreQuotaReached"])
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
    driver.advance(5)
    assert len(pool.nodes) == 1
    driver.do(scaling.disable, pool)
    found = shown(driver, pool)
    assert found["enableAutoScale"] is False and found["targetDedicatedNodes"] == 1
    assert not {"autoScaleFormula", "autoScaleEvaluationInterval", "autoScaleRun"} & set(found)
    etag = pool.etag
    driver.do(scaling.disable, pool)
    assert pool.etag == etag
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
    assert refusal(driver.do, pools.create, create, catalogue()).code == code


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
    assert refusal(driver.do, pools.create, targets, catalogue()).code == "InvalidPropertyValue"
    enable(driver, pool)
    driver.advance(60)
    assert refusal(driver.do, scaling.enable, pool, {}).code == "InvalidAutoScalingSettings"
    driver.do(pools.delete, pool)
    for call, *args in ((scaling.enable, {}), (scaling.disable,), (scaling.try_formula, "")):
        assert refusal(driver.do, call, pool, *args).code == "PoolBeingDeleted"


def test_a_pool_of_the_same_name_has_nothing_of_the_old_one():
    driver = Driver()
    pool = scaled(driver, "$TargetDedicatedNodes = 1")
    driver.do(pools.delete, pool)
    again = scaled(driver, "$TargetDedicatedNodes = 0; n = $ActiveTasks.Count()")
    driver.advance(301)
    assert again.scaling.run.results.endswith("n=10"), "one sample every 30 seconds"


def test_the_realistic_profile_is_late():
    assert load_profile("realistic").sample_delay[0] >= 60
    assert load_profile("fast").sample_delay == (0, 0)
