"""Placements by table."""

import pytest

from azure_batch_emulator.core.scheduler import Lane, ReadyQueue, Waiting, place


def lane(*slots, job="job", affinity=None, **options):
    queue = ReadyQueue()
    for i, need in enumerate(slots):
        queue.add(Waiting(f"{job}-{i}", i, need, affinity))
    return Lane(job, queue, **options)


TABLE = [
    ("spread over nodes", [lane(1, 1, 1)], {"a": 2, "b": 2}, "spread", ["a", "b", "a"]),
    ("pack onto nodes", [lane(1, 1, 1)], {"a": 2, "b": 2}, "pack", ["a", "a", "b"]),
    ("pack prefers the fullest that fits", [lane(2)], {"a": 4, "b": 1, "c": 2}, "pack", ["c"]),
    ("nothing fits", [lane(3)], {"a": 2}, "spread", []),
    ("a small one passes a large one", [lane(3, 1)], {"a": 2}, "spread", ["a"]),
    ("no nodes", [lane(1)], {}, "spread", []),
    ("room of the job", [lane(1, 1, 1, room=2)], {"a": 4}, "spread", ["a", "a"]),
    ("no room left", [lane(1, room=0)], {"a": 4}, "spread", []),
    ("affinity", [lane(1, affinity="b")], {"a": 4, "b": 1}, "spread", ["b"]),
    ("affinity without room", [lane(2, affinity="b")], {"a": 4, "b": 1}, "spread", ["a"]),
    ("banned node", [lane(1, 1, banned=frozenset({"a"}))], {"a": 4, "b": 1}, "spread", ["b"]),
    ("all banned", [lane(1, banned=frozenset({"a"}))], {"a": 4}, "spread", []),
    ("first job first", [lane(1, job="x"), lane(1, job="y")], {"a": 1}, "spread", ["a"]),
]


@pytest.mark.parametrize(
    ("lanes", "free", "fill", "expected"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_place(lanes, free, fill, expected):
    placements = place(lanes, dict(free), fill)
    assert [p.node for p in placements] == expected
    if lanes[0].job == "x":
        assert placements[0].job == "x"


def test_oldest_first_whatever_their_size():
    placements = place([lane(2, 1, 2, 1)], {"a": 6}, "spread")
    assert [p.task for p in placements] == ["job-0", "job-1", "job-2", "job-3"]


def test_a_task_that_was_withdrawn_and_came_back_is_placed_once():
    one = lane(1)
    one.queue.discard("job-0")
    one.queue.add(Waiting("job-0", 5, 1))
    assert [p.task for p in place([one], {"a": 9}, "spread")] == ["job-0"]
    assert len(one.queue) == 0
