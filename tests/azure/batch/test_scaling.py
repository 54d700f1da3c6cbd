"""What a run knows of its pools: from looks, from what is submitted and ends, and from what it has learned."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from snakemake.azure.batch import sizing
from snakemake.azure.batch.lease import Size
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.batch.scaling import IGNORED, NextJob, Scaling

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = PoolPlan("pool", "Standard_D4ds_v5", 4, 10, "image:1", None)


def node(name, state="idle", used=0, since=START, allocated=START, dedicated=True, errors=None):
    return SimpleNamespace(
        id=name,
        state=state,
        state_transition_time=since,
        allocation_time=allocated,
        is_dedicated=dedicated,
        running_task_slots_count=used,
        errors=errors,
    )


class Scene:
    def __init__(self, plan=PLAN):
        self.plan, self.now, self.ahead, self.asked, self.size = plan, START, [], [], Size(0)
        self.starts: dict[str, datetime] = {}
        self.scaling = Scaling(self.running, lambda: self.ahead)

    def running(self, pool_id):
        self.asked.append(pool_id)
        return self.starts.items()

    def later(self, **time):
        self.now += timedelta(**time)

    def add(self, *names, slots=1, rule="map"):
        for name in names:
            self.scaling.added("pool", name, slots, rule)

    def end(self, name, seconds=60.0, on="", success=True):
        started = self.now - timedelta(seconds=seconds)
        self.scaling.ended(Verdict(name, success, node_id=on, ended=self.now, started=started))

    def look(self, *nodes, bad=()):
        self.scaling.saw("pool", nodes, bad, self.now)
        self.size = self.scaling.advise("pool", self.plan, self.size, self.now, {"": "pool"})
        return self.size

    def grown(self):
        """The size at once, when something was submitted or taken out."""
        self.size = self.scaling.for_waiting("pool", self.plan, self.size, self.now)
        return self.size

    def settled(self, *nodes, **more):
        """The size after it has been enough for a while."""
        self.look(*nodes, **more)
        self.later(seconds=31)
        return self.look(*nodes, **more)


def test_idle_nodes_go_when_they_have_not_been_needed_for_a_while():
    scene = Scene()
    scene.add("a")
    assert scene.look(node("n", "running", 4), node("m", "running", 4)) == Size(2)
    nodes = node("n", "running", 1), node("m")
    assert scene.look(*nodes) == Size(2)
    scene.later(seconds=31)
    assert scene.look(*nodes) == Size(1)


def test_what_was_submitted_asks_for_nodes_at_once():
    scene = Scene()
    scene.add("a", "b", "c", slots=3)
    assert scene.grown() == Size(3)


def test_the_oldest_tasks_are_those_that_run():
    scene = Scene()
    scene.add("a", "b", slots=2)
    scene.add("c", slots=4)
    assert scene.look(node("n", "running", 4)) == Size(2), "c waits"


def test_a_task_that_ends_frees_its_slots_before_the_next_look():
    scene = Scene()
    scene.add("a", slots=4)
    scene.look(node("n", "running", 4))
    scene.end("a", on="n")
    scene.add("b", slots=4)
    assert scene.grown() == Size(1)


@pytest.mark.parametrize(
    "one, wanted",
    [
        (node("n"), Size(1)),
        (node("n", "starting"), Size(1)),
        (node("n", "leavingpool"), Size(1)),
        (node("n", "unusable", errors=["x"]), Size(2)),
        (node("n", "unusable"), Size(1)),
        (node("n", "unusable", since=START - timedelta(hours=1)), Size(2)),
        (node("n", "offline"), Size(2)),
        (node("n", "a state of tomorrow"), Size(2)),
        (node("n", "preempted", dedicated=False), Size(1)),
    ],
)
def test_what_a_nodes_state_means(one, wanted):
    scene = Scene()
    scene.add("a")
    assert scene.settled(one) == wanted


def test_bad_nodes_are_replaced():
    scene = Scene()
    scene.add("a")
    assert scene.look(node("n", "running", 1), bad={"n"}) == Size(2)
    scene.scaling.took_out("pool", "m")
    assert scene.grown() == Size(3)


def test_preempted_nodes_of_a_spot_pool_come_back():
    scene = Scene(PoolPlan("pool", "Standard_D4ds_v5", 4, 10, "image:1", None, buys_spot=True))
    scene.add("a", slots=4)
    assert scene.look(node("n", "preempted", dedicated=False)) == Size(0, 1)


def test_a_node_with_free_slots_that_gets_no_tasks_has_been_chosen_to_leave():
    scene = Scene()
    scene.add("a", "b", slots=2)
    draining = node("n", "running", 2)
    assert scene.look(draining) == Size(1)
    scene.later(seconds=IGNORED.total_seconds())
    assert scene.look(draining) == Size(2)


def test_the_time_that_nodes_take_to_come_is_learned():
    scene = Scene()
    assert scene.scaling.back == sizing.BACK and scene.scaling.unused == sizing.UNUSED
    scene.scaling.asked("pool", START)
    scene.later(minutes=2)
    scene.look(node("n", "creating", allocated=START + timedelta(minutes=1)))
    scene.later(minutes=5)
    scene.look(node("n", since=START + timedelta(minutes=6), allocated=START + timedelta(minutes=1)))
    assert timedelta(minutes=6) < scene.scaling.back < timedelta(minutes=7)
    assert scene.scaling.unused == timedelta(minutes=6)
    scene.later(minutes=60)
    scene.look(node("n", since=scene.now, allocated=START + timedelta(minutes=1)))
    assert scene.scaling.unused == timedelta(minutes=6), "idle again is no boot"


def known(scene, rule, seconds):
    scene.add("one", rule=rule)
    scene.end("one", seconds)


def test_what_the_dag_makes_ready_soon_keeps_its_nodes_and_late_work_does_not():
    scene = Scene()
    known(scene, "map", 600)
    scene.add("a")
    scene.ahead = [NextJob("", 4, ["a"])] * 3
    nodes = [node("n", "running", 1), *(node(f"i{n}", since=START - timedelta(hours=1)) for n in range(4))]
    scene.starts = {"a": START}
    assert scene.settled(*nodes) == Size(1)
    scene.later(minutes=7)
    assert scene.look(*nodes) == Size(4)
    assert scene.asked == ["pool"], "the start is asked for once"


def test_nothing_is_asked_where_no_end_can_be_told():
    scene = Scene()
    scene.add("a")
    scene.ahead = [NextJob("", 4, ["a"])]
    assert scene.look(node("n", "running", 1), node("m")) == Size(2), "held for a while"
    scene.later(minutes=5)
    assert scene.settled(node("n", "running", 1), node("m")) == Size(1)
    assert scene.asked == []


def test_a_job_whose_predecessor_still_waits_is_not_next():
    scene = Scene()
    known(scene, "map", 600)
    scene.add("a", "b", slots=4)
    scene.ahead = [NextJob("", 4, ["a", "b"])] * 5
    assert scene.look(node("n", "running", 4)) == Size(2)


def test_work_that_comes_after_the_clients_own_brings_nodes_back_in_time():
    scene = Scene()
    scene.ahead = [NextJob("", 4, others=[START + timedelta(minutes=9)])] * 3
    assert scene.look() == Size(0)
    scene.later(minutes=6)
    assert scene.look() == Size(3)
    scene.ahead = [NextJob("", 4, others=[None])] * 3
    assert scene.settled() == Size(0), "nobody knows when"


def test_jobs_of_other_pools_are_theirs():
    scene = Scene()
    scene.ahead = [NextJob("another", 4), NextJob("not made yet", 4)]
    assert scene.look() == Size(0)
    scene.ahead = [NextJob("", 4)]
    assert scene.look() == Size(1)
