"""The tables of a report: money by part, by rule and by pool, and what was asked for beside what was used."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from snakemake.azure.report.costs import Costs, Part
from snakemake.azure.report.efficiency import Efficiency, RuleUse
from snakemake.azure.report.found import Found
from snakemake.azure.report.page.words import UNKNOWN, hours, lasting, megabytes, money, places, share
from snakemake.azure.report.summary import amount, number
from snakemake.azure.report.timeline import BAD, GONE, IDLE, LEAVING, RUNNING, STARTING, Row

COLORS = 12
"""Rules that have a color of their own; all others share one."""

STATES_IN_WORDS = {
    STARTING: "node starts",
    IDLE: "idle",
    RUNNING: "running tasks",
    LEAVING: "leaving",
    BAD: "unusable",
    GONE: "preempted",
}

NO_RULE = "(no rule is noted)"


def colors(spent: Costs) -> dict[str, int]:
    """By rule, those first that used most: the number of its color; `COLORS` is that of all others."""
    by_use = sorted(spent.rules, key=lambda rule: (-spent.rules[rule].slot_hours_used, rule))
    return {rule: min(i, COLORS) for i, rule in enumerate(by_use)}


def legend(spent: Costs, colors: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"rule": rule or NO_RULE, "number": i, "color": color, "tasks": spent.rules[rule].tasks}
        for i, (rule, color) in enumerate(colors.items())
    ]


def keys(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """The states of nodes that there are, by the names of their colors."""
    there = {(band.state, row.spot) for row in rows for band in row.bands}
    found = [
        (state, words) for state, words in STATES_IN_WORDS.items() if {(state, False), (state, True)} & there
    ]
    return [*found, *([("running-spot", "Spot node")] if any(spot for _, spot in there) else [])]


# -- by part ----------------------------------------------------------------------------------------------------------


def parts(spent: Costs) -> list[dict[str, Any]]:
    """What the nodes' time went to, dedicated and Spot nodes apart: parts of one whole."""
    rows = []
    for spot in (False, True):
        mine = [(pool, part) for (pool, is_spot), part in spent.parts.items() if is_spot is spot]
        for key, name, of in (
            ("jobs", "jobs", lambda part: part.jobs - part.staging),
            ("staging", "staging", lambda part: part.staging),
            ("start", "nodes that start", lambda part: part.start_up),
            ("idle", "idle nodes", lambda part: part.idle),
        ):
            time = sum(of(part) for _, part in mine)
            if time > 0:
                rows.append(
                    {
                        "key": key,
                        "spot": spot,
                        "name": name + (" (Spot)" if spot else ""),
                        "hours": hours(time),
                        "money": money(_paid(spent, mine, spot, of), time, places=places(spent.money())),
                        "share": share(time, spent.total("hours")),
                        "of": time / spent.total("hours") if spent.total("hours") else 0.0,
                    }
                )
    return rows


def _paid(spent: Costs, parts: Any, spot: bool, of: Any) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for pool_id, part in parts:
        pool = spent.pool(pool_id)
        if (price := pool.price_of(spot)) is not None:
            sums[pool.currency] += price * of(part)
    return dict(sums)


# -- by rule ----------------------------------------------------------------------------------------------------------


def rules(found: Found, colors: Mapping[str, int]) -> dict[str, Any]:
    """By rule, dearest first, and what no rule has had; `total` is the whole."""
    spent = found.costs
    lengths: defaultdict[str, list[float]] = defaultdict(list)
    for task in spent.tasks:
        lengths[task.rule].append((task.ended - task.started).total_seconds())
    failed: defaultdict[str, int] = defaultdict(int)
    for attempt in found.jobs.failures:
        failed[attempt.rule] += 1
    most = max((part.hours for part in spent.rules.values()), default=0.0)
    dearest = sorted(spent.rules, key=lambda rule: (-spent.rules[rule].money, -spent.rules[rule].hours, rule))
    rows = []
    for rule in dearest:
        part = spent.rules[rule]
        rows.append(
            {
                "rule": rule or NO_RULE,
                "color": colors[rule],
                "tasks": part.tasks,
                "failed": failed[rule],
                "median": lasting(median(lengths[rule])),
                "longest": lasting(max(lengths[rule])),
                "hours": hours(part.hours),
                "staging": share(part.staging, part.hours),
                "dedicated": _share(spent, rule, False),
                "spot": _share(spent, rule, True),
                "money": _money_of_rule(spent, rule),
                "of": part.hours / most if most else 0.0,
            }
        )
    figures = places(spent.money())
    rest = [
        {
            "name": name,
            "hours": hours(spent.total(of)),
            "money": money(spent.money(of), spent.total(of), places=figures),
        }
        for of, name in (("start_up", "nodes that start"), ("idle", "idle nodes"))
    ]
    return {
        "rows": rows,
        "rest": rest,
        "total": _total(spent),
        "has_spot": any(spot for _, spot, _ in spent.shares),
    }


