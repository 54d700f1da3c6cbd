"""Pools that the service sizes: the formulas do what they say, on the emulator's clock; and the lease ends them."""

from datetime import timedelta

import pytest
from emulator.core.builders import START, Driver

from azure_batch_emulator.core.profile import Profile
from snakemake.azure.batch.autoscale import AutoScale, leased, own_formula
from snakemake.azure.batch.lease import APART, PoolLeases, Size, held_until

LATE = Profile(sample_delay=(60, 60))
HOUR = START + timedelta(hours=1)
WEEK = START + timedelta(days=7)
FIXED = "$TargetDedicatedNodes = 4; // as many as there are licences"


def sizes(driver, pool, minutes):
    """The pool's target every five minutes."""
    found = []
    for _ in range(0, minutes, 5):
        driver.advance(300)
        found.append(pool.dedicated)
    return found


def test_up_from_nothing_by_the_tasks_that_fit_a_node_and_back_to_none():
    driver = Driver(LATE)
    pool = driver.scaled(leased(own_formula(per_node=2, most=3, first=0, now=START), WEEK), slots=4)
    assert sizes(driver, pool, 15) == [0, 0, 0]
    job = driver.job()
    for i in range(5):
        driver.task(job, f"t{i}", requiredSlots=2)
    assert sizes(driver, pool, 10)[-1] == 3, "five tasks of two slots, four slots a node"
    driver.advance(3600)
    for run in list(driver.started):
        driver.end(run)
    assert sizes(driver, pool, 5) == [3], "ten minutes are remembered"
    assert sizes(driver, pool, 60)[-1] == 0 and job.counts["succeeded"] == 5


def test_the_first_nodes_are_held_until_samples_can_have_come():
    driver = Driver(LATE)
    pool = driver.scaled(leased(own_formula(per_node=1, most=5, first=2, now=START), WEEK))
    assert sizes(driver, pool, 10)[0] == 2 and sizes(driver, pool, 20)[-1] == 0


@pytest.mark.parametrize(
    "rule",
    [
        FIXED,
        "$TargetDedicated = 4;\n",
        "x = 4\n;$TargetDedicatedNodes = x;$NodeDeallocationOption = taskcompletion",
    ],
)
def test_a_formula_of_ones_own_holds_until_the_lease_ends(rule):
    driver = Driver(LATE)
    pool = driver.scaled(leased(rule, HOUR))
    found = sizes(driver, pool, 80)
    assert found[:10] == [4] * 10 and found[-1] == 0, pool.scaling.run.results


def test_when_a_lease_ends_can_be_read_from_the_formula():
    assert held_until(leased(own_formula(1, 1, 1, START), HOUR)) == HOUR
    assert held_until(leased(FIXED, WEEK)) == WEEK and held_until(None) is None


def test_a_rule_follows_the_first_size_and_is_renewed_in_place_of_sizes():
    leases = PoolLeases(timedelta(minutes=30))
    first = leases.first("pool", Size(2), START, FIXED)
    assert "held ? 2 : 0" in first.formula and leases.size("pool") is None
    assert leases.due(START) == []
    (renewal,) = leases.due(START + APART)
    assert "$TargetDedicatedNodes = 4" in renewal.formula and not renewal.changes
    leases.done(renewal, START + APART)
    leases.set_size("pool", Size(9))
    assert leases.due(START + timedelta(minutes=5)) == []
    (renewal,) = leases.due(START + timedelta(minutes=11))
    assert renewal.formula == leased(FIXED, renewal.until)


def test_the_users_formula_stands_for_itself():
    assert AutoScale(FIXED).rule(4, 10, 1, START) == FIXED
    assert "min(10," in AutoScale().rule(4, 10, 1, START)
