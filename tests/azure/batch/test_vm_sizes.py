"""VM sizes: the table's figures, names that are not in it, and slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.batch.vm_sizes import (
    DoesNotFit,
    SlotsOutOfBounds,
    UnknownVmSize,
    VmSize,
    slots_for,
    table,
    task_slots,
    vm_size,
)

# Read off the size pages one by one, not from the table: name, vCPUs, GiB of memory and temporary disk, GPUs.
DOCUMENTED = [
    ("Standard_A4m_v2", 4, 32, 40, 0),
    ("Standard_D3_v2", 4, 14, 200, 0),
    ("Standard_DS11_v2", 2, 14, 28, 0),
    ("Standard_D8_v3", 8, 32, 200, 0),
    ("Standard_D48s_v3", 48, 192, 384, 0),
    ("Standard_D96a_v4", 96, 384, 2400, 0),
    ("Standard_D64as_v4", 64, 256, 512, 0),
    ("Standard_D2ds_v4", 2, 8, 75, 0),
    ("Standard_D4s_v5", 4, 16, 0, 0),
    ("Standard_D96ads_v5", 96, 384, 3600, 0),
    ("Standard_D2lds_v5", 2, 4, 75, 0),
    ("Standard_E20s_v3", 20, 160, 320, 0),
    ("Standard_E64s_v3", 64, 432, 864, 0),
    ("Standard_E64d_v4", 64, 504, 2400, 0),
    ("Standard_E96as_v4", 96, 672, 1344, 0),
    ("Standard_E104ids_v5", 104, 672, 3800, 0),
    ("Standard_F72s_v2", 72, 144, 576, 0),
    ("Standard_L80s_v3", 80, 640, 800, 0),
    ("Standard_NC12s_v3", 12, 224, 1474, 2),
    ("Standard_NC16as_T4_v3", 16, 110, 360, 1),
    ("Standard_NC96ads_A100_v4", 96, 880, 256, 4),
    ("Standard_NV36adms_A10_v5", 36, 880, 720, 1),
    ("Standard_HC44rs", 44, 352, 700, 0),
]


@pytest.mark.parametrize(("name", "vcpus", "memory", "disk", "gpus"), DOCUMENTED)
def test_documented_figures(name, vcpus, memory, disk, gpus):
    vm = vm_size(name)
    assert (vm.name, vm.vcpus, vm.memory_gib, vm.temp_disk_gib, vm.gpus) == (name, vcpus, memory, disk, gpus)


def test_table_is_plausible():
    assert len(table()) > 350
    for size in table().values():
        assert size.memory_gib is not None
        assert 1.9 <= size.memory_gib / size.vcpus <= 25


@pytest.mark.parametrize(
    ("name", "generation2"),
    [
        ("Standard_D2_v3", False),
        ("Standard_D2s_v3", True),
        ("Standard_A2_v2", False),
        ("Standard_D4a_v4", True),
    ],
)
def test_generation(name, generation2):
    assert vm_size(name).generation2 is generation2


@given(st.data())
def test_case_does_not_matter(data):
    name = data.draw(st.sampled_from(sorted(size.name for size in table().values())))
    mixed = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in name)
    assert vm_size(mixed) == vm_size(name)


@pytest.mark.parametrize(
    ("name", "canonical", "vcpus", "like"),
    [
        ("standard_E32-8S_v5", "Standard_E32-8s_v5", 8, "Standard_E32s_v5"),
        ("Standard_DS13-4_v2", "Standard_DS13-4_v2", 4, "Standard_DS13_v2"),
        ("Standard_HB120-16rs_v3", "Standard_HB120-16rs_v3", 16, "Standard_HB120rs_v3"),
    ],
)
def test_constrained_size_keeps_the_memory_of_its_base(name, canonical, vcpus, like):
    vm, base = vm_size(name), vm_size(like)
    assert (vm.name, vm.vcpus) == (canonical, vcpus)
    assert (vm.memory_gib, vm.temp_disk_gib, vm.gpus) == (base.memory_gib, base.temp_disk_gib, base.gpus)


@pytest.mark.parametrize(
    ("name", "vcpus", "gpus"),
    [
        ("Standard_D16ds_v7", 16, 0),
        ("Standard_B2ms", 2, 0),
        ("Standard_M64-32bds_1_v3", 32, 0),
        ("Standard_DC4as_cc_v5", 4, 0),
        ("Standard_NC40ads_H100_v5", 40, None),
        ("Standard_ND96isr_MI300X_v5", 96, None),
    ],
)
def test_new_size_is_read_by_the_naming_convention(name, vcpus, gpus):
    assert name.lower() not in table()
    assert vm_size(name) == VmSize(name, vcpus, None, None, gpus, True)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Standard_D5s_v3", "Standard_D4s_v3"),  # a number that its series does not have
        ("Standard_D4_s_v3", "Standard_D4s_v3"),
        ("D4s_v3", "Standard_D4s_v3"),
        ("Standard_D6_v2", "Standard_D5_v2"),  # this series' numbers are not vCPUs
        ("Standard_D4x_v9", None),
        ("Standard_HB120-500rs_v3", "Standard_HB120rs_v3"),
        ("huge", None),
        ("", None),
        ("Standard_D4s_v3 ", "Standard_D4s_v3"),
        ("Standard_D٤s_v8", None),  # digits, but not Azure's
    ],
)
def test_unknown_size(name, near):
    with pytest.raises(UnknownVmSize) as caught:
        vm_size(name)
    assert repr(name) in str(caught.value)
    assert len(caught.value.near) <= 3
    if near:
        assert near in caught.value.near and near in str(caught.value)


@pytest.mark.parametrize(
    ("name", "wanted", "slots"),
    [
        ("Standard_D4s_v3", None, 4),
        ("Standard_D4s_v3", 16, 16),
        ("Standard_F72s_v2", 256, 256),
        ("Standard_D4s_v3", 1, 1),
    ],
)
def test_task_slots(name, wanted, slots):
    assert task_slots(vm_size(name), wanted) == slots


@pytest.mark.parametrize(
    ("name", "wanted"), [("Standard_D4s_v3", 17), ("Standard_F72s_v2", 257), ("Standard_D4s_v3", 0)]
)
def test_task_slots_out_of_bounds(name, wanted):
    with pytest.raises(SlotsOutOfBounds, match="--az-batch-slots-per-node"):
        task_slots(vm_size(name), wanted)


@pytest.mark.parametrize(
    ("threads", "mem_mib", "slots_per_node", "slots"),
    [
        (1, 0, 4, 1),
        (1, None, 4, 1),
        (3, 0, 4, 3),
        (1, 4096, 4, 1),
        (1, 4097, 4, 2),  # memory decides, rounded up
        (4, 1, 4, 4),
        (1, 16384, 4, 4),
        (1, 0, 1, 1),
        (1, 0, 8, 2),
        (3, 0, 2, 2),
    ],
)
def test_slots_for(threads, mem_mib, slots_per_node, slots):
    assert slots_for(threads, mem_mib, vm_size("Standard_D4s_v3"), slots_per_node) == slots


@pytest.mark.parametrize(("threads", "mem_mib", "resource"), [(5, 0, "threads"), (1, 16385, "mem_mib")])
def test_job_too_large_for_a_node(threads, mem_mib, resource):
    with pytest.raises(DoesNotFit, match="--az-batch-vm-size") as caught:
        slots_for(threads, mem_mib, vm_size("Standard_D4s_v3"), 4)
    assert caught.value.resource == resource and "Standard_D4s_v3" in str(caught.value)


def test_unknown_memory_leaves_it_to_the_vcpus():
    assert slots_for(2, 10**9, vm_size("Standard_D16ds_v7"), 16) == 2


@given(
    vm=st.sampled_from(sorted(table().values(), key=lambda size: size.name)),
    jobs=st.lists(st.tuples(st.integers(1, 128), st.integers(0, 10**6)), max_size=30),
    data=st.data(),
)
def test_jobs_that_fit_in_slots_fit_in_the_node(vm, jobs, data):
    """What slots are for: however a node is filled, neither its vCPUs nor its memory are given out twice."""
    slots_per_node = data.draw(st.integers(1, min(4 * vm.vcpus, 256)))
    free, threads, memory = slots_per_node, 0, 0
    for need_threads, need_mib in jobs:
        try:
            slots = slots_for(need_threads, need_mib, vm, slots_per_node)
        except DoesNotFit:
            assert need_threads > vm.vcpus or need_mib > vm.memory_mib
            continue
        assert 1 <= slots <= slots_per_node
        if slots <= free:
            free, threads, memory = free - slots, threads + need_threads, memory + need_mib
    assert threads <= vm.vcpus and memory <= vm.memory_mib
