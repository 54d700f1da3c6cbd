"""Chooses the operating system image of a pool's nodes, at run time, from what Batch supports at the moment.

The list is the answer of https://learn.microsoft.com/rest/api/batchservice/pools/list-supported-images:
mappings with the wire names nodeAgentSKUId, imageReference, osType, capabilities, batchSupportEndOfLife and
verificationType (the SDK's BatchSupportedImage is such a mapping). Nothing is hard-coded but a preference,
because images reach their end of life, and a pool cannot be created with one that has. What a VM size asks of its
image, `Needs` tells: the processors, the generation, the driver of its GPUs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.vm_sizes import VmSize
from snakemake.azure.wire import lower

PREFERRED = ("microsoft-dsvm", "ubuntu-hpc", "2404")
OPTION = "--az-batch-os-image"

GENERATION_2 = "generation2vmimage"
"""The capability of images that boot on VMs of generation 2, and only there; all others boot on generation 1."""

_AMD_SIZE = re.compile(r"standard_(ng|nv\d+as_v4|nv\w+_v710_|nd\w+_mi\d+)", re.IGNORECASE)
_DRIVERS = {"tesla": "nvidiatesladriverinstalled", "grid": "nvidiagriddriverinstalled"}
"""The capabilities of images with NVIDIA's driver for whole GPUs, and with that for parts of one and for graphics."""


def gpu_driver(vm: VmSize) -> str:
    """The driver that its GPUs need: `tesla`, `grid`, `amd`, or nothing.

    https://learn.microsoft.com/azure/virtual-machines/linux/n-series-driver-setup
    """
    if vm.gpus == 0:
        return ""
    if _AMD_SIZE.match(vm.name):
        return "amd"
    return "grid" if vm.name.lower().startswith("standard_nv") else "tesla"


@dataclass(frozen=True)
class Needs:
    """What a VM size asks of an image; `gpu` as `gpu_driver` has it."""

    generation2: bool = True
    arm: bool = False
    gpu: str = ""

    @classmethod
    def of(cls, vm: VmSize) -> "Needs":
        return cls(vm.generation2, vm.arm, gpu_driver(vm))


ANY = Needs()


@dataclass(frozen=True)
class OsImage:
    """An image and the node agent that goes with it; `end_of_life` None means that no date is announced."""

    publisher: str
    offer: str
    sku: str
    version: str
    node_agent_sku_id: str
    end_of_life: datetime | None
    containers: bool
    verified: bool
    linux: bool
    capabilities: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.publisher}:{self.offer}:{self.sku}:{self.version}"

    @property
    def generation2_only(self) -> bool:
        return GENERATION_2 in self.capabilities

    @property
    def arm(self) -> bool:
        return "arm64" in f"{self.sku} {self.node_agent_sku_id}".lower()


class NoOsImage(WorkflowError):
    """No image of the list can be used; the message says why and names the option."""


def parse_images(supported: Iterable[Mapping[str, Any]]) -> list[OsImage]:
    """The Marketplace images of a list of supported images; what has no publisher is left out."""
    images = []
    for entry in supported:
        reference = entry.get("imageReference") or {}
        if not (reference.get("publisher") and reference.get("offer") and reference.get("sku")):
            continue
        capabilities = frozenset(str(c).lower() for c in entry.get("capabilities") or ())
        images.append(
            OsImage(
                publisher=reference["publisher"],
                offer=reference["offer"],
                sku=reference["sku"],
                version=reference.get("version") or "latest",
                node_agent_sku_id=entry["nodeAgentSKUId"],
                end_of_life=_date(entry.get("batchSupportEndOfLife")),
                containers="dockercompatible" in capabilities,
                # Enumerations come in changing case, and from the SDK as members of a string enumeration.
                verified=lower(entry.get("verificationType")) == "verified",
                linux=lower(entry.get("osType")) == "linux",
                capabilities=capabilities,
            )
        )
    return images


