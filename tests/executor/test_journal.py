"""A run's journal, and what follows from it, against what the service itself has shown meanwhile."""

import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import yaml
from azure.core.rest import HttpRequest
from support.emulator import wait_until

from snakemake.azure.report import journal
from snakemake.azure.report.costs import costs
from snakemake.azure.report.summary import number

from .conftest import SNAKEMAKE

PRICE, SPOT_PRICE = 7.2, 1.8  # an hour, so that a second is 0.002, or 0.0005

WORKFLOW = """
rule all:
    input: expand("slow/{n}", n=range(6)), "bad"

rule slow:
    output: "slow/{n}"
    threads: 2
    shell: "sleep 2; touch {output}"

rule bad:
    output: "bad"
    retries: 1
    resources: mem_mb=lambda wildcards, attempt: 500 * attempt
    shell: "test {resources.mem_mb} -gt 500 && touch {output}"
"""


class Seen:
    """Seconds that each node of the emulator is there, and not preempted, by its name and whether it is a Spot node."""

    def __init__(self, client, scale):
        self.client, self.scale, self.over = client, scale, threading.Event()
        self.nodes, self.looked = {}, {}

    def look(self):
        from azure.core.exceptions import ResourceNotFoundError

        while not self.over.wait(0.1):
            for pool in self.client.list_pools():
                try:
                    for node in self.client.list_nodes(pool.id):
                        self.count(node, datetime.now(UTC))
                except ResourceNotFoundError:
                    continue

    def count(self, node, now):
        key = (node.id, not node.is_dedicated)
        since = self.looked.get(key) or (node.allocation_time if self.scale == 1 else now)
        self.looked[key] = now
        if node.state != "preempted":
            self.nodes[key] = self.nodes.get(key, 0.0) + self.scale * (now - since).total_seconds()

    def cost(self, price=PRICE, spot_price=SPOT_PRICE):
        return sum(n * (spot_price if spot else price) / 3600 for (_, spot), n in self.nodes.items())


@contextmanager
def seen(site, scale=1):
    """scale: so many times as fast is the emulator's clock."""
    watching = Seen(site.emulator.client(), scale)
    thread = threading.Thread(target=watching.look)
    thread.start()
    try:
        yield watching
        site.assert_clean()
    finally:
        watching.over.set()
        thread.join()


def events(site):
    (path,) = journal.journals(site.workdir / journal.HOME)
    return journal.read(path)


def of(found, name):
    return [event.values for event in found if event.event == name]


def priced(site):
    site.write(
        {
            "Snakefile": WORKFLOW,
            "prices.yaml": f"Standard_D4ds_v5: {{dedicated: {PRICE}, spot: {SPOT_PRICE}}}\n",
        }
    )
    return {"az_batch_prices": "prices.yaml", "az_batch_vm_size": "Standard_D4ds_v5", "az_batch_nodes": "2"}


def test_costs_are_the_nodes_times_their_price(site):
    options = priced(site)
    with seen(site) as watched:
        result = site.run(**options)
    assert result.code == 0, result.last_error()
    found = costs(events(site))
    assert len(found.nodes) == len(watched.nodes) == 2
    cost = found.money()[""]
    assert cost == pytest.approx(watched.cost(), abs=2 * 1.5 * PRICE / 3600)
    assert sum(found.money(part)[""] for part in ("jobs", "start_up", "idle")) == pytest.approx(cost)
    assert {name: rule.tasks for name, rule in found.rules.items()} == {"slow": 6, "bad": 2}
    assert found.rules["slow"].slot_hours_used > 6 * 2 * 2 / 3600
    assert f"the nodes cost about {number(cost)} for" in result.output and "as of 20" in result.output
    assert f"{found.efficiency:.0%} of the task slots" in result.output

    shown = site.run(command=[str(SNAKEMAKE), "--az-batch-efficiency"])
    assert shown.code == 0 and "Wrote profile.yaml" in shown.output, shown.output
    wanted = yaml.safe_load((site.workdir / "profile.yaml").read_text())["set-resources"]
    assert 0 < wanted["slow"]["mem_mb"] < 1000 and wanted["slow"]["runtime"] == 5
    assert "mem_mb" not in wanted["bad"]  # which computes it
    again = site.run("-n", "--forceall", "--profile", "profile.yaml", **options)
    assert again.code == 0 and f"mem_mb={wanted['slow']['mem_mb']}" in again.output, again.output


def test_what_happens_to_tasks_is_told(site):
    assert site.run("bad", **priced(site)).code == 0
    found = events(site)
    first, second = of(found, "submitted")
    assert (first["mem_mb"], second["mem_mb"]) == (500, 1000) and first["computed"] == ["mem_mb"]
    failed, done = of(found, "ended")
    assert not failed["success"] and failed["exit_code"] == 1 and "exited with code 1" in failed["why"]
    assert done["success"] and done["started"] < done["ended"] and done["node"].startswith("tvmps_")
    assert {used["task"] for used in of(found, "used")} == {first["task"], second["task"]}
    assert of(found, "size")[0]["dedicated"] == 1 and of(found, "pool")[0]["price"] == PRICE
    assert sum(of(found, "requests")[0]["services"].values()) > 10
    assert [event.event for event in (found[0], found[-1])] == ["run", "run_over"]


def kill_while_its_job_runs(site, options):
    """A run whose client dies when a task runs and the journal knows a node."""
    with site.running(**options) as process:
        wait_until(lambda: any(task.state == "running" for task in site.tasks()), timeout=30)
        wait_until(lambda: of(events(site), "node"), timeout=30)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_run_that_takes_over_goes_on_in_the_journal(site):
    options = priced(site)
    site.write(
        {"Snakefile": f'rule held:\n    output: "held"\n    shell: "{site.held()}; touch {{output}}"\n'}
    )
    with seen(site) as watched:
        kill_while_its_job_runs(site, options)
        site.let_go()
        result = site.run(**options)
    assert result.code == 0, result.last_error()
    found = events(site)
    assert len(of(found, "run")) == 2 and {each["task"] for each in of(found, "submitted")} == {
        each["task"] for each in of(found, "ended")
    }
    assert costs(found).money()[""] == pytest.approx(watched.cost(), abs=1.5 * PRICE / 3600)


def control(site, path, body=None):
    request = HttpRequest("POST", f"{site.emulator.url}/-/{path}", json=body)
    site.emulator.client().send_request(request).raise_for_status()


@contextmanager
def no_spot_nodes(site):
    """The region takes them away, and has none for as long."""
    control(site, "faults", {"lowPriorityCores": 0})
    try:
        yield
    finally:
        control(site, "faults", {"lowPriorityCores": None})


def test_a_preempted_node_costs_nothing_while_it_is(site):
    options = priced(site)
    site.write(
        {"Snakefile": f'rule held:\n    output: "held"\n    shell: "{site.held()}; touch {{output}}"\n'}
    )
    with seen(site) as watched, site.running("--az-batch-spot", "3", **options) as process:
        wait_until(lambda: any(task.state == "running" for task in site.tasks()), timeout=60)
        wait_until(lambda: of(events(site), "node"), timeout=60)
        with no_spot_nodes(site):
            wait_until(
                lambda: any(node["state"] == "preempted" for node in of(events(site), "node")), timeout=60
            )
        site.let_go()
        assert process.wait(90) == 0, site.output()[-3000:]
    found = costs(events(site))
    assert {spot for _, spot in found.parts} == {True}
    assert found.money()[""] == pytest.approx(watched.cost(), abs=2 * SPOT_PRICE / 3600)
