"""What a region offers, and what an account has in it."""

from dataclasses import dataclass, field

from .applications import Applications
from .mounts import Mountable

GENERATION_2 = "Generation2VMImage"  # a capability of images; those without it are of generation 1


@dataclass(frozen=True)
class VmSize:
    """`generations` are those of the images that it boots, see
    https://learn.microsoft.com/azure/virtual-machines/generation-2; `processor` is `x64` or `Arm64`."""

    name: str
    cores: int
    memory_gib: float
    temp_disk_gib: float
    generations: tuple[int, ...] = (1, 2)
    processor: str = "x64"


@dataclass(frozen=True)
class Catalogue:
    """What the region offers, VM sizes by lower-case name, and images as in supportedimages; and what the account
    has, applications by lower-case id, whether a storage account is linked to it, and what its nodes can mount."""

    sizes: dict[str, VmSize]
    images: tuple[dict, ...]
    applications: Applications = field(default_factory=dict)
    auto_storage: bool = False
    mountable: Mountable = Mountable()

    def image(self, reference: dict) -> dict | None:
        """The supported image that a reference to the Marketplace means."""
        wanted = [reference.get(name, "").lower() for name in _NAMES]
        for image in self.images:
            if wanted == [image["imageReference"][name].lower() for name in _NAMES]:
                return image
        return None

    def unbootable(self, vm_size: str, reference: dict) -> str | None:
        """Why machines of a size can't start from an image; None where they can, or nothing is known of the image."""
        size, image = self.sizes[vm_size.lower()], self.image(reference)
        if image is None:
            return None
        processor = "Arm64" if image["imageReference"]["sku"].endswith("-arm64") else "x64"
        if processor != size.processor:
            return (
                f"The selected VM size '{size.name.upper()}' cannot boot an image for {processor} processors."
            )
        generation = 2 if GENERATION_2 in image.get("capabilities", ()) else 1
        if generation in size.generations:
            return None
        return (
            f"The selected VM size '{size.name.upper()}' cannot boot Hypervisor Generation '{generation}'. If this was "
            "a Create operation please check that the Hypervisor Generation of the Image matches the Hypervisor "
            "Generation of the selected VM Size."
        )


_NAMES = ("publisher", "offer", "sku")