def _share(spent: Costs, rule: str, spot: bool) -> str:
    mine = [(key[2], part) for key, part in spent.shares.items() if key[:2] == (rule, spot)]
    return _sum(spent, mine)


def _money_of_rule(spent: Costs, rule: str) -> str:
    return _sum(
        spent, [(currency, part) for (name, _, currency), part in spent.shares.items() if name == rule]
    )


def _sum(spent: Costs, parts: list[tuple[str, Part]]) -> str:
    sums: dict[str, float] = defaultdict(float)
    for currency, part in parts:
        if part.unpriced < part.hours or part.money:
            sums[currency] += part.money
    time, unpriced = sum(part.hours for _, part in parts), sum(part.unpriced for _, part in parts)
    return money(sums, time, unpriced, places(spent.money()))


def _total(spent: Costs) -> dict[str, str]:
    whole = spent.total("hours")
    return {
        "hours": hours(whole),
        "money": money(spent.money(), whole, spent.total("unpriced"), places(spent.money())),
    }


# -- by pool ----------------------------------------------------------------------------------------------------------


def pools(spent: Costs) -> list[dict[str, Any]]:
    """By pool, with Spot nodes apart."""
    rows = []
    for (pool_id, spot), part in spent.parts.items():
        pool = spent.pool(pool_id)
        price = pool.price_of(spot)
        kind = "" if price is None or pool.listed[spot] else ", estimated"
        rows.append(
            {
                "pool": pool_id + ("" if pool.own else " (not the run's own: only its jobs count)"),
                "size": pool.vm_size or "–",
                "spot": spot,
                "nodes": part.nodes,
                "slots": pool.slots,
                "hours": hours(part.hours),
                "start": share(part.start_up, part.hours),
                "jobs": share(part.jobs, part.hours),
                "staging": share(part.staging, part.hours),
                "idle": share(part.idle, part.hours),
                "price": UNKNOWN if price is None else f"{price:.4g} {pool.currency}".rstrip() + kind,
                "money": _sum(spent, [(pool.currency, part)]),
            }
        )
    return rows


# -- asked for and used -----------------------------------------------------------------------------------------------


def asked(told: Efficiency, colors: Mapping[str, int]) -> dict[str, Any]:
    rows = [_asked(rule, colors) for rule in told.rules]
    saving = {currency: value for currency, value in told.saving().items() if value > 0}
    return {"rows": rows, "saving": amount(saving) if saving else ""}


def _asked(rule: RuleUse, colors: Mapping[str, int]) -> dict[str, Any]:
    return {
        "rule": rule.rule or NO_RULE,
        "color": colors.get(rule.rule, COLORS),
        "tasks": rule.tasks,
        "measured": rule.measured,
        "cells": [
            _cell(rule, "threads", lambda value: f"{value:.1f}"),
            _cell(rule, "mem_mb", megabytes),
            _cell(rule, "runtime", lambda value: f"{value:.1f}"),
        ],
        "saving": " and ".join(
            f"{'-' if value < 0 else ''}{number(abs(value))} {currency}".rstrip()
            for currency, value in rule.saving.items()
        ),
    }


def _cell(rule: RuleUse, name: str, words: Any) -> dict[str, Any]:
    """One resource: how much of what was asked for was used, as a bar and in words, and what would be enough."""
    wanted, used, enough = rule.asked.get(name), rule.used.get(name), rule.settings().get(name)
    return {
        "said": " / ".join(
            (words(used) if used is not None else "–", "–" if wanted is None else f"{wanted:,.0f}")
        ),
        "enough": "" if enough is None else f"{enough:,}",
        "of": min(1.0, used / wanted) if wanted and used is not None else None,
        "over": bool(wanted and used is not None and used > wanted),
        "computed": name in rule.computed,
    }
