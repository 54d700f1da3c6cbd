"""How many nodes a pool should have: examples, and what holds for any pool at any time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.batch.durations import KEPT, Durations
from snakemake.azure.batch.lease import APART, PoolLeases, Size
from snakemake.azure.batch.sizing import SETTLE, Ahead, Kind, Latest, Node, Pool, Running, State, Work, advise

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def minutes(n) -> datetime:
    return NOW + timedelta(minutes=n)


def idle(n, since=LONG_AGO, **more) -> list[Node]:
    return [Node(f"idle{i}", State.READY, since=since, **more) for i in range(n)]


def busy(*used, **more) -> list[Node]:
    return [Node(f"busy{i}", State.READY, used=n, since=LONG_AGO, **more) for i, n in enumerate(used)]


def coming(n) -> list[Node]:
    return [Node(f"coming{i}", State.COMING, since=minutes(-1)) for i in range(n)]


def nodes(most=10, kind=Kind.DEDICATED, **known) -> int:
    """Nodes of four slots."""
    size = advise(Pool(4, most, kind, **known), NOW)
    return size.dedicated + size.spot


TASK = [Running(1)]


@pytest.mark.parametrize(
    "known, wanted",
    [
        ({}, 0),
        ({"waiting": [Work(1)]}, 1),
        ({"waiting": [Work(1, 5)]}, 2),
        ({"waiting": [Work(1, 400)]}, 10),
        # 3 + 3 and 1 + 1: what is left of a node is filled.
        ({"waiting": [Work(3, 2), Work(1, 2)]}, 2),
        ({"waiting": [Work(3, 2), Work(2, 1)]}, 3),
        ({"waiting": [Work(9)]}, 1),
        # A tail: the busy node stays, nine idle ones go.
        ({"nodes": [*busy(1), *idle(9)], "running": TASK}, 1),
        ({"nodes": idle(9)}, 0),
        # What runs on a node each can't be moved.
        ({"nodes": [*busy(1, 1, 1), *idle(2)], "running": TASK * 3}, 3),
        # What waits goes to free slots first, then to idle nodes, then to those that come.
        ({"nodes": [*busy(1), *idle(2)], "running": TASK, "waiting": [Work(1, 3)]}, 1),
        ({"nodes": [*busy(1), *idle(2)], "running": TASK, "waiting": [Work(1, 4)]}, 2),
        ({"nodes": [*busy(4), *coming(2)], "running": [Running(4)], "waiting": [Work(1, 8)]}, 3),
        ({"nodes": [*busy(4), *coming(2)], "running": [Running(4)], "waiting": [Work(1, 9)]}, 4),
        # A node that the service has chosen to leave takes nothing.
        ({"nodes": busy(1, takes=False), "running": TASK, "waiting": [Work(1)]}, 2),
        # Leaving nodes are none, broken ones are among those that the service counts.
        ({"nodes": [Node("l", State.LEAVING)], "waiting": [Work(1)]}, 1),
        ({"nodes": [Node("b", State.BROKEN)], "waiting": [Work(1)]}, 2),
        ({"nodes": [Node("b", State.BROKEN)], "waiting": [Work(4, 10)]}, 10),
        ({"nodes": [Node("b", State.BROKEN)]}, 0),
    ],
)
def test_what_is_open_decides(known, wanted):
    assert nodes(**known) == wanted


@pytest.mark.parametrize(
    "known, wanted",
    [
        # 40 tasks of a minute have 40 slot-minutes of work: three nodes are as long at it as they are useless.
        ({"waiting": [Work(1, 40, 60)]}, 3),
        ({"waiting": [Work(1, 40, 600)]}, 10),
        ({"waiting": [Work(1, 1, 1)]}, 1),
        # The node that is there does it before another one would be.
        ({"nodes": idle(1), "waiting": [Work(1, 12, 60)]}, 1),
        ({"nodes": idle(1), "waiting": [Work(1, 40, 600)]}, 10),
        # Nodes that come count among those that the work is worth.
        ({"nodes": coming(3), "waiting": [Work(1, 40, 60)]}, 3),
    ],
)
def test_short_tasks_buy_no_node_that_works_for_less_than_it_costs(known, wanted):
    assert nodes(**known) == wanted


@pytest.mark.parametrize(
    "known, wanted",
    [
        # Before a node would be back, it stays or is asked for.
        ({"nodes": [*busy(1), *idle(5)], "ahead": [Ahead(4, 3, minutes(3))]}, 4),
        ({"nodes": busy(1), "ahead": [Ahead(4, 3, minutes(3))]}, 4),
        ({"nodes": [*busy(1), *idle(5)], "ahead": [Ahead(4, 3, minutes(30))]}, 1),
        # The task before it leaves its slot to it.
        ({"nodes": busy(1), "ahead": [Ahead(1, 1, minutes(2))], "running": [Running(1, minutes(2))]}, 1),
        ({"nodes": busy(4), "ahead": [Ahead(1, 5, minutes(2))], "running": [Running(4, minutes(2))]}, 2),
        # When nobody knows when, what is there waits for as long as another one would take.
        ({"nodes": [*busy(1), *idle(5, minutes(-2))], "ahead": [Ahead(4, 3)]}, 4),
        ({"nodes": [*busy(1), *idle(5, minutes(-5))], "ahead": [Ahead(4, 3)]}, 1),
        ({"nodes": [], "ahead": [Ahead(4, 3)], "running": []}, 0),
    ],
)
def test_what_comes_next_keeps_nodes_and_asks_for_them(known, wanted):
    assert nodes(**({"running": TASK} | known)) == wanted


def test_new_nodes_are_of_the_kind_that_is_asked_for_and_the_cheaper_ones_stay():
    spot = [Node("s", State.READY, Kind.SPOT, since=minutes(-1))]
    pool = Pool(4, 10, Kind.SPOT, waiting=[Work(4, 3)], nodes=[*idle(1), *spot])
    assert advise(pool, NOW) == Size(1, 2)
    pool = Pool(4, 10, Kind.DEDICATED, waiting=[Work(4, 1)], nodes=[*idle(1), *spot])
    assert advise(pool, NOW) == Size(0, 1)


def test_where_hours_are_paid_for_an_idle_node_stays_until_its_hour_is_over():
    def kept(paid_for):
        node = Node("n", State.READY, since=LONG_AGO, allocated=minutes(-paid_for))
        return advise(Pool(4, 10, nodes=[node], granularity=timedelta(hours=1)), NOW) == Size(1)

    assert kept(10) and kept(55) and not kept(58) and kept(62)


def test_a_pool_goes_down_when_less_was_enough_for_a_while():
    latest, five = Latest(), Size(5, 1)
    assert latest.settle(five, Size(1), NOW) == five
    assert latest.settle(Size(1), five, NOW + SETTLE / 2) == five
    assert latest.settle(Size(7), five, NOW + SETTLE) == Size(7, 1)
    assert latest.settle(Size(1), Size(7), NOW + SETTLE * 1.2) == Size(7)
    assert latest.settle(Size(1), Size(7), NOW + SETTLE * 3) == Size(1)


def test_what_was_enough_a_moment_ago_asks_for_no_nodes():
    latest = Latest()
    latest.settle(Size(5), Size(5), NOW)
    assert latest.settle(Size(1), Size(2), NOW + SETTLE / 2) == Size(2), "somebody has taken them back"


SLOTS = st.integers(1, 8)
times = st.none() | st.integers(-120, 120).map(minutes)
kinds = st.sampled_from(Kind)
some_nodes = st.lists(
    st.builds(
        Node,
        st.uuids().map(str),
        st.sampled_from(State),
        kinds,
        st.just(0) | st.integers(0, 4),
        st.integers(-120, 0).map(minutes),
        st.booleans(),
        st.none() | st.integers(-120, 0).map(minutes),
    ).map(lambda n: n if n.state is State.READY else Node(n.id, n.state, n.kind, 0, n.since)),
    max_size=14,
)
pools = st.builds(
    Pool,
    slots=st.just(4),
    most=st.integers(1, 12),
    kind=kinds,
    waiting=st.lists(st.builds(Work, SLOTS, st.integers(0, 60), st.none() | st.floats(0, 9999)), max_size=4),
    running=st.lists(st.builds(Running, SLOTS, times), max_size=6),
    ahead=st.lists(st.builds(Ahead, SLOTS, st.integers(1, 60), times), max_size=4),
    nodes=some_nodes,
    granularity=st.sampled_from([timedelta(seconds=1), timedelta(hours=1)]),
)


@given(pools)
def test_what_holds_for_any_pool(pool):
    size = advise(pool, NOW)
    there = [node for node in pool.nodes if node.state is State.READY and node.used]
    assert size == advise(pool, NOW), "the same again"
    assert size.dedicated >= 0 and size.spot >= 0
    assert size.dedicated + size.spot <= max(pool.most, len(there)), "never more than it may have"
    for kind, count in ((Kind.DEDICATED, size.dedicated), (Kind.SPOT, size.spot)):
        assert count >= sum(node.kind is kind for node in there), "no node with tasks goes"
    if pool.has_open_work:
        assert size.dedicated + size.spot > 0
    elif not pool.ahead and pool.granularity < timedelta(hours=1) and not there:
        assert size == Size(0)


@given(pools)
def test_the_answer_stays_when_what_was_asked_for_is_on_its_way(pool):
    size = advise(pool, NOW)
    there = [node for node in pool.nodes if node.state in (State.READY, State.COMING, State.BROKEN)]
    counts = {Kind.DEDICATED: size.dedicated, Kind.SPOT: size.spot}
    new = [
        Node(f"new{kind}{i}", State.COMING, kind, since=NOW)
        for kind, count in counts.items()
        for i in range(count - sum(node.kind is kind for node in there))
    ]
    after = Pool(**{**pool.__dict__, "nodes": [*pool.nodes, *new]})
    assert advise(after, NOW) == size


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9), st.booleans()), max_size=60))
def test_a_pool_is_asked_at_most_once_in_31_seconds(events):
    leases, latest, now, asked = PoolLeases(timedelta(minutes=30)), Latest(), NOW, []
    leases.first("pool", Size(1), now)
    for passed, count, taken in events:
        now += timedelta(seconds=passed)
        leases.set_size("pool", latest.settle(Size(count), leases.size("pool") or Size(0), now))
        for renewal in leases.due(now):
            if taken:
                leases.done(renewal, now)
            else:
                leases.failed(renewal, now, too_early=True)
            asked.append(now)
    assert all(later - before >= APART for before, later in zip(asked, asked[1:], strict=False))


def test_durations_are_learned_by_rule_and_what_is_left_by_those_that_took_longer():
    known = Durations()
    assert known.typical("map") is None and known.left("map", 5) is None
    for seconds in (10, 20, 30):
        known.add("map", seconds)
    assert known.typical("map") == 20
    assert known.left("map", 0) == 20 and known.left("map", 15) == 15 and known.left("map", 30) is None
    for _ in range(KEPT):
        known.add("map", 7)
    assert known.left("map", 8) is None, "the latest count"
