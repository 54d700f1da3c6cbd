"""Where jobs go: by price, by what they need, with few pools, and around sizes that the region has none of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from snakemake.azure.batch.os_images import OsImages
from snakemake.azure.batch.placement import CLOSED_FOR, Demand, Placement
from snakemake.azure.batch.pool_definition import PLAIN
from snakemake.azure.batch.prices import Prices, built_in
from snakemake.azure.batch.quotas import Quotas
from snakemake.azure.batch.size_lists import auto, sizes
from snakemake.azure.batch.vm_sizes import DoesNotFit, UnknownVmSize
from snakemake.azure.settings import ExecutorSettings, SettingsError

GB = 1000**3 // 2**20


class Scene:
    def __init__(self, vm_size=None, prices=None, architectures=None, **settings):
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.placement = Placement(
            ExecutorSettings(vm_size=vm_size, **settings),
            None,
            prices=prices or built_in(),
            architectures=architectures,
            now=lambda: self.time,
        )

    def take(self, threads=1, gb=1, **more):
        return self.placement.take(Demand(threads=threads, mem_mib=gb * GB, **more))


def where(place):
    return place.vm.name.removeprefix("Standard_"), place.slots, place.slots_per_node


def test_each_job_goes_where_its_share_costs_least():
    scene = Scene()
    assert where(scene.take()) == ("D4ads_v5", 1, 4)
    assert where(scene.take(4, 16)) == ("D4ads_v5", 4, 4)
    assert where(scene.take(8)) == ("D8ads_v5", 8, 8)
    assert where(scene.take(1, 30)) == ("E4ads_v5", 4, 4)
    assert where(scene.take(32, 128)) == ("D32ads_v5", 32, 32)


@pytest.mark.parametrize("threads", range(1, 33))
def test_auto_takes_all_that_public_workflows_ask_for(threads):
    for gb in (1, 8, 30, 64, 100, 128):
        place = Scene().take(threads, gb)
        assert place.vm.vcpus >= threads and place.slots <= place.slots_per_node


def test_prices_decide():
    dear = Prices("", "", {"standard_d4ads_v5": 9.0, "standard_d4ds_v5": 1.0, "standard_e4ds_v5": 1.5})
    scene = Scene("Standard_D4ads_v5,Standard_D4ds_v5,Standard_E4ds_v5", dear)
    assert where(scene.take()) == ("D4ds_v5", 1, 4)
    assert where(scene.take(1, 8)) == ("E4ds_v5", 1, 4)


def test_a_pool_that_is_there_is_used_if_that_costs_little_more():
    scene = Scene("Standard_F4s_v2,Standard_D4ads_v5,Standard_E4ads_v5")
    assert where(scene.take(1, 4)) == ("D4ads_v5", 1, 4)
    assert where(scene.take(1, 1)) == ("D4ads_v5", 1, 4), "though F4s_v2 would be cheaper by a fifth"
    assert where(Scene("Standard_F4s_v2,Standard_D4ads_v5").take(1, 1)) == ("F4s_v2", 1, 4)
    assert where(scene.take(1, 8)) == ("E4ads_v5", 1, 4), "which saves a third"


def test_a_small_job_does_not_go_to_much_larger_nodes():
    scene = Scene()
    assert where(scene.take(16)) == ("D16ads_v5", 16, 16)
    assert where(scene.take()) == ("D16ads_v5", 1, 16)
    large = Scene()
    assert where(large.take(32)) == ("D32ads_v5", 32, 32)
    assert where(large.take()) == ("D4ads_v5", 1, 4)


def test_asking_where_a_job_would_go_makes_no_pool():
    scene = Scene()
    scene.placement.place(Demand(threads=16))
    assert where(scene.take()) == ("D4ads_v5", 1, 4)


def test_disks_count():
    scene = Scene("Standard_D4ads_v5,Standard_D16ads_v5")
    assert where(scene.take(disk_mib=100 * 1024)) == ("D4ads_v5", 3, 4)
    assert where(scene.take(disk_mib=400 * 1024)) == ("D16ads_v5", 11, 16)
    with pytest.raises(DoesNotFit, match=r"1048576 MiB of the tasks' disk .*--az-batch-data-disk"):
        scene.take(disk_mib=1024 * 1024)
    assert where(scene.take(disk_mib=1024 * 1024, disk_is_guess=True)) == ("D4ads_v5", 4, 4)
    assert where(Scene("Standard_D4s_v5").take(disk_mib=10**9))[1] == 1, "on the OS disk"


def test_data_disks_are_the_tasks_disks():
    scene = Scene("Standard_D4s_v5,Standard_D4ads_v5")
    scene.placement.definition = replace(PLAIN, data_disk=1024)
    assert scene.take(disk_mib=512 * 1024).slots == 2
    assert scene.take(disk_mib=1024 * 1024).slots == 4
    with pytest.raises(DoesNotFit, match="has 1048576"):
        scene.take(disk_mib=1025 * 1024)


def test_gpus_land_on_gpu_sizes():
    scene = Scene()
    assert where(scene.take(gpus=1)) == ("NC4as_T4_v3", 4, 4)
    assert scene.take(32, gpus=1).vm.gpus >= 1
    assert scene.take(gpus=2).vm.gpus >= 2
    assert scene.take().vm.gpus == 0
    with pytest.raises(DoesNotFit, match=r"1 GPUs \(gpu\), but a node of size Standard_D4ds_v5 has 0"):
        Scene("Standard_D4ds_v5").take(gpus=1)
    with pytest.raises(DoesNotFit, match="GPUs"):
        Scene("Standard_D4ds_v5").take(gpus=1, slots=4)


def test_a_rule_has_a_list_of_its_own():
    scene = Scene("Standard_D4ds_v5")
    assert where(scene.take(vm_size="Standard_E4ads_v5, standard_E8ads_v5", threads=6)) == ("E8ads_v5", 6, 8)
    assert where(scene.take(vm_size="auto", threads=6)) == ("D8ads_v5", 6, 8)


def test_slots_by_hand():
    scene = Scene("Standard_D4ds_v5,Standard_D8ds_v5", slots_per_node=6)
    assert where(scene.take(slots=6)) == ("D4ds_v5", 6, 6)
    with pytest.raises(SettingsError, match="az_slots"):
        scene.take(slots=7)


@pytest.mark.parametrize(
    "vm_size, threads, gb, says",
    [
        (
            None,
            64,
            1,
            "64 threads, but of the sizes auto .*Standard_[DE]32.* has 32: .*--max-threads 32.*larger size",
        ),
        (None, 32, 300, "MiB of memory.*the one that comes closest, Standard_E32.*, has 262144.*larger size"),
        ("Standard_D2ds_v5", 8, 1, "8 threads, but a node of size Standard_D2ds_v5 has 2.*--max-threads 2"),
        (
            "Standard_D2ds_v5,Standard_E4ds_v5",
            8,
            1,
            "of the sizes Standard_D2ds_v5, Standard_E4ds_v5 .* has 4",
        ),
    ],
)
def test_what_fits_nowhere_is_told_with_the_numbers_and_the_ways_out(vm_size, threads, gb, says):
    with pytest.raises(DoesNotFit, match=says) as e:
        Scene(vm_size).take(threads, gb)
    assert "\n" not in str(e.value)


def test_what_a_region_does_not_sell_is_left_out_of_auto():
    prices = replace(built_in(), unsold=frozenset({"standard_d4ads_v5", "standard_d8ads_v5"}))
    assert where(Scene(prices=prices).take()) == ("D4ds_v5", 1, 4)
    assert where(Scene("Standard_D4ads_v5", prices).take()) == ("D4ads_v5", 1, 4), (
        "what was asked for by name"
    )
    none = replace(built_in(), unsold=frozenset(vm.name.lower() for vm in auto()))
    assert where(Scene(prices=none).take()) == ("D4ads_v5", 1, 4)


def test_sizes_that_the_account_has_no_quota_for_are_left_out_of_auto():
    scene = Scene()
    sizes = {vm.name.lower(): vm.name.split("_")[1].lstrip("DE0123456789") for vm in auto()}
    scene.placement.quotas = Quotas(dedicated=100, families={"ads": 0, "ds": 100}, sizes=sizes)
    assert where(scene.take()) == ("D4ds_v5", 1, 4)
    scene.placement.check_quotas()
    scene.placement.quotas = Quotas(dedicated=0)
    with pytest.raises(SettingsError, match="a quota of 0 dedicated cores.*portal"):
        scene.placement.check_quotas()
    scene.placement.settings.spot = 2
    scene.placement.check_quotas()


def test_sizes_that_boot_no_image_are_left_out():
    image = {
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        "imageReference": {
            "publisher": "microsoft-dsvm",
            "offer": "ubuntu-hpc",
            "sku": "2404",
            "version": "latest",
        },
        "osType": "linux",
        "capabilities": ["DockerCompatible", "Generation2VMImage"],
        "verificationType": "verified",
    }
    scene = Scene("Standard_D2_v3,Standard_D64ds_v5")
    scene.placement.os_images = OsImages((image,), scene.time, None)
    assert where(scene.take()) == ("D64ds_v5", 1, 64)
    assert scene.placement.pool_plan(scene.take(), "run", 1, "image").vm_size == "Standard_D64ds_v5"


def test_arm_sizes_are_for_images_that_are_made_for_them():
    assert Scene(architectures={"arm64"}).take().vm.arm
    assert not Scene(architectures={"arm64", "amd64"}).take().vm.arm
    assert not Scene().take().vm.arm
    both = "Standard_D4pds_v5,Standard_D4ds_v5"
    assert not Scene(both, architectures={"amd64"}).take().vm.arm
    assert Scene(both, architectures={"arm64"}).take().vm.arm
    with pytest.raises(SettingsError, match="Standard_D4pds_v5 have Arm64 processors.*amd64.*linux/arm64"):
        Scene("Standard_D4pds_v5", architectures={"amd64"}).take()


def test_the_next_size_while_the_region_has_none_of_the_first():
    scene = Scene()
    key = scene.take().key
    assert scene.placement.has_other(Demand(threads=1), key)
    scene.placement.close(key)
    assert where(scene.take()) == ("D4ds_v5", 1, 4), "another series, before another size of the same one"
    scene.time += CLOSED_FOR + timedelta(seconds=1)
    fresh = replace(scene.placement, _used={})
    assert where(fresh.take(Demand(threads=1))) == ("D4ads_v5", 1, 4)
    scene.placement.close(key)
    scene.placement.reopen(key)
    assert where(replace(scene.placement, _used={}).take(Demand(threads=1))) == ("D4ads_v5", 1, 4)


def test_a_size_alone_has_no_other():
    scene = Scene("Standard_D4ds_v5")
    key = scene.take().key
    assert not scene.placement.has_other(Demand(threads=1), key)
    scene.placement.close(key)
    assert scene.take().key == key


def test_spot_has_pools_of_its_own():
    scene = Scene()
    spot, other = scene.take(spot=True), scene.take()
    assert (spot.spot, other.spot) == (True, False) and spot.key != other.key and spot.vm == other.vm


def test_lists():
    assert [vm.name for vm in sizes("Standard_D4ds_v5, standard_e8ds_V5,Standard_D4ds_v5")] == [
        "Standard_D4ds_v5",
        "Standard_E8ds_v5",
    ]
    assert sizes("auto") == sizes("AUTO") == ()
    for bad in ("auto,Standard_D4ds_v5", "Standard_D4ds_v5,", "Standard_D4ds_v5 Standard_D8ds_v5", ""):
        with pytest.raises(UnknownVmSize):
            sizes(bad)
