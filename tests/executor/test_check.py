"""`--az-batch-check`: what a run needs, tried beforehand; one sentence for what fails, and nothing is left."""

import re
import signal

import pytest
from azure.core.rest import HttpRequest
from support.emulator import wait_until

from azure_batch_emulator.identity import directory

from .conftest import SNAKEMAKE, Site
from .test_entra import entra  # noqa: F401 - a fixture


def check(site: Site, what: str = "service", **changes: str | None) -> list[str]:
    """Neither --az-batch nor --jobs is needed."""
    return [str(SNAKEMAKE), *site.options(jobs=None, **changes), "--az-batch-check", what]


def states(output: str) -> dict[str, str]:
    rows = re.findall(r"^(ok|FAILED|not tried) +(\S.{21})", output, re.MULTILINE)
    return {name.strip(): state for state, name in rows}


def planned(site: Site, **faults: object) -> None:
    client = site.emulator.client()
    client.send_request(HttpRequest("POST", f"{site.emulator.url}/-/faults", json=faults)).raise_for_status()


def test_without_a_node(site):
    done = site.run(command=check(site))
    assert done.code == 0, done.output
    assert set(states(done.output).values()) == {"ok"} and len(states(done.output)) == 9
    assert re.search(r"\d\.\d s  Batch takes a job and a task", done.output)
    site.assert_clean()
    assert site.blobs() == set()


def test_one_node_and_one_job(site):
    """The working directory's own workflow, which would fail, has no part in it."""
    site.write({"Snakefile": "raise ValueError('the workflow was read')"})
    done = site.run(command=check(site, "node", az_batch_vm_size="Standard_D2s_v3"))
    assert done.code == 0, done.output
    assert set(states(done.output).values()) == {"ok"}
    assert {"pool made", "node ready", "task done", "result here", "pool deleted"} <= states(
        done.output
    ).keys()
    site.assert_clean()
    assert site.blobs() == set()


def test_in_a_pool_that_is_there(site, emulator):
    site.write({"Snakefile": ""})
    from azure.batch import models

    image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
    containers = models.BatchContainerConfiguration(type="dockerCompatible")
    machine = models.VirtualMachineConfiguration(
        image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04", container_configuration=containers
    )
    emulator.client().create_pool(
        models.BatchPoolCreateOptions(
            id="mine",
            vm_size="Standard_D2s_v3",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=1,
        )
    )
    done = site.run(command=check(site, "node", az_batch_pool_id="mine"))
    assert done.code == 0, done.output
    assert "pool made" not in states(done.output)
    wait_until(lambda: site.left() == ["pool mine"], timeout=20)


def test_a_wrong_key_is_one_sentence_and_the_rest_is_tried(site):
    site.environ["AZ_BATCH_ACCOUNT_KEY"] = "d3Jvbmc="
    done = site.run(command=check(site, "node"))
    assert done.code == 1
    assert states(done.output)["Batch account"] == "FAILED"
    assert states(done.output)["pool (without nodes)"] == "not tried"
    assert states(done.output)["storage: SAS of tasks"] == "ok"
    assert "No node is started" in done.output and "Traceback" not in done.output
    assert site.left() == []


@pytest.mark.parametrize(
    ("changes", "step", "says"),
    [
        ({"az_batch_vm_size": "Standard_D2_v3"}, "size and OS image", "--az-batch-vm-size"),
        ({"az_batch_pool_id": "nowhere"}, "size and OS image", "--az-batch-pool-id"),
    ],
)
def test_options_that_the_account_refuses(site, changes, step, says):
    done = site.run(command=check(site, **changes))
    assert done.code == 1
    assert states(done.output)[step] == "FAILED" and says in done.output
    assert site.left() == []


def test_a_node_that_does_not_come_is_told_by_the_runs_own_sentence(site):
    planned(site, allocations=["AccountCoreQuotaReached"])
    done = site.run(command=check(site, "node"))
    assert done.code == 1
    assert states(done.output)["machine allocated"] == "FAILED"
    assert "no quota left for dedicated cores" in done.output and "Traceback" not in done.output
    site.assert_clean()
    assert site.blobs() == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_deletes_everything(site, number):
    planned(site, allocations=["stall"])
    with site.running("--az-batch-check", "node") as process:
        wait_until(lambda: "pool made" in site.output())
        process.send_signal(number)
        assert process.wait(60) == 1
    assert "Traceback" not in site.output(), site.output()
    site.assert_clean()
    assert site.blobs() == set()


def test_quotas_are_asked_with_a_login(entra):  # noqa: F811
    done = entra.run(command=check(entra))
    assert done.code == 0, done.output
    assert re.search(r"it may have unlimited dedicated cores.*100 pools, 300 active jobs", done.output)
    assert directory.CLIENT_SECRET not in done.output
    entra.assert_clean()
