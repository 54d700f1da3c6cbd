"""The choice of a node's OS image from what Batch lists."""

from datetime import UTC, datetime

import pytest
from azure.batch.models import BatchSupportedImage
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.batch.os_images import Needs, NoOsImage, OsImages, choose_os_image, parse_images
from snakemake.azure.batch.vm_sizes import vm_size

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GENERATION_1 = Needs(generation2=False)


def image(
    name, agent="batch.node.ubuntu 24.04", end=None, docker=True, verified="verified", os="linux", more=()
):
    publisher, offer, sku = name.split(":")
    entry = {
        "nodeAgentSKUId": agent,
        "imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"},
        "osType": os,
        "capabilities": (["DockerCompatible", "NvidiaTeslaDriverInstalled"] if docker else []) + list(more),
        "verificationType": verified,
    }
    if end:
        entry["batchSupportEndOfLife"] = end
    return entry


GEN2 = ("Generation2VMImage",)
LISTED = [
    image("canonical:ubuntu-24_04-lts:server", docker=False, more=GEN2),
    image("microsoft-azure-batch:ubuntu-server-container:20-04-lts", end="2025-04-23T00:00:00Z"),
    image(
        "microsoft-dsvm:ubuntu-hpc:2204",
        "batch.node.ubuntu 22.04",
        end="2027-06-30T00:00:00.0000000Z",
        more=GEN2,
    ),
    image("microsoft-dsvm:ubuntu-hpc:2404", more=GEN2),
    image("almalinux:almalinux-hpc:9-hpc-gen1", "batch.node.el 9"),
    image("almalinux:almalinux-hpc:9-hpc-gen2", "batch.node.el 9", more=GEN2),
    image("microsoftwindowsserver:windowsserver:2022-datacenter", "batch.node.windows amd64", os="windows"),
    {
        "nodeAgentSKUId": "x",
        "imageReference": {"virtualMachineImageId": "/subscriptions/x"},
        "osType": "linux",
    },
]


def without(*names):
    return [i for i in LISTED if i["imageReference"].get("sku") not in names]


def test_prefers_ubuntu_hpc_2404():
    chosen = choose_os_image(LISTED, NOW)
    assert chosen.name == "microsoft-dsvm:ubuntu-hpc:2404:latest"
    assert chosen.node_agent_sku_id == "batch.node.ubuntu 24.04"


def test_reads_the_models_of_the_sdk():
    models = [BatchSupportedImage(entry) for entry in LISTED]
    assert parse_images(models) == parse_images(LISTED)
    assert choose_os_image(models, NOW) == choose_os_image(LISTED, NOW)
    assert choose_os_image(models, NOW).verified


def test_next_best_is_what_is_supported_longest():
    assert choose_os_image(without("2404"), NOW).offer == "almalinux-hpc"
    assert choose_os_image(without("2404", "9-hpc-gen1", "9-hpc-gen2"), NOW).sku == "2204"


def test_generation_1_size_gets_an_image_that_boots_there():
    assert choose_os_image(LISTED, NOW, needs=GENERATION_1).sku == "9-hpc-gen1"
    with pytest.raises(NoOsImage, match="--az-batch-vm-size"):
        choose_os_image(without("9-hpc-gen1"), NOW, needs=GENERATION_1)


def test_end_of_life_counts_from_the_given_moment():
    later = datetime(2027, 7, 1, tzinfo=UTC)
    listed = [i for i in LISTED if i["imageReference"].get("sku") == "2204"]
    assert choose_os_image(listed, NOW).sku == "2204"
    with pytest.raises(NoOsImage, match="--az-batch-os-image"):
        choose_os_image(listed, later)


def test_nothing_to_choose_from():
    with pytest.raises(NoOsImage, match="--az-batch-os-image"):
        choose_os_image([], NOW)


