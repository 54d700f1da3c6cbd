"""Options of pools: what reaches the Batch service of each, whether it works there, and what is refused before."""

import json
import re

import pytest
from support.emulator import wait_until

SNAKEFILE = """
rule a:
    output: "out.txt"
    shell: "echo ${{AZ_BATCH_TASK_USER_IDENTITY:-none}} > {output}; HELD"
"""
START = "#!/bin/sh\necho prepared > $AZ_BATCH_NODE_SHARED_DIR/mark\n"
PASSWORD = "correct-horse-battery-staple"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"


def made(site, *args, **options):
    """The pool, the Batch job and the task of a run with these options, while it goes on; the run then comes to its end."""
    site.write({"Snakefile": SNAKEFILE.replace("HELD", site.held())})
    client = site.emulator.client()
    with site.running(*args, **options) as process:

        def tasks():
            assert process.poll() is None, site.output()
            return site.tasks()

        (task,) = wait_until(tasks)
        (pool,), (job,) = list(client.list_pools()), list(client.list_jobs())
        site.let_go()
        assert process.wait(60) == 0, site.output()
    assert not site.left()
    return pool, job, task


def test_disks_registry_container_options_and_tags(site):
    site.environ |= {"AZ_BATCH_REGISTRY_USER": "puller", "AZ_BATCH_REGISTRY_PASSWORD": PASSWORD}
    pool, _, task = made(
        site,
        "--az-batch-container-options=--shm-size 1g --ulimit nofile=4096",
        "--az-batch-tags",
        "project=atlas",
        "centre=42",
        az_batch_os_disk="256",
        az_batch_data_disk="512",
    )
    machine = pool.virtual_machine_configuration
    assert machine.os_disk.disk_size_gb == 256
    assert [(disk.logical_unit_number, disk.disk_size_gb) for disk in machine.data_disks] == [(0, 512)]
    (registry,) = machine.container_configuration.container_registries
    assert (registry.registry_server, registry.username) == ("registry.example.org", "puller")
    assert task.container_settings.container_run_options == "--rm --shm-size 1g --ulimit nofile=4096"
    auto = task.user_identity.auto_user
    assert (auto.scope, auto.elevation_level) == ("pool", "nonadmin")
    tags = {item.name: item.value for item in pool.metadata}
    assert tags["project"] == "atlas" and tags["centre"] == "42"
    assert tags["snakemake-workflow"] == "workflow" and tags["snakemake-user"] and tags["snakemake-run"]
    start = pool.start_task
    assert start.user_identity.auto_user.elevation_level == "admin" and start.wait_for_success
    assert "node_setup.sh data data" in start.command_line
    told = [site.output(), json.dumps([pool.as_dict(), task.as_dict()], default=str)]
    assert not any(PASSWORD in text for text in told)


def test_a_password_never_reaches_a_task(site):
    site.environ |= {"AZ_BATCH_REGISTRY_USER": "puller", "AZ_BATCH_REGISTRY_PASSWORD": PASSWORD}
    site.write({"Snakefile": 'rule a:\n    output: "out.txt"\n    shell: "env > {output}"'})
    result = site.run("--verbose")
    assert result.code == 0, result.last_error()
    assert PASSWORD not in result.output + site.read("out.txt")


def test_tasks_as_root(site):
    _, _, task = made(site, az_batch_user="root")
    assert task.user_identity.auto_user.elevation_level == "admin"
    assert site.read("out.txt").strip() == "PoolAdmin"


def test_tasks_as_a_named_user(site):
    pool, _, task = made(site, az_batch_user="biologist:4711:4712")
    (user,) = pool.user_accounts
    assert user.name == task.user_identity.username == "biologist"
    assert (user.linux_user_configuration.uid, user.linux_user_configuration.gid) == (4711, 4712)
    assert user.elevation_level == "nonadmin"


def test_a_start_task_of_ones_own_runs_before_the_tasks(site):
    site.write(
        {
            "prepare.sh": START,
            "Snakefile": 'rule a:\n    output: "out.txt"\n    shell: "cat $AZ_BATCH_NODE_SHARED_DIR/mark > {output}"',
        }
    )
    result = site.run(az_batch_start_task="prepare.sh")
    assert result.code == 0, result.last_error()
    assert site.read("out.txt") == "prepared\n"


