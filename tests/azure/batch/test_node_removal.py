"""Broken nodes are removed when it is time, and the pool has its formula again whatever happens in between."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support.emulator import wait_until

from snakemake.azure.batch.budget import Budget
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import APART, PoolLeases, Renewals, Size
from snakemake.azure.batch.node_removal import AGAIN, AT_ONCE, LATER, LOOK, NodeRemovals, NodeRemover
from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.report.journal import Journal, parse

START = datetime(2026, 1, 1, tzinfo=UTC)
BAD = {"a": "start task: exit 1"}


def later(seconds) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def leases() -> PoolLeases:
    leases = PoolLeases(timedelta(minutes=30))
    leases.first("pool", Size(2), START)
    return leases


@pytest.fixture
def removals(leases) -> NodeRemovals:
    return NodeRemovals(leases)


def due(removals, at=START) -> list[str]:
    return [node for removal in removals.due(at) for node in removal.nodes]


def saw(removals, broken=BAD, ready=True, most=2, at=START) -> None:
    removals.saw("pool", most, broken, ready, at)


# -- what is due ---------------------------------------------------------------------------------------------------


def test_a_broken_node_is_due_while_the_pool_is_steady_and_has_work(removals):
    saw(removals, ready=False)
    assert due(removals) == []
    saw(removals)
    assert due(removals) == ["a"]
    removals.rest("pool")
    assert due(removals) == []


def test_not_while_the_lease_has_something_to_ask_or_has_just_asked(removals, leases):
    saw(removals)
    leases.set_size("pool", Size(3))
    assert due(removals) == [], "the size comes first"
    leases.done(leases.due(START)[0], START)
    assert due(removals, later(30)) == [], "the formula could not be given back at once"
    assert due(removals, START + APART) == ["a"]


@pytest.mark.parametrize("changes", [{"rule": "$TargetDedicatedNodes = 1;"}, {}])
def test_pools_that_keep_their_nodes(changes, leases, removals):
    """One that the service sizes, and one of which the run has no lease."""
    leases.forget("pool")
    if changes:
        leases.first("pool", Size(1), START, **changes)
    saw(removals)
    assert due(removals, later(60)) == [] and not removals.replaces("pool", 2, BAD)


def test_a_lease_that_bounds_what_the_run_may_cost_is_never_taken_away():
    spending = SimpleNamespace(spent=lambda now: 0.0, seen=lambda pool_id: (Size(2), START))
    budget = Budget(1000.0, lambda size: NodePrices(1.0, 1.0), spending)
    leases = PoolLeases(timedelta(minutes=30), budget)
    leases.first("pool", Size(2), START, vm_size="Standard_D4ds_v5")
    removals = NodeRemovals(leases)
    saw(removals)
    assert due(removals, later(60)) == [] and not removals.replaces("pool", 2, BAD)


def test_no_more_than_the_pool_may_have_and_three_at_least(removals, leases):
    nodes = {f"n{i}": "DiskFull" for i in range(250)}
    saw(removals, nodes, most=1)
    assert due(removals) == ["n0", "n1", "n2"]
    saw(removals, nodes, most=400)
    assert len(due(removals)) == AT_ONCE
    saw(removals, dict(list(nodes.items())[:3]), most=1)
    removals.begin(removals.due(START)[0], START)
    assert removals.limit("pool") == 3
    assert not removals.replaces("pool", 1, ["n3"]) and removals.replaces("pool", 1, ["n2"])


def test_what_is_still_there_is_tried_three_times(removals, leases):
    now = START
    for _ in range(3):
        saw(removals, at=now)
        (removal,) = removals.due(now)
        assert removals.begin(removal, now) and leases.suspended() == ["pool"]
        removals.took(removal)
        assert removals.to_look_at(now) == [] and removals.to_look_at(now + LOOK) == ["pool"]
        removals.looked("pool", None)
        leases.done(leases.due(now)[0], now)
        leases.done(leases.due(now + APART)[0], now + APART)
        assert removals.removed("pool") == {"a"} and due(removals, now + AGAIN - LOOK) == []
        now += AGAIN
    saw(removals, at=now)
    assert due(removals, now) == [] and removals.removed("pool") == set()
    assert not removals.replaces("pool", 2, BAD)


def test_a_look_from_before_the_removal_is_no_reason_to_try_again(removals, leases):
    saw(removals)
    (removal,) = removals.due(START)
    removals.begin(removal, START)
    removals.took(removal)
    removals.looked("pool", None)
    leases.done(leases.due(START)[0], START)
    leases.done(leases.due(START + APART)[0], START + APART)
    late = START + 2 * AGAIN
    assert due(removals, late) == []
    saw(removals, at=late)
    assert due(removals, late) == ["a"]


def test_nothing_is_removed_after_the_end(removals):
    saw(removals)
    (removal,) = removals.due(START)
    removals.end()
    assert due(removals) == [] and not removals.begin(removal, START)


# -- the lease -----------------------------------------------------------------------------------------------------


def test_the_formula_that_is_given_back_has_the_size_that_is_wanted_by_then(leases):
    assert leases.suspend("pool", START) and not leases.suspend("pool", START)
    leases.set_size("pool", Size(5))
    assert leases.due(later(3600)) == [], "it would be refused"
    leases.resume("pool")
    (back,) = leases.due(later(60))
    assert back.size == Size(5)
    leases.failed(back, later(60), too_early=True)
    assert leases.due(later(60)) == [] and leases.suspended() == ["pool"]
    (back,) = leases.due(later(60) + APART)
    leases.done(back, later(60))
    assert leases.suspended() == []
    (second,) = leases.due(later(60) + APART)
    assert second.interval != back.interval, "which has the service evaluate it"
    leases.done(second, later(60) + APART)
    assert leases.due(later(200)) == []


def test_a_pool_that_was_taken_over_without_a_formula(leases, removals):
    leases.take_over("old", Size(2), now=START, scales=False)
    assert leases.due(START) == [] and removals.to_look_at(START) == ["old"]
    removals.looked("old", later(3))
    assert removals.to_look_at(START) == []
    removals.looked("old", None)
    assert [r.pool_id for r in leases.due(START)] == ["old"]


# -- the requests --------------------------------------------------------------------------------------------------


@dataclass
class Service:
    """Batch with one pool, as far as it is asked here; `fail` are calls whose answers are lost, `refuse` those that
    are refused."""

    state: str = "steady"
    scales: bool = True
    nodes: set[str] = field(default_factory=lambda: {"a", "b"})
    fail: set[str] = field(default_factory=set)
    refuse: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    gone: bool = False

    def _call(self, name) -> bool:
        self.calls.append(name)
        if name in self.refuse:
            raise BatchError(name, "InternalError", 500)
        return name in self.fail

    def glance_at_pool(self, pool_id):
        if self._call("get"):
            raise BatchError("get")
        if self.gone:
            return None
        return SimpleNamespace(state="active", allocation_state=self.state, enable_auto_scale=self.scales)

    def stop_scaling(self, pool_id):
        lost = self._call("stop")
        self.scales = False
        if lost:
            raise BatchError("stop")
        return not self.gone

    def remove_nodes(self, pool_id, node_ids):
        lost = self._call("remove")
        if self.scales or self.state != "steady":
            return False
        self.state = "resizing"
        self.nodes -= set(node_ids)
        if lost:
            raise BatchError("remove")
        return True

    def scale_pool(self, pool_id, formula, interval):
        lost = self._call("scale")
        if self.gone:
            return "gone"
        if not self.scales and self.state != "steady":
            return "too early"
        self.scales = True
        if lost:
            raise BatchError("scale")
        return "done"

    def extend_job(self, job_id, longer):
        pass


class Thread:
    """What the leases' thread does, a second after the other."""

    def __init__(self, service, leases, removals):
        self.now, self.journal = START, []
        self.service, self.leases = service, leases
        journal = Journal(self.journal.append, lambda: self.now)
        self.remover = NodeRemover(service, removals, leases, lambda: self.now, journal)
        self.renewals = Renewals(
            service, leases, lambda: self.now, tuple, lambda: None, 1.0, KeyError, self.fail, self.say
        )

    def fail(self, error):
        raise error

    def say(self, text):
        pass

    def run(self, seconds):
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.remover.step()
            self.renewals.renew(self.leases.due(self.now))


