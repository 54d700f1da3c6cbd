"""Core hours of pools in intervals of half an hour, from the lifetimes of their nodes.

An interval is complete two hours after its end, as the documentation's limits on the times of a query imply.
https://learn.microsoft.com/rest/api/batchservice/pools/list-pool-usage-metrics
"""

from datetime import UTC, datetime, timedelta

from ...protocol.errors import BatchError, invalid_query
from ...protocol.wire import format_time
from ..entities import Node, Pool, Usage
from ..machine import Machine

INTERVAL = timedelta(minutes=30)
DELAY = timedelta(hours=2)
KEEP = timedelta(days=60)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def start_metering(m: Machine, node: Node) -> None:
    """The node has a machine from now on."""
    node.metered = m.now
    _count_cores(m, m.pools[node.pool], node, +1)


def stop_metering(m: Machine, pool: Pool, node: Node) -> None:
    """The node gives its machine back; what is older than anybody is told goes too."""
    if node.metered is None:
        return
    _add(m, m.usage, pool, node, m.now - KEEP, m.now)
    node.metered = None
    _count_cores(m, pool, node, -1)
    for key in [key for key, one in m.usage.items() if one.start < m.now - KEEP]:
        del m.usage[key]


def _count_cores(m: Machine, pool: Pool, node: Node, step: int) -> None:
    if node.dedicated:
        pool.statistics.go_on(pool.statistics.going + step * pool.spec["cores"], m.now)


def _add(m: Machine, usage: dict[str, Usage], pool: Pool, node: Node, start: datetime, end: datetime) -> None:
    """Adds what a node has used until now to the intervals that meet the time from `start` to `end`."""
    if node.metered is None:
        return
    first = max(_floor(start), _floor(node.metered))
    while first < min(end, m.now):
        used = min(m.now, first + INTERVAL) - max(node.metered, first)
        if used > timedelta():
            new = Usage(pool.id, pool.spec["vmSize"], first)
            one = usage.setdefault(f"{format_time(first)}/{pool.key}/{new.vm_size.lower()}", new)
            one.core_hours += pool.spec["cores"] * used / timedelta(hours=1)
        first += INTERVAL


def _floor(time: datetime) -> datetime:
    return time - (time - _EPOCH) % INTERVAL


def metrics(m: Machine, start: datetime | None, end: datetime | None) -> dict[str, Usage]:
    """The intervals that meet the time from `start` to `end`; the last that is complete, where neither is given.
    The keys are in ascending order."""
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
    start, end = max(start, m.now - KEEP), min(end, last)
    found = {
        key: Usage(one.pool, one.vm_size, one.start, one.core_hours)
        for key, one in m.usage.items()
        if _floor(start) <= one.start < end
    }
    for pool in m.pools.values():
        for node in pool.nodes.values():
            _add(m, found, pool, node, start, end)
    return dict(sorted(found.items()))


def view(one: Usage) -> dict:
    return {
        "poolId": one.pool,
        "startTime": format_time(one.start),
        "endTime": format_time(one.start + INTERVAL),
        "vmSize": one.vm_size,
        "totalCoreHours": one.core_hours,
    }
