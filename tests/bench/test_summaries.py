"""The benchmarks' arithmetic: how requests are told apart, and what they are held against."""

import pytest

from misc.bench.batch_requests import shape, sparse, summarize


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/jobs", "/jobs"),
        ("/jobs/smk-a-1", "/jobs/ID"),
        ("/jobs/smk-a-1/tasks", "/jobs/ID/tasks"),
        ("/jobs/smk-a-1/addtaskcollection", "/jobs/ID/addtaskcollection"),
        ("/jobs/smk-a-1/tasks/rule-1-1", "/jobs/ID/tasks/ID"),
        ("/jobs/smk-a-1/tasks/rule-1-1/files/wd/stderr.txt", "/jobs/ID/tasks/ID/files/PATH"),
        ("/pools/smk-a-pool-1/nodes", "/pools/ID/nodes"),
        ("/supportedimages", "/supportedimages"),
    ],
)
def test_ids_do_not_make_operations(path, expected):
    assert shape(path) == expected


def test_sparse_polls_are_read_from_the_dense_ones():
    assert sparse([(float(t), 100 - t) for t in range(0, 30)], interval=10) == 100 + 90 + 80
    assert sparse([(5.0, 7)], interval=10) == 7


def test_the_peer_asks_for_each_open_task_at_each_poll():
    made = [
        ("GET", "/jobs/a/tasks", 200),
        ("GET", "/jobs/a/tasks", 200),
        ("POST", "/jobs/a/addtaskcollection", 200),
    ]
    result = summarize(made, [(0.0, 0), (1.0, 200), (2.0, 50), (3.0, 0)])
    assert result["polls"] == 2
    assert result["one_by_one"] == 200 + 250
    assert result["published_plugin"] == 200 + 3 * 250
    assert result["published_plugin_every_10_s"] == 200 + 3 * 200
    assert result["ratio_to_one_by_one"] == round(3 / 450, 5)
    assert result["operations"] == {"GET /jobs/ID/tasks": 2, "POST /jobs/ID/addtaskcollection": 1}
