"""Estimates of days (`misc/bench/days.py`) against the journals of the same days: once by the runtime that rules might
ask for, and once a first run, of which the times of jobs are others, is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from azure_batch_emulator.service.profile_files import load_profile
from misc.bench import report
from misc.bench.days import Day
from misc.bench.days import Job as DayJob
from misc.bench.setting import say
from misc.bench.sizing import SCENARIOS, Policy, Scenario, simulate
from snakemake.azure.batch.placement import Demand, Placement
from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.report.costs import Costs, costs
from snakemake.azure.report.estimate import Estimate, Place, PlannedJob, estimate
from snakemake.azure.report.history import History
from snakemake.azure.report.journal import parse
from snakemake.azure.settings import ExecutorSettings

FIRST, SECOND = 1, 2
"""Seeds of the run that is known, and of the one that is estimated."""

RUNTIME = 2.0
"""So many times what a rule's longest job takes is its runtime: people are careful."""

OURS = {"a": 0, "b": 0, "c": 1, "d": 0}
"""The days, and which of their policies is run."""


@dataclass(frozen=True)
class Compared:
    """An estimate, and what the run has come to."""

    name: str
    found: Estimate
    real: Costs

    @property
    def hours(self) -> float:
        return self.real.total("hours")

    @property
    def ratio(self) -> float:
        """Of the middle of the estimate, to what it was."""
        span = self.found.node_hours()
        return (span.least + span.most) / 2 / self.hours

    @property
    def money_ratio(self) -> float:
        span = self.found.money()
        return (span.least + span.most) / 2 / sum(self.real.money().values())


def planned(day: Day, sizes: str, spot: bool, known: History) -> Estimate:
    placement = Placement(ExecutorSettings(vm_size=sizes, nodes=day.most), None)
    places: dict[str, Place] = {}
    numbers = {job: number for number, job in enumerate(day.jobs)}
    longest: dict[str, float] = {}
    for job in day.jobs:
        longest[job.name] = max(longest.get(job.name, 0.0), job.seconds or 0.0)

    def plan(job: DayJob) -> PlannedJob:
        after = [numbers[before] for before in job.after]
        if job.is_local:
            return PlannedJob(job.name, None, after=after)
        place = placement.take(Demand(job.slots, job.mem_mib, spot=spot))
        prices = NodePrices(placement.prices.of(place.vm), placement.prices.of(place.vm, spot=True))
        places[place.key] = Place(place.vm.name, place.slots_per_node, day.most, prices, place.spot)
        return PlannedJob(job.name, place.key, place.slots, RUNTIME * longest[job.name], after)

    return estimate([plan(job) for job in day.jobs], places, known)


def ran(scenario: Scenario, policy: Policy, seed: int) -> list[bytes]:
    """The journal of a day."""
    lines: list[bytes] = []
    profile = replace(load_profile("realistic"), faults=scenario.faults)
    simulate(scenario.make(Random(seed)), policy, profile, seed, scenario, lines.append)
    return lines


def compare(letter: str) -> Sequence[Compared]:
    """Without and with a first run."""
    scenario = SCENARIOS[letter]
    policy = scenario.policies[OURS[letter]]
    known = History()
    known.add(ran(scenario, policy, FIRST))
    day, real = scenario.make(Random(SECOND)), costs(parse(ran(scenario, policy, SECOND)))
    sizes = policy.sizes or scenario.sizes
    return [
        Compared(f"{letter}, {name}", planned(day, sizes, scenario.spot, history), real)
        for name, history in (("by runtime", History()), ("after a first run", known))
    ]


def run() -> None:
    before, result = report.conditions(), {}
    for letter in OURS:
        for each in compare(letter):
            hours, money = each.found.node_hours(), each.found.money()
            say(
                f"estimates ({each.name}): {hours.least:.1f} to {hours.most:.1f} node-hours, the run had "
                f"{each.hours:.1f}: {each.ratio:.2f}; price {money.least:.2f} to {money.most:.2f}: "
                f"{each.money_ratio:.2f}"
            )
            result[each.name] = {"ratio": each.ratio, "money": each.money_ratio, "hours": each.hours}
    report.publish("estimates", before, result)
