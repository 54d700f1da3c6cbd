"""Pools that stay: taken by one run at a time, found by what they are made of. Against the emulator."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.emulator import wait_until

from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import INTERVALS, Size, formula, held_until
from snakemake.azure.batch.os_images import choose_os_image
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.warm_pools import RUN, WarmPools, kept_until

KEEP = timedelta(minutes=30)


@pytest.fixture
def plan(batch):
    os_image = choose_os_image(batch.supported_images(), datetime.now(UTC))
    return PoolPlan("run-pool-1", "Standard_D2ds_v5", 2, 3, "i:1", os_image, made_of="abc0123456789def")


class Run:
    """A run's side of it: what it has noted, and its pools."""

    def __init__(self, batch, name, ahead=timedelta(0)):
        self.batch, self.name, self.noted = batch, name, []
        self.pools = WarmPools(batch, name, lambda: [(RUN, name)], KEEP, lambda: datetime.now(UTC) + ahead)

    def claim(self, plan):
        claimed = self.pools.claim(plan, self.noted.append, self.noted.remove)
        if claimed.made:
            self.make(claimed.plan)
        return claimed

    def make(self, plan, held=timedelta(minutes=30)):
        text = formula(Size(1), datetime.now(UTC) + held)
        metadata = tuple((dict(plan.metadata) | {RUN: self.name}).items())
        self.batch.create_pool(replace(plan, metadata=metadata).options(text, INTERVALS[0]))


def test_what_one_run_leaves_the_next_one_takes_with_its_nodes(batch, plan):
    first, second = Run(batch, "first"), Run(batch, "second")
    made = first.claim(plan)
    assert made.made and first.noted == [made.plan.id] and plan.made_of in made.plan.id
    wait_until(lambda: batch.get_pool(made.plan.id).target_dedicated_nodes == 1)
    assert first.pools.release(made.plan.id, Size(1))
    pool = batch.get_pool(made.plan.id)
    assert held_until(pool.auto_scale_formula) == kept_until(pool)
    taken = second.claim(plan)
    assert (taken.plan.id, taken.nodes, taken.made) == (made.plan.id, 1, False)
    assert kept_until(batch.get_pool(made.plan.id)) is None
    assert second.pools.is_mine(made.plan.id) and not first.pools.is_mine(made.plan.id)
    assert first.pools.release(made.plan.id, Size(0)) is False, "it is not the first one's any more"
    other = Run(batch, "third").claim(replace(plan, made_of="another"))
    assert other.made and other.plan.id != made.plan.id


def test_two_runs_never_have_the_same_pool(batch, plan):
    first, second = Run(batch, "first"), Run(batch, "second")
    one, other = first.claim(plan), second.claim(plan)
    assert one.plan.id != other.plan.id and other.made
    assert second.noted == [other.plan.id]


def test_a_run_takes_no_pool_twice_and_spot_nodes_are_another_kind(batch, plan):
    run = Run(batch, "run")
    names = [run.claim(p).plan.id for p in (plan, plan, replace(plan, spot=True, buys_spot=True))]
    assert len(set(names)) == 3 and "-spot-" in names[2]


def test_of_two_runs_that_make_it_at_once_one_goes_elsewhere(batch, plan):
    first, second = Run(batch, "first"), Run(batch, "second")
    made = [run.pools.claim(plan, run.noted.append, run.noted.remove) for run in (first, second)]
    assert made[0].plan.id == made[1].plan.id
    first.make(made[0].plan)
    second.make(made[1].plan)  # which finds that it exists
    assert first.pools.is_mine(made[0].plan.id) and not second.pools.is_mine(made[1].plan.id)
    assert second.claim(plan).plan.id != made[0].plan.id


def test_of_two_runs_that_take_it_at_once_one_goes_elsewhere(batch, plan):
    first = Run(batch, "first")
    made = first.claim(plan)
    first.pools.release(made.plan.id, Size(0))
    second, third = Run(batch, "second"), Run(batch, "third")
    read = batch.get_pool(made.plan.id)
    assert second.claim(plan).plan.id == made.plan.id
    assert not batch.set_metadata(read, {RUN: "third"}), "it has changed since"
    assert third.claim(plan).plan.id != made.plan.id


def test_a_pool_of_a_run_that_died_is_free_when_its_lease_has_ended(batch, plan):
    dead = Run(batch, "dead")
    made = dead.claim(plan)
    assert Run(batch, "early").claim(plan).plan.id != made.plan.id
    late = Run(batch, "late", ahead=timedelta(minutes=33))
    assert late.claim(plan).plan.id == made.plan.id


def test_what_was_given_a_size_just_now_is_released_later(batch, plan):
    run = Run(batch, "run")
    made = run.claim(plan)
    soon = datetime.now(UTC) + timedelta(minutes=10)
    assert batch.scale_pool(made.plan.id, formula(Size(1), soon), INTERVALS[1]) == "done"
    with pytest.raises(BatchError, match="30 seconds ago") as e:
        run.pools.release(made.plan.id, Size(1))
    assert e.value.status == 503 and run.pools.is_mine(made.plan.id)


def test_what_nobody_has_taken_for_a_day_is_deleted(batch, plan):
    run = Run(batch, "run")
    made = run.claim(plan)
    run.pools.release(made.plan.id, Size(0))
    assert Run(batch, "soon", ahead=timedelta(hours=2)).pools.delete_forgotten() == []
    assert Run(batch, "later", ahead=timedelta(days=2)).pools.delete_forgotten() == [made.plan.id]
