"""A machine written out and read in again is the same machine; what can't be read is refused."""

import gzip
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, timedelta
from pathlib import Path
from random import Random
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import many

from azure_batch_emulator.core import restart, snapshot
from azure_batch_emulator.core.batch_service import BatchService
from azure_batch_emulator.core.entities import Entity
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.machine import Machine
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.states import TABLES, Table
from azure_batch_emulator.engine.region import catalogue

from .builders import START, Driver, pool_body

ENTITIES = sorted(snapshot.reachable(tuple[tuple(snapshot.kept().values())]), key=lambda kind: kind.__name__)
TIMES = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def reread(machine, timers=()):
    again = BatchService(Profile(), Random(), START, catalogue())
    found = snapshot.load(again, snapshot.dump(machine, timers))
    return again, found


def shared(machine):
    """The mutable entities that can be reached in several ways, each as the set of these ways."""
    ways: dict[int, set] = {}

    def walk(value, way):
        if is_dataclass(value) and not isinstance(value, type):
            if not value.__dataclass_params__.frozen:
                seen = id(value) in ways
                ways.setdefault(id(value), set()).add(way)
                if seen:
                    return
            for field in fields(value):
                walk(getattr(value, field.name), f"{way}.{field.name}")
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{way}[{key!r}]")
        elif isinstance(value, (list, tuple)):
            for number, item in enumerate(value):
                walk(item, f"{way}[{number}]")

    for name in snapshot.kept():
        walk(getattr(machine, name), name)
    return {frozenset(found) for found in ways.values() if len(found) > 1}


def check(machine):
    """For other tests, too: whatever state a machine has come to, a snapshot of it holds everything."""
    again, _ = reread(machine)
    for name in snapshot.kept():
        assert getattr(again, name) == getattr(machine, name), name
    assert shared(again) == shared(machine)


def test_every_attribute_of_the_machine_is_kept_or_made_anew():
    known = snapshot.kept().keys() | Machine.TRANSIENT
    assert vars(BatchService(Profile(), Random(), START, catalogue())).keys() == known, (
        "annotate a new attribute in the body of Machine to have it kept, or name it in Machine.TRANSIENT"
    )


def test_the_walk_finds_the_entities():
    assert {"Pool", "Node", "Job", "Task", "Run", "Stateful", "Execution", "Sample"} <= {
        kind.__name__ for kind in ENTITIES
    }
    assert {kind for kind in ENTITIES if issubclass(kind, Entity)} >= set(Entity.__subclasses__())


def made(kind, depth=3):
    """A strategy for a dataclass with any content of its fields' types."""
    if depth == 0:
        return st.nothing()
    options = {name: values(hint, depth) for name, hint in get_type_hints(kind).items()
               if name in {field.name for field in fields(kind) if field.init}}  # fmt: skip
    return st.builds(kind, **options)


def several(strategy):
    return st.just([]) if strategy.is_empty else st.lists(strategy, max_size=2)


def values(hint, depth):
    origin, arguments = getattr(hint, "__origin__", None), getattr(hint, "__args__", ())
    if hint is dict:
        return st.dictionaries(st.text(max_size=5), JSON, max_size=3)
    if isinstance(hint, type) and is_dataclass(hint):
        return made(hint, depth - 1)
    if hint is Table:
        return st.sampled_from(sorted(TABLES.values(), key=lambda table: table.name))
    if origin in (list, set):
        return several(values(arguments[0], depth)).map(origin)
    if origin in (dict, Mapping):
        return several(st.tuples(*(values(argument, depth) for argument in arguments))).map(dict)
    if origin is tuple and arguments[-1:] != (...,):
        return st.tuples(*(values(argument, depth) for argument in arguments))
    if origin is tuple:
        return several(values(arguments[0], depth)).map(tuple)
    if type(None) in arguments:
        return st.none() | st.one_of([values(a, depth) for a in arguments if a is not type(None)])
    if hint in (str, int, float):
        return {
            str: st.text(max_size=5),
            int: st.integers(-(2**53), 2**53),
            float: st.floats(allow_nan=False),
        }[hint]
    return TIMES if getattr(hint, "__name__", "") == "datetime" else st.from_type(hint)


@pytest.mark.parametrize("kind", ENTITIES, ids=lambda kind: kind.__name__)
@many(10)
@given(data=st.data())
def test_every_entity_comes_back_as_it_was(kind, data):
    one = data.draw(made(kind))
    encoded = msgspec.msgpack.encode(one, enc_hook=snapshot.encode_other)
    assert msgspec.msgpack.decode(encoded, type=kind, dec_hook=snapshot.decode_other) == one


