"""The language of autoscale formulas, row by row of its documented tables."""

import itertools
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from azure_batch_emulator.core.autoscale import (
    PERIOD,
    AutoscaleError,
    History,
    Sample,
    Surroundings,
    evaluate,
    parse,
)
from azure_batch_emulator.core.autoscale.functions import NAMES
from azure_batch_emulator.core.autoscale.samples import METHODS, METRICS

NOW = datetime(2026, 3, 13, 10, 5, 7, 250_000, UTC)  # a Friday


def history(values, delay=0.0, metric="$PendingTasks", end=NOW):
    """A history whose newest sample was taken at `end`."""
    made = History()
    for i, value in enumerate(values):
        taken = end - PERIOD * (len(values) - 1 - i)
        made.add(Sample(taken, taken + timedelta(seconds=delay), {metric: float(value)}))
    return made


def run(formula, *, samples=(), delay=0.0, dedicated=2, low=1, live=None):
    around = Surroundings(NOW, Random(1), dedicated, low, history(samples, delay), live or {})
    return evaluate(formula, around)


def variables(formula, **options):
    parts = run(formula, **options).results.split(";")[3:]
    return dict(part.split("=", 1) for part in parts)


def value(expression, **options):
    return variables(f"x = {expression}", **options)["x"]


def failure(formula, **options):
    with pytest.raises(AutoscaleError) as caught:
        run(formula, **options)
    return caught.value


# Operators

OPERANDS = {
    "double": "6",
    "string": '"a"',
    "timestamp": "time()",
    "timeinterval": "TimeInterval_Minute",
    "doubleVec": "vec(2, 4)",
}
ARITHMETIC = ("+", "-", "*", "/")
COMPARISONS = ("<", "<=", "==", ">=", ">", "!=")
# The documented table: operator, left, right.
ALLOWED = {
    *((op, "double", "double") for op in (*ARITHMETIC, *COMPARISONS, "&&", "||")),
    ("*", "double", "timeinterval"),
    *((op, "doubleVec", right) for op in ARITHMETIC for right in ("double", "doubleVec")),
    *((op, "timeinterval", "double") for op in "*/"),
    *((op, "timeinterval", "timeinterval") for op in ("+", "-", *COMPARISONS)),
    ("+", "timeinterval", "timestamp"),
    ("+", "timestamp", "timeinterval"),
    ("-", "timestamp", "timestamp"),
    *((op, kind, kind) for op in COMPARISONS for kind in ("string", "timestamp")),
}


@pytest.mark.parametrize(
    ("op", "left", "right"),
    list(itertools.product((*ARITHMETIC, *COMPARISONS, "&&", "||"), OPERANDS, OPERANDS)),
)
def test_which_operands_an_operator_takes(op, left, right):
    # (What follows a true operand of || is not looked at.)
    first = "0" if (op, left) == ("||", "double") else OPERANDS[left]
    formula = f"x = {first} {op} {OPERANDS[right]}"
    if (op, left, right) in ALLOWED:
        assert run(formula)
    else:
        error = failure(formula)
        assert error.code == "AutoScalingFormulaEvaluationError"
        column = len(f"x = {OPERANDS[left]} ") + 1
        assert error.detail.startswith(f"Line 1, Col {column}: Operator '{op}' ") or op in ("&&", "||")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7 + 2", "9"),
        ("7 - 2", "5"),
        ("7 * 2", "14"),
        ("7 / 2", "3.5"),
        ("1 / 3", "0.333333333333333"),
        ("1 / 0", "Infinity"),
        ("-1 / 0", "-Infinity"),
        ("0 / 0", "NaN"),
        ("2 * TimeInterval_Minute", "00:02:00"),
        ("TimeInterval_Minute * 2.5", "00:02:30"),
        ("TimeInterval_Minute / 4", "00:00:15"),
        ("TimeInterval_Week + TimeInterval_Second", "7.00:00:01"),
        ("TimeInterval_Zero - TimeInterval_100ns", "-00:00:00.0000001"),
        ("TimeInterval_Year - 364 * TimeInterval_Day", "1.00:00:00"),
        ("TimeInterval_Hour == 3600 * TimeInterval_Second", "1"),
        ("TimeInterval_Second == 1000 * TimeInterval_Millisecond", "1"),
        ("TimeInterval_Millisecond == 1000 * TimeInterval_Microsecond", "1"),
        ("time() + TimeInterval_Day", "2026-03-14T10:05:07.250Z"),
        ("TimeInterval_Day + time()", "2026-03-14T10:05:07.250Z"),
        ("time() + -6 * TimeInterval_Hour", "2026-03-13T04:05:07.250Z"),
        ('time() - time("2026-03-13T10:00:07.250Z")', "00:05:00"),
        ("vec(1, 2, 3) * 2", "[2,4,6]"),
        ("vec(1, 2) / vec(2, 8)", "[0.5,0.25]"),
        ("-3", "-3"),
        ("-(3 + 4) * 2", "-14"),
        ("!0", "1"),
        ("!5", "0"),
        ("!!5", "1"),
        ("- -5", "5"),
        ("-!0", "-1"),
        ("-TimeInterval_Minute", "-00:01:00"),
        ("1 < 2", "1"),
        ("2 <= 1", "0"),
        ("2 == 2", "1"),
        ("2 >= 3", "0"),
        ("3 > 2", "1"),
        ("3 != 3", "0"),
        ('"abc" < "abd"', "1"),
        ('time("2026-01-02") > time("2026-01-01")', "1"),
        ("TimeInterval_Minute <= TimeInterval_Second", "0"),
        ("2 && 3", "1"),
        ("2 && 0", "0"),
        ("0 || 0", "0"),
        ("0 || 4", "1"),
        ("5 ? 1 : 2", "1"),
        ("0 ? 1 : 2", "2"),
        ("0 ? 1 : 0 ? 2 : 3", "3"),
        # C's precedence
        ("1 + 2 * 3", "7"),
        ("8 / 4 / 2", "1"),
        ("8 - 4 - 2", "2"),
        ("1 + 1 < 3", "1"),
        ("1 < 2 == 2 > 1", "1"),
        ("1 || 0 && 0", "1"),
        ("0 && 0 || 1", "1"),
        ("1 == 2 ? 3 : 4", "4"),
        ("!1 == 0", "1"),
        ("1.5e2", "150"),
        (".5", "0.5"),
        ("100000000000000000000", "1E+20"),
    ],
)
def test_operators(expression, expected):
    assert value(expression) == expected


