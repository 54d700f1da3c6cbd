"""A pool's metrics over time, and the methods that formulas read them with.

Every 30 seconds one sample of every metric is taken; formulas see it when its delivery time has come. A percentage
compares what has been delivered with what a time frame could hold until the newest sample that formulas see: a delay
alone leaves it at 100 (https://github.com/Azure/Batch/issues/120), and only the first minutes fall short.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling#obtain-sample-data
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .errors import INSUFFICIENT, Mistake, mistake
from .values import Interval, Value, Vector, between, shift, show_double, type_name

PERIOD = timedelta(seconds=30)
DEFAULT_PERCENT = 70.0
KEPT = 7 * 24 * 120  # a week of samples

METRICS = frozenset(
    {
        "$CPUPercent",
        "$WallClockSeconds",
        "$MemoryBytes",
        "$DiskBytes",
        "$DiskReadBytes",
        "$DiskWriteBytes",
        "$DiskReadOps",
        "$DiskWriteOps",
        "$NetworkInBytes",
        "$NetworkOutBytes",
        "$SampleNodeCount",
        "$ActiveTasks",
        "$RunningTasks",
        "$PendingTasks",
        "$SucceededTasks",
        "$FailedTasks",
        "$TaskSlotsPerNode",
        "$CurrentDedicatedNodes",
        "$CurrentLowPriorityNodes",
        "$PreemptedNodeCount",
        "$UsableNodeCount",
    }
)


@dataclass(frozen=True)
class Sample:
    """The metrics at a time, by name with `$`; formulas see them from `delivered` on."""

    taken: datetime
    delivered: datetime
    values: Mapping[str, float]


@dataclass
class History:
    """Samples in the order in which they were taken."""

    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        if len(self.samples) > KEPT + 1000:
            del self.samples[:-KEPT]

    def all(self, metric: str, now: datetime) -> list[Sample]:
        return [s for s in self.samples if s.delivered <= now and metric in s.values]

    def last(self, metric: str, now: datetime, count: int) -> Vector:
        """The `count` newest, the oldest of them first."""
        found: list[float] = []
        for sample in reversed(self.samples):
            if len(found) >= count:
                break
            if sample.delivered <= now and metric in sample.values:
                found.append(sample.values[metric])
        return Vector(reversed(found))

    def frame(self, metric: str, now: datetime, start: datetime, end: datetime) -> tuple[Vector, float]:
        """What was taken after `start` and until `end`, and how many percent of the possible that is."""
        first = bisect_right(self.samples, start, key=lambda s: s.taken)
        past = bisect_right(self.samples, end, key=lambda s: s.taken)
        seen = [s for s in self.samples[first:past] if s.delivered <= now]
        found = [s.values[metric] for s in seen if metric in s.values]
        newest = seen[-1].taken if seen else end
        possible = max(1, (min(end, newest) - start) // PERIOD)
        return Vector.of(found), min(100.0, 100.0 * len(found) / possible)


@dataclass(frozen=True)
class Metric:
    """A read-only service variable. `live` is its value at this moment, for the few that need no sample."""

    name: str
    history: History
    now: datetime
    live: float | None = None

    def value(self) -> float:
        """Where a double is wanted, a metric stands for its last value."""
        if self.live is not None:
            return self.live
        if last := self.history.last(self.name, self.now, 1):
            return last[0]
        raise Mistake(
            f"Insufficient data from data set: {self.name} wanted 1 sample, received 0", INSUFFICIENT
        )

    def call(self, method: str, arguments: Sequence[Value]) -> Value:
        if method not in METHODS:
            mistake(f"{self.name} has no method '{method}'")
        return METHODS[method](self, arguments)

    def _frame(self, arguments: Sequence[Value]) -> tuple[Vector, float]:
        bounds = [self._time(argument) for argument in arguments] + [self.now]
        start, end = sorted(bounds[:2])
        return self.history.frame(self.name, self.now, start, end)

    def _time(self, value: Value) -> datetime:
        if isinstance(value, Interval):
            return shift(self.now, Interval(-value.ticks))
        if not isinstance(value, datetime):
            mistake(f"A timestamp or a timeinterval is needed, not a {type_name(value)}")
        return value

    def get_sample(self, arguments: Sequence[Value]) -> Value:
        if len(arguments) == 1 and isinstance(arguments[0], float):
            count = arguments[0]
            if not 0 <= count < 2**31:
                mistake("The number of samples is out of range")
            return self.history.last(self.name, self.now, int(count))
        times, wanted = list(arguments), DEFAULT_PERCENT
        if len(times) > 1 and isinstance(times[-1], float):
            wanted = times.pop()  # type: ignore[assignment]
        if not 1 <= len(times) <= 2:
            mistake("GetSample takes a count, or a start, an end and a percentage")
        found, received = self._frame(times)
        if received < wanted:
            raise Mistake(
                f"Insufficient data from data set: {self.name} wanted {show_double(wanted)}%, "
                f"received {received:.0f}%",
                INSUFFICIENT,
            )
        return found

    def get_sample_percent(self, arguments: Sequence[Value]) -> Value:
        if not 1 <= len(arguments) <= 2:
            mistake("GetSamplePercent takes a start and an end")
        return self._frame(arguments)[1]

    def get_sample_period(self, arguments: Sequence[Value]) -> Value:
        _none("GetSamplePeriod", arguments)
        return between(self.now + PERIOD, self.now)

    def count(self, arguments: Sequence[Value]) -> Value:
        _none("Count", arguments)
        return float(len(self.history.all(self.name, self.now)))

    def history_begin_time(self, arguments: Sequence[Value]) -> Value:
        _none("HistoryBeginTime", arguments)
        if found := self.history.all(self.name, self.now):
            return found[0].taken
        raise Mistake(
            f"Insufficient data from data set: {self.name} wanted 1 sample, received 0", INSUFFICIENT
        )


def _none(method: str, arguments: Sequence[Value]) -> None:
    if arguments:
        mistake(f"{method} takes no arguments")


METHODS = {
    "GetSample": Metric.get_sample,
    "GetSamplePercent": Metric.get_sample_percent,
    "GetSamplePeriod": Metric.get_sample_period,
    "Count": Metric.count,
    "HistoryBeginTime": Metric.history_begin_time,
}
