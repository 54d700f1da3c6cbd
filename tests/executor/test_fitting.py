"""Which sizes the jobs of whole runs go to."""

import re

import pytest
from support.emulator import wait_until


def rule(name, body):
    return f'rule {name}:\n    output: "{name}"\n    {body}\n    shell: "sleep 600"\n'


def workflow(**rules):
    names = ", ".join(f'"{name}"' for name in rules)
    return f"rule all:\n    input: {names}\n" + "".join(rule(*item) for item in rules.items())


def pools(site):
    return {
        pool.vm_size.removeprefix("Standard_"): pool.task_slots_per_node
        for pool in site.emulator.client().list_pools()
    }


def test_without_a_size_each_job_finds_one(site):
    """The official tutorial asks for threads: 8, public workflows for up to 32 threads and 128 GB."""
    site.write(
        {
            "Snakefile": workflow(
                small="threads: 1",
                tutorial="threads: 8",
                memory="resources: mem_mb=60000",
                large="threads: 32\n    resources: mem_mb=128000",
                gpu="resources: gpu=1",
            )
        }
    )
    with site.running(jobs="100", cores="32"):
        tasks = wait_until(lambda: (found := site.tasks()) and len(found) == 5 and found)
        slots = {t.id.partition("-")[0]: t.required_slots for t in tasks}
        assert (slots["small"], slots["tutorial"], slots["large"]) == (1, 8, 32)
        # Small ones go to pools of their own, or to one that is there already, as they come.
        assert pools(site).items() >= {"E8ads_v5": 8, "D32ads_v5": 32, "NC4as_T4_v3": 4}.items()
        assert pools(site).keys() <= {"D4ads_v5", "D8ads_v5", "E8ads_v5", "D32ads_v5", "NC4as_T4_v3"}
    site.assert_clean()


@pytest.mark.parametrize(
    "size, resources, image",
    [
        ("Standard_D4pds_v5", "", "ubuntu-hpc 2404-arm64"),
        ("Standard_D4ds_v5,Standard_NC4as_T4_v3", "resources: gpu=1", "ubuntu-hpc 2404"),
    ],
    ids=["arm", "gpu"],
)
def test_a_run_on_nodes_of_another_kind_has_their_os_image(site, size, resources, image):
    site.write(
        {"Snakefile": f'rule a:\n    output: "a"\n    {resources}\n    shell: "echo done > {{output}}"\n'}
    )
    done = site.run(az_batch_vm_size=size)
    assert done.code == 0 and site.read("a") == "done\n", done.last_error()
    found = re.search(r"created the pool \S+ \((\S+), 4 task slots .*?nodes, ([^,]+), image", done.output)
    assert found and found.groups() == (size.rpartition(",")[2], image)
    site.assert_clean()


def test_prices_of_a_file_decide(site):
    site.write(
        {
            "Snakefile": workflow(one="threads: 1"),
            "prices.yaml": "Standard_D4ads_v5: 9\nStandard_E4ds_v5: 0.01\n",
        }
    )
    with site.running(az_batch_prices="prices.yaml"):
        wait_until(lambda: site.tasks())
        assert pools(site) == {"E4ds_v5": 4}
    site.assert_clean()


@pytest.mark.parametrize(
    "body, options, says",
    [
        (
            "threads: 64",
            {},
            r"Rule big: .*64 threads.*has 32.*--max-threads 32.*larger size with --az-batch-vm-size",
        ),
        ("resources: mem_mb=400000", {}, r"Rule big: .*381470 MiB.*has 262144"),
        ("resources: disk_mb=200000", {"az_batch_vm_size": "Standard_D4ds_v5"}, r"disk_mb\).*has 153600"),
        ("resources: gpu=1", {"az_batch_vm_size": "Standard_D4ds_v5,Standard_E4ds_v5"}, r"1 GPUs.*has 0"),
        ("resources: az_vm_size='Standard_D4ds_v5,Standard_Q4'", {}, "Rule big: 'Standard_Q4'.*az_vm_size"),
    ],
)
def test_what_fits_no_node_is_told_in_a_dry_run_too(site, body, options, says):
    site.write({"Snakefile": workflow(small="threads: 1", big=body)})
    for arguments in (["-n"], ["--keep-going"]):
        result = site.run(*arguments, cores="100", **options)
        assert result.code == 1 and re.search(says, result.output), result.output
        assert "Traceback" not in result.output and not site.left()


def test_threads_are_capped_as_everywhere(site):
    site.write({"Snakefile": workflow(big="threads: 64")})
    assert site.run("-n", "--max-threads", "16").code == 0
    assert site.run("-n", "--cores", "8").code == 0


def test_a_prices_file_that_is_wrong(site):
    site.write({"Snakefile": workflow(one="threads: 1"), "prices.yaml": "Standard_D4ads_v5: cheap\n"})
    result = site.run(az_batch_prices="prices.yaml")
    assert result.code == 1 and "Traceback" not in result.output
    assert "price of Standard_D4ads_v5" in result.output and "--az-batch-prices" in result.output
