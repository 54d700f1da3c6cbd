"""The arithmetic of the benchmark of the node cache."""

from misc.bench.cache import TASKS, summarize

SIZE = 50_000_000


def test_requests_become_bytes():
    on = {"requests_with_content": 7, "seconds": [1.0, 2.0, 3.0]}
    off = {"requests_with_content": 7 * TASKS, "seconds": [4.0]}
    result = summarize(SIZE, on, off)
    assert result["fetched"] == {"cache": SIZE, "no_cache": TASKS * SIZE}
    assert result["ratio_to_once_per_task"] == result["ratio_to_no_cache"] == round(1 / TASKS, 4)
    assert result["task_ratio"] == 0.5
