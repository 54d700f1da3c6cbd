"""Placements by table, and the index of free nodes against a scan of all nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_batch_emulator.core.indexes.free_nodes import FreeNodes
from azure_batch_emulator.core.indexes.queues import ORDINARY, JobLine, ReadyQueue, Waiting
from azure_batch_emulator.core.placing.scheduler import place


def queue(*slots, affinity=None):
    made = ReadyQueue()
    for i, need in enumerate(slots):
        made.add(Waiting(f"task-{i}", i, need, affinity))
    return made


def nodes(free):
    index = FreeNodes()
    for number, (node, slots) in enumerate(free.items()):
        index.set(node, number, slots)
    return index


def place_all(waiting, free, fill, banned=()):
    """Places as long as anything fits: (task, node) pairs."""
    placed, free, index = [], dict(free), nodes(free)
    refuses = banned.__contains__ if banned else None
    while found := place(waiting, index, fill, refuses):
        task, node = found
        free[node] -= task.slots
        index.set(node, list(free).index(node), free[node])
        placed.append((task.key, node))
    return placed


TABLE = [
    ("spread over nodes", queue(1, 1, 1), {"a": 2, "b": 2}, "spread", ["a", "b", "a"]),
    ("pack onto nodes", queue(1, 1, 1), {"a": 2, "b": 2}, "pack", ["a", "a", "b"]),
    ("pack prefers the fullest that fits", queue(2), {"a": 4, "b": 1, "c": 2}, "pack", ["c"]),
    ("nothing fits", queue(3), {"a": 2}, "spread", []),
    ("a small one passes a large one", queue(3, 1), {"a": 2}, "spread", ["a"]),
    ("no nodes", queue(1), {}, "spread", []),
    ("affinity", queue(1, affinity="b"), {"a": 4, "b": 1}, "spread", ["b"]),
    ("affinity without room", queue(2, affinity="b"), {"a": 4, "b": 1}, "spread", ["a"]),
]


@pytest.mark.parametrize(
    ("waiting", "free", "fill", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_place(waiting, free, fill, expected):
    assert [node for _, node in place_all(waiting, free, fill)] == expected


def test_nodes_that_the_job_must_not_use():
    assert place_all(queue(1, 1), {"a": 4, "b": 1}, "spread", {"a"}) == [("task-0", "b")]
    assert place_all(queue(1), {"a": 4}, "spread", {"a"}) == []
    assert place_all(queue(2, affinity="a"), {"a": 4, "b": 2}, "pack", {"a"}) == [("task-0", "b")]


def test_oldest_first_whatever_their_size():
    placed = place_all(queue(2, 1, 2, 1), {"a": 6}, "spread")
    assert [task for task, _ in placed] == ["task-0", "task-1", "task-2", "task-3"]


def test_a_task_that_was_withdrawn_and_came_back_is_placed_once():
    waiting = queue(1)
    waiting.discard("task-0")
    waiting.add(Waiting("task-0", 5, 1))
    assert place_all(waiting, {"a": 9}, "spread") == [("task-0", "a")]
    assert len(waiting) == 0


def naive(free, slots, fill, affinity, banned):
    """What a look at all nodes gives; `free` is in the order of the nodes' numbers."""
    fitting = [node for node, has in free.items() if has >= slots and node not in banned]
    if affinity in fitting:
        return affinity
    return (min if fill == "pack" else max)(fitting, key=free.__getitem__, default=None)


NODE, SLOTS = st.integers(0, 7), st.integers(0, 4)


@given(
    st.lists(st.tuples(NODE, SLOTS)),
    st.integers(1, 4),
    st.sampled_from(["spread", "pack"]),
    st.none() | NODE.map(str),
    st.sets(NODE.map(str)),
)
def test_the_index_finds_what_a_scan_finds(changes, slots, fill, affinity, banned):
    index, free = FreeNodes(), dict.fromkeys(map(str, range(8)), 0)
    for number, has in changes:
        grown = index.set(str(number), number, has)
        assert grown == (has > free[str(number)])
        free[str(number)] = has
    for refuses, out in ((banned.__contains__, banned), (None, set())):
        assert index.choose(slots, fill, affinity, refuses) == naive(free, slots, fill, affinity, out)
        assert index.most(refuses) == max((has for node, has in free.items() if node not in out), default=0)
    assert bool(index) == any(free.values())


@given(st.lists(st.tuples(st.booleans(), st.integers(-2, 2), st.integers(0, 3))))
def test_the_line_is_sorted_and_has_each_entry_once(changes):
    line, expected = JobLine(), set()
    for add, priority, seq in changes:
        entry = (priority, ORDINARY, seq, f"job-{seq}")
        (line.add if add else line.remove)(entry)
        (expected.add if add else expected.discard)(entry)
        assert line.entries == sorted(expected)