def test_options_stand_in_a_profile_in_the_config_file_and_in_the_environment(site):
    site.write(
        {
            "profile/config.yaml": "az-batch-os-disk: 100\naz-batch-tags:\n  - project=atlas\n",
            "azbatch.yaml": "user: root\nos-disk: 999\ntags: {ignored: yes}\n",
        }
    )
    site.environ["SNAKEMAKE_AZ_BATCH_CONTAINER_OPTIONS"] = "--shm-size 2g"
    pool, _, task = made(site, "--profile", "profile", az_batch_config="azbatch.yaml")
    assert pool.virtual_machine_configuration.os_disk.disk_size_gb == 100, "the profile wins over the file"
    assert {item.name for item in pool.metadata} & {"project", "ignored"} == {"project"}
    assert task.user_identity.auto_user.elevation_level == "admin", "of the file"
    assert task.container_settings.container_run_options == "--rm --shm-size 2g"


def test_a_list_of_pools_each_with_its_nodes_and_slots(site):
    snakefile = (
        "rule all:\n    input: expand('small{n}.txt', n=range(3)), 'large.txt'\n"
        "rule small:\n    output: 'small{n}.txt'\n    resources: az_vm_size='Standard_D2ds_v5'\n    shell: 'echo $AZ_BATCH_POOL_ID > {output}'\n"
        "rule large:\n    output: 'large.txt'\n    threads: 8\n    shell: 'echo $AZ_BATCH_POOL_ID > {output}'\n"
    )
    config = "pools:\n  - {vm-size: Standard_D2ds_v5, nodes: 1, slots-per-node: 1}\n  - vm-size: Standard_D8ds_v5\n"
    site.write({"Snakefile": snakefile, "azbatch.yaml": config})
    result = site.run(az_batch_config="azbatch.yaml")
    assert result.code == 0, result.last_error()
    small = {site.read(f"small{n}.txt") for n in range(3)}
    assert len(small) == 1 and site.read("large.txt") not in small
    assert "(Standard_D2ds_v5, 1 task slots per node" in result.output
    assert "(Standard_D8ds_v5, 8 task slots per node" in result.output
    pool = small.pop().strip()
    sizes = re.findall(rf"resizing the pool {pool} to (\d+) nodes", result.output)
    assert set(sizes) <= {"0", "1"}, "one node, though three jobs wait"
    site.assert_clean()


@pytest.mark.parametrize(
    "options, says",
    [
        ({"az_batch_start_task": "none.sh"}, "Cannot read the file given as --az-batch-start-task: none.sh"),
        ({"az_batch_subnet_id": SUBNET}, "AZ_BATCH_ACCOUNT_KEY is set: unset it and log in"),
    ],
)
def test_refused_in_a_dry_run_too(site, options, says):
    site.write({"Snakefile": SNAKEFILE.replace("HELD", "true")})
    result = site.run("-n", **options)
    assert result.code == 1 and says in result.output, result.output
    assert "Traceback" not in result.output and not site.left()


def test_the_service_sizes_a_pool_from_its_first_nodes_on(site):
    site.write({"Snakefile": SNAKEFILE.replace("HELD", "true")})
    result = site.run("--az-batch-autoscale")
    assert result.code == 0, result.last_error()
    assert "resizing the pool" not in result.output
    site.assert_clean()


@pytest.mark.parametrize(
    "formula, says",
    [
        ("$TargetDedicatedNodes = max(;", "AutoScalingFormulaSyntaxError"),
        ("$TargetDedicatedNodes = $NoSuchThing;", "NoSuchThing"),
    ],
)
def test_a_formula_that_the_service_does_not_take_is_told(site, formula, says):
    site.write({"Snakefile": SNAKEFILE.replace("HELD", "true")})
    result = site.run(az_batch_autoscale=formula)
    assert result.code == 1 and says in result.output, result.output
    assert "can't size pools by --az-batch-autoscale" in result.output and "Traceback" not in result.output
    site.assert_clean()


def test_the_next_run_finds_the_nodes_of_a_kept_pool(site):
    site.write({"Snakefile": SNAKEFILE.replace("HELD", "true")})
    first = site.run(az_batch_keep_pool="30")
    assert first.code == 0, first.last_error()
    (kept,) = site.left()
    assert "kept the pool" in first.output and kept.startswith("pool snakemake-warm-")
    second = site.run("--forceall", az_batch_keep_pool="20", default_storage_prefix=site.prefix + "/other")
    assert second.code == 0, second.last_error()
    assert f"took the {kept}" in second.output and "created the pool" not in second.output
    assert site.left() == [kept]
    listed = site.run(command=site.sweep())
    assert "for the next run that wants such a pool: not touched" in listed.output, listed.output
    third = site.run("--forceall", az_batch_keep_pool="30", az_batch_os_disk="99")
    assert third.code == 0 and "created the pool" in third.output, third.last_error()
    last = site.run("--forceall")
    assert last.code == 0 and "created the pool" in last.output, "without the option, none of them"
    assert len(site.left()) == 2
