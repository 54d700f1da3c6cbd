"""What nodes cost, and for what: the parts make up the whole, whatever becomes of nodes and clients."""

import pytest

from snakemake.azure.report.costs import costs
from snakemake.azure.report.summary import sentences

from .journals import Written


def seconds(hours):
    return round(hours * 3600, 3)


def test_a_node_is_paid_for_from_its_allocation_to_the_end_of_its_pool():
    run = Written()
    run.node(15, state="starting", allocated=10, since=10)
    run.node(70, state="idle", allocated=10, since=60)
    run.task("a", 100, 200, "map", slots=2, used={"stage_in_seconds": 10, "stage_out_seconds": 15})
    run.task("b", 150, 250, "reduce", slots=1)
    run.gone(310)
    found = costs(run.events)
    part = found.parts["p", False]
    assert seconds(part.hours) == 300 and seconds(part.start_up) == 50
    assert seconds(part.jobs) == 75 and seconds(part.idle) == 175  # 200/4 and 100/4 of a node
    assert seconds(part.staging) == 12.5  # a quarter of the first job
    assert found.money() == {"USD": pytest.approx(0.3)}
    assert found.rules["map"].money == pytest.approx(0.05) and found.rules["reduce"].money == pytest.approx(
        0.025
    )
    assert found.efficiency == pytest.approx(300 / 1200)
    whole = sum(found.money(of)["USD"] for of in ("jobs", "start_up", "idle"))
    assert whole == pytest.approx(found.money()["USD"])


def test_spot_nodes_have_their_own_price_and_none_while_preempted():
    run = Written()
    run.node(0, "d")
    run.node(0, "s", spot=True)
    run.node(110, "s", "preempted", spot=True, since=100)
    run.node(200, "s", "starting", spot=True, since=200)  # allocated as at first
    run.task("a", 220, 260, node="s")
    run.gone(300)
    found = costs(run.events)
    assert seconds(found.parts["p", True].hours) == 200 and seconds(found.parts["p", False].hours) == 300
    assert found.parts["p", True].money == pytest.approx(0.02)
    assert found.rules["map"].money == pytest.approx(10 * 0.0001)
    assert found.parts["p", True].nodes == 2


def test_a_node_that_is_another_machine_at_the_next_look_starts_again():
    run = Written()
    run.node(0)
    run.node(160, state="starting", allocated=150, since=155)
    run.node(200, state="idle", allocated=150, since=190)
    run.gone(300)
    found = costs(run.events)
    assert seconds(found.total("hours")) == 300 and seconds(found.total("start_up")) == 40


def test_a_node_is_there_until_its_last_task_ends():
    run = Written()
    run.node(0)
    run.task("a", 10, 100.9)
    run.gone(100)  # by a clock of whole seconds
    (node,) = costs(run.events).nodes
    assert node.end == run.at(100.9)


def test_between_two_looks_half_counts():
    run = Written()
    run.node(0)
    run.note(130, "node_gone", pool="p", node="n", seen=run.at(110))
    run.gone(500)
    assert seconds(costs(run.events).total("hours")) == 120


def test_a_client_that_died_pays_no_longer_than_its_lease():
    run = Written()
    run.node(0, "a")
    run.node(0, "b")
    run.note(100, "size", pool="p", dedicated=2, spot=0)
    run.note(90_000, "run", run="two", lease_minutes=30)
    run.node(90_010, "b", "running", since=50)
    run.note(90_010, "node_gone", pool="p", node="a", seen=run.at(100))
    run.gone(90_100)
    found = {node.node: (node.end - node.begin).total_seconds() for node in costs(run.events).nodes}
    assert found == {"a": 1900, "b": 90_100}


def test_a_pool_that_is_found_gone_ended_with_its_lease():
    run = Written()
    run.node(0)
    run.note(100, "size", pool="p", dedicated=1, spot=0)
    run.note(90_000, "run", run="two", lease_minutes=30)
    run.gone(90_020)
    assert seconds(costs(run.events).total("hours")) == 1900


def test_a_run_that_goes_on_has_costs_so_far():
    run = Written()
    run.node(0)
    run.note(60, "requests", services={})
    assert seconds(costs(run.events).total("hours")) == 60


def test_a_pool_of_somebody_else_costs_what_the_tasks_take():
    run = Written(own=False)
    run.node(0)
    run.task("a", 0, 100, slots=2)
    found = costs(run.events)
    assert found.money() == {"USD": pytest.approx(0.05)} and found.efficiency == 1.0


def test_a_node_that_no_look_has_shown():
    run = Written()
    run.task("a", 10, 20)
    run.task("b", 15, 40)
    assert seconds(costs(run.events).total("hours")) == 30


def test_what_is_said_at_the_end():
    run = Written()
    run.node(0)
    run.task("a", 0, 1800, slots=4, used={"stage_in_seconds": 180})
    run.gone(3600)
    money, slots = sentences(costs(run.events), "J.jsonl")
    assert money == (
        "Azure Batch: the nodes cost about 3.60 USD for 1.00 node-hours (jobs 1.80 USD, of that staging 0.18 USD, nodes "
        "that start 0.00 USD, idle nodes 1.80 USD), by prices of a test, as of 2026-01-01."
    )
    assert (
        "50% of the task slots that were paid for (2.00 of 4.00 slot-hours); the journal is J.jsonl" in slots
    )


def test_prices_that_nobody_knows_are_no_nothing():
    unknown = Written(price=None, spot_price=None)
    unknown.node(0)
    unknown.gone(3600)
    assert (
        sentences(costs(unknown.events), "")[0] == "Azure Batch: 1.00 node-hours, whose price is not known."
    )
    estimated = Written(price_kind="estimated")
    estimated.node(0)
    estimated.node(0, "s", spot=True)
    estimated.gone(3600)
    assert sentences(costs(estimated.events), "")[0].endswith("; 1.00 of the hours have an estimated price.")


def test_a_run_without_nodes_says_nothing():
    assert sentences(costs([]), "") == []
