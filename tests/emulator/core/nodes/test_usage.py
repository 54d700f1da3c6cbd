"""Core hours of pools, from the lifetimes of their nodes."""

from datetime import timedelta

import pytest

from azure_batch_emulator.core.nodes import usage
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.protocol.errors import BatchError

from ..builders import START, Driver

HOUR = timedelta(hours=1)


def hours(driver, start=None, end=None):
    found = driver.do(usage.metrics, start, end)
    return [(one.pool, (one.start - START) / HOUR, round(one.core_hours, 6)) for one in found.values()]


@pytest.fixture
def driver():
    """A pool with three nodes of two cores from 0:10, one of which goes at 0:50, and the rest at 1:20."""
    driver = Driver()
    driver.advance(600)
    pool = driver.pool(nodes=3)
    driver.advance(2400)
    driver.do(pools.resize, pool, {"targetDedicatedNodes": 2})
    driver.advance(1800)
    driver.do(pools.delete, pool)
    driver.advance(0)
    return driver


def test_hours_of_intervals(driver):
    driver.advance(3 * 3600)
    everything = [("pool", 0.0, 2.0), ("pool", 0.5, 2 + 2 / 3), ("pool", 1.0, 4 / 3)]
    everything = [(pool, start, round(value, 6)) for pool, start, value in everything]
    assert hours(driver, START) == everything
    assert hours(driver, START + HOUR / 2, START + HOUR) == everything[1:2]
    assert hours(driver, START + HOUR / 4, START + HOUR * 0.75) == everything[:2]


def test_an_interval_is_there_two_hours_after_its_end(driver):
    assert hours(driver) == []
    driver.advance((START + 2.5 * HOUR - driver.now).total_seconds() - 1)
    assert hours(driver) == []
    driver.advance(1)
    assert hours(driver) == [("pool", 0.0, 2.0)]
    driver.advance(1800)
    assert [start for _, start, _ in hours(driver)] == [0.5]
    driver.advance(3600 * 5)
    assert hours(driver) == []


def test_a_pool_that_is_still_there():
    driver = Driver()
    driver.pool(nodes=1)
    driver.advance(4 * 3600)
    assert hours(driver, START) == [("pool", i / 2, 1.0) for i in range(4)]


def test_what_is_kept(driver):
    driver.advance((usage.KEEP - 2 * HOUR).total_seconds())
    driver.pool("late")
    driver.advance(3600)
    driver.do(pools.delete, driver.machine.pools["late"])
    driver.advance(0)
    assert {one.pool for one in driver.machine.usage.values()} == {"pool", "late"}
    driver.advance(6 * 3600)
    driver.pool("later")
    driver.do(pools.delete, driver.machine.pools["later"])
    driver.advance(0)
    assert {one.pool for one in driver.machine.usage.values()} == {"late"}
    assert [pool for pool, _, _ in hours(driver, START)] == ["late"] * 3
    assert hours(driver, START, START + HOUR) == []


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (START + HOUR, None, "OutOfRangeQueryParameterValue"),
        (None, START + 1.5 * HOUR, "OutOfRangeQueryParameterValue"),
        (START + HOUR / 4, START, "InvalidQueryParameterValue"),
    ],
)
def test_times_that_are_refused(driver, start, end, code):
    driver.advance((START + 3 * HOUR - driver.now).total_seconds())
    with pytest.raises(BatchError, match=code):
        hours(driver, start, end)
