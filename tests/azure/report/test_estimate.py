"""What a run would need: jobs that go through pools on a clock that jumps, times of earlier runs, and what is said."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakemake.azure.batch.targets import NodePrices
from snakemake.azure.report import forecast
from snakemake.azure.report.estimate import Place, PlannedJob, estimate, sentences
from snakemake.azure.report.forecast import LEAVES, Job, Pool
from snakemake.azure.report.history import MOST_TASKS, History, history

from .journals import Written

POOL = Pool(4, 3, back=240.0, boots=120.0)
PLACE = Place("Standard_D4ds_v5", 4, 3, NodePrices(3.6, 0.36), source="prices of a test", currency="USD")


def run(*jobs, pool=POOL):
    found = forecast.forecast(jobs, {"p": pool})
    return found.seconds, found.pools["p"].most, found.pools["p"].node_seconds


def test_jobs_are_packed_on_nodes_that_have_to_come():
    assert run(*[Job("p", 1, 3600.0)] * 4) == (3840.0, 1, pytest.approx(3720.0))
    seconds, nodes, paid = run(*[Job("p", 1, 3600.0)] * 12)
    assert (seconds, nodes, paid) == (3840.0, 3, pytest.approx(3 * 3720.0))
    assert run(*[Job("p", 1, 3600.0)] * 13)[0] == 7440.0, "the thirteenth waits"


def test_short_jobs_are_worth_no_nodes():
    assert run(*[Job("p", 1, 10.0)] * 40)[1] == 1


def test_jobs_wait_for_others_and_nodes_leave_meanwhile():
    first = [Job("p", 4, 3600.0), Job("p", 4, 3600.0)]
    seconds, nodes, paid = run(*first, Job("p", 4, 3600.0, (0, 1)))
    assert nodes == 2 and seconds == 240 + 7200
    assert paid == pytest.approx(120 + 7200 + 120 + 3600 + forecast.IDLE + LEAVES)


def test_what_runs_elsewhere_takes_no_time_but_keeps_the_order():
    assert run(Job("p", 1, 60.0), Job("", 1, 0.0, (0,)), Job("p", 1, 60.0, (1,)))[0] == 360.0


@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(1, 1e4), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(1, 5),
)
@settings(max_examples=200, deadline=None)
def test_all_jobs_get_through_and_no_node_is_paid_for_less_than_it_works(given_jobs, most):
    jobs = [
        Job("p", slots, seconds, (number - back,) if 0 < back <= number else ())
        for number, (slots, seconds, back) in enumerate(given_jobs)
    ]
    seconds, nodes, paid = run(*jobs, pool=Pool(4, most))
    work = sum(job.slots * job.seconds for job in jobs) / 4
    assert nodes <= most and paid >= work and seconds >= max(job.seconds for job in jobs)
    assert paid <= nodes * (seconds + LEAVES) * (1 + len(jobs))


# -- earlier runs ------------------------------------------------------------------------------------------------------


def earlier(tmp_path, name="one", tasks=9, seconds=600, rule="map"):
    run = Written()
    run.node(0, state="starting")
    run.node(90, since=90)
    for n in range(tasks):
        run.task(f"{name}-{n}", 100, 100 + seconds + n, rule=rule)
    run.task("bad", 100, 101, rule=rule, success=False)
    path = tmp_path / f"{name}.jsonl"
    path.write_bytes(b"".join(run.lines) + b'{"at": "2026-01-')
    return path


def test_times_are_those_of_what_has_succeeded(tmp_path):
    earlier(tmp_path)
    found = history(tmp_path)
    assert sorted(found.rules["map"].seconds) == [600.0 + n for n in range(9)]
    assert (found.boot, found.runs, str(found.newest)) == (90.0, 1, "2026-01-01")


def test_of_very_many_tasks_some_are_looked_at(tmp_path):
    earlier(tmp_path, tasks=2 * MOST_TASKS)
    seconds = history(tmp_path).rules["map"].seconds
    assert MOST_TASKS / 2 < len(seconds) <= MOST_TASKS and max(seconds) - min(seconds) > 1.9 * MOST_TASKS - 10


def test_without_journals_nothing_is_known(tmp_path):
    assert history(tmp_path).rules == {} and history(tmp_path / "none").runs == 0


# -- words -------------------------------------------------------------------------------------------------------------


def said(jobs, known=None, at_most=None, place=PLACE):
    known = known or History()
    return sentences(estimate(jobs, {"p": place}, known), known, at_most)


def test_what_is_said_after_a_first_run(tmp_path):
    earlier(tmp_path)
    figures, basis = said([PlannedJob("map", "p")] * 24, history(tmp_path))
    assert figures.startswith("Azure Batch: an estimate for 24 jobs: ")
    assert "24 jobs on 3 nodes of Standard_D4ds_v5 with 4 slots" in figures
    assert basis == (
        "Azure Batch: the estimate goes by the journal of an earlier run, the newest of 2026-01-01 (24 jobs) and by "
        "prices of a test."
    )
    found = estimate([PlannedJob("map", "p")] * 24, {"p": PLACE}, history(tmp_path)).node_hours()
    assert found.least < 1.1 < found.most < 1.8 * found.least


def test_a_runtime_is_the_most_that_a_job_takes():
    figures, basis = said([PlannedJob("map", "p", 4, 3600.0)])
    assert (
        "0.2833 to 1.03 node-hours" in figures.replace("0.28 to", "0.2833 to")
        and "the runtime alone" in basis
    )
    spot = Place("Standard_D4ds_v5", 4, 3, NodePrices(3.6, 0.36), spot=True, is_listed=False, currency="USD")
    figures, basis = said([PlannedJob("map", "p", 4, 3600.0)], place=spot)
    assert (
        "0.10 to 0.37 USD" in figures
        and "(Spot)" in figures
        and "an estimated price of Standard_D4ds_v5" in basis
    )


def test_what_nobody_knows_is_no_figure():
    assert said([PlannedJob("map", "p")] * 3) == [
        "Azure Batch: nobody knows how long 3 jobs of map would take, so there is no estimate: a first run, or their "
        "resource runtime, would tell."
    ]
    told = said([PlannedJob("map", "p"), PlannedJob("sum", "p", 1, 60.0), PlannedJob("here", None)])
    assert "an estimate for 1 job:" in told[0] and "; 1 job on this machine are not in it" in told[1]
    assert "so the estimate leaves them out" in told[2]


@pytest.mark.parametrize("at_most, verb", [(0.5, "would"), (2.0, "might"), (5.0, None)])
def test_an_amount_that_is_less(at_most, verb):
    told = said([PlannedJob("map", "p", 4, 3600.0)], at_most=at_most)
    assert told[2:] == (
        [f"Azure Batch: --az-batch-max-cost {at_most:g} {verb} be reached before the end."] if verb else []
    )


def test_the_same_input_gives_the_same_answer():
    known = History()
    random = Random(1)
    run = Written()
    for n in range(50):
        run.task(f"t{n}", 0, random.uniform(60, 6000))
    known.add(run.lines)
    jobs = [PlannedJob("map", "p", 1 + n % 3) for n in range(100)]
    assert said(jobs, known) == said(jobs, known)