def test_what_is_not_needed_is_not_evaluated():
    broken = "$PendingTasks.GetSample(TimeInterval_Minute)"
    assert value(f"1 ? 5 : avg({broken})") == value(f"0 ? avg({broken}) : 5") == "5"
    assert value(f"0 && avg({broken})") == "0" and value(f"1 || avg({broken})") == "1"


# Functions

FUNCTIONS = [
    ("avg(1, 2, 6)", "3"),
    ("avg(vec(1, 2, 3), 7)", "3.25"),
    ("len(1, vec(2, 3))", "3"),
    ("len()", "0"),
    ("lg(8)", "3"),
    ("lg(vec(8))", "[3]"),
    ("lg(2, vec(4, 8))", "[1,2,3]"),
    ("lg(0)", "-Infinity"),
    ("ln(1)", "0"),
    ("ln(vec(1, 1))", "[0,0]"),
    ("ln(-1)", "NaN"),
    ("log(1000)", "3"),
    ("log(vec(10, 100))", "[1,2]"),
    ("max(3, vec(9, 1))", "9"),
    ("min(3, vec(9, 1))", "1"),
    ("norm(3, 4)", "5"),
    ("percentile(vec(5, 1, 4, 2, 3), 50)", "3"),
    ("percentile(vec(5, 1), 0)", "1"),
    ("percentile(vec(5, 1), 100)", "5"),
    ("range(4, 9, 6)", "5"),
    ("std(2, 4, 4, 4, 5, 5, 7, 9) * std(2, 4, 4, 4, 5, 5, 7, 9) * 7", "32"),
    ("std(5)", "0"),
    ("sum(1, vec(2, 3))", "6"),
    ("sum()", "0"),
    ("val(vec(4, 5, 6), 1)", "5"),
    ("val($PendingTasks.GetSample(1), 0)", "0"),
    ("vec(1, vec(2))", "[1,2]"),
    ("abs(-2)", "2"),
    ("ceil(2.1)", "3"),
    ("floor(2.9)", "2"),
    ("round(2.6)", "3"),
    ("rand() >= 0 && rand() < 1", "1"),
    ("rand() == rand()", "0"),
    ("time()", "2026-03-13T10:05:07.250Z"),
    ('time("")', "2026-03-13T10:05:07.250Z"),
    ('time("Fri, 13 Mar 2026 09:00:00 GMT")', "2026-03-13T09:00:00Z"),
    ('time("13 Mar 2026 09:00:00 -0100")', "2026-03-13T10:00:00Z"),
    ('time("2026")', "2026-01-01T00:00:00Z"),
    ('time("2026-03")', "2026-03-01T00:00:00Z"),
    ('time("2026-03-13")', "2026-03-13T00:00:00Z"),
    ('time("2026-03-13T09:30Z")', "2026-03-13T09:30:00Z"),
    ('time("2026-03-13T09:30:15.1234567+01:00")', "2026-03-13T08:30:15.123Z"),
    ("time().year", "2026"),
    ("time().month", "3"),
    ("time().day", "13"),
    ("time().weekday", "5"),
    ('time("2026-03-15").weekday', "0"),
    ('time("2026-03-16").weekday', "1"),
    ("time().hour", "10"),
    ("time().minute", "5"),
    ("time().second", "7"),
]


