"""Autoscaling of pools: samples every 30 seconds, evaluations at an interval, and what they do to the targets.

A formula is evaluated first a moment after its pool was created with it. Enabling does not evaluate: the first time
is one interval later (https://github.com/CDCgov/cfa_azure/issues/211). Another interval for a pool that scales already
starts a new schedule "with its starting time being the time when this request was issued", a moment after the request
here. Samples are taken while autoscaling is on, and seen by formulas after the profile's delay.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling
"""

from datetime import timedelta

from ...protocol.errors import BatchError, missing_property
from ...protocol.wire import parse_duration
from .. import autoscale
from ..bodies.pool_specs import check_formula, check_interval
from ..entities import Pool, Scaling, ScalingRun
from ..machine import Machine
from .checks import check_active, check_steady
from .resizing import missing, set_targets

ENABLE_PERIOD = timedelta(seconds=30)  # between two enableautoscale requests for a pool
FIRST_EVALUATION = timedelta(seconds=1)  # after a pool was created with a formula, or given another interval


def begin(m: Machine, pool: Pool, formula: str, interval: str) -> None:
    """For a new pool."""
    _start_schedule(m, pool, _start_samples(m, pool, formula, interval), FIRST_EVALUATION)


def _start_samples(m: Machine, pool: Pool, formula: str, interval: str) -> Scaling:
    scaling = pool.scaling = Scaling(formula, interval, m.next_seq())
    m.set_timer(autoscale.PERIOD, "autoscale-sample", pool.key, scaling.id)
    return scaling


def _start_schedule(m: Machine, pool: Pool, scaling: Scaling, first: timedelta) -> None:
    scaling.schedule = m.next_seq()
    m.set_timer(first, "autoscale", pool.key, scaling.schedule)


def enable(m: Machine, pool: Pool, body: dict) -> None:
    """Also changes the formula or the interval of a pool that scales already; only a new interval starts a new
    schedule. https://learn.microsoft.com/rest/api/batchservice/pools/enable-pool-auto-scale"""
    check_active(pool)
    scaling = pool.scaling
    formula, interval = body.get("autoScaleFormula"), body.get("autoScaleEvaluationInterval")
    if formula is not None:
        check_formula(formula)
    elif scaling is None:
        raise missing_property("autoScaleFormula")
    elif interval is None:
        raise BatchError(
            "InvalidAutoScalingSettings",
            [("Reason", "A formula, an evaluation interval or both are needed.")],
        )
    if interval is not None:
        check_interval(interval)
    check_period(m, pool)
    if scaling is None:
        check_steady(pool)
    if scaling is None:
        assert formula is not None
        scaling = _start_samples(m, pool, formula, interval or "PT15M")
        _start_schedule(m, pool, scaling, parse_duration(scaling.interval))
    else:
        scaling.formula = scaling.formula if formula is None else formula
        if interval is not None:
            same = parse_duration(interval) == parse_duration(scaling.interval)
            scaling.interval = interval
            _start_schedule(m, pool, scaling, parse_duration(interval) if same else FIRST_EVALUATION)
    pool.scaling_asked = m.now
    pool.spec |= {
        "enableAutoScale": True,
        "autoScaleFormula": scaling.formula,
        "autoScaleEvaluationInterval": scaling.interval,
    }
    m.touch(pool)


def check_period(m: Machine, pool: Pool) -> None:
    """What counts are calls of enableautoscale, whatever came between them; creating a pool is not one."""
    if pool.scaling_asked is not None and m.now < pool.scaling_asked + ENABLE_PERIOD:
        raise BatchError("TooManyEnableAutoScaleRequests")


def disable(m: Machine, pool: Pool) -> None:
    """The pool keeps its targets and, as recorded, its entity tag; its samples are forgotten."""
    check_active(pool)
    if pool.scaling is None:
        return
    pool.scaling = None
    pool.spec["enableAutoScale"] = False
    del pool.spec["autoScaleFormula"], pool.spec["autoScaleEvaluationInterval"]


def check_off(pool: Pool) -> None:
    if pool.scaling is not None:
        raise BatchError("OperationInvalidForCurrentState", [("Reason", "The pool scales automatically.")])


