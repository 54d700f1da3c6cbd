"""Ids: always what Batch takes, readable, and never the same for different things."""

import re
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.batch.ids import (
    DISPLAY_NAME_LENGTH,
    RUN_ID_LENGTH,
    derived_id,
    display_name,
    is_valid,
    run_id,
    task_id,
)

NOW = datetime(2026, 11, 22, 10, 31, 5, tzinfo=UTC)
names = st.text(max_size=120)
wildcards = st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=60), max_size=4)
jobids = st.integers(0, 10**9) | st.text(max_size=40)


def test_examples():
    assert re.fullmatch(r"smk-variants-20261122t103105z-[0-9a-z]{6}", run_id("variants", NOW, Random(1)))
    assert task_id("map", 17, 1, {"sample": "A", "lane": "lane1"}) == "map-A-lane1-17-1"
    assert task_id("all", 0, 2) == "all-0-2"
    assert task_id("call", 3, 1, {"path": "results/run 1/B.bam"}) == "call-B_bam-3-1"
    assert display_name("map", {"sample": "A", "lane": "1"}) == "map sample=A lane=1"
    assert derived_id("smk-x", "pool", "Standard_D4s_v3") == "smk-x-pool-Standard_D4s_v3"


@pytest.mark.parametrize("text", ["a", "A-b_9", "x" * 64])
def test_valid(text):
    assert is_valid(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a.b", "a b", "é", "a\n", "a/b"])
def test_not_valid(text):
    assert not is_valid(text)


@given(names, st.datetimes(timezones=st.just(UTC)), st.integers())
def test_run_id(workflow, now, seed):
    made = run_id(workflow, now, Random(seed))
    assert is_valid(made) and len(made) <= RUN_ID_LENGTH and made == made.lower()
    assert made == run_id(workflow, now, Random(seed))


def test_run_ids_of_the_same_second_differ():
    random = Random(0)
    assert len({run_id("w", NOW, random) for _ in range(1000)}) == 1000


def test_run_id_does_not_depend_on_the_local_time_zone():
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert run_id("w", NOW, Random(0)) == run_id("w", elsewhere, Random(0))


@given(names, jobids, st.integers(1, 99), wildcards)
def test_task_id(rule, jobid, attempt, wild):
    made = task_id(rule, jobid, attempt, wild)
    assert is_valid(made)
    assert made == task_id(rule, jobid, attempt, dict(wild))


@given(
    st.lists(
        st.tuples(names, st.integers(0, 200) | st.uuids().map(str), st.integers(1, 5), wildcards),
        unique_by=lambda job: job[1:3],
        max_size=30,
    )
)
def test_task_ids_of_a_run_are_unique_whatever_their_case(jobs):
    assert len({task_id(*job).lower() for job in jobs}) == len(jobs)


def test_the_parts_of_a_task_id_cannot_run_together():
    assert task_id("a-1", 2, 3) != task_id("a", "1-2", 3)
    assert task_id("a", 12, 3) != task_id("a", 1, 23)


def test_long_names_are_cut_but_stay_distinct_and_readable():
    left, right = (task_id("r" * 80 + end, 1, 1) for end in "xy")
    assert left != right and left.startswith("rrrr") and left.endswith("-1-1") and len(left) == 64


def test_group_job():
    group = str(uuid5(NAMESPACE_URL, "group"))
    assert is_valid(task_id("group", group, 1)) and task_id("group", group, 1) != task_id("group", group, 2)


@given(st.text(min_size=1, max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_derived_id(base, parts):
    assert is_valid(derived_id(base, *parts))


@given(st.lists(st.text(alphabet="ab.-é", max_size=70), min_size=2, max_size=2, unique=True))
def test_derived_ids_differ(parts):
    assert derived_id("run", parts[0]) != derived_id("run", parts[1])


@given(st.text(max_size=3000), st.dictionaries(st.text(max_size=5), st.text(max_size=900), max_size=3))
def test_display_name(rule, wild):
    name = display_name(rule, wild)
    assert len(name.encode("utf-16-le")) // 2 <= DISPLAY_NAME_LENGTH
    assert name.isprintable()