@pytest.fixture
def thread(leases, removals):
    saw(removals)
    return Thread(Service(), leases, removals)


def test_in_one_go_and_the_formula_comes_back_when_the_pool_is_steady(thread):
    thread.run(1)
    assert thread.service.calls == ["get", "stop", "remove"] and thread.leases.suspended() == ["pool"]
    thread.run(20)
    assert "scale" not in thread.service.calls, "it would be refused, and delay the next one"
    thread.service.state = "steady"
    thread.run(4)
    assert thread.service.scales and thread.leases.suspended() == []
    (event,) = parse(thread.journal)
    assert event.event == "node_removed" and event.values == {"pool": "pool", "node": "a", "why": BAD["a"]}


def test_a_removal_that_is_refused_at_first_is_asked_for_again_before_the_formula_is(thread):
    thread.service.refuse.add("remove")
    thread.run(1)
    thread.service.refuse.clear()
    thread.run(4)
    assert thread.service.calls == ["get", "stop", "remove", "get", "remove"]
    assert thread.service.nodes == {"b"} and thread.leases.suspended() == ["pool"]


def test_a_removal_that_is_always_refused_does_not_keep_the_formula_away(thread):
    thread.service.refuse.add("remove")
    thread.run(15)
    assert thread.service.calls.count("remove") == 3 and thread.service.scales
    assert thread.leases.suspended() == []