@pytest.mark.parametrize(("expression", "expected"), FUNCTIONS)
def test_functions(expression, expected):
    assert value(expression) == expected


def test_every_function_is_in_the_table():
    assert {name for name in NAMES if any(name + "(" in row for row, _ in FUNCTIONS)} == NAMES - {"stop"}


def test_stop_keeps_what_has_been_assigned():
    outcome = run("$TargetDedicatedNodes = 7; a = 1; stop(); $TargetDedicatedNodes = 9; b = 2;")
    assert outcome.dedicated == 7
    assert outcome.results.endswith("requeue;a=1")


# Metrics

SAMPLED = [
    ("$PendingTasks.GetSample(1)", "[20]"),
    ("$PendingTasks.GetSample(3)", "[18,19,20]"),
    ("$PendingTasks.GetSample(0)", "[]"),
    ("len($PendingTasks.GetSample(999))", "20"),
    ("$PendingTasks.GetSample(2 * TimeInterval_Minute)", "[17,18,19,20]"),
    ("$PendingTasks.GetSample(time() + -90 * TimeInterval_Second)", "[18,19,20]"),
    ("$PendingTasks.GetSample(1 * TimeInterval_Minute, 3 * TimeInterval_Minute)", "[15,16,17,18]"),
    ("$PendingTasks.GetSample(3 * TimeInterval_Minute, 1 * TimeInterval_Minute, 100)", "[15,16,17,18]"),
    ("len($PendingTasks.GetSample(20 * TimeInterval_Minute, 50))", "20"),
    ("$PendingTasks.GetSamplePercent(10 * TimeInterval_Minute)", "100"),
    ("$PendingTasks.GetSamplePercent(20 * TimeInterval_Minute)", "50"),
    ("$PendingTasks.GetSamplePercent(5 * TimeInterval_Minute, 15 * TimeInterval_Minute)", "50"),
    ("$PendingTasks.GetSamplePeriod()", "00:00:30"),
    ("$PendingTasks.Count()", "20"),
    ("time() - $PendingTasks.HistoryBeginTime()", "00:09:30"),
    ("$PendingTasks", "20"),
    ("$PendingTasks + 1", "21"),
    ("max(3, $PendingTasks)", "20"),
    ("$CurrentDedicatedNodes * 1.1", "4.4"),
]


@pytest.mark.parametrize(("expression", "expected"), SAMPLED)
def test_samples(expression, expected):
    assert value(expression, samples=range(1, 21), live={"$CurrentDedicatedNodes": 4.0}) == expected


def test_every_method_is_in_the_table():
    assert all(any(f".{method}(" in row for row, _ in SAMPLED) for method in METHODS)


def test_samples_come_late():
    """Those of the last minute are missing, and not asked for: in the steady state the percentage is 100."""
    late = {"samples": range(40), "delay": 60}
    assert value("len($PendingTasks.GetSample(TimeInterval_Minute * 10, 100))", **late) == "18"
    assert value("$PendingTasks.GetSamplePercent(180 * TimeInterval_Second)", **late) == "100"


@pytest.mark.parametrize(("taken", "percent"), [(2, "0"), (3, "25"), (5, "75"), (6, "100"), (7, "100")])
def test_only_the_first_minutes_are_short_of_samples(taken, percent):
    late = {"samples": range(taken), "delay": 60}
    assert value("$PendingTasks.GetSamplePercent(180 * TimeInterval_Second)", **late) == percent


def test_the_newest_sample_is_the_newest_that_has_come():
    assert value("$PendingTasks.GetSample(2)", samples=range(40), delay=60) == "[36,37]"
    assert value("$PendingTasks.Count()", samples=range(40), delay=60) == "38"


