"""Rows of nodes with their tasks and states, and slots over time."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.report.costs import costs
from snakemake.azure.report.node_times import UNPAID
from snakemake.azure.report.occupancy import occupancy
from snakemake.azure.report.timeline import GONE, STATES, timeline

from .journals import Written


def rows(run):
    return timeline(run.events, costs(run.events))


def seconds(run, *times):
    return tuple(round((t - run.at(0)).total_seconds(), 3) for t in times)


def bands(run, row):
    return [(band.state, *seconds(run, band.begin, band.end)) for band in row.bands]


def test_tasks_take_the_first_lanes_that_are_free_beside_each_other():
    run = Written()
    run.node(0)
    run.task("a", 10, 50, slots=1)
    run.task("b", 11, 30, slots=2)
    run.task("c", 12, 60, slots=1)
    run.task("d", 31, 60, slots=1)
    run.task("e", 51, 60, slots=2)
    run.gone(100)
    (row,) = rows(run)
    found = [(bar.task.task, bar.lane, bar.slots) for bar in row.bars]
    assert found[:4] == [("a", 0, 1), ("b", 1, 2), ("c", 3, 1), ("d", 1, 1)]
    assert found[4:] == [("e", 0, 1), ("e", 2, 1)], "those that are free are apart"


def test_states_follow_from_looks_and_tasks():
    run = Written()
    run.node(5, state="starting", allocated=0)
    run.node(30, state="idle", since=20)
    run.task("a", 40, 50)
    run.task("b", 45, 60)
    run.node(80, state="unusable", since=70)
    run.gone(100)
    (row,) = rows(run)
    assert bands(run, row) == [
        ("starting", 0, 20), ("idle", 20, 40), ("running", 40, 60), ("idle", 60, 70), ("unusable", 70, 100),
    ]  # fmt: skip


def test_a_preempted_node_that_comes_back_is_one_row():
    run = Written()
    run.node(0, spot=True)
    run.node(40, state="preempted", since=35, spot=True)
    run.node(80, state="idle", allocated=75, since=78, spot=True)
    run.gone(100)
    (row,) = rows(run)
    assert row.spot and (GONE, 35, 75) in bands(run, row)


def test_slots_used_paid_and_asked_for():
    run = Written()
    run.note(1, "size", pool="p", dedicated=2, spot=0)
    run.node(20, allocated=10)
    run.task("a", 30, 40, slots=3)
    run.note(50, "size", pool="p", dedicated=0, spot=0)
    run.gone(60)
    steps = [(*seconds(run, step.at), *step[1:]) for step in occupancy(run.events, costs(run.events))]
    assert steps == [(1, 0, 0, 8), (10, 0, 4, 8), (30, 3, 4, 8), (40, 0, 4, 8), (50, 0, 4, 0), (60, 0, 0, 0)]


def test_slots_of_a_pool_of_others_are_those_that_its_tasks_take():
    run = Written(own=False)
    run.node(0)
    run.task("a", 30, 40, slots=3)
    run.gone(60)
    steps = [(*seconds(run, step.at), *step[1:]) for step in occupancy(run.events, costs(run.events))]
    assert (30, 3, 3, 3) in steps and steps[-1][1:] == (0, 0, 0)


def test_every_state_that_is_not_paid_for_is_shown_so():
    assert {state for state, shown in STATES.items() if shown == GONE} == UNPAID


TASKS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 80), st.integers(1, 4)), max_size=12)


@given(TASKS)
def test_bands_have_no_gaps_and_lanes_no_more_than_there_are(tasks):
    run = Written()
    run.node(0)
    for i, (start, length, slots) in enumerate(tasks):
        run.task(str(i), 10 + start, 10 + start + length, slots=slots)
    run.gone(400)
    (row,) = rows(run)
    assert {bar.task.task: bar.task.slots for bar in row.bars} == {
        task: sum(bar.slots for bar in row.bars if bar.task.task == task)
        for task in map(str, range(len(tasks)))
    }
    assert all(0 <= bar.lane <= 4 - bar.slots for bar in row.bars)
    assert row.bands[0].begin == run.at(0) and row.bands[-1].end == run.at(400)
    for before, after in pairwise(row.bands):
        assert before.end == after.begin and before.state != after.state


def test_no_task_lies_over_another_where_there_was_room():
    run = Written()
    run.node(0)
    for i in range(40):
        run.task(str(i), 10 + i * 10, 10 + i * 10 + 39, slots=1)
    run.gone(900)
    (row,) = rows(run)
    for one, other in combinations(row.bars, 2):
        if one.lane == other.lane:
            assert one.task.ended <= other.task.started or other.task.ended <= one.task.started


@pytest.mark.parametrize("state", ["idle", "running"])
def test_states_that_take_tasks_need_no_word(state):
    assert state not in STATES
