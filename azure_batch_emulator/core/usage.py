"""Core hours of pools in intervals of half an hour, from the lifetimes of their nodes.

An interval is complete two hours after its end, as the documentation's limits on the times of a query imply.
https://learn.microsoft.com/rest/api/batchservice/pools/list-pool-usage-metrics
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import BatchError, invalid_query
from ..wire import format_time
from .entities import Lifetime, Node, Pool
from .machine import Machine

INTERVAL = timedelta(minutes=30)
DELAY = timedelta(hours=2)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Metrics:
    """What one pool used in one interval that begins at `start`."""

    pool: str
    vm_size: str
    start: datetime
    core_hours: float

    @property
    def key(self) -> str:
        return f"{format_time(self.start)}/{self.pool.lower()}/{self.vm_size.lower()}"


def start_metering(m: Machine, node: Node) -> None:
    """The node has a machine from now on."""
    node.metered = m.now


def stop_metering(m: Machine, pool: Pool, node: Node) -> None:
    """The node gives its machine back."""
    if node.metered is not None:
        m.lifetimes.append(_lifetime(m, pool, node, node.metered))
        node.metered = None


def _lifetime(m: Machine, pool: Pool, node: Node, start: datetime) -> Lifetime:
    return Lifetime(pool.id, pool.spec["vmSize"], pool.spec["cores"], start, m.now)


def _floor(time: datetime) -> datetime:
    return time - (time - _EPOCH) % INTERVAL


def metrics(m: Machine, start: datetime | None, end: datetime | None) -> list[Metrics]:
    """The intervals that meet the time from `start` to `end`; the last that is complete, where neither is given."""
    last = _floor(m.now - DELAY)
    for name, time, lag in (("starttime", start, DELAY + INTERVAL), ("endtime", end, DELAY)):
        if time is not None and time > m.now - lag:
            raise BatchError(
                "OutOfRangeQueryParameterValue",
                [
                    ("QueryParameterName", name),
                    ("QueryParameterValue", format_time(time)),
                    ("MaximumAllowed", format_time(m.now - lag)),
                ],
            )
    start, end = start or last - INTERVAL, end or last
    if end < start:
        raise invalid_query("endtime", format_time(end), "The end is before the start.")
    totals: dict[tuple[str, str, datetime], float] = {}
    for life in _lifetimes(m):
        first = max(_floor(start), _floor(life.start))
        while first < min(end, life.end, last):
            used = min(life.end, first + INTERVAL) - max(life.start, first)
            key = (life.pool, life.vm_size, first)
            totals[key] = totals.get(key, 0.0) + life.cores * used / timedelta(hours=1)
            first += INTERVAL
    found = [Metrics(pool, size, begin, hours) for (pool, size, begin), hours in totals.items() if hours]
    return sorted(found, key=lambda one: one.key)


def _lifetimes(m: Machine) -> Iterator[Lifetime]:
    yield from m.lifetimes
    for pool in m.pools.values():
        for node in pool.nodes.values():
            if node.metered is not None:
                yield _lifetime(m, pool, node, node.metered)


def view(one: Metrics) -> dict:
    return {
        "poolId": one.pool,
        "startTime": format_time(one.start),
        "endTime": format_time(one.start + INTERVAL),
        "vmSize": one.vm_size,
        "totalCoreHours": one.core_hours,
    }
