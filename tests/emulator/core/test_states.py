"""The tables of states: what is refused, and that a refusal changes nothing."""

import itertools

import pytest

from azure_batch_emulator.core import states
from azure_batch_emulator.core.entities import Run
from azure_batch_emulator.protocol.schema import api

from .builders import START

TABLES = {
    "POOL": "BatchPoolState",
    "ALLOCATION": "AllocationState",
    "NODE": "BatchNodeState",
    "JOB": "BatchJobState",
    "TASK": "BatchTaskState",
}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_one_of_the_services(name):
    table = getattr(states, name)
    assert set(table) | set().union(*table.values()) <= set(api()["enums"][TABLES[name]])
    assert set().union(*table.values()) <= set(table), "every state that can be entered has a row"


@pytest.mark.parametrize("name", TABLES)
def test_moves_outside_the_table_raise_and_change_nothing(name):
    table = getattr(states, name)
    for old, new in itertools.product(table, table):
        one = states.Stateful(table, old, START)
        if new in table[old]:
            one.move("thing", new, START)
            assert (one.state, one.previous) == (new, old)
        else:
            with pytest.raises(states.IllegalTransition, match=f"{old}.*{new}"):
                one.move("thing", new, START)
            assert (one.state, one.previous, one.story) == (old, None, (old,))


def test_phases_of_runs():
    """They have no name in the service's description."""
    for old, new in itertools.product(states.RUN, states.RUN):
        run = Run("r", "task", "pool", "node", 1, phase=old)
        if new in states.RUN[old] or new == old:
            run.enter(new)
            assert run.phase == new
        else:
            with pytest.raises(states.IllegalTransition, match=f"run r .*{old}.*{new}"):
                run.enter(new)
            assert run.phase == old
