"""An estimate of a small day against the journals of days like it, on the emulator's core."""

from random import Random

from misc.bench.days import Day, Job
from misc.bench.estimates import planned, ran
from misc.bench.sizing import OURS, VM, Scenario
from snakemake.azure.report.costs import costs
from snakemake.azure.report.history import History
from snakemake.azure.report.journal import parse


def day(random: Random) -> Day:
    some = [Job("each", n, random.uniform(600, 1800), 1 + n % 2) for n in range(40)]
    return Day("small", [*some, Job("last", 0, 3600, 1, some)], most=4)


def test_once_a_first_run_is_known_it_is_within_a_quarter():
    scenario, known = Scenario(day), History()
    known.add(ran(scenario, OURS, 1))
    real = costs(parse(ran(scenario, OURS, 2)))
    found = planned(day(Random(2)), VM, False, known)
    hours, money = found.node_hours(), found.money()
    assert hours.least < real.total("hours") < hours.most
    assert 0.75 < (hours.least + hours.most) / 2 / real.total("hours") < 1.25
    assert 0.75 < (money.least + money.most) / 2 / sum(real.money().values()) < 1.25
