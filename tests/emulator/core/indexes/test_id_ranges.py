"""Ranges of task ids against a look at every number in each range."""

from hypothesis import given
from hypothesis import strategies as st

from azure_batch_emulator.core.indexes.id_ranges import IdRanges

from ..builders import Driver

NUMBERS = st.integers(0, 12)
STEPS = st.lists(st.one_of(NUMBERS, st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple)), max_size=60)


@given(STEPS)
def test_each_range_is_complete_once_and_at_the_right_time(steps):
    index, satisfied, open_ranges = IdRanges(), set(), {}
    for i, step in enumerate(steps):
        if isinstance(step, tuple):
            start, end = step
            missing = set(range(start, end + 1)) - satisfied
            name = index.wait(f"task-{i}", start, end)
            assert (name is None) == (not missing)
            if name:
                open_ranges.setdefault((name, start, end), []).append(f"task-{i}")
            continue
        satisfied.add(step)
        done = [key for key in open_ranges if satisfied.issuperset(range(key[1], key[2] + 1))]
        expected = sorted((key[0], open_ranges.pop(key)) for key in done)
        assert sorted(index.satisfy(step)) == expected
    assert {name for name, _, _ in open_ranges} == set(index.ranges)


def test_a_range_with_holes_and_huge_numbers():
    driver = Driver()
    driver.pool(nodes=1)
    job = driver.job(usesTaskDependencies=True)
    ranges = [{"start": 1, "end": 3}, {"start": 2, "end": 2}]
    last = driver.task(job, "last", dependsOn={"taskIdRanges": ranges})
    driver.task(job, "never", dependsOn={"taskIdRanges": [{"start": -1, "end": 1}]})
    for name in ("3", "1", "9" * 64, "x2", "002"):
        assert last.unmet
        driver.task(job, name)
        driver.end(driver.run_of(name))
    assert not last.unmet and driver.run_of("last")
    assert job.tasks["never"].unmet
