"""What nodes may cost: by table, and against a service that does what the formulas say while the client may die."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakemake.azure.batch.budget import AFTER, EVALUATED, HOLD, Asked, Budget
from snakemake.azure.batch.lease import PoolLeases
from snakemake.azure.batch.targets import NodePrices, Size

START = datetime(2026, 1, 1, tzinfo=UTC)
PRICES = NodePrices(6.0, 1.0)
HOUR = timedelta(hours=1)
NONE = Size(0)


class Known:
    """What looks have shown, for a table."""

    def __init__(self, spent=0.0, **seen):
        self.money, self.nodes = spent, seen

    def spent(self, now):
        return self.money

    def seen(self, pool_id):
        return self.nodes.get(pool_id, (Size(0), None))


def asked(wanted, given=NONE):
    return Asked(wanted, given, START, PRICES)


def hold(nodes, price=PRICES.dedicated):
    """What so many nodes cost for as long as they have to be paid for at least."""
    return nodes * price * HOLD / HOUR


@pytest.mark.parametrize(
    "amount, wanted, allowed",
    [
        (100.0, Size(8), Size(8)),
        (hold(4) + 0.01, Size(8), Size(4)),
        (hold(1) + 0.01, Size(8), Size(1)),
        (hold(1) - 0.01, Size(8), Size(0)),
        (hold(1, 1.0) + 0.01, Size(0, 8), Size(0, 1)),
        (0.01, Size(0), Size(0)),
    ],
)
def test_no_more_nodes_than_the_rest_pays_for(amount, wanted, allowed):
    budget = Budget(amount, lambda size: PRICES, Known())
    assert budget.allow({"p": asked(wanted)}, START).sizes == {"p": allowed}
    assert budget.is_reached == (wanted != Size(0) and allowed == Size(0))


def test_each_pool_that_wants_nodes_has_one_before_another_has_two():
    budget = Budget(hold(3) + 0.01, lambda size: PRICES, Known())
    wanted = {"a": asked(Size(10)), "b": asked(Size(1)), "c": asked(Size(0))}
    assert budget.allow(wanted, START).sizes == {"a": Size(2), "b": Size(1), "c": Size(0)}


def test_nodes_that_may_stay_after_their_last_task_are_paid_for_then_too():
    budget = Budget(hold(2) + 0.01, lambda size: PRICES, Known(), keeps=HOLD)
    assert budget.allow({"p": asked(Size(5))}, START).sizes == {"p": Size(1)}
    assert budget.pays_for(PRICES.dedicated) and not budget.pays_for(2 * PRICES.dedicated)


def test_what_is_reached_stays_so():
    known = Known(spent=100.0)
    budget = Budget(100.0, lambda size: PRICES, known)
    assert budget.allow({"p": asked(Size(1))}, START).sizes == {"p": Size(0)}
    known.money = 0.0
    assert budget.allow({"p": asked(Size(1))}, START).sizes == {"p": Size(0)}


def test_nodes_that_no_look_has_shown_count_since_the_last_one():
    known, later = Known(), START + timedelta(minutes=30)
    budget = Budget(100.0, lambda size: PRICES, known)
    wanted = {"p": asked(Size(2), given=Size(2))}
    assert budget.left(wanted, later) == pytest.approx(100 - 6.0)
    known.nodes["p"] = (Size(1), later - timedelta(minutes=10))
    assert budget.left(wanted, later) == pytest.approx(100 - 1.0)


def test_a_pool_that_had_to_shrink_does_not_go_up_and_down():
    known = Known()
    budget = Budget(hold(8) + 0.01, lambda size: PRICES, known)
    wanted = {"p": asked(Size(20))}
    sizes = []
    for spent in (0, 1, 0.5, 0, 1, 0):
        known.money = hold(spent)
        sizes.append(budget.allow(wanted, START).sizes["p"].dedicated)
    assert sizes == [8, 7, 7, 7, 7, 7]


def test_a_lease_ends_before_the_rest_is_spent():
    leases = PoolLeases(HOUR, Budget(12.0, lambda size: PRICES, Known()))
    assert leases.first("p", Size(4), START).until == START + timedelta(minutes=30) - AFTER
    assert not leases.due(START + timedelta(minutes=1)), "nothing can prolong it"
    cheap = PoolLeases(HOUR, Budget(100.0, lambda size: PRICES, Known()))
    assert cheap.first("p", Size(4), START).until == START + HOUR


def test_one_pools_lease_is_drawn_in_before_another_one_grows():
    leases = PoolLeases(HOUR, Budget(12.0, lambda size: PRICES, Known()))
    leases.first("a", Size(1), START)
    second = leases.first("b", Size(1), START)
    later = START + timedelta(seconds=40)
    leases.set_size("b", Size(3))
    (drawn_in,) = leases.due(later)
    assert (drawn_in.pool_id, drawn_in.size) == ("a", Size(1))
    assert later < drawn_in.until < later + timedelta(minutes=30) - AFTER < second.until
    leases.done(drawn_in, later)
    (grown,) = leases.due(later)
    assert (grown.pool_id, grown.size) == ("b", Size(3))
    assert abs(grown.until - drawn_in.until) < timedelta(seconds=30)


# -- a service ---------------------------------------------------------------------------------------------------------


class Pools:
    """Pools that do what their formulas say, in steps: nodes come after a while, are paid for from then on, and leave
    within a while when the target, which is looked at when it is given and within five minutes after the lease's end,
    says so. The `worst` ones come at once, and stay as long as they can."""

    STEP = timedelta(seconds=10)

    LEAVES = timedelta(minutes=1)

    def __init__(self, random, worst):
        self.random, self.worst = random, worst
        self.now, self.cost, self.by_tasks = START, 0.0, 0.0
        self.formulas, self.ends, self.nodes, self.leaving, self.coming = {}, {}, {}, {}, {}
        self.looked, self.shown, self.known = {}, {}, 0.0

    def give(self, renewal):
        self.formulas[renewal.pool_id] = renewal
        self.ends[renewal.pool_id] = renewal.until + (1 - self.chance()) * EVALUATED
        self.evaluate(renewal.pool_id)

    def chance(self):
        return 0 if self.worst else self.random.random()

    def evaluate(self, pool_id):
        renewal = self.formulas[pool_id]
        target = renewal.size.dedicated if self.now < renewal.until else 0
        there = self.nodes.setdefault(pool_id, [])
        coming = self.coming.setdefault(pool_id, [])
        while len(there) + len(coming) > target and coming:
            coming.pop()
        while len(there) > target:
            end = self.now + (1 - self.chance()) * self.LEAVES
            self.leaving.setdefault(pool_id, []).append((there.pop(), end))
        while len(there) + len(coming) < target:
            coming.append(self.now + self.chance() * timedelta(minutes=3))

    def step(self):
        self.now += self.STEP
        for pool_id in self.formulas:
            if self.now >= self.ends[pool_id]:
                self.evaluate(pool_id)
            due = [at for at in self.coming[pool_id] if at <= self.now]
            self.coming[pool_id] = [at for at in self.coming[pool_id] if at > self.now]
            self.nodes[pool_id] += due
            self.leaving[pool_id] = [one for one in self.leaving.get(pool_id, []) if one[1] > self.now]
            self.cost += PRICES.dedicated * self.paid(pool_id) * (self.STEP / HOUR)

    def paid(self, pool_id):
        return len(self.nodes[pool_id]) + len(self.leaving.get(pool_id, ()))

    def look(self):
        self.known = self.cost
        for pool_id in self.formulas:
            self.looked[pool_id], self.shown[pool_id] = self.now, len(self.nodes[pool_id])

    # what the budget asks, by what the last look has shown

    def spent(self, now):
        hours = max([now - looked for looked in self.looked.values()], default=0 * HOUR) / HOUR
        return self.known + PRICES.dedicated * sum(self.shown.values()) * hours

    def seen(self, pool_id):
        return Size(self.shown.get(pool_id, 0)), self.looked.get(pool_id)


@given(
    seed=st.integers(0, 10**6),
    worst=st.booleans(),
    amount=st.floats(1.0, 30.0),
    dies=st.integers(0, 2000) | st.tuples(st.integers(0, 5), st.integers(1, 9)),
    looks=st.sampled_from([1, 2, 6]),
    changes=st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from("ab"), st.integers(0, 8)), min_size=1, max_size=6
    ),
)
@settings(max_examples=300, deadline=None)
def test_the_amount_is_never_exceeded_whenever_the_client_dies(seed, worst, amount, dies, looks, changes):
    random = Random(seed)
    pools = Pools(random, worst)
    budget = Budget(amount, lambda size: PRICES, pools)
    leases = PoolLeases(timedelta(minutes=30), budget)
    if isinstance(dies, tuple):  # soon after one of the changes
        dies = changes[dies[0] % len(changes)][0] + dies[1]
    for step in range(2600):
        if step < dies:
            for _, name, number in [one for one in changes if one[0] == step]:
                if leases.size(name) is None:
                    pools.give(leases.first(name, Size(number), pools.now))
                else:
                    leases.set_size(name, Size(number))
            if random.random() < 0.9:  # now and then the service does not answer
                for renewal in leases.due(pools.now):
                    pools.give(renewal)
                    leases.done(renewal, pools.now)
            if step % looks == 0:
                pools.look()
        pools.step()
    assert pools.cost <= amount
    assert not any(map(pools.paid, pools.formulas)), "without the client, nothing stays"
