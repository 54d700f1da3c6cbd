"""An estimate of a run in words, and in ranges: what it needs, what that costs, and by what one can tell. No I/O.

Where a rule's jobs ran before, a job takes one of the times that they took, and the range is the narrower the more
there were. Where not, `runtime` is the most that it may take, so it takes from a quarter of it to all. Rules of which
neither is known are left out, and named.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.report import forecast
from snakemake.azure.report.forecast import LEAVES, Forecast, Job, cost
from snakemake.azure.report.history import History
from snakemake.azure.report.progress import Span
from snakemake.azure.report.summary import number

QUARTER = 0.25
"""Of a runtime, at the least."""

SURE, UNSURE = 0.1, 0.5
"""How far off times may be that were seen very often, and so much more where they were seen once."""


@dataclass(frozen=True)
class Place:
    """A pool: its nodes, and what one costs an hour. `source` and `currency` are the price's."""

    vm_size: str
    slots: int
    most: int
    prices: NodePrices
    spot: bool = False
    source: str = ""
    currency: str = ""
    is_listed: bool = True

    @property
    def price(self) -> float:
        return self.prices.spot if self.spot else self.prices.dedicated


@dataclass(frozen=True)
class PlannedJob:
    """A job that is to run: the key of its place, None for one that runs here; runtime: seconds that it may take at the
    most, None for as long as it wants; after: numbers of jobs. One without a rule's name does nothing."""

    rule: str
    place: str | None
    slots: int = 1
    runtime: float | None = None
    after: Sequence[int] = ()


@dataclass(frozen=True)
class Estimate:
    """least and most are what a run needs; by: how many jobs are known by `journals`, `runtime`, not at all (`unknown`)
    and run `here`; rules: those that nobody knows."""

    least: Forecast
    most: Forecast
    places: Mapping[str, Place]
    by: Counter[str]
    rules: Sequence[str] = ()
    jobs_of: Mapping[str, int] = field(default_factory=dict)

    def node_hours(self) -> Span:
        return Span(
            *(sum(n.node_seconds for n in each.pools.values()) / 3600 for each in (self.least, self.most))
        )

    def money(self) -> Span:
        prices = {key: place.prices for key, place in self.places.items()}
        spot = {key: place.spot for key, place in self.places.items()}
        return Span(cost(self.least.pools, prices, spot), cost(self.most.pools, prices, spot))


def estimate(
    jobs: Sequence[PlannedJob], places: Mapping[str, Place], known: History, seed: int = 0
) -> Estimate:
    """What the jobs need, which wait for each other by their numbers."""
    by: Counter[str] = Counter()
    unknown: dict[str, None] = {}
    draws: dict[str, Callable[[], tuple[float, float]]] = {}
    random = Random(seed)
    least: list[Job] = []
    most: list[Job] = []
    of: Counter[str] = Counter()
    for job in jobs:
        if job.place is None or job.place not in places:
            by["here"] += bool(job.rule)
            span = None
        elif took := known.rules.get(job.rule):
            by["journals"] += 1
            draw = draws.get(job.rule) or draws.setdefault(job.rule, _draw(took.seconds, random))
            span = draw()
        elif job.runtime:
            by["runtime"] += 1
            span = (QUARTER * job.runtime, job.runtime)
        else:
            by["unknown"] += 1
            unknown[job.rule] = None
            span = None
        pool = job.place or "" if span else ""
        of[pool] += 1
        for into, seconds in zip((least, most), span or (0.0, 0.0), strict=True):
            into.append(Job(pool, job.slots, seconds, job.after))
    pools = {key: _pool(place, known) for key, place in places.items()}
    return Estimate(
        forecast.forecast(least, pools), forecast.forecast(most, pools), places, by, list(unknown), of
    )