@pytest.fixture
def busy():
    """Nodes with tasks on them, a preparation task, dependencies, a formula, and a task that is gone but still runs."""
    d = Driver()
    d.pool(nodes=2, slots=2, startTask={"commandLine": "s", "waitForSuccess": False})
    job = d.job(jobPreparationTask={"commandLine": "p"}, usesTaskDependencies=True)
    for number in range(1, 6):
        first = number + 3
        waits = {"dependsOn": {"taskIdRanges": [{"start": first, "end": first}]}} if number < 4 else {}
        d.task(job, str(number), **waits)
    for run in [run for run, start in d.started.items() if start.kind == "prep"]:
        d.end(run)
    d.end(d.run_of("4"), 1)
    d.task(job, "6")
    d.do(tasks.delete, job, job.tasks["5"])
    formula = "$TargetDedicatedNodes = 1"
    d.do(pools.create, pool_body("scaled", enableAutoScale=True, autoScaleFormula=formula))
    d.advance(100)
    return d


def test_a_busy_machine(busy):
    machine = busy.machine
    assert machine.jobs["job"].dying and machine.pools["scaled"].scaling.history.samples
    assert any(len(ways) > 1 for ways in shared(machine)), "a task is known to its job, its run and its node"
    check(machine)


def test_time_random_generator_and_timers(busy):
    timers = [(at, key) for at, _, key in busy.timers]
    assert timers
    again, found = reread(busy.machine, timers)
    assert found == timers and again.now == busy.machine.now
    assert again.hex(64) == busy.machine.hex(64) and again.next_seq() == busy.machine.next_seq()


def test_it_goes_on_as_if_nothing_had_been(busy):
    """The same stimuli take the machine and its copy to the same state."""
    again, _ = reread(busy.machine)
    for machine in (busy.machine, again):
        machine.apply(START.replace(hour=1), lambda m: jobs.terminate(m, m.job("job"), {}))
    check(again)
    assert again.jobs == busy.machine.jobs and again.runs == busy.machine.runs


def test_an_older_snapshot(busy):
    """What it lacks has the default, what has gone is left out."""
    data = msgspec.msgpack.decode(snapshot.dump(busy.machine, ()))
    task = data["account"]["jobs"]["job"]["tasks"]["1"]
    del task["satisfied"], data["account"]["runs"]
    task["formerly"] = 1
    again = BatchService(Profile(), Random(), START, catalogue())
    snapshot.load(again, msgspec.msgpack.encode(data))
    assert again.runs == {} and again.jobs["job"].tasks["1"].satisfied is False


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "damaged"),
        (lambda data: data[:-100], "damaged"),
        (lambda data: b"\x01" + data, "damaged"),
        (lambda data: msgspec.msgpack.encode({"format": 99}), "format 99"),
        (lambda data: msgspec.msgpack.encode({"format": 1}), "damaged"),
        (lambda data: data.replace(b"table\xa4task", b"table\xa4tusk"), "damaged"),
        (lambda data: data.replace(b"requeues\x00", b"requeues\xa0"), "damaged"),
    ],
)
def test_what_can_not_be_read(busy, spoil, said):
    again = BatchService(Profile(), Random(1), START, catalogue())
    before = again.random.getstate()
    with pytest.raises(snapshot.SnapshotError, match=said):
        snapshot.load(again, spoil(snapshot.dump(busy.machine, ())))
    assert not again.pools and not again.jobs and again.random.getstate() == before


def test_a_file_that_an_earlier_version_wrote():
    """A change of the format has to keep reading it. It was written while a multi-instance task and another one ran, a
    pool scaled by formula and a schedule had made a job."""
    data = gzip.decompress((Path(__file__).parent / "state-format-1.msgpack.gz").read_bytes())
    driver = Driver()
    pending = snapshot.load(driver.machine, data)
    driver.timers = [(at, number, key) for number, (at, key) in enumerate(pending)]
    driver.now = driver.machine.now
    machine = driver.machine
    assert driver.now == START + timedelta(seconds=1890) and pending
    job = machine.jobs["work"]
    assert {task.id: task.state for task in job.tasks.values()} == {
        "done": "completed", "after": "active", "gang": "preparing", "busy": "preparing",
    }  # fmt: skip
    assert job.tasks["gang"].attempt is not None and len(machine.runs) == 3 and job.spec["priority"] == 5
    assert len(machine.pools["pool"].nodes) == 3 and len(machine.pools["scaled"].nodes) == 1
    assert machine.pools["scaled"].scaling.history.samples
    assert machine.job_schedules["nightly"].jobs_created == 1 and "nightly:job-1" in machine.jobs
    assert (machine.applications, machine.account.keys) == ({}, {}), "what it did not have yet"
    check(machine)

    driver.do(restart.resume)
    driver.advance(60)
    for _ in range(6):  # preparation tasks, the coordination of two, commands, and what waited for them
        for run in list(driver.started):
            if run in driver.started:
                driver.end(run)
    assert {task.state for task in job.tasks.values()} == {"completed"}
    driver.advance(3600)
    assert machine.job_schedules["nightly"].last_created is not None
