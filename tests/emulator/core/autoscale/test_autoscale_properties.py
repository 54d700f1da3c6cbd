"""Any text, and any formula that looks like one, gives a value or an AutoscaleError, soon."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import many

from azure_batch_emulator.core.autoscale import AutoscaleError, History, Sample, Surroundings, evaluate
from azure_batch_emulator.core.autoscale.functions import NAMES
from azure_batch_emulator.core.autoscale.interpreter import OPTIONS
from azure_batch_emulator.core.autoscale.samples import METHODS, METRICS
from azure_batch_emulator.core.autoscale.values import INTERVALS

NOW = datetime(2026, 3, 13, 10, 5, 7, tzinfo=UTC)
CODES = {
    "AutoScalingFormulaSyntaxError",
    "AutoScalingFormulaTooLong",
    "AutoScalingFormulaEvaluationError",
    "InsufficientSampleData",
}
WRITABLE = ["$TargetDedicatedNodes", "$TargetDedicated", "$TargetLowPriorityNodes", "$NodeDeallocationOption"]


def outcome(formula):
    history = History()
    for i in range(40):
        taken = NOW - timedelta(seconds=30 * (40 - i))
        history.add(
            Sample(taken, taken + timedelta(seconds=60), {"$PendingTasks": float(i), "$CPUPercent": i / 7})
        )
    around = Surroundings(NOW, Random(0), 3, 1, history, {"$CurrentDedicatedNodes": 3.0})
    try:
        found = evaluate(formula, around)
    except AutoscaleError as error:
        assert error.code in CODES and error.detail
        return error
    assert 0 <= found.dedicated < 2**31 and 0 <= found.low_priority < 2**31 and found.option in OPTIONS
    assert found.results.startswith(f"$TargetDedicatedNodes={found.dedicated};$TargetLowPriorityNodes=")
    return found


words = st.sampled_from(
    [*sorted(NAMES), *sorted(METHODS), *sorted(METRICS), *INTERVALS, *OPTIONS, *WRITABLE, "x", "$y", "hour",
     "0", "1", "2.5", "1e308", "1e999", "30", '"a"', '"2026-03-13"', '"Fri, 13 Mar 2026 10:00:00 GMT"',
     *"+-*/<>!?:;=.,()", "==", "!=", "<=", ">=", "&&", "||", "//", "\n"]
)  # fmt: skip


@many(400)
@given(st.one_of(st.text(max_size=200), st.lists(words, max_size=40).map(" ".join)))
@example("x=" + "(" * 8000)
@example("x=" + "-" * 8000 + "1")
@example("x=" + "1?" * 2000)
@example("x=" + "1?2:" * 2000 + "3")
@example("x=" + "a." * 3000 + "a")
@example("x=" + "max(" * 1500 + "1" + ")" * 1500)
@example("x=1" + "+1" * 4000)
@example("x=٣")
@example('x=time("0001-01-01T00:00:00+14:00") + TimeInterval_Day * -1')
@example('x=time("9999-12-31T23:59:59-14:00")')
@example('x=time("31 Feb 2026 10:00:00 GMT")')
@example('x=time("1 Jan 0001 00:00:00 +1400")')
@example("x=\ud800")
@example("\0")
def test_any_text(formula):
    outcome(formula)


def combine(inner):
    """Expressions that parse, of any types."""
    binary = st.sampled_from(["+", "-", "*", "/", "<", "<=", "==", ">=", ">", "!=", "&&", "||"])
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(st.sampled_from("-!"), inner).map("".join),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
        st.tuples(st.sampled_from(sorted(NAMES)), arguments).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(st.sampled_from(sorted(METRICS)), st.sampled_from(sorted(METHODS)), arguments).map(
            lambda p: f"{p[0]}.{p[1]}({p[2]})"
        ),
        inner.map(lambda i: f"({i}).hour"),
    )


leaves = st.sampled_from(
    ["0", "1", "60", "1e308", '"a"', "time()", 'time("0001")', 'time("9999")', "vec()", "vec(1, 2)", "$PendingTasks",
     "$CPUPercent", "$CurrentDedicatedNodes", *INTERVALS, *WRITABLE]
)  # fmt: skip
expressions = st.recursive(leaves, combine, max_leaves=12)
statements = st.tuples(st.sampled_from([*WRITABLE, "x", "$y"]), expressions).map(" = ".join)


@many(600)
@given(st.lists(statements, max_size=4).map(";\n".join))
def test_any_formula(formula):
    found = outcome(formula)
    assert not isinstance(found, AutoscaleError) or found.code in (
        "AutoScalingFormulaEvaluationError",
        "InsufficientSampleData",
    ), "it is a formula: only its evaluation can fail"
    if isinstance(found, AutoscaleError):
        assert found.detail.startswith("Line "), "and then the place is known"
    assert outcome(formula).__dict__.get("results") == found.__dict__.get("results"), "the same from the same"