def choose_os_image(
    supported: Iterable[Mapping[str, Any]],
    now: datetime,
    wanted: str | None = None,
    needs: Needs = ANY,
) -> OsImage:
    """The image for a pool of containers: the one wanted (`publisher:offer:sku[:version]`), else the best.

    Best is ubuntu-hpc 2404, and after it the image that Batch supports longest. Only Linux images that run containers,
    boot on the VM size, have the driver of its GPUs, and have not reached their end of life at `now` (with time zone)
    come into question. Unverified ones do if they are asked for by name, or if there is no other for Arm or for the
    driver. Raises NoOsImage.
    """
    images = parse_images(supported)
    if wanted:
        return _wanted(images, wanted, now, needs)
    possible = [i for i in images if _obstacle(i, now, needs) is None and _has_driver(i, needs)]
    usable = [i for i in possible if i.verified]
    if not usable and (needs.arm or needs.gpu):
        usable = possible
    if usable:
        return max(usable, key=_rank)
    if needs.gpu:
        raise NoOsImage(
            f"No image that Batch supports runs containers and has the {_DRIVER_NAMES[needs.gpu]} driver that the GPUs "
            f"of this VM size need: name an image with {OPTION} and install the driver with --az-batch-start-task, or "
            "choose another size with --az-batch-vm-size."
        )
    if needs.arm:
        raise NoOsImage(
            "No image that Batch supports runs containers on Arm processors: choose a size without the letter p with "
            f"--az-batch-vm-size, or name an image with {OPTION}."
        )
    if not needs.generation2:
        raise NoOsImage(
            "No image that Batch supports runs Linux containers on a VM size of generation 1: choose a newer "
            f"size with --az-batch-vm-size, or name an image with {OPTION}."
        )
    raise NoOsImage(
        f"None of the {len(images)} images that Batch supports runs Linux containers and is verified and "
        f"maintained: name one as publisher:offer:sku with {OPTION}."
    )


_DRIVER_NAMES = {"tesla": "NVIDIA", "grid": "NVIDIA GRID", "amd": "AMD"}


def _has_driver(image: OsImage, needs: Needs) -> bool:
    return not needs.gpu or _DRIVERS.get(needs.gpu, "none") in image.capabilities


@dataclass(frozen=True)
class OsImages:
    """The images that the account's Batch service supports now."""

    supported: tuple[Any, ...]
    now: datetime
    wanted: str | None
    _chosen: dict[Needs, OsImage | NoOsImage] = field(default_factory=dict, repr=False, compare=False)

    def for_vm(self, vm: VmSize) -> OsImage:
        """The image for nodes of this size, looked for once for all sizes that need the same: each job is placed among
        many sizes. Raises NoOsImage."""
        needs = Needs.of(vm)
        if needs not in self._chosen:
            try:
                self._chosen[needs] = choose_os_image(self.supported, self.now, self.wanted, needs)
            except NoOsImage as none:
                self._chosen[needs] = none
        chosen = self._chosen[needs]
        if isinstance(chosen, NoOsImage):
            raise NoOsImage(str(chosen))
        return chosen


def _wanted(images: list[OsImage], wanted: str, now: datetime, needs: Needs) -> OsImage:
    parts = wanted.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise NoOsImage(
            f"{OPTION} {wanted!r} is not of the form publisher:offer:sku or publisher:offer:sku:version."
        )
    key = tuple(part.lower() for part in parts[:3])
    matches = [i for i in images if (i.publisher.lower(), i.offer.lower(), i.sku.lower()) == key]
    if not matches:
        others = sorted({i.name.rpartition(":")[0] for i in images if _obstacle(i, now, needs) is None})
        raise NoOsImage(
            f"{OPTION} {wanted!r} is not among the images that Batch supports; these run containers: "
            f"{', '.join(others) or 'none'}."
        )
    # One image may be listed with several node agents: the longest supported comes first.
    best = max(matches, key=lambda i: (_obstacle(i, now, needs) is None, _rank(i)))
    if obstacle := _obstacle(best, now, needs):
        raise NoOsImage(f"{OPTION} {wanted!r} cannot be used because {obstacle}.")
    if len(parts) == 4:
        return OsImage(**{**vars(best), "version": parts[3]})
    return best


def _obstacle(image: OsImage, now: datetime, needs: Needs) -> str | None:
    if not image.linux:
        return "its nodes run Windows"
    if not image.containers:
        return "it runs no containers"
    if image.end_of_life is not None and image.end_of_life <= now:
        return f"its support by Batch ended on {image.end_of_life:%Y-%m-%d}"
    if image.arm != needs.arm:
        return f"it is for {'Arm' if image.arm else 'x64'} processors, and the VM size has others"
    if image.generation2_only and not needs.generation2:
        return "it needs a VM size of generation 2, and that of --az-batch-vm-size is not one"
    return None


def _rank(image: OsImage) -> tuple[bool, datetime, bool, int]:
    key = (image.publisher.lower(), image.offer.lower(), image.sku.lower())
    digits = re.match(r"\d+", image.sku.replace("_", "").replace("-", "").replace(".", ""))
    return (
        key == PREFERRED,
        image.end_of_life or datetime.max.replace(tzinfo=UTC),
        key[:2] == PREFERRED[:2],
        int(digits[0]) if digits else 0,
    )


def _date(value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is not None and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value
