"""The index of a job's tasks against sorting and filtering them all."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_batch_emulator.core.indexes.task_index import STATES, TaskIndex
from azure_batch_emulator.core.tasks import outcomes
from azure_batch_emulator.core.views import lists
from azure_batch_emulator.protocol import odata

from ..builders import START, Driver

KEYS = st.text("ab1-", min_size=1, max_size=3)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "discard", "move", "look"]), KEYS, st.sampled_from(STATES))
)


@given(STEPS, KEYS | st.none(), st.sets(st.sampled_from(STATES)), st.none() | st.integers(0, 60))
def test_it_agrees_with_a_scan(steps, after, states, start):
    index, known = TaskIndex(), {}
    for seconds, (what, key, state) in enumerate(steps):
        now = START + timedelta(seconds=seconds)
        if what == "look":
            assert list(index.after(None)) == sorted(known)
        elif what == "add" and key not in known:
            index.add(key, state, now)
            known[key] = (state, now)
        elif what == "discard" and key in known:
            index.discard(key, known.pop(key)[0])
        elif what == "move" and key in known:
            index.move(key, known[key][0], state, now)
            known[key] = (state, now)
    bound = None if start is None else START + timedelta(seconds=start)
    few = index.changed(states, bound)
    expected = sorted(
        k for k, (state, t) in known.items() if state in states and (bound is None or t >= bound)
    )
    assert few == expected or (few is None and len(expected) * 4 > len(known))
    assert list(index.after(after)) == sorted(key for key in known if after is None or key > after)


def times(text):
    return text.replace("T2", f"DateTime'{(START + timedelta(seconds=2)).isoformat()}'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, []),
        ("state eq 'Active'", [("state", "eq", "active")]),
        ("'active' eq state", [("state", "eq", "active")]),
        ("T2 lt stateTransitionTime", [("stateTransitionTime", "gt", START + timedelta(seconds=2))]),
        (
            "state eq 'active' and (id gt 'B' and exitCode eq 1)",
            [("id", "gt", "b"), ("state", "eq", "active")],
        ),
        ("state eq 'active' or state eq 'running'", []),
        ("not (state eq 'active')", []),
        ("(state eq 'a' or id eq 'b') and id ne 'c'", [("id", "ne", "c")]),
    ],
)
def test_what_a_filter_demands(text, expected):
    assert sorted(odata.demands(text and times(text)), key=str) == sorted(expected, key=str)


CLAUSES = [
    "state eq 'running'", "state ne 'completed'", "'ACTIVE' eq state", "stateTransitionTime gt T2",
    "stateTransitionTime ge T2", "T2 gt stateTransitionTime", "id ge 'task-5'", "state eq 'nothing'",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(CLAUSES), min_size=1, max_size=3),
    st.sampled_from([" and ", " or "]),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 4)), max_size=20),
    st.none() | st.integers(0, 40),
)
def test_narrowed_lists_have_all_that_pass(clauses, joint, moves, after):
    driver = Driver()
    job = driver.job()
    for i in range(40):
        driver.task(job, f"task-{i:02}")
    for i, later in sorted(moves, key=lambda move: move[1]):
        task = job.tasks[f"task-{i:02}"]
        following = {"active": "preparing", "preparing": "running", "running": "active"}[task.state]
        outcomes.move(job, task, following, START + timedelta(seconds=later))
    text = times(joint.join(clauses))
    passes = odata.compile_filter(text, lists.TASKS)
    key = None if after is None else f"task-{after:02}"
    found = [task.id for _, task in lists.tasks_after(job, text, key) if passes(task)]
    assert found == sorted(k for k, task in job.tasks.items() if passes(task) and (key is None or k > key))
