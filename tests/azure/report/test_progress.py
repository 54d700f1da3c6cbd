"""What is said of how far a run is, by events as they are noted."""

import pytest

from snakemake.azure.report.meter import Meter
from snakemake.azure.report.progress import Activity, Jobs, RuleJobs, Span, longest

from .journals import START, Written

JOBS = Jobs(10, 0, rules={"map": RuleJobs(8), "sum": RuleJobs(1, frozenset({"map"}))})


class Run(Written):
    """What is shown of it."""

    def __init__(self, at_most=None, **pool):
        self.activity, self.meter = Activity(at_most), Meter()
        super().__init__(**pool)

    def note(self, seconds, event, /, **values):
        if not self.journal._listeners:
            self.journal.listen(self.activity.take)
            self.journal.listen(self.meter.take)
        super().note(seconds, event, **values)

    def view(self, jobs=JOBS):
        return self.activity.view(jobs, self.meter.money(self.now), self.now)

    def submitted(self, *names, rule="map", slots=1):
        for name in names:
            self.note(0, "submitted", task=name, rule=rule, pool="p", slots=slots)

    def has(self, used, name="n", state="running"):
        self.note(
            10, "node", pool="p", node=name, state=state, spot=False, allocated=START, since=START, used_slots=used
        )  # fmt: skip

    def ended(self, name, seconds=60, success=True):
        self.note(
            seconds, "ended", task=name, pool="p", node="n", success=success, started=START,
            ended=self.at(seconds), exit_code=0, why="", ran=True, service_fault=False,
        )  # fmt: skip


def test_nothing_has_come_yet():
    run = Run()
    run.submitted("a", "b")
    assert run.view().parts() == [
        "0 of 10 jobs done, 0 running, 10 waiting", "0 nodes, 0 of 0 slots in use", "waiting for nodes",
    ]  # fmt: skip


def test_jobs_run_in_the_slots_that_are_in_use():
    run = Run(at_most=5)
    run.submitted("a", "b", "c")
    run.has(2)
    run.has(0, "s", "starting")
    run.now = run.at(3600)
    assert run.view(Jobs(10, 3, 1)).sentence() == (
        "Azure Batch: 3 of 10 jobs done, 2 running, 4 waiting, 1 failed; 2 nodes (1 starting), 2 of 4 slots in use; "
        "about 7.20 USD of 5 so far."
    )
    run.ended("a", 3600)
    assert run.view().running == 1 and run.view().slots_used == 1


def test_what_is_waited_for():
    run = Run()
    run.submitted("a")
    run.note(1, "pool_short", pool="p", why="quota (dedicated cores)")
    assert run.view().waits == ["quota (dedicated cores)"]
    run.note(130, "outage", service="Blob Storage", why="no connection", seconds=10)
    run.now = run.at(300)
    assert run.view().waits[0] == "Blob Storage, which does not answer for 3 min"
    run.note(310, "outage_over", service="Blob Storage", seconds=190)
    run.note(310, "pool_short", pool="p", why="")
    assert run.view().waits == ["nodes"]
    run.has(1)
    assert run.view().waits == []


def test_the_time_left_is_what_the_rules_take_on_the_slots():
    run = Run()
    run.submitted(*"abcdefgh")
    run.has(4)
    assert run.view().left is None, "nobody knows yet"
    for name in "abcd":
        run.ended(name, 600)
    left = run.view(Jobs(10, 4, rules=JOBS.rules)).left
    assert left.least <= 1200 + 600 <= left.most, "four more at once, then the last one, like the others"
    assert left.most < 3 * 1800


def test_another_client_begins_anew_with_what_it_took_over():
    run = Run()
    run.submitted("a", "b")
    run.ended("a")
    run.note(100, "run", run="two", lease_minutes=30)
    assert run.activity.open_tasks == 0
    run.submitted("b")
    assert run.activity.open_tasks == 1


@pytest.mark.parametrize(
    "least, most, words",
    [
        (0, 20, "less than a minute"),
        (100, 130, "2 min"),
        (600, 1080, "10 min to 18 min"),
        (3500, 7300, "58 min to 2 h"),
        (4000, 9000, "1 h 5 min to 2 h 30 min"),
    ],
)
def test_a_time_is_said_as_one_would(least, most, words):
    assert str(Span(least, most)) == words


def test_the_longest_chain_of_rules():
    rules = {"a": RuleJobs(1), "b": RuleJobs(1, frozenset("a")), "c": RuleJobs(1, frozenset("ab"))}
    assert longest(rules, {"a": 10, "b": 5, "c": 1}) == 16 and longest(rules, {"a": 10}) == 10
    around = {"a": RuleJobs(1, frozenset("b")), "b": RuleJobs(1, frozenset("a"))}
    assert longest(around, {"a": 3.0, "b": 4.0}) == 4.0


def test_money_goes_on_between_looks_and_stops_with_the_node():
    run = Run()
    run.node(0)
    assert run.meter.money(run.at(1000)) == {"USD": pytest.approx(1.0)}
    run.note(1010, "node_gone", pool="p", node="n", seen=run.at(990))
    assert run.meter.spent(run.at(5000)) == pytest.approx(1.0)
    assert run.meter.seen("p")[0].dedicated == 0