def test_a_week_of_samples_is_kept():
    kept = 7 * 24 * 120
    found = history(range(kept + 1001))
    assert len(found.samples) == kept and found.samples[-1].taken == NOW


def test_insufficient_data_is_worded_as_recorded():
    error = failure(
        "a = 1;\n"
        "samplevecavg = avg($PendingTasks.GetSample(180 * TimeInterval_Second));"
    )  # fmt: skip
    assert error.code == "InsufficientSampleData"
    assert error.message == "Autoscale evaluation failed due to insufficient sample data"
    assert error.detail == (
        "Line 2, Col 43: Insufficient data from data set: $PendingTasks wanted 70%, received 0%"
    )


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_can_be_read_and_not_written(metric):
    assert value(f"len({metric}.GetSample(1))") == "0"
    assert "can't be assigned to" in failure(f"{metric} = 1").detail
    assert failure(f"x = {metric}").code == "InsufficientSampleData"


# Variables and targets


def test_results_are_as_recorded():
    recorded = "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    assert run("$TargetDedicatedNodes=3", low=0).results == recorded
    outcome = run('$b = 2; a = time(); $NodeDeallocationOption = taskcompletion; c=vec(1,2); $d="s"', low=0)
    assert outcome.results == (
        "$TargetDedicatedNodes=2;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion;"
        "$b=2;$d=s;a=2026-03-13T10:05:07.250Z;c=[1,2]"
    )


@pytest.mark.parametrize(
    ("formula", "targets"),
    [
        ("", (2, 1)),
        ("$TargetDedicatedNodes = 2.9", (2, 1)),
        ("$TargetDedicatedNodes = -0.5", (0, 1)),
        ("$TargetDedicated = 5; $TargetLowPriority = 6", (5, 6)),
        ("$TargetDedicatedNodes = 4; $TargetDedicated = 5", (4, 1)),
        ("$TargetDedicated = 5; $TargetDedicatedNodes = 4", (4, 1)),
        (
            "$TargetDedicatedNodes = $TargetDedicatedNodes * 2; $TargetLowPriorityNodes = $TargetDedicated",
            (4, 4),
        ),
        ("$TargetDedicatedNodes = 2147483647", (2147483647, 1)),
    ],
)
def test_targets(formula, targets):
    outcome = run(formula)
    assert (outcome.dedicated, outcome.low_priority) == targets


@pytest.mark.parametrize("option", ["requeue", "terminate", "taskcompletion", "retaineddata"])
def test_options(option):
    assert run(f"$NodeDeallocationOption = {option}").option == option
    assert value(f"$NodeDeallocationOption == {option}") == ("1" if option == "requeue" else "0")


def test_the_dollar_is_optional_for_ones_own():
    assert variables("$a = 1; a = a + 1; b = $a") == {"$a": "2", "b": "2"}


# What is wrong


