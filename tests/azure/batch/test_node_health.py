"""Which nodes are found bad, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.batch.node_health import Ending, NodeHealth, Outcome

OUTCOMES = {"+": Outcome.SUCCESS, "-": Outcome.FAILED, "!": Outcome.NOT_STARTED}


def endings(text):
    """`A:map+` is a task of rule map that succeeded on node A; `-` is a failure, `!` one that could not be started."""
    for word in text.split():
        node, _, rest = word.partition(":")
        yield Ending(node, rest[:-1], OUTCOMES[rest[-1]], "why.")


def found(*batches):
    health = NodeHealth()
    for batch in batches:
        health.observe(endings(batch))
    return sorted(health.bad)


@pytest.mark.parametrize(
    "batches, bad",
    [
        # One rule alone is no evidence, however often it fails.
        (["A:map-"] * 5, []),
        (["B:map+ A:map- A:map- A:map-"], []),
        # Two rules that work elsewhere.
        (["B:map+ B:sort+ A:map- A:sort-"], ["A"]),
        (["A:map- A:sort- B:map+ B:sort+"], ["A"]),
        (["B:map+ A:map-", "B:sort+", "A:sort-"], ["A"]),
        # They worked there only.
        (["A:map+ A:sort+ A:map- A:sort-"], []),
        # A success in between.
        (["B:map+ B:sort+ A:map- A:plot+ A:sort-"], []),
        # Rules that fail wherever they run.
        (["B:map- C:map- A:map- B:sort- C:sort- A:sort- C:plot+"], []),
        # Two rules of which nothing is known may both be broken; a third is too much, if others succeed meanwhile.
        (["A:map- A:sort- B:plot+"], []),
        (["A:map- A:sort- A:call- B:plot+", "A:map-"], ["A"]),
        (["B:plot+", "A:map- A:sort- A:call-"], []),
        # Commands that do not start.
        (["A:map!"], []),
        (["A:map! A:map!"], ["A"]),
        (["A:map! A:map+ A:map!"], []),
        # On all nodes: the image, not the nodes.
        (["A:map! B:map!", "A:map! B:map!", "A:map! B:map!"], []),
        (["A:map! B:map!", "C:map+", "A:map!"], ["A"]),
        (["A:map! A:map!", "B:map! B:map!"], ["A"]),
        # A task that ran nowhere says nothing of a node.
        ([":map! :map!"], []),
        # Two bad nodes.
        (["C:map+ C:sort+", "A:map- B:sort-", "A:sort- B:map-"], ["A", "B"]),
    ],
)
def test_bad_nodes(batches, bad):
    assert found(*batches) == bad


def test_reasons_are_clauses_and_told_once():
    health = NodeHealth()
    first = health.observe(endings("B:map+ B:sort+ A:map- A:sort-"))
    assert first == {
        "A": "tasks of the rules map, sort failed there in a row, while others succeed on other nodes"
    }
    assert health.observe(endings("A:map- A:sort-")) == {} and health.bad == first
    assert health.observe(endings("B:map! B:map!")) == {
        "B": "2 tasks in a row could not be started there, the last one: why"
    }


NODES, RULES = st.sampled_from("ABCD"), st.sampled_from(["map", "sort", "call", "plot", "sum"])
PLACED = st.lists(st.lists(st.tuples(NODES, RULES), max_size=6), max_size=12)


@given(PLACED, st.sets(RULES, max_size=2))
def test_rules_that_fail_everywhere_make_no_node_bad(batches, broken):
    health = NodeHealth()
    for batch in batches:
        health.observe(
            Ending(node, rule, Outcome.FAILED if rule in broken else Outcome.SUCCESS) for node, rule in batch
        )
    assert not health.bad


@given(PLACED, st.sampled_from([Outcome.FAILED, Outcome.NOT_STARTED]))
def test_only_the_node_on_which_everything_fails_is_bad_and_it_is_found(batches, outcome):
    health = NodeHealth()
    for batch in batches:
        health.observe(
            Ending(node, rule, outcome if node == "A" else Outcome.SUCCESS) for node, rule in batch
        )
    assert set(health.bad) <= {"A"}
    known = endings("B:map+ B:sort+ C:map+ C:sort+")
    health.observe([*known, Ending("A", "map", outcome), Ending("A", "sort", outcome)])
    assert set(health.bad) == {"A"}


@given(st.lists(st.builds(Ending, NODES, RULES, st.sampled_from(Outcome)), max_size=40))
def test_nobody_is_found_twice_and_nobody_whose_last_task_succeeded(every):
    health = NodeHealth()
    for ending in every:
        before = set(health.bad)
        now = health.observe([ending])
        assert not set(now) & before and set(health.bad) == before | set(now)
        assert set(now) <= {ending.node} and not (now and ending.outcome is Outcome.SUCCESS)
