"""Runs whose nodes may cost so much and no more, on an emulator whose clock runs sixty times as fast: what they have cost
is the service's own nodes by their prices, whatever the client thinks."""

import re
import signal
from dataclasses import replace

import pytest
from support.emulator import running_emulator, wait_until

from snakemake.azure.report.costs import costs

from .test_journal import events, of, seen

PRICE, SPOT_PRICE = PRICES = 60.0, 15.0  # an hour, so that a minute there, which is a second here, costs 1

WORKFLOW = """
rule all:
    input: expand("done/{n}", n=range(40))

rule each:
    output: "done/{n}"
    threads: 4
    shell: "sleep 4; touch {output}"
"""


@pytest.fixture
def fast(site):
    """A site whose service lives a minute in a second."""
    with running_emulator(time_scale=60) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def options(site, nodes="3"):
    site.write(
        {
            "Snakefile": WORKFLOW,
            "prices.yaml": f"Standard_D4ds_v5: {{dedicated: {PRICE}, spot: {SPOT_PRICE}}}\n",
        }
    )
    return {"az_batch_prices": "prices.yaml", "az_batch_vm_size": "Standard_D4ds_v5", "az_batch_nodes": nodes}


def jobs_done(site):
    return len([name for name in site.blobs() if name.startswith("done/")])


def more(nodes):
    """What the jobs that run may need beyond the amount, each on a node of its own: they take 4 s, and start and end."""
    return nodes * 8 * PRICE / 60


def test_when_the_amount_is_reached_running_jobs_end_and_nothing_else_begins(fast):
    given = options(fast)
    with seen(fast, 60) as watched:
        result = fast.run("--az-batch-max-cost", "90", **given)
    assert result.code == 1 and "Traceback" not in result.output, result.output
    assert "--az-batch-max-cost 90 is reached: the nodes have cost about" in result.output
    assert f"{41 - jobs_done(fast)} of 41 jobs are left to do" in result.output, result.output[-3000:]
    assert len(of(events(fast), "max_cost_reached")) == 1
    assert {task["success"] for task in of(events(fast), "ended")} == {True}
    assert 1 < jobs_done(fast) < 40 and 45 < watched.cost(*PRICES) <= 90 + more(3)
    assert costs(events(fast)).money()[""] >= 0.95 * watched.cost(*PRICES), (
        "looks are far apart here, and err that way"
    )


def test_without_its_client_the_nodes_cost_no_more_than_what_is_left(fast):
    given = options(fast, "2")
    with seen(fast, 60) as watched:
        with fast.running("--az-batch-max-cost", "40", **given) as process:
            wait_until(lambda: jobs_done(fast) >= 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: not any(list(fast.emulator.client().list_nodes(p.id)) for p in pools(fast)))
        assert watched.cost(*PRICES) <= 40 + more(2)
        spent = watched.cost(*PRICES)
        result = fast.run("--az-batch-max-cost", "40", **given)
    assert result.code == 1 and "--az-batch-max-cost 40 is reached" in result.output, result.output
    assert watched.cost(*PRICES) <= 40 + more(2), "what the first client has spent counts"
    said = float(re.search(r"the nodes have cost about ([\d.]+) by prices", result.output)[1])
    assert said >= 0.9 * spent


def pools(site):
    return list(site.emulator.client().list_pools())


def test_spot_nodes_count_at_their_price(fast):
    given = options(fast)
    with seen(fast, 60) as watched:
        result = fast.run("--az-batch-spot", "3", "--az-batch-max-cost", "20", **given)
    assert result.code == 1 and "--az-batch-max-cost 20 is reached" in result.output, result.output
    assert jobs_done(fast) > 5
    assert 10 < watched.cost(*PRICES) <= 20 + more(3) / 4


@pytest.mark.parametrize("dry", [(), ("-n",)])
@pytest.mark.parametrize(
    "amount, changes, told",
    [
        ("0", {}, "--az-batch-max-cost 0 is no amount"),
        ("nan", {}, "--az-batch-max-cost nan is no amount"),
        ("5", {"az_batch_pool_id": "p"}, "--az-batch-max-cost cannot be held with --az-batch-pool-id"),
        ("5", {}, "does not pay for one node of Standard_D4ds_v5 (60.00 an hour by prices of prices.yaml)"),
        (
            "50",
            {"az_batch_vm_size": "Standard_D8ds_v5"},
            "whose price is not among the prices of prices.yaml",
        ),
    ],
)
def test_what_cannot_be_held_is_refused(site, dry, amount, changes, told):
    given = options(site) | changes
    if "az_batch_pool_id" in changes:
        given |= {"az_batch_vm_size": None, "az_batch_nodes": None}
    result = site.run("--az-batch-max-cost", amount, *dry, **given)
    assert result.code == 1 and told in result.output, result.output
    assert "Traceback" not in result.output and not site.left()
