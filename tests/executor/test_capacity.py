"""Regions without machines, accounts without quota, and Spot nodes that are taken away, in whole runs."""

import json
import re

import pytest
from azure.core.rest import HttpRequest
from support.emulator import running_emulator, wait_until

MANY = """
rule all:
    input: expand("{i}", i=range(4))
rule one:
    output: "{i}"
    shell: "HELD; echo {wildcards.i} > {output}"
"""


def control(site, path, body=None):
    client, url = site.emulator.client(), f"{site.emulator.url}/-/{path}"
    client.send_request(HttpRequest("POST", url, json=body)).raise_for_status()


@pytest.fixture
def scarce(site):
    """Sizes that the region has none of, set by name; all is there again afterwards."""
    yield lambda **cores: control(
        site, "faults", {"vmSizeCores": {f"Standard_{n}": c for n, c in cores.items()}}
    )
    control(site, "faults", {"vmSizeCores": {}, "lowPriorityCores": None})


@pytest.fixture
def limited(site, tmp_path):
    """The site on an emulator whose account has the given quotas."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def limit(log=None, **quotas):
            profile = {"allocationSeconds": [0.05, 0.1], "bootSeconds": [0.05, 0.1], **quotas}
            (tmp_path / "profile.json").write_text(json.dumps(profile))
            site.emulator = stack.enter_context(
                running_emulator(profile=tmp_path / "profile.json", request_log=log)
            )
            site.environ |= site.emulator.environment()
            return site

        yield limit


def pools(site):
    return {pool.vm_size.removeprefix("Standard_"): pool for pool in site.emulator.client().list_pools()}


def test_the_next_size_when_the_region_has_none_of_the_first(site, scarce):
    scarce(D4ads_v5=0)
    site.write({"Snakefile": MANY.replace("HELD", "true")})
    result = site.run()
    assert result.code == 0, result.last_error()
    told = re.findall(
        r"gets no nodes of Standard_D4ads_v5 \((.*)\); 4 tasks go to other sizes", result.output
    )
    assert len(told) == 1 and "sufficient capacity" in told[0], result.output
    assert "Standard_D4ds_v5" in result.output and "Trying to restart" not in result.output
    assert [site.read(str(i)) for i in range(4)] == [f"{i}\n" for i in range(4)]
    site.assert_clean()


def test_the_next_size_when_the_region_does_not_know_the_first(site):
    site.write({"Snakefile": MANY.replace("HELD", "true")})
    result = site.run(az_batch_vm_size="Standard_D4ds_v9,Standard_D4ds_v5")
    assert result.code == 0, result.last_error()
    assert result.output.count("4 jobs go to other sizes") == 1
    assert re.search(r"created the pool \S+ \(Standard_D4ds_v5", result.output)
    site.assert_clean()
    alone = site.run("--forceall", az_batch_vm_size="Standard_D4ds_v9")
    assert alone.code == 1 and "Set --az-batch-vm-size" in alone.output and "Traceback" not in alone.output


def test_a_start_task_that_fails_is_shown(site):
    """At the first node, as none is removed where the lease bounds what the run may cost."""
    site.write(
        {
            "Snakefile": MANY.replace("HELD", "true"),
            "start.sh": "echo first; echo the disk is odd >&2; exit 3\n",
        }
    )
    result = site.run(
        az_batch_start_task="start.sh", az_batch_vm_size="Standard_D4ds_v5", az_batch_max_cost="50"
    )
    assert result.code == 1 and "Traceback" not in result.output
    assert "The end of its stderr: the disk is odd" in result.output, result.output
    assert "--az-batch-start-task" in result.output and "It is removed" not in result.output
    site.assert_clean()


def test_the_rest_is_used_when_some_nodes_do_not_come(site, scarce):
    scarce(D4ads_v5=4)
    site.write(
        {
            "Snakefile": MANY.replace("HELD", site.held()).replace(
                'output: "{i}"', 'output: "{i}"\n    threads: 4'
            )
        }
    )
    with site.running() as process:
        wait_until(lambda: "got 1 of 4 nodes (AllocationFailed" in site.output(), timeout=60)
        site.let_go()
        assert process.wait(90) == 0, site.output()[-3000:]
    assert site.output().count("asking again") == 1
    site.assert_clean()


def test_a_pool_that_can_not_come_fails_its_own_jobs_alone(limited):
    site = limited(dedicatedCoreQuotaPerVMFamily={"standardEDSv5Family": 0})
    site.write(
        {
            "Snakefile": 'rule all:\n    input: "a", "b"\nrule good:\n    output: "a"\n    shell: "sleep 5; touch {output}"\n'
            'rule bad:\n    output: "b"\n    resources: az_vm_size="Standard_E4ds_v5"\n    shell: "touch {output}"\n'
        }
    )
    result = site.run("--keep-going")
    assert result.code == 1 and "Error in rule bad" in result.output, result.output
    assert "no quota left for cores of this VM series" in result.output
    assert "a" in site.blobs() and "b" not in site.blobs()
    site.assert_clean()


def test_another_series_where_one_has_no_quota(limited):
    site = limited(dedicatedCoreQuotaPerVMFamily={"standardDADSv5Family": 0})
    site.write({"Snakefile": MANY.replace("HELD", "true")})
    result = site.run()
    assert result.code == 0, result.last_error()
    assert result.output.count("go to other sizes") == 1 and "Standard_D4ds_v5" in result.output
    site.assert_clean()


def test_no_quota_at_all_is_told_at_once(limited):
    site = limited(dedicatedCoreQuota=0)
    site.write({"Snakefile": MANY.replace("HELD", "true")})
    result = site.run(timeout=60)
    assert result.code == 1 and "Traceback" not in result.output
    assert re.search(
        "no quota left for dedicated cores to start a node of Standard_D4ads_v5.*portal", result.output
    )
    assert "go to other sizes" not in result.output, "which would have no quota either"
    site.assert_clean()


def test_quota_that_others_hold_is_waited_for(limited):
    from azure.batch import models

    site = limited(dedicatedCoreQuota=4)
    site.write({"Snakefile": MANY.replace("HELD", "true")})
    client = site.emulator.client()
    image = models.BatchVmImageReference(
        publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
    )
    client.create_pool(
        models.BatchPoolCreateOptions(
            id="other",
            vm_size="Standard_D4ds_v5",
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04"
            ),
            target_dedicated_nodes=1,
        )
    )
    wait_until(lambda: client.get_pool("other").current_dedicated_nodes)
    with site.running() as process:
        wait_until(lambda: "waits for quota" in site.output(), timeout=60)
        assert "hold 4 cores" in site.output()
        client.begin_delete_pool("other", polling_interval=3600)
        assert process.wait(150) == 0, site.output()[-3000:]
    assert site.output().count("waits for quota") == 1


# -- Spot ----------------------------------------------------------------------------------------------------------

ONE = 'rule one:\n    output: "x"\n    RESOURCES\n    shell: "HELD; touch {output}"\n'


def running_on(site, pool):
    for task in site.tasks():
        if task.state == "running" and task.node_info and task.node_info.pool_id == pool.id:
            return task.node_info.node_id
    return None


def spot_pool(site):
    return wait_until(
        lambda: next((p for p in pools(site).values() if p.target_low_priority_nodes), None), timeout=60
    )


def dedicated_pool(site):
    return next((p for p in site.emulator.client().list_pools() if p.target_dedicated_nodes), None)


@pytest.fixture
def watched(limited, tmp_path):
    """A site whose emulator logs its requests."""
    site = limited(log=tmp_path / "requests.jsonl")

    def look():
        """Until the run has looked at its pool once more from now on."""

        def operations():
            lines = (tmp_path / "requests.jsonl").read_text().splitlines()
            return [json.loads(line)["operation"] for line in lines]

        before = len(operations())
        wait_until(lambda: "list_tasks" in _after(operations()[before:], "list_nodes"), timeout=60)

    return site, look


def _after(operations, first):
    return operations[operations.index(first) :] if first in operations else []


def preempt(site, look, pool, times):
    for number in range(1, times + 1):
        node = wait_until(lambda: running_on(site, pool), timeout=60)
        look()
        control(site, f"pools/{pool.id}/nodes/{node}/preempt")
        wait_until(lambda number=number: site.output().count("was preempted") == number, timeout=60)


def test_spot_nodes_then_dedicated_ones(watched):
    site, look = watched
    site.write({"Snakefile": ONE.replace("HELD", site.held()).replace("RESOURCES", "threads: 1")})
    with site.running("--az-batch-spot", "--retries", "0") as process:
        pool = spot_pool(site)
        assert pool.target_dedicated_nodes == 0
        preempt(site, look, pool, 2)
        other = wait_until(lambda: dedicated_pool(site), timeout=60)
        assert other.id != pool.id and other.vm_size == pool.vm_size
        site.let_go()
        assert process.wait(90) == 0, site.output()[-3000:]
    assert "Trying to restart" not in site.output() and "x" in site.blobs()
    site.assert_clean()


@pytest.mark.parametrize(
    "resources, options",
    [
        ("resources: az_spot=1", []),
        ("threads: 1", ["--preemptible-rules", "one", "--preemptible-retries", "0"]),
    ],
)
def test_rules_may_use_spot_nodes_on_their_own(watched, resources, options):
    site, look = watched
    site.write({"Snakefile": ONE.replace("HELD", site.held()).replace("RESOURCES", resources)})
    with site.running(*options) as process:
        preempt(site, look, spot_pool(site), 1)
        wait_until(lambda: dedicated_pool(site), timeout=60)
        site.let_go()
        assert process.wait(90) == 0, site.output()[-3000:]
    site.assert_clean()


def test_a_rule_may_keep_off_spot_nodes(site):
    site.write({"Snakefile": ONE.replace("HELD", "true").replace("RESOURCES", "resources: az_spot=0")})
    result = site.run("--az-batch-spot", "3")
    assert result.code == 0 and "Spot" not in result.output, result.output
    site.assert_clean()


def test_dedicated_nodes_take_over_when_there_is_no_room_on_spot(site, scarce):
    control(site, "faults", {"lowPriorityCores": 0})
    site.write({"Snakefile": ONE.replace("HELD", "true").replace("RESOURCES", "threads: 1")})
    result = site.run("--az-batch-spot", az_batch_spot_wait="0")
    assert result.code == 0, result.last_error()
    assert result.output.count("gets dedicated ones") == 1 and result.output.count("created the pool") == 1
    site.assert_clean()


def test_no_quota_for_spot_nodes(limited):
    site = limited(lowPriorityCoreQuota=0)
    site.write({"Snakefile": ONE.replace("HELD", "true").replace("RESOURCES", "threads: 1")})
    result = site.run("--az-batch-spot")
    assert result.code == 0, result.last_error()
    assert "AccountLowPriorityCoreQuotaReached" in result.output and "gets dedicated ones" in result.output
    site.assert_clean()


@pytest.mark.parametrize("value", ["-1", "many"])
def test_bad_numbers_of_tries(site, value):
    site.write(
        {"Snakefile": ONE.replace("HELD", "true").replace("RESOURCES", f"resources: az_spot='{value}'")}
    )
    dry = site.run("-n")
    assert dry.code == 1 and f"Rule one: The resource az_spot={value} must be" in dry.output, dry.output
    result = site.run(az_batch_spot=value)
    assert result.code == 1 and "--az-batch-spot" in result.output and "Traceback" not in result.output


def test_a_pool_that_is_there_has_the_nodes_that_it_has(site):
    site.write({"Snakefile": ONE})
    result = site.run("--az-batch-spot", az_batch_pool_id="mine")
    assert result.code == 1 and "--az-batch-spot is for a new pool" in result.output
