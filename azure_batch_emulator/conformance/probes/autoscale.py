"""Autoscaling: its calls, and the language of formulas."""

import time

from ..probe import Context, probe

FORMULA = "$TargetDedicatedNodes = 0"


def _enabled(c: Context, what: str) -> str:
    return c.pool(what, enableAutoScale=True, autoScaleFormula=FORMULA, autoScaleEvaluationInterval="PT5M")


def _evaluated(c: Context, what: str, *formulas: str) -> list[str]:
    """For each formula its own variables, or the error's code."""
    path = _enabled(c, what)
    seen = []
    for formula in formulas:
        answer = c.send("POST", f"{path}/evaluateautoscale", {"autoScaleFormula": formula})
        run = answer.json
        if answer.status >= 400:
            seen.append(answer.told)
        elif "error" in run:
            seen.append(run["error"]["code"])
        else:
            seen.append(";".join(run["results"].split(";")[3:]))
    return seen


@probe(
    "enableautoscale is taken once in 30 seconds, whatever is between; creation with a formula does not count.",
    ["200", "503 TooManyEnableAutoScaleRequests", "200", "503 TooManyEnableAutoScaleRequests"],
    "throttling",
    "documented",
)
def enableautoscale_twice(c: Context):
    path = _enabled(c, "enable")
    body = {"autoScaleFormula": FORMULA}
    return [
        c.send("POST", f"{path}/enableautoscale", body).told,
        c.send("POST", f"{path}/enableautoscale", body).told,
        c.send("POST", f"{path}/disableautoscale").told,
        c.send("POST", f"{path}/enableautoscale", body).told,
    ]


@probe(
    "disableautoscale leaves the pool's entity tag as it was.",
    True,
    "does a task's entity tag change",
    "recorded",
)
def tag_after_disableautoscale(c: Context):
    path = _enabled(c, "tag")
    before = c.must("GET", path).json["eTag"]
    c.must("POST", f"{path}/disableautoscale")
    return c.must("GET", path).json["eTag"] == before


@probe(
    "A pool that scales itself can't be resized, one that does not can't try a formula.",
    ["409 OperationInvalidForCurrentState", "409 OperationInvalidForCurrentState"],
    "status and code of resizing a pool that scales",
    "chosen",
)
def resize_and_autoscale(c: Context):
    scaling, fixed = _enabled(c, "resize"), c.pool("fixed")
    return [
        c.send("POST", f"{scaling}/resize", {"targetDedicatedNodes": 0}).told,
        c.send("POST", f"{fixed}/evaluateautoscale", {"autoScaleFormula": FORMULA}).told,
    ]


@probe("Operators have the precedence of C.", ["x=7", "x=1"], "precedence and associativity", "chosen")
def precedence(c: Context):
    return _evaluated(c, "precedence", "x = 1 + 2 * 3;", "x = 1 + 1 == 2 && 2 > 1;")


@probe(
    "The newest sample, where there is none, is an empty list, whose greatest with 0 is 0.",
    ["x=0"],
    "`GetSample(count)` with fewer samples",
    "chosen",
)
def samples_of_nothing(c: Context):
    return _evaluated(c, "samples", "x = max(0, $PendingTasks.GetSample(1));")


@probe(
    "A time frame without samples is an error of the evaluation.",
    ["InsufficientSampleData"],
    "`GetSample(start)` without a percentage",
    "reported",
)
def insufficient_samples(c: Context):
    return _evaluated(c, "frame", "x = avg($PendingTasks.GetSample(TimeInterval_Hour));")


@probe("ceil, floor and round exist.", ["x=2", "x=1", "x=2"], "autoscale formulas", "chosen")
def rounding(c: Context):
    return _evaluated(c, "rounding", "x = ceil(1.2);", "x = floor(1.8);", "x = round(1.8);")


@probe(
    "A formula that can't be read is 400, a variable that there is not an error of the evaluation.",
    ["400 AutoScalingFormulaSyntaxError", "AutoScalingFormulaEvaluationError"],
    "a variable that is not defined",
    "recorded",
)
def mistakes_in_formulas(c: Context):
    return _evaluated(c, "mistakes", "x = (", "x = nothing;")


@probe(
    "A negative target is an error of the evaluation.",
    ["AutoScalingFormulaEvaluationError"],
    "negative targets",
    "chosen",
)
def negative_targets(c: Context):
    return _evaluated(c, "negative", "$TargetDedicatedNodes = -3;")


@probe(
    "In the steady state GetSamplePercent of 180 seconds is 100.",
    ["x=100"],
    "autoscale samples",
    "recorded",
    "minutes",
)
def percent_of_samples(c: Context):
    path = _enabled(c, "percent")
    time.sleep(420)
    formula = "x = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);"
    run = c.must("POST", f"{path}/evaluateautoscale", {"autoScaleFormula": formula}).json
    return [";".join(run["results"].split(";")[3:])]


@probe(
    "A formula may hold its targets until a time: the lease on a pool.",
    ["x=3;y=0"],
    "autoscale formulas",
    "documented",
)
def formula_of_literals(c: Context):
    until = 'time("2099-01-01T00:00:00Z")'
    formula = (
        f"held = time() < {until};\n$TargetDedicatedNodes = 0;\n$TargetLowPriorityNodes = held ? 0 : 0;\n"
        "$NodeDeallocationOption = taskcompletion;\nx = held ? 3 : 0;\ny = held ? 0 : 1;"
    )
    (seen,) = _evaluated(c, "lease", formula)
    return [";".join(part for part in seen.split(";") if part[:2] in ("x=", "y="))]


@probe(
    "Another interval of evaluations, given to a pool that scales, has the formula evaluated at once.",
    [True],
    "when a formula is evaluated first",
    "reported",
    "minutes",
)
def evaluation_after_another_interval(c: Context):
    path = _enabled(c, "interval")
    c.until(path, lambda pool: "autoScaleRun" in pool, 900)
    before = c.must("GET", path).json["autoScaleRun"]["timestamp"]
    c.must("POST", f"{path}/enableautoscale", {"autoScaleEvaluationInterval": "PT5M1S"})
    time.sleep(60)
    return [c.must("GET", path).json["autoScaleRun"]["timestamp"] > before]