@pytest.mark.parametrize(
    ("formula", "code", "detail"),
    [
        ("x = ", "AutoScalingFormulaSyntaxError", "Line 1, Col 5: Unexpected end of the formula"),
        ("x = 1;\ny = 2 3", "AutoScalingFormulaSyntaxError", "Line 2, Col 7: Unexpected '3'"),
        ("x = 5 % 2", "AutoScalingFormulaSyntaxError", "Line 1, Col 7: Unexpected '%'"),
        ('x = "a', "AutoScalingFormulaSyntaxError", "Line 1, Col 5: Unexpected '\"'"),
        ("1 = x", "AutoScalingFormulaSyntaxError", "Line 1, Col 3: Unexpected '='"),
        ("x = max(1, )", "AutoScalingFormulaSyntaxError", "Line 1, Col 12: Unexpected ')'"),
        ("x = (1", "AutoScalingFormulaSyntaxError", "Line 1, Col 7: Unexpected end of the formula"),
        ("x = a.b.", "AutoScalingFormulaSyntaxError", "Line 1, Col 9: Unexpected end of the formula"),
        ("x=1;" * 101, "AutoScalingFormulaSyntaxError", "The formula has 101 statements, and at most 100 are allowed"),
        ("//" + "é" * 4096, "AutoScalingFormulaTooLong", "The formula has 8194 bytes, and at most 8192 are allowed"),
        ("$something_useless", None, "Line 1, Col 1: The variable '$something_useless' is not defined"),
        ("x = nope(1)", None, "Line 1, Col 9: There is no function 'nope'"),
        ("x = $PendingTasks.Nope()", None, "Line 1, Col 23: $PendingTasks has no method 'Nope'"),
        ("x = 1; y = x.GetSample(1)", None, "Line 1, Col 23: A double has no methods"),
        ("x = time().week", None, "Line 1, Col 12: A timestamp has no member 'week'"),
        ("x = 1; y = x.hour", None, "Line 1, Col 14: A double has no members"),
        ('x = "a" ? 1 : 2', None, "Line 1, Col 5: A condition needs a double, not a string"),
        ('x = -"a"', None, "Line 1, Col 5: Operator '-' can't be applied to string"),
        ("x = -vec(1)", None, "Line 1, Col 5: Operator '-' can't be applied to doubleVec"),
        ("x = !TimeInterval_Day", None, "Line 1, Col 5: Operator '!' can't be applied to timeinterval"),
        ("x = 1 && time()", None, "Line 1, Col 7: Operator '&&' needs a double, not a timestamp"),
        ("x = vec(1) + vec(1, 2)", None, "Line 1, Col 12: The doubleVecs have different lengths, 1 and 2"),
        ("x = TimeInterval_Year * 1e9", None, "Line 1, Col 23: The timeinterval is out of range"),
        ("x = time() + 9000 * TimeInterval_Year", None, "Line 1, Col 12: The timestamp is out of range"),
        ("x = max()", None, "Line 1, Col 8: There are no values"),
        ('x = avg("a")', None, "Line 1, Col 8: A double or a doubleVec is needed, not a string"),
        ("x = val(vec(1), 1)", None, "Line 1, Col 8: There is no element 1 in a doubleVec of 1"),
        ("x = percentile(vec(1), 101)", None,
         "Line 1, Col 15: percentile needs values and a percentage from 0 to 100"),
        ('x = time("noon")', None, "Line 1, Col 9: 'noon' is not a time in W3C-DTF or RFC 1123 format"),
        ('x = time("2026-02-30")', None, "Line 1, Col 9: '2026-02-30' is not a time in W3C-DTF or RFC 1123 format"),
        ("x = ceil(1, 2)", None, "Line 1, Col 9: 1 arguments are needed, not 2"),
        ("x = rand(1)", None, "Line 1, Col 9: 0 arguments are needed, not 1"),
        ("x = $PendingTasks.Count(1)", None, "Line 1, Col 24: Count takes no arguments"),
        ("x = $PendingTasks.GetSample()", None,
         "Line 1, Col 28: GetSample takes a count, or a start, an end and a percentage"),
        ("x = $PendingTasks.GetSample(-1)", None, "Line 1, Col 28: The number of samples is out of range"),
        ('x = $PendingTasks.GetSample("a")', None,
         "Line 1, Col 28: A timestamp or a timeinterval is needed, not a string"),
        ("x = $PendingTasks.GetSamplePercent()", None, "Line 1, Col 35: GetSamplePercent takes a start and an end"),
        ("$TargetDedicatedNodes = -1", None, "Line 1, Col 1: $TargetDedicatedNodes can't be -1"),
        ("$TargetDedicatedNodes = 1 / 0", None, "Line 1, Col 1: $TargetDedicatedNodes can't be Infinity"),
        ("$TargetLowPriority = vec(1)", None, "Line 1, Col 1: $TargetLowPriority needs a double, not a doubleVec"),
        ("$NodeDeallocationOption = 1", None,
         "Line 1, Col 1: $NodeDeallocationOption is one of requeue, terminate, taskcompletion, retaineddata"),
        ("TimeInterval_Day = 1", None,
         "Line 1, Col 1: 'TimeInterval_Day' has a meaning of its own and can't be assigned to"),
        ("x = " + "(1 + " * 101 + "1" + ")" * 101, None, "Line 1, Col 501: The expression is nested too deeply"),
        ("x = vec(1, 2);" + "x = vec(x, x);" * 20, None,
         "Line 1, Col 232: A doubleVec can't have more than 100000 elements here"),
    ],
)  # fmt: skip
def test_mistakes(formula, code, detail):
    error = failure(formula)
    assert (error.code, error.detail) == (code or "AutoScalingFormulaEvaluationError", detail)
    if code:
        with pytest.raises(AutoscaleError):
            parse(formula)


def test_limits_are_inclusive():
    assert parse("x=1;" * 100)
    assert parse("//" + "x" * 8190)
    assert value("1+" * 2000 + "1") == "2001", "a long sum is not a deep one"


def test_layout_is_free():
    assert variables("// a comment; x = 5\n\r\n a=1 ;; // more\n b = // in between\n 2 ;") == {
        "a": "1",
        "b": "2",
    }
