"""What the two drawings of a report show, as values for JSON: the data that `timeline.vega.json` and `slots.vega.json`
name, in lists, with the names of their columns; the page's script makes objects of them.

Times are milliseconds since 1970 (UTC). Rows of the timeline count from the top; before the nodes of each pool there is
room for its name.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from snakemake.azure.report.costs import Costs
from snakemake.azure.report.found import Found
from snakemake.azure.report.occupancy import Step
from snakemake.azure.report.timeline import Row

BANDS = ("x0", "x1", "y0", "y1", "node", "state")
TASKS = (
    "x0",
    "x1",
    "y0",
    "y1",
    "node",
    "rule",
    "color",
    "failed",
    "task",
    "slots",
    "wildcards",
    "attempt",
    "code",
)
STEPS = ("at", "used", "paid", "asked")
MARGIN = 0.06
"""Of a row, above and below what is in it."""

NAMED = 0.9
"""The room for a pool's name, in rows: as much of all rows as a line takes, where there are many."""

SHARE_NAMED = 1 / 28


def drawing(
    found: Found, rows: Sequence[Row], steps: Sequence[Step], colors: Mapping[str, int]
) -> dict[str, Any]:
    """colors: by rule, in the order of the legend."""
    placed = _placed(rows, found.costs)
    order = {rule: i for i, rule in enumerate(colors)}
    times = [t for row in rows for band in row.bands for t in (band.begin, band.end)]
    times += [step.at for step in steps]
    bands: list[list[Any]] = []
    tasks: list[list[Any]] = []
    for i, (row, y) in enumerate(placed.rows):
        bands += _bands(i, row, y)
        tasks += _tasks(i, row, y, found, order, colors)
    return {
        "domain": [_ms(min(times)), _ms(max(times))] if times else [],
        "height": placed.height,
        "slots": max((row.slots for row in rows), default=1),
        "rules": list(colors),
        "nodes": [_node(row, y) for row, y in placed.rows],
        "pools": placed.pools,
        "bands": {"columns": BANDS, "rows": bands},
        "tasks": {"columns": TASKS, "rows": tasks},
        "steps": {"columns": STEPS, "rows": [[_ms(step.at), *step[1:]] for step in steps]},
        "spans": _spans(found),
    }


class _Placed:
    """Rows with where they begin, and names of pools with theirs."""

    def __init__(self) -> None:
        self.rows: list[tuple[Row, float]] = []
        self.pools: list[dict[str, Any]] = []
        self.height = 0.0


def _placed(rows: Sequence[Row], spent: Costs) -> _Placed:
    placed, pool_id = _Placed(), None
    room = max(NAMED, len(rows) * SHARE_NAMED)
    for row in rows:
        if row.pool != pool_id:
            pool_id, pool = row.pool, spent.pool(row.pool)
            label = " · ".join(filter(None, (pool_id, pool.vm_size, f"{pool.slots} slots")))
            placed.height += room
            placed.pools.append({"y": placed.height, "label": label})
        placed.rows.append((row, placed.height))
        placed.height += 1
    return placed


def _node(row: Row, y: float) -> dict[str, Any]:
    return {"label": label(row), "name": row.node, "spot": row.spot, "y": y + 0.5}


def label(row: Row) -> str:
    """A node's name at its row: what differs in the ids that Batch gives, `tvmps_HASH_d`."""
    parts = row.node.split("_")
    short = parts[1][:6] if len(parts) == 3 and parts[0].startswith("tvm") else row.node[:10]
    return short + (" Spot" if row.spot else "")


def _bands(i: int, row: Row, y: float) -> list[list[Any]]:
    top, bottom = round(y + MARGIN, 4), round(y + 1 - MARGIN, 4)
    return [[_ms(b.begin), _ms(b.end), top, bottom, i, b.state] for b in row.bands]


def _tasks(
    i: int, row: Row, y: float, found: Found, order: Mapping[str, int], colors: Mapping[str, int]
) -> list[list[Any]]:
    lane = (1 - 2 * MARGIN) / row.slots
    cells = []
    for bar in row.bars:
        task, top = bar.task, y + MARGIN + bar.lane * lane
        attempt = found.jobs.attempts.get(task.task)
        wildcards = ", ".join(f"{k}={v}" for k, v in attempt.wildcards.items()) if attempt else ""
        code = attempt.ended.get("exit_code") if attempt else None
        cells.append(
            [
                _ms(task.started), _ms(task.ended), round(top, 4), round(top + bar.slots * lane, 4), i,
                order[task.rule], colors[task.rule], int(bool(attempt and attempt.failed)),
                task.task, task.slots, wildcards, attempt.number if attempt else 1, code,
            ]
        )  # fmt: skip
    return cells


def _spans(found: Found) -> list[dict[str, Any]]:
    """When no client was there, and when a service did not answer."""
    spans = [{"x0": _ms(b), "x1": _ms(e), "label": "No client was there"} for b, e in found.facts.silences]
    for outage in found.facts.outages:
        begin = _ms(outage.began)
        end = begin + round(1000 * (outage.seconds or 0))
        spans.append({"x0": begin, "x1": end, "label": f"{outage.service} did not answer: {outage.why}"})
    return spans


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