def _draw(seconds: Sequence[float], random: Random) -> Callable[[], tuple[float, float]]:
    """Draws one of the times, from so much less to so much more."""
    off = SURE + UNSURE / len(seconds) ** 0.5
    count = len(seconds)
    # In turns, so that their mean is the mean.
    turns = random.sample(list(seconds), count)
    at = -1

    def draw() -> tuple[float, float]:
        nonlocal at
        at = (at + 1) % count
        return turns[at] * max(0.2, 1 - off), turns[at] * (1 + off)

    return draw


def _pool(place: Place, known: History) -> forecast.Pool:
    pool = forecast.Pool(place.slots, place.most)
    if known.boot is None:
        return pool
    return replace(pool, boots=known.boot, back=pool.back - pool.boots + known.boot)


# -- words ------------------------------------------------------------------------------------------------------------


def sentences(found: Estimate, known: History, at_most: float | None = None) -> list[str]:
    """What is said of it; the first has the figures, the others what they rest on. at_most: what the nodes may cost."""
    if not (found.by["journals"] or found.by["runtime"]):
        return _of_unknown(found)
    return [_of_figures(found), _of_basis(found, known), *_of_unknown(found), *_of_most(found, at_most)]


def _of_most(found: Estimate, at_most: float | None) -> list[str]:
    money = found.money()
    if at_most is None or money.most <= at_most:
        return []
    verb = "would" if money.least > at_most else "might"
    return [f"Azure Batch: --az-batch-max-cost {at_most:g} {verb} be reached before the end."]


def _of_figures(found: Estimate) -> str:
    hours, money = found.node_hours(), found.money()
    jobs = found.by["journals"] + found.by["runtime"]
    currency = " and ".join(sorted({p.currency for p in found.places.values() if p.currency}))
    needs = [
        f"{_jobs(found.jobs_of[key])} on {_span(found.least.pools[key].most, need.most)} nodes of "
        f"{found.places[key].vm_size}{' (Spot)' if found.places[key].spot else ''} with {found.places[key].slots} slots"
        for key, need in found.most.pools.items()
        if key in found.least.pools
    ]
    time = Span(found.least.seconds, found.most.seconds + LEAVES)
    return (
        f"Azure Batch: an estimate for {_jobs(jobs)}: {number(hours.least)} to {number(hours.most)} node-hours, "
        + f"{number(money.least)} to {number(money.most)} {currency}".rstrip()
        + f", in {time}; {', '.join(needs)}."
    )


def _span(least: int, most: int) -> str:
    return str(most) if least == most else f"{min(least, most)} to {max(least, most)}"


def _of_basis(found: Estimate, known: History) -> str:
    basis = []
    if count := found.by["journals"]:
        runs = (
            "the journal of an earlier run"
            if known.runs == 1
            else f"the journals of {known.runs} earlier runs"
        )
        basis.append(f"{runs}, the newest of {known.newest} ({_jobs(count)})")
    if count := found.by["runtime"]:
        basis.append(f"the runtime alone, of which a job takes a quarter to all ({_jobs(count)})")
    places = [found.places[key] for key in found.most.pools]
    basis += sorted({place.source for place in places if place.is_listed and place.source})
    basis += sorted({f"an estimated price of {place.vm_size}" for place in places if not place.is_listed})
    here = f"; {_jobs(count)} on this machine are not in it" if (count := found.by["here"]) else ""
    return f"Azure Batch: the estimate goes by {' and by '.join(basis)}{here}."


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"


def _of_unknown(found: Estimate) -> list[str]:
    if not found.rules:
        return []
    names = ", ".join(found.rules[:5]) + (", ..." if len(found.rules) > 5 else "")
    rest = (
        "the estimate leaves them out"
        if found.by["journals"] or found.by["runtime"]
        else "there is no estimate"
    )
    return [
        f"Azure Batch: nobody knows how long {_jobs(found.by['unknown'])} of {names} would take, so {rest}: a first "
        "run, or their resource runtime, would tell."
    ]