def test_unverified_only_when_asked_for():
    listed = [image("acme:linux:1", verified="unverified")]
    with pytest.raises(NoOsImage):
        choose_os_image(listed, NOW)
    assert choose_os_image(listed, NOW, wanted="acme:linux:1").publisher == "acme"


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("microsoft-dsvm:ubuntu-hpc:2204", "microsoft-dsvm:ubuntu-hpc:2204:latest"),
        ("Microsoft-DSVM:Ubuntu-HPC:2204", "microsoft-dsvm:ubuntu-hpc:2204:latest"),
        (
            "microsoft-dsvm:ubuntu-hpc:2204:22.04.2025041101",
            "microsoft-dsvm:ubuntu-hpc:2204:22.04.2025041101",
        ),
    ],
)
def test_the_wanted_image(wanted, name):
    assert choose_os_image(LISTED, NOW, wanted=wanted).name == name


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("ubuntu", "not of the form"),
        ("a:b:", "not of the form"),
        ("a:b:c:d:e", "not of the form"),
        ("microsoft-dsvm:ubuntu-hpc:1804", "microsoft-dsvm:ubuntu-hpc:2404"),  # says what there is
        ("canonical:ubuntu-24_04-lts:server", "runs no containers"),
        ("microsoft-azure-batch:ubuntu-server-container:20-04-lts", "2025-04-23"),
        ("microsoftwindowsserver:windowsserver:2022-datacenter", "Windows"),
    ],
)
def test_a_wanted_image_that_cannot_be_used(wanted, why):
    with pytest.raises(NoOsImage, match="--az-batch-os-image") as caught:
        choose_os_image(LISTED, NOW, wanted=wanted)
    assert why in str(caught.value) and wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wanted_generation_2_image_needs_such_a_size():
    with pytest.raises(NoOsImage, match="--az-batch-vm-size"):
        choose_os_image(LISTED, NOW, wanted="microsoft-dsvm:ubuntu-hpc:2404", needs=GENERATION_1)


@given(st.permutations(LISTED), st.booleans())
def test_the_order_of_the_list_does_not_matter(listed, generation2):
    assert choose_os_image(listed, NOW, needs=Needs(generation2=generation2)) == choose_os_image(
        LISTED, NOW, needs=Needs(generation2=generation2)
    )


ARM = image("microsoft-dsvm:ubuntu-hpc:2404-arm64", verified="unverified", more=GEN2)
GRID = image(
    "microsoft-dsvm:ubuntu-hpc:2204-grid", verified="unverified", more=(*GEN2, "NvidiaGridDriverInstalled")
)


def test_the_generation_is_what_the_capability_says_whatever_the_name():
    listed = [image("acme:linux:9-gen2"), image("acme:linux:plain", more=GEN2)]
    assert choose_os_image(listed, NOW, needs=GENERATION_1).sku == "9-gen2"


@pytest.mark.parametrize(
    ("size", "arm"),
    [
        ("Standard_D4ps_v5", True),
        ("Standard_D4pds_v5", True),
        ("Standard_E8pds_v6", True),
        ("Standard_D4ds_v5", False),
        ("Standard_NP10s", False),
        ("Standard_NC4as_T4_v3", False),
    ],
)
def test_sizes_with_p_get_images_for_arm_and_the_others_never(size, arm):
    vm = vm_size(size)
    assert vm.arm == arm
    for_vm = OsImages((*LISTED, ARM), NOW, None).for_vm
    if size != "Standard_NP10s":
        assert for_vm(vm).arm == arm


def test_an_image_for_other_processors_is_refused_by_name():
    with pytest.raises(NoOsImage, match="Arm processors"):
        choose_os_image([*LISTED, ARM], NOW, wanted="microsoft-dsvm:ubuntu-hpc:2404-arm64")
    with pytest.raises(NoOsImage, match="letter p.*--az-batch-vm-size"):
        choose_os_image(LISTED, NOW, needs=Needs(arm=True))


@pytest.mark.parametrize(
    ("size", "sku"),
    [("Standard_NC4as_T4_v3", "2404"), ("Standard_NV6ads_A10_v5", "2204-grid")],
)
def test_gpu_sizes_get_an_image_with_their_driver(size, sku):
    bare = image("acme:linux:new", docker=False, more=(*GEN2, "DockerCompatible"))
    assert OsImages((bare, *LISTED, GRID), NOW, None).for_vm(vm_size(size)).sku == sku


def test_gpus_without_a_driver_on_any_image_are_told():
    with pytest.raises(NoOsImage, match="AMD driver.*--az-batch-start-task"):
        OsImages(tuple(LISTED), NOW, None).for_vm(vm_size("Standard_ND96isr_MI300X_v5"))
    with pytest.raises(NoOsImage, match="GRID"):
        choose_os_image(LISTED, NOW, needs=Needs(gpu="grid"))
