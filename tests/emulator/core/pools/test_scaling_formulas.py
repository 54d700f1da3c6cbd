"""The documented formulas give the documented results: days of them in moments, on a clock that the test steps."""

import pytest

from azure_batch_emulator.core.profile import Profile

from ..builders import Driver

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


def series(driver, pool, minutes, step=5):
    """The pool's nodes after every step."""
    found = []
    for _ in range(0, minutes, step):
        driver.advance(step * 60)
        found.append(len(pool.nodes))
    return found


@pytest.mark.parametrize("delay", [0, 60, 75])
def test_the_pending_tasks_formula(delay):
    """At its start too little is known, and then enough: a delay alone does not keep the pool at 0."""
    driver = Driver(Profile(sample_delay=(delay, delay)))
    pool = driver.scaled(DOCUMENTED.format(start=0))
    job = driver.job()
    for i in range(40):
        driver.task(job, f"t{i}")
    driver.advance(2)
    assert (pool.dedicated, "pendingTaskSamplePercent=0;" in pool.scaling.run.results) == (0, True)
    driver.advance(300)
    assert pool.dedicated == 25 == len(pool.nodes)
    assert "pendingTaskSamplePercent=100;" in pool.scaling.run.results, "as recorded"


def test_the_robust_formula_goes_up_and_comes_down():
    driver = Driver(LATE)
    pool = driver.scaled(ROBUST, slots=2)
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
    assert job.counts["succeeded"] == 5 and pool.allocation.state == "steady"
    assert "demand=0" in pool.scaling.run.results and "last=0" in pool.scaling.run.results


def test_the_task_based_formula():
    driver = Driver(LATE)
    pool = driver.scaled(TASK_BASED)
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
    pool = driver.scaled(PARALLEL, slots=4)
    job = driver.job()
    for i in range(8):
        driver.task(job, f"t{i}")
    assert series(driver, pool, 10)[-1] == 2, "(8 - 0 + 3) / 4 nodes"


def test_the_time_based_formula():
    driver = Driver()
    pool = driver.scaled(TIME_BASED, interval="PT1H")
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
    pool = driver.scaled(INITIAL)
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
    pool = driver.scaled(formula)
    driver.advance(2)
    assert pool.scaling.run.error[2] == (
        "Line 2, Col 82: Insufficient data from data set: $PreemptedNodeCount wanted 70%, received 0%"
    )
    driver.advance(300)
    assert (pool.dedicated, pool.low_priority, len(pool.nodes)) == (0, 25, 25)