def try_formula(m: Machine, pool: Pool, formula: str) -> ScalingRun:
    """evaluateautoscale: what a formula would give now. Nothing changes."""
    check_active(pool)
    if pool.scaling is None:
        raise BatchError(
            "OperationInvalidForCurrentState", [("Reason", "The pool does not scale automatically.")]
        )
    check_formula(formula)
    return _evaluate(m, pool, pool.scaling, formula)[0]


def _evaluate(
    m: Machine, pool: Pool, scaling: Scaling, formula: str
) -> tuple[ScalingRun, autoscale.Outcome | None]:
    around = autoscale.Surroundings(
        m.now, m.random, pool.dedicated, pool.low_priority, scaling.history, _node_metrics(pool)
    )
    try:
        outcome = autoscale.evaluate(formula, around)
    except autoscale.AutoscaleError as error:
        unchanged = autoscale.results(pool.dedicated, pool.low_priority, "requeue", {})
        return ScalingRun(m.now, unchanged, (error.code, error.message, error.detail)), None
    return ScalingRun(m.now, outcome.results), outcome


def evaluation_due(m: Machine, pool_key: str, schedule: int) -> None:
    pool = m.pools.get(pool_key)
    scaling = pool.scaling if pool else None
    if pool is None or scaling is None or scaling.schedule != schedule or pool.state != "active":
        return
    m.set_timer(parse_duration(scaling.interval), "autoscale", pool_key, schedule)
    if pool.allocation.state == "stopping":
        return
    scaling.run, outcome = _evaluate(m, pool, scaling, scaling.formula)
    if outcome is None:
        return
    wanted = (outcome.dedicated, outcome.low_priority)
    short = missing(pool, True) or missing(pool, False)
    if wanted != (pool.dedicated, pool.low_priority) or (pool.allocation.state == "steady" and short):
        set_targets(m, pool, *wanted, outcome.option)


def sample_due(m: Machine, pool_key: str, scaling_id: int) -> None:
    pool = m.pools.get(pool_key)
    scaling = pool.scaling if pool else None
    if pool is None or scaling is None or scaling.id != scaling_id or pool.state != "active":
        return
    m.set_timer(autoscale.PERIOD, "autoscale-sample", pool_key, scaling_id)
    delay = timedelta(seconds=m.profile.delay("sample_delay", m.random))
    values = _node_metrics(pool) | _task_metrics(m, pool)
    scaling.history.add(autoscale.Sample(m.now, m.now + delay, values))


def _node_metrics(pool: Pool) -> dict[str, float]:
    nodes = pool.nodes.values()
    return {
        "$CurrentDedicatedNodes": float(sum(node.dedicated for node in nodes)),
        "$CurrentLowPriorityNodes": float(sum(not node.dedicated for node in nodes)),
        "$PreemptedNodeCount": float(sum(node.state == "preempted" for node in nodes)),
        "$UsableNodeCount": float(sum(node.usable for node in nodes)),
        "$TaskSlotsPerNode": float(pool.spec["taskSlotsPerNode"]),
    }


def _task_metrics(m: Machine, pool: Pool) -> dict[str, float]:
    """Tasks, never slots. What waits counts only where its job may run it: no node would take it otherwise."""
    jobs = m.jobs_on(pool.key)
    active = sum(job.waiting for job in jobs if job.state == "active")
    running = sum(job.counts["running"] for job in jobs)
    values: dict[str, float] = {
        "$ActiveTasks": active,
        "$RunningTasks": running,
        "$PendingTasks": active + running,
        "$SucceededTasks": sum(job.counts["succeeded"] for job in jobs),
        "$FailedTasks": sum(job.counts["failed"] for job in jobs),
    }
    up = [node for node in pool.nodes.values() if node.up]
    values["$SampleNodeCount"] = len(up)
    if up:
        # Nothing is measured: a slot that is taken stands for its share of a node's processor.
        busy = sum(node.slots - node.free for node in up)
        values["$CPUPercent"] = 100 * busy / sum(node.slots for node in up)
    return {name: float(value) for name, value in values.items()}
