"""The operators: which operands each takes, as the documented table has it. Everything else is a mistake.

https://learn.microsoft.com/azure/batch/batch-automatic-scaling#operations
"""

import math
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .errors import mistake
from .values import Interval, Value, Vector, between, shift, type_name

Binary = Callable[[Any, Any], Value]


def divide(a: float, b: float) -> float:
    """As IEEE 754 has it: a division by zero is infinite, or NaN."""
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
    "!=": operator.ne,
}


def _scale(interval: Interval, factor: float) -> Interval:
    return Interval.of(interval.ticks * factor if math.isfinite(factor) else factor)


def _by_component(f: Callable[[float, float], float]) -> Binary:
    def apply(a: Vector, b: Vector) -> Vector:
        if len(a) != len(b):
            mistake(f"The doubleVecs have different lengths, {len(a)} and {len(b)}")
        return Vector(map(f, a, b))

    return apply


def _by_double(f: Callable[[float, float], float]) -> Binary:
    return lambda a, b: Vector(f(x, b) for x in a)


def _compare(f: Callable[[Any, Any], bool]) -> Binary:
    return lambda a, b: float(f(a, b))


BINARY: dict[tuple[str, type, type], Binary] = {
    ("*", float, Interval): lambda a, b: _scale(b, a),
    ("*", Interval, float): _scale,
    ("/", Interval, float): lambda a, b: Interval.of(divide(a.ticks, b)),
    ("+", Interval, Interval): lambda a, b: Interval.of(a.ticks + b.ticks),
    ("-", Interval, Interval): lambda a, b: Interval.of(a.ticks - b.ticks),
    ("+", Interval, datetime): lambda a, b: shift(b, a),
    ("+", datetime, Interval): shift,
    ("-", datetime, datetime): between,
}
for _symbol, _function in ARITHMETIC.items():
    BINARY[_symbol, float, float] = _function
    BINARY[_symbol, Vector, float] = _by_double(_function)
    BINARY[_symbol, Vector, Vector] = _by_component(_function)
for _symbol, _test in COMPARISONS.items():
    for _type in (float, str, datetime, Interval):
        BINARY[_symbol, _type, _type] = _compare(_test)

UNARY: dict[tuple[str, type], Callable[[Any], Value]] = {
    ("-", float): operator.neg,
    ("!", float): lambda a: float(a == 0),
    ("-", Interval): lambda a: Interval(-a.ticks),
}


def binary(symbol: str, left: Value, right: Value) -> Value:
    try:
        function = BINARY[symbol, type(left), type(right)]
    except KeyError:
        mistake(f"Operator '{symbol}' can't be applied to {type_name(left)} and {type_name(right)}")
    return function(left, right)


def unary(symbol: str, operand: Value) -> Value:
    try:
        function = UNARY[symbol, type(operand)]
    except KeyError:
        mistake(f"Operator '{symbol}' can't be applied to {type_name(operand)}")
    return function(operand)


def truth(value: Value, where: str) -> bool:
    """A condition: a double, true unless it is zero."""
    if not isinstance(value, float):
        mistake(f"{where} needs a double, not a {type_name(value)}")
    return value != 0
