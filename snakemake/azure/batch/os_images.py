"""Chooses the operating system image of a pool's nodes, at run time, from what Batch supports at the moment.

The list is the answer of https://learn.microsoft.com/rest/api/batchservice/pools/list-supported-images:
mappings with the wire names nodeAgentSKUId, imageReference, osType, capabilities, batchSupportEndOfLife and
verificationType (the SDK's BatchSupportedImage is such a mapping). Nothing is hard-coded but a preference,
because images reach their end of life, and a pool cannot be created with one that has.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.vm_sizes import VmSize
from snakemake.azure.wire import lower

PREFERRED = ("microsoft-dsvm", "ubuntu-hpc", "2404")
OPTION = "--az-batch-os-image"

# Images that boot on generation 2 VMs only: by name, and by the suffix of the SKU.
_GENERATION_2_OFFERS = {("microsoft-dsvm", "ubuntu-hpc")}
_GENERATION_2_SKU = re.compile(r"-?g(en)?2$")


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

    @property
    def name(self) -> str:
        return f"{self.publisher}:{self.offer}:{self.sku}:{self.version}"

    @property
    def generation2_only(self) -> bool:
        offer = (self.publisher.lower(), self.offer.lower())
        return offer in _GENERATION_2_OFFERS or _GENERATION_2_SKU.search(self.sku.lower()) is not None


class NoOsImage(WorkflowError):
    """No image of the list can be used; the message says why and names the option."""


def parse_images(supported: Iterable[Mapping[str, Any]]) -> list[OsImage]:
    """The Marketplace images of a list of supported images; what has no publisher is left out."""
    images = []
    for entry in supported:
        reference = entry.get("imageReference") or {}
        if not (reference.get("publisher") and reference.get("offer") and reference.get("sku")):
            continue
        images.append(
            OsImage(
                publisher=reference["publisher"],
                offer=reference["offer"],
                sku=reference["sku"],
                version=reference.get("version") or "latest",
                node_agent_sku_id=entry["nodeAgentSKUId"],
                end_of_life=_date(entry.get("batchSupportEndOfLife")),
                containers="dockercompatible" in {str(c).lower() for c in entry.get("capabilities") or ()},
                # Enumerations come in changing case, and from the SDK as members of a string enumeration.
                verified=lower(entry.get("verificationType")) == "verified",
                linux=lower(entry.get("osType")) == "linux",
            )
        )
    return images


def choose_os_image(
    supported: Iterable[Mapping[str, Any]],
    now: datetime,
    wanted: str | None = None,
    generation2: bool = True,
) -> OsImage:
    """The image for a pool of containers: the one wanted (`publisher:offer:sku[:version]`), else the best.

    Best is ubuntu-hpc 2404, and after it the image that Batch supports longest. Only Linux images that run
    containers and have not reached their end of life at `now` (with time zone) come into question, and unless
    it is asked for by name, only a verified one. `generation2` False says that the VM size boots no
    generation 2 image. Raises NoOsImage.
    """
    images = parse_images(supported)
    if wanted:
        return _wanted(images, wanted, now, generation2)
    usable = [i for i in images if i.verified and _obstacle(i, now, generation2) is None]
    if not usable:
        if not generation2:
            raise NoOsImage(
                "No image that Batch supports runs Linux containers on a VM size of generation 1: choose a newer "
                f"size with --az-batch-vm-size, or name an image with {OPTION}."
            )
        raise NoOsImage(
            f"None of the {len(images)} images that Batch supports runs Linux containers and is verified and "
            f"maintained: name one as publisher:offer:sku with {OPTION}."
        )
    return max(usable, key=_rank)


@dataclass(frozen=True)
class OsImages:
    """The images that the account's Batch service supports now."""

    supported: tuple[Any, ...]
    now: datetime
    wanted: str | None

    def for_vm(self, vm: VmSize) -> OsImage:
        return choose_os_image(self.supported, self.now, self.wanted, generation2=vm.generation2)


def _wanted(images: list[OsImage], wanted: str, now: datetime, generation2: bool) -> OsImage:
    parts = wanted.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise NoOsImage(
            f"{OPTION} {wanted!r} is not of the form publisher:offer:sku or publisher:offer:sku:version."
        )
    key = tuple(part.lower() for part in parts[:3])
    matches = [i for i in images if (i.publisher.lower(), i.offer.lower(), i.sku.lower()) == key]
    if not matches:
        others = sorted({i.name.rpartition(":")[0] for i in images if _obstacle(i, now, generation2) is None})
        raise NoOsImage(
            f"{OPTION} {wanted!r} is not among the images that Batch supports; these run containers: "
            f"{', '.join(others) or 'none'}."
        )
    # One image may be listed with several node agents: the longest supported comes first.
    best = max(matches, key=lambda i: (_obstacle(i, now, generation2) is None, _rank(i)))
    if obstacle := _obstacle(best, now, generation2):
        raise NoOsImage(f"{OPTION} {wanted!r} cannot be used because {obstacle}.")
    if len(parts) == 4:
        return OsImage(**{**vars(best), "version": parts[3]})
    return best


def _obstacle(image: OsImage, now: datetime, generation2: bool) -> str | None:
    if not image.linux:
        return "its nodes run Windows"
    if not image.containers:
        return "it runs no containers"
    if image.end_of_life is not None and image.end_of_life <= now:
        return f"its support by Batch ended on {image.end_of_life:%Y-%m-%d}"
    if image.generation2_only and not generation2:
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
