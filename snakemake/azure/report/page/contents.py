"""All that a report says, as plain values for its template: texts are texts, and not HTML."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from snakemake.azure.report.attempts import Attempt
from snakemake.azure.report.costs import Costs
from snakemake.azure.report.efficiency import efficiency
from snakemake.azure.report.found import Found
from snakemake.azure.report.occupancy import occupancy
from snakemake.azure.report.page import tables
from snakemake.azure.report.page.drawing import drawing
from snakemake.azure.report.page.words import count, hours, instant, lasting, money, share
from snakemake.azure.report.timeline import timeline
from snakemake.azure.secrets import without_secrets

MOST_FAILURES = 100
"""Failures that are listed, with the ends of their logs; of more, the number is said."""

HOW = {
    "finished": "",
    "interrupted": "interrupted",
    "detached": "detached: its tasks went on without this client",
    "lost": "taken over by another run",
}

Logs = Mapping[str, Mapping[str, str]]
"""The ends of logs by task, and by what they are."""


def shown_failures(found: Found) -> list[Attempt]:
    """Those whose logs are shown."""
    return found.jobs.failures[:MOST_FAILURES]


def contents(found: Found, logs: Logs, journal: str, now: datetime) -> dict[str, Any]:
    """`journal`: the name of its file; `now`: when the report is made. What looks like a credential is blotted out."""
    told = efficiency(found.events, found.costs)
    colors = tables.colors(found.costs)
    failures = found.jobs.failures
    rows, steps = timeline(found.events, found.costs), occupancy(found.events, found.costs)
    return _blotted(
        {
            "title": found.facts.workflow or (found.facts.runs[0] if found.facts.runs else journal),
            "status": _status(found),
            "facts": _facts(found),
            "tiles": _tiles(found),
            "prices": _prices(found.costs),
            "source": _source(found.costs),
            "parts": tables.parts(found.costs),
            "rules": tables.rules(found, colors),
            "pools": tables.pools(found.costs),
            "asked": tables.asked(told, colors),
            "failures": [_failure(each, logs.get(each.task, {})) for each in failures[:MOST_FAILURES]],
            "more_failures": len(failures) - min(len(failures), MOST_FAILURES),
            "failed": f"{count(len(failures), 'task')} failed, and {count(found.jobs.retries, 'task')} tried again",
            "legend": tables.legend(found.costs, colors),
            "keys": tables.keys(rows),
            "drawing": drawing(found, rows, steps, colors),
            "journal": journal,
            "made": instant(now),
        }
    )


def _blotted(value: Any) -> Any:
    """With each text in it as everybody may read it."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {_blotted(name): _blotted(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_blotted(each) for each in value]
    return value


def _status(found: Found) -> dict[str, str]:
    """How it ended: `kind` is good, bad, or open."""
    how = found.facts.how
    failed = count(found.jobs.failed, "job") + " failed"
    if not how:
        return {"kind": "open", "text": "no end is noted: it goes on, or its client died"}
    if HOW.get(how, how):
        text = HOW.get(how, how) + (f"; {failed}" if found.jobs.failed else "")
        return {"kind": "bad" if found.jobs.failed else "open", "text": text}
    if found.jobs.failed:
        return {"kind": "bad", "text": failed}
    if found.jobs.open:
        return {"kind": "open", "text": f"ended, {count(found.jobs.open, 'job')} without a known end"}
    return {"kind": "good", "text": "finished"}


def _facts(found: Found) -> list[tuple[str, str]]:
    told = found.facts
    rows = [
        ("Run", ", then ".join(told.runs) or "–"),
        ("Began", f"{instant(told.began)} UTC"),
        ("Last noted", f"{instant(told.last)} UTC, after {lasting(told.duration.total_seconds())}"),
        ("Batch account", told.account or "–"),
        ("Files", f"az://{told.prefix}" if told.prefix else "–"),
        ("Snakemake", told.version or "–"),
    ]
    for begin, end in told.silences:
        rows.append(
            (
                "No client",
                f"{instant(begin)} to {instant(end)} UTC ({lasting((end - begin).total_seconds())})",
            )
        )
    for outage in told.outages:
        lasted = "without a noted end" if outage.seconds is None else lasting(outage.seconds)
        rows.append(("Outage", f"{outage.service}, {instant(outage.began)} UTC, {lasted}: {outage.why}"))
    for gone in told.removed:
        rows.append(("Node removed", f"{gone.node} of {gone.pool}, {instant(gone.at)} UTC: {gone.why}"))
    if told.requests:
        rows.append(("Requests", ", ".join(f"{n:,} to {name}" for name, n in sorted(told.requests.items()))))
    return rows


def _tiles(found: Found) -> list[dict[str, str]]:
    """The numbers that people look for first."""
    spent, done = found.costs, found.jobs
    whole = spent.total("hours")
    spot = sum(part.hours for (_, is_spot), part in spent.parts.items() if is_spot)
    nodes = sum(part.nodes for part in spent.parts.values())
    return [
        {
            "name": "Cost of nodes",
            "value": money(spent.money(), whole, spent.total("unpriced")),
            "note": "estimated in part" if spent.total("estimated") >= 0.005 else "at the prices below",
        },
        {
            "name": "Node-hours",
            "value": hours(whole),
            "note": count(nodes, "node")
            + (f", {share(spot, whole)} of the time Spot" if spot else ", dedicated"),
        },
        {
            "name": "Slots used",
            "value": "–" if spent.efficiency is None else f"{spent.efficiency:.0%}",
            "note": f"of {hours(spent.total('slot_hours'))} slot-hours paid for",
        },
        {
            "name": "Jobs done",
            "value": f"{done.succeeded:,}",
            "note": f"of {done.jobs:,}; {done.failed:,} failed, {count(done.retries, 'retry', 'retries')}"
            + (f", {done.open:,} without an end yet" if done.open else ""),
        },
    ]


def _prices(spent: Costs) -> str:
    """Which prices the money rests on; to be said wherever money is."""
    if not spent.money():
        return "No price of these nodes is known." if spent.parts else "No nodes were paid for."
    unsure = [
        f"{hours(spent.total(of))} of {hours(spent.total('hours'))} node-hours have {what}."
        for of, what in (("unpriced", "no known price and are left out"), ("estimated", "an estimated price"))
        if spent.total(of) >= 0.0001
    ]
    return " ".join([_source(spent), *unsure, "Nodes only, without disks, traffic and storage."])


def _source(spent: Costs) -> str:
    """Where the prices are from, with their date; nothing where there are none."""
    if not spent.money():
        return ""
    unnamed = "; the price list names no currency" if "" in spent.money() else ""
    return f"Money by {' and '.join(spent.sources) or 'prices of unknown origin'}{unnamed}."


def _failure(attempt: Attempt, logs: Mapping[str, str]) -> dict[str, Any]:
    ended = attempt.ended
    return {
        "rule": attempt.rule,
        "wildcards": ", ".join(f"{k}={v}" for k, v in attempt.wildcards.items()),
        "task": attempt.task,
        "number": attempt.number,
        "after": str(attempt.after or ""),
        "is_final": attempt.after is not None and attempt.after.name == "NOTHING",
        "why": str(ended.get("why") or "") or "No reason is noted.",
        "fault": "its node's or the service's fault" if ended.get("service_fault") else "",
        "exit_code": "–" if ended.get("exit_code") is None else str(ended["exit_code"]),
        "node": str(ended.get("node") or "–"),
        "ended": instant(attempt.at),
        "lasted": lasting(attempt.seconds),
        "logs": list(logs.items()),
    }