@pytest.mark.parametrize("how", ["fail", "refuse"])
@pytest.mark.parametrize("what", ["get", "stop", "remove", "scale"])
def test_an_outage_at_any_request(thread, how, what):
    getattr(thread.service, how).add(what)
    thread.run(1)
    thread.service.state = "steady"
    thread.run(30)
    getattr(thread.service, how).clear()
    for _ in range(2):  # once the nodes have left
        thread.service.state = "steady"
        thread.run(40)
    assert thread.service.scales and thread.leases.suspended() == []


def test_a_pool_that_is_being_resized_is_left_alone(thread):
    thread.service.state = "resizing"
    thread.run(int(LATER.total_seconds()))
    assert thread.service.calls == ["get"] and thread.service.scales


def test_a_pool_that_somebody_else_sizes_is_left_alone(thread):
    thread.service.scales = False
    thread.run(5)
    assert set(thread.service.calls) == {"get"} and thread.leases.suspended() == []


@pytest.mark.parametrize("when", [0, 1])
def test_a_pool_that_is_gone_is_forgotten(thread, when):
    thread.run(when)
    thread.service.gone = True
    thread.run(20)
    assert thread.leases.suspended() == [] and "remove" not in thread.service.calls[3:]


def test_whoever_leaves_waits_for_the_formula(thread):
    thread.run(1)
    assert thread.remover.finish(1.0, lambda seconds: None) == ["pool"]

    def pause(seconds):
        thread.service.state = "steady"
        thread.run(1)

    assert thread.remover.finish(60.0, pause) == []
    assert thread.service.scales


# -- on the emulator -----------------------------------------------------------------------------------------------


@dataclass
class Suffering:
    """The door to Batch, one of whose requests suffers a fault, once."""

    batch: object
    suffer: object
    name: str
    kind: str
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name):
        self.asked.append(name)
        if name == self.name and self.kind:
            self.suffer(self.kind)
            self.kind = ""
        return getattr(self.batch, name)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("", ""),
        ("stop_scaling", "droppedBefore"),
        ("stop_scaling", "droppedAfter"),
        ("remove_nodes", "droppedBefore"),
        ("remove_nodes", "failedAfter"),
        ("scale_pool", "droppedBefore"),
    ],
)
def test_the_real_requests(batch, plan, suffer, name, kind):
    now = batch.clock.now
    leases = PoolLeases(timedelta(minutes=30))
    first = leases.first(plan.id, Size(2), now())
    batch.create_pool(plan.options(first.formula, first.interval))
    wait_until(lambda: batch.get_pool(plan.id).current_dedicated_nodes == 2)
    wait_until(lambda: str(batch.get_pool(plan.id).allocation_state).lower().endswith("steady"))
    bad, good = sorted(node.id for node in batch.list_nodes(plan.id))
    removals = NodeRemovals(leases)
    removals.saw(plan.id, 2, {bad: "it smokes"}, True, now())
    service = Suffering(batch, suffer, name, kind)
    remover = NodeRemover(service, removals, leases, now)
    renewals = Renewals(
        service, leases, now, tuple, lambda: None, 1.0, KeyError, lambda e: None, lambda text: None
    )

    def is_over():
        remover.step()
        renewals.renew(leases.due(now()))
        is_on = not leases.suspended() and batch.get_pool(plan.id).enable_auto_scale
        return "stop_scaling" in service.asked and is_on

    wait_until(is_over, timeout=60, interval=0.2)
    kept = [node.id for node in batch.list_nodes(plan.id) if node.state != "leavingpool"]
    assert good in kept and "held" in batch.get_pool(plan.id).auto_scale_formula
    assert (bad in kept) == (name == "stop_scaling"), "whose answer was lost: it is tried again later"
