"""Whole runs on a bad day: requests fail, nodes are preempted, lost and broken, and the results are right all the same."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest
from azure.batch import models
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from support.emulator import running_emulator, wait_until

from .conftest import IMAGE

WORKFLOW = """
rule all:
    input: "total.txt"

rule part:
    output: "part/{i}.txt"
    shell: "sleep 0.5; echo {wildcards.i} > {output}"

rule total:
    input: expand("part/{i}.txt", i=range(6))
    output: "total.txt"
    shell: "cat {input} | sort -n | tr '\\n' ' ' > {output}"
"""
HTTP = {
    "throttledRate": 0.04,
    "busyRate": 0.04,
    "errorRate": 0.06,
    "droppedBeforeRate": 0.04,
    "droppedAfterRate": 0.04,
    "slowRate": 0.05,
    "slowSeconds": [0.1, 0.5],
}
# The tests' own client looks on, a hundred times; that it gives up is not what they are about.
PATIENT = dict.fromkeys(("retry_total", "retry_connect", "retry_read", "retry_status"), 50)
DELAYS = ("allocation", "boot", "reboot", "removal", "restoration", "loss", "recovery")


@pytest.fixture
def bad_day(site, tmp_path):
    """The site with an emulator of its own that has these faults."""
    profile = tmp_path / "bad-day.json"
    profile.write_text(json.dumps({f"{name}Seconds": [0.1, 0.3] for name in DELAYS} | {"httpFaults": HTTP}))
    with running_emulator(profile=profile, seed=11) as emulator:
        emulator.client = partial(emulator.client, **PATIENT)
        site.write({"Snakefile": WORKFLOW})
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def control(site, path, body=None):
    """A request to the emulator's own paths, which have no faults."""
    client = site.emulator.client()
    client.send_request(HttpRequest("POST", f"{site.emulator.url}/-/{path}", json=body)).raise_for_status()


def node_of_a_running_task(site):
    for task in site.tasks():
        if task.state == "running" and task.node_info:
            return task.node_info.node_id
    return None


def make_spot_pool(client):
    vm = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(
            publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
        ),
        node_agent_sku_id="batch.node.ubuntu 24.04",
        container_configuration=models.BatchContainerConfiguration(
            type="dockerCompatible", container_image_names=[IMAGE]
        ),
    )
    options = models.BatchPoolCreateOptions(
        id="spot",
        vm_size="Standard_D4ds_v5",
        virtual_machine_configuration=vm,
        target_low_priority_nodes=2,
        task_slots_per_node=4,
    )

    def made():
        # The client does not repeat a POST that may have taken effect.
        with suppress(AzureError):
            client.create_pool(options)
        return [pool.id for pool in client.list_pools()]

    wait_until(made)


def test_a_preempted_node(bad_day):
    make_spot_pool(bad_day.emulator.client())
    with bad_day.running(az_batch_pool_id="spot") as process:
        node = wait_until(lambda: node_of_a_running_task(bad_day), timeout=60)
        control(bad_day, f"pools/spot/nodes/{node}/preempt")
        assert process.wait(120) == 0, bad_day.output()[-3000:]
    assert bad_day.read("total.txt") == "0 1 2 3 4 5 "
    wait_until(lambda: bad_day.left() == ["pool spot"], timeout=20)


def test_lost_nodes_failed_boots_and_allocations(bad_day):
    control(bad_day, "faults", {"boots": 1, "allocations": ["AllocationFailed"]})
    with bad_day.running() as process:
        node = wait_until(lambda: node_of_a_running_task(bad_day), timeout=90)
        pool = next(
            t.node_info.pool_id for t in bad_day.tasks() if t.node_info and t.node_info.node_id == node
        )
        control(bad_day, f"pools/{pool}/nodes/{node}/lose")
        assert process.wait(120) == 0, bad_day.output()[-3000:]
    assert bad_day.read("total.txt") == "0 1 2 3 4 5 "
    bad_day.assert_clean()
