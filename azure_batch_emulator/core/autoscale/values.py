"""The types of the language and how values of them are shown in results.

double is float, string is str, timestamp is datetime (in UTC), timeinterval is Interval, doubleVec is Vector. A
doubleVecList exists only as the arguments of a function: any mix of doubles and doubleVecs, made into one Vector.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import Mistake, mistake

MAX_LENGTH = 100_000  # of a vector: formulas could double one a hundred times
TICKS = 10_000_000  # of 100 ns in a second
_MAX_TICKS = 2**63 - 1


@dataclass(frozen=True, order=True)
class Interval:
    """A timeinterval in ticks of 100 ns."""

    ticks: int

    @classmethod
    def of(cls, ticks: float) -> "Interval":
        if not abs(ticks) <= _MAX_TICKS:
            mistake("The timeinterval is out of range")
        return cls(round(ticks))

    def __str__(self) -> str:
        seconds, fraction = divmod(abs(self.ticks), TICKS)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        text = ("-" if self.ticks < 0 else "") + (f"{days}." if days else "")
        return text + f"{hours:02}:{minutes:02}:{seconds:02}" + (f".{fraction:07}" if fraction else "")


class Vector(tuple[float, ...]):
    """A doubleVec."""

    @classmethod
    def of(cls, items: Iterable[float]) -> "Vector":
        vector = cls(items)
        if len(vector) > MAX_LENGTH:
            mistake(f"A doubleVec can't have more than {MAX_LENGTH} elements here")
        return vector


Value = float | str | datetime | Interval | Vector

_NAMES: dict[type, str] = {
    float: "double",
    str: "string",
    datetime: "timestamp",
    Interval: "timeinterval",
    Vector: "doubleVec",
}

SECOND = Interval(TICKS)
INTERVALS = {
    "TimeInterval_Zero": Interval(0),
    "TimeInterval_100ns": Interval(1),
    "TimeInterval_Microsecond": Interval(10),
    "TimeInterval_Millisecond": Interval(10_000),
    "TimeInterval_Second": SECOND,
    "TimeInterval_Minute": Interval(60 * TICKS),
    "TimeInterval_Hour": Interval(3600 * TICKS),
    "TimeInterval_Day": Interval(86_400 * TICKS),
    "TimeInterval_Week": Interval(7 * 86_400 * TICKS),
    "TimeInterval_Year": Interval(365 * 86_400 * TICKS),
}


def type_name(value: Value) -> str:
    return _NAMES[type(value)]


def shift(time: datetime, interval: Interval) -> datetime:
    try:
        return time + timedelta(microseconds=interval.ticks / 10)
    except OverflowError:
        mistake("The timestamp is out of range")


def between(later: datetime, earlier: datetime) -> Interval:
    return Interval((later - earlier) // timedelta(microseconds=1) * 10)


def member(value: Value, name: str) -> float:
    """A part of a timestamp; Monday is weekday 1, Sunday is 0."""
    if not isinstance(value, datetime):
        mistake(f"A {type_name(value)} has no members")
    if name == "weekday":
        return float(value.isoweekday() % 7)
    if name in ("year", "month", "day", "hour", "minute", "second"):
        return float(getattr(value, name))
    raise Mistake(f"A timestamp has no member '{name}'")


def show(value: Value) -> str:
    """A value as it stands in the results of a run."""
    if isinstance(value, float):
        return show_double(value)
    if isinstance(value, datetime):
        text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return text + (f".{value.microsecond // 1000:03}" if value.microsecond >= 1000 else "") + "Z"
    if isinstance(value, Vector):
        return "[" + ",".join(map(show_double, value)) + "]"
    return str(value)


def show_double(value: float) -> str:
    """15 significant digits, as .NET shows a double."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value + 0.0:.15g}".upper()
